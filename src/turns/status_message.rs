//! The status line as a message: its text, and under it what is folded away.
//!
//! What is folded is foreign text, from models and tools: it is escaped, never interpreted.
//! Specification: [`details` among the suggested HTML][spec].
//!
//! [spec]: https://spec.matrix.org/latest/client-server-api/#mroommessage-msgtypes

use std::fmt::Write;

use super::status::StatusLine;
use crate::matrix::{render::Rendered, untrusted_text};

/// A line as a room shows it. Clients without HTML see the line and the entries under it.
pub(super) fn rendered(line: &StatusLine) -> Rendered {
    if line.folded.is_empty() {
        return Rendered::plain(&line.text);
    }
    let mut body = line.text.clone();
    let mut html = format!(
        "<details><summary>{}</summary>",
        untrusted_text::html(&line.text)
    );
    html.push_str("<ul>");
    for entry in &line.folded {
        // Writing to a String cannot fail.
        let _ = write!(body, "\n{entry}");
        let _ = write!(html, "<li>{}</li>", untrusted_text::html(entry));
    }
    html.push_str("</ul></details>");
    Rendered {
        body,
        html: Some(html),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_folded_as_text() {
        let line = StatusLine {
            text: "🔧 Used <b>".to_owned(),
            folded: vec!["✓ a {\"x\":\"</li><script>\"}\n→ &".to_owned()],
        };
        let html = rendered(&line).html.unwrap();
        insta::assert_snapshot!(html, @r#"<details><summary>🔧 Used &lt;b&gt;</summary><ul><li>✓ a {"x":"&lt;/li&gt;&lt;script&gt;"}<br>→ &amp;</li></ul></details>"#);
    }
}
