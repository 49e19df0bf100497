//! The status line as a message, or above an answer: its text, and under it what is folded away.
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
    Rendered {
        body: plain(line),
        html: Some(details(line)),
    }
}

/// An answer with the line in it, above its words; `None` if one message does not hold both. A notification begins with the body,
/// so there the line comes after the words. If not all of the line fits, what is folded is left out.
pub(super) fn in_answer(line: &StatusLine, answer: &Rendered) -> Option<Rendered> {
    if line.text.is_empty() {
        return Some(answer.clone());
    }
    let together = |line: &StatusLine| {
        let above = if line.folded.is_empty() {
            format!("<p>{}</p>", untrusted_text::html(&line.text))
        } else {
            details(line)
        };
        let words = match &answer.html {
            Some(html) => html.clone(),
            None => untrusted_text::html(&answer.body),
        };
        let rendered = Rendered {
            body: format!("{}\n\n{}", answer.body, plain(line)),
            html: Some(format!("{above}{words}")),
        };
        rendered.fits_an_event().then_some(rendered)
    };
    let text_only = || StatusLine {
        text: line.text.clone(),
        folded: Vec::new(),
    };
    together(line).or_else(|| together(&text_only()))
}

fn plain(line: &StatusLine) -> String {
    let mut body = line.text.clone();
    for entry in &line.folded {
        // Writing to a String cannot fail.
        let _ = write!(body, "\n{entry}");
    }
    body
}

fn details(line: &StatusLine) -> String {
    let mut html = format!(
        "<details><summary>{}</summary>",
        untrusted_text::html(&line.text)
    );
    html.push_str("<ul>");
    for entry in &line.folded {
        let _ = write!(html, "<li>{}</li>", untrusted_text::html(entry));
    }
    html.push_str("</ul></details>");
    html
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matrix::render::render;

    fn line(folded: &[&str]) -> StatusLine {
        StatusLine {
            text: "🔧 Used <b>".to_owned(),
            folded: folded.iter().map(|&entry| entry.to_owned()).collect(),
        }
    }

    #[test]
    fn answer_shows_the_line_above_its_words_and_begins_with_them() {
        let words = render("**Yes**\n\nno");
        let both = in_answer(&line(&["✓ a"]), &words).unwrap();
        assert_eq!(both.body, "**Yes**\n\nno\n\n🔧 Used <b>\n✓ a");
        assert_eq!(
            both.html.unwrap(),
            "<details><summary>🔧 Used &lt;b&gt;</summary><ul><li>✓ a</li></ul></details>\
             <p><strong>Yes</strong></p>\n<p>no</p>"
        );
        let running = in_answer(&line(&[]), &render("a < b")).unwrap();
        assert_eq!(running.html.unwrap(), "<p>🔧 Used &lt;b&gt;</p>a &lt; b");
        assert_eq!(in_answer(&StatusLine::default(), &words).unwrap(), words);
    }

    #[test]
    fn what_does_not_fit_into_a_full_answer_is_left_out_of_it() {
        let entry = "x".repeat(2_500);
        let folded = line(&[&entry]);
        let full = |bytes: usize| Rendered {
            body: "y".repeat(bytes),
            html: Some("y".repeat(bytes)),
        };
        let holds = |bytes| in_answer(&folded, &full(bytes)).map(|both| both.body.contains('x'));
        assert_eq!(holds(1_000), Some(true));
        assert_eq!(holds(13_000), Some(false));
        assert_eq!(holds(13_990), None);
    }

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
