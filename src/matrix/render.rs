//! What an agent wrote, as a room shows it.
//!
//! An agent writes Markdown and is not trusted: it may nest quotes ten thousand deep, write HTML,
//! or point an image at a stranger's server. Here that text becomes the two bodies of an
//! `m.room.message`, and is cut into parts where one event cannot hold it.
//!
//! Promises: nothing that was written vanishes (HTML is shown, not interpreted; what nests too
//! deep loses its frame, not its words); nothing but the elements of the specification goes out,
//! and no client fetches anything from a foreign server; no input panics or takes long; half a
//! text, as it is while the agent still writes, renders like a text that ends there.
//!
//! Specification: [`m.room.message` message types][spec], [mathematical messages][maths].
//!
//! [spec]: https://spec.matrix.org/latest/client-server-api/#mroommessage-msgtypes
//! [maths]: https://spec.matrix.org/latest/client-server-api/#mathematical-messages

mod address;
mod blocks;
mod formula;
mod opaque;
mod shape;
mod split;

use std::{borrow::Cow, iter};

use pulldown_cmark::{Event, Options, Tag, TagEnd, html::push_html};
use ruma::html::{Html, SanitizerConfig};

pub use self::split::split;

/// The most that the content of one message event takes as JSON, in bytes, when it is an edit,
/// which carries each body twice.
///
/// An event may have [65,536 bytes][spec] with everything that the homeserver adds to it (ids,
/// authorization events, hashes, signatures); what is left is for that.
///
/// [spec]: https://spec.matrix.org/latest/client-server-api/#size-limits
pub const EVENT_BYTES_MAX: usize = 60_000;

/// What of [`EVENT_BYTES_MAX`] is kept for all that is not a body, in bytes: the keys, the relation
/// (an event id has at most 255 bytes), the send id and [`MENTIONS_MAX`] user ids of 255 bytes.
///
/// [`MENTIONS_MAX`]: super::content::MENTIONS_MAX
const RESERVE_BYTES: usize = 4_000;

/// The most that both bodies, each twice, may take as JSON, in bytes.
const BODIES_BYTES_MAX: usize = EVENT_BYTES_MAX - RESERVE_BYTES;

/// The longest Markdown worth working on, in bytes: one that is longer does not fit an event twice.
const SOURCE_BYTES_MAX: usize = BODIES_BYTES_MAX / 2;

/// The fallback in front of each body of an edit takes this much, in bytes.
const EDIT_MARK_BYTES: usize = "* ".len();

/// A text as a room shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// The text for clients and notifications that show no HTML: the Markdown as it was written.
    ///
    /// Markdown was made to be read as it is, loses nothing, and is what people's own clients put
    /// here when a person writes Markdown.
    pub body: String,
    /// The same as sanitized HTML, for `formatted_body`; nothing if `body` already says it all.
    pub html: Option<String>,
}

impl Rendered {
    /// A text without any formatting, shown as it is.
    pub fn plain(text: impl Into<String>) -> Self {
        Self {
            body: text.into(),
            html: None,
        }
    }

    /// The same with a mark at its end, such as that more is to come.
    #[must_use]
    pub fn with_mark(self, mark: &str) -> Self {
        let html = self
            .html
            .map(|html| match html.trim_end().strip_suffix("</p>") {
                Some(before) => format!("{before}{}</p>", super::untrusted_text::html(mark)),
                None => format!("{html}{}", super::untrusted_text::html(mark)),
            });
        Self {
            body: self.body + mark,
            html,
        }
    }

    /// Whether an edit that shows this stays within [`EVENT_BYTES_MAX`].
    pub fn fits_an_event(&self) -> bool {
        fit_an_event(&self.body, self.html.as_deref())
    }
}

/// Renders Markdown.
///
/// A text that is too long for one event comes back without HTML, so [`split()`] it first.
pub fn render(markdown: &str) -> Rendered {
    let body = clean(markdown).into_owned();
    match to_html(&body) {
        Ok(html) => Rendered { body, html },
        Err(TooLong) => Rendered::plain(body),
    }
}

