//! What the server says in rooms itself: Markdown, with its HTML beside it.

use pulldown_cmark::{Options, Parser, html};
use serde_json::{Value, json};

/// The longest answer, in bytes: an event has room for twice of it, once as text and once as HTML.
const ANSWER_MAX_BYTES: usize = 20_000;

/// The content of a message with this text.
pub(crate) fn content(text: &str) -> Value {
    let text = cut(text);
    let mut formatted = String::new();
    html::push_html(
        &mut formatted,
        Parser::new_ext(text, Options::ENABLE_TABLES),
    );
    json!({
        "msgtype": "m.notice",
        "body": text,
        "format": "org.matrix.custom.html",
        "formatted_body": formatted.trim_end(),
    })
}

fn cut(text: &str) -> &str {
    let mut end = text.len().min(ANSWER_MAX_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}