/// An edit cannot carry the text with its HTML.
#[derive(Debug)]
struct TooLong;

/// The HTML for a cleaned text, or nothing if the text already reads the same.
fn to_html(body: &str) -> Result<Option<String>, TooLong> {
    let Some(raw) = to_raw_html(body)? else {
        return Ok(None);
    };
    let html = Html::parse(&raw);
    html.sanitize_with(&SanitizerConfig::compat().remove_reply_fallback());
    let html = html.to_string();
    let html = without_lone_paragraph(html.trim());
    Ok((!html.is_empty()).then(|| html.to_owned()))
}

/// The same before it is sanitized.
///
/// The size is checked here, for the sanitizer takes time that grows with the square of the
/// paragraphs. It hardly changes the size.
fn to_raw_html(body: &str) -> Result<Option<String>, TooLong> {
    if body.len() > SOURCE_BYTES_MAX {
        return Err(TooLong);
    }
    // Every event is a byte of HTML, and mostly many.
    let masked = opaque::mask(body);
    let events = shape::shape(&masked, SOURCE_BYTES_MAX).ok_or(TooLong)?;
    let raw = (!is_plain(&events, body)).then(|| {
        let mut raw = String::with_capacity(body.len() * 2);
        push_html(&mut raw, events.into_iter());
        raw
    });
    if fit_an_event(body, raw.as_deref()) {
        Ok(raw)
    } else {
        Err(TooLong)
    }
}

/// Whether an edit can carry these two bodies.
fn fit_an_event(body: &str, html: Option<&str>) -> bool {
    let bytes: usize = iter::once(body)
        .chain(html)
        .map(|body| 2 * json_bytes(body) + EDIT_MARK_BYTES)
        .sum();
    bytes <= BODIES_BYTES_MAX
}

/// What of Markdown is understood.
const MARKDOWN: Options = Options::ENABLE_TABLES
    .union(Options::ENABLE_STRIKETHROUGH)
    .union(Options::ENABLE_TASKLISTS)
    .union(Options::ENABLE_FOOTNOTES)
    .union(Options::ENABLE_GFM);

/// The text with one kind of line end, without what a homeserver's database may refuse, and
/// without empty lines around it.
fn clean(markdown: &str) -> Cow<'_, str> {
    let text = markdown.trim_end();
    // Not `trim_start`: four spaces in front of the first line make it code.
    let indent = text.len() - text.trim_start().len();
    let first_line = text[..indent].rfind(['\n', '\r']).map_or(0, |end| end + 1);
    let text = &text[first_line..];
    if text.contains(['\r', '\0']) {
        Cow::Owned(
            text.replace("\r\n", "\n")
                .replace('\r', "\n")
                .replace('\0', "\u{FFFD}"),
        )
    } else {
        Cow::Borrowed(text)
    }
}

/// Whether the text is only paragraphs of words that read in the source exactly as rendered.
fn is_plain(events: &[Event<'_>], body: &str) -> bool {
    let mut rest = body;
    events.iter().enumerate().all(|(index, event)| {
        let expected = match event {
            Event::Text(text) => text.as_ref(),
            Event::HardBreak => "\n",
            Event::Start(Tag::Paragraph) if index > 0 => "\n\n",
            Event::Start(Tag::Paragraph) | Event::End(TagEnd::Paragraph) => "",
            _ => return false,
        };
        rest.strip_prefix(expected)
            .map(|after| rest = after)
            .is_some()
    }) && rest.is_empty()
}

/// A single paragraph stands without its element, so that the mark of an edit and the first words
/// share a line.
fn without_lone_paragraph(html: &str) -> &str {
    html.strip_prefix("<p>")
        .and_then(|inner| inner.strip_suffix("</p>"))
        .filter(|inner| !inner.contains("<p>"))
        .unwrap_or(html)
}

/// How long a text is as a JSON string, in bytes, with its quotes.
fn json_bytes(text: &str) -> usize {
    // Writing a string to memory does not fail; if it did, a part would only be cut smaller.
    serde_json::to_string(text).map_or(usize::MAX / 8, |json| json.len())
}

#[cfg(test)]
mod tests;
