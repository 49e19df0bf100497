//! Foreign text in our own messages: names and descriptions of agents, names and arguments of tools, what Letta or a
//! homeserver says when something fails, what a person wrote.
//!
//! Promise: in a message of ours foreign text is text. It is no Markdown and no link, it stays where it was put, and every
//! character of it can be seen. All of it goes through [`inline`] or [`block`]; a test over the source looks that nothing else does.
//!
//! Which characters cannot be seen is not a list of ours but [properties of Unicode][properties].
//!
//! [properties]: https://www.unicode.org/reports/tr44/#Properties

use icu_properties::{
    CodePointMapData, CodePointSetData,
    props::{
        BidiControl, DefaultIgnorableCodePoint, ExtendedPictographic, GeneralCategory,
        VariationSelector,
    },
};

/// Where a line of foreign text is broken, in characters.
const LINE_CHARS_MAX: usize = 100;
/// Characters that Unicode calls visible and fonts show as nothing: the empty Braille pattern and the note without a head.
const BLANK: [char; 2] = ['\u{2800}', '\u{1d159}'];
/// Makes one picture of the two characters around it.
const JOINER: char = '\u{200d}';
/// Makes a picture of the character before it.
const PICTURE: char = '\u{fe0f}';

/// Foreign text inside a line, as Markdown.
pub fn inline(text: &str) -> String {
    let shown = one_line(text).replace('`', "'");
    if shown.is_empty() {
        "(nothing)".to_owned()
    } else {
        format!("`{shown}`")
    }
}

/// The same, of at most so many characters.
pub fn inline_start(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        Some((at, _)) => inline(&format!("{}…", &text[..at])),
        None => inline(text),
    }
}

/// Foreign text of several lines, as Markdown: a block of its own.
pub fn block(text: &str) -> String {
    let text = visible(text);
    let longest = text.split(|c| c != '`').map(str::len).max();
    let fence = "`".repeat(longest.unwrap_or_default().max(2) + 1);
    format!("{fence}\n{text}\n{fence}")
}

/// A text of which every character can be seen, in lines that need no scrolling.
pub fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut column = 0;
    for c in text.chars() {
        if c == '\n' {
            column = 0;
            out.push(c);
            continue;
        }
        if column >= LINE_CHARS_MAX {
            column = 0;
            out.push('\n');
        }
        if hides(c) {
            let spelled = c.escape_unicode().to_string();
            column += spelled.len();
            out.push_str(&spelled);
        } else {
            column += 1;
            out.push(c);
        }
    }
    out
}

/// Foreign text inside a line of plain text, which knows no Markdown.
pub fn one_line(text: &str) -> String {
    let spelled = |c: char| match c {
        '\n' => " ".to_owned(),
        c if hides(c) => c.escape_unicode().to_string(),
        c => c.to_string(),
    };
    let shown: String = text.chars().map(spelled).collect();
    shown.trim().to_owned()
}

/// Foreign text of several lines as HTML, which no client takes for elements.
pub fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\n' => out.push_str("<br>"),
            control if control.is_control() => out.push(' '),
            other => out.push(other),
        }
    }
    out
}

/// The words of foreign HTML as plain text, a line for each of its lines.
pub fn words_of_html(html: &str) -> String {
    let mut words = String::new();
    let mut rest = html;
    while let Some((before, after)) = rest.split_once('<') {
        words.push_str(before);
        let Some((tag, after)) = after.split_once('>') else {
            rest = "";
            break;
        };
        let name = tag.trim_start_matches('/').trim_end_matches(['/', ' ']);
        if matches!(name, "br" | "p" | "li" | "tr" | "blockquote" | "pre") && !words.is_empty() {
            words.push('\n');
        }
        rest = after;
    }
    words.push_str(rest);
    words
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&nbsp;", " ")
        .replace("&amp;", "&")
        .trim()
        .to_owned()
}

/// Foreign text of several lines as plain text.
pub fn plain(text: &str) -> String {
    let lines: Vec<String> = text.lines().map(name).collect();
    lines.join("\n")
}

/// A name on one line without what cannot be seen in it. Pictures that are made of several characters stay whole.
pub fn name(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut before = None;
    for c in text.chars() {
        let in_picture = matches!(c, JOINER | PICTURE) && before.is_some_and(is_pictorial);
        if c.is_whitespace() || c.is_control() {
            out.push(' ');
        } else if in_picture || !hides(c) {
            out.push(c);
        }
        before = Some(c);
    }
    // A picture at the end joins nothing.
    let out = out.trim_end_matches(JOINER);
    out.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn is_pictorial(c: char) -> bool {
    // The colors of skin come between a picture and its joiner.
    c == PICTURE
        || matches!(c, '\u{1f3fb}'..='\u{1f3ff}')
        || CodePointSetData::new::<ExtendedPictographic>().contains(c)
}

/// Whether a character shows nothing, or changes how others are shown: controls and format characters, what a font may leave out
/// (fillers, joiners, tags, selectors of variants), every space but the plain one, and code points that mean nothing.
pub fn hides(c: char) -> bool {
    if c.is_ascii() {
        return c.is_ascii_control();
    }
    let category = CodePointMapData::<GeneralCategory>::new().get(c);
    BLANK.contains(&c)
        || matches!(
            category,
            GeneralCategory::Control
                | GeneralCategory::Format
                | GeneralCategory::SpaceSeparator
                | GeneralCategory::LineSeparator
                | GeneralCategory::ParagraphSeparator
                | GeneralCategory::PrivateUse
                | GeneralCategory::Unassigned
        )
        || CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(c)
        || CodePointSetData::new::<BidiControl>().contains(c)
        || CodePointSetData::new::<VariationSelector>().contains(c)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::matrix::render::render;

    #[test]
    fn characters_that_show_nothing_are_found_by_their_property() {
        let hidden = [
            '\u{7f}',
            '\u{a0}',
            '\u{ad}',
            '\u{34f}',
            '\u{61c}',
            '\u{115f}',
            '\u{17b4}',
            '\u{180b}',
            '\u{200b}',
            '\u{200d}',
            '\u{202e}',
            '\u{2028}',
            '\u{2066}',
            '\u{206f}',
            '\u{2800}',
            '\u{3000}',
            '\u{3164}',
            '\u{fe00}',
            '\u{fe0f}',
            '\u{feff}',
            '\u{ffa0}',
            '\u{fff0}',
            '\u{13430}',
            '\u{1bca0}',
            '\u{1d159}',
            '\u{1d173}',
            '\u{e0001}',
            '\u{e0041}',
            '\u{e0100}',
            '\u{e01ef}',
            '\u{e000}',
            '\u{ffffe}',
        ];
        for c in hidden {
            assert!(hides(c), "{}", c.escape_unicode());
            assert_eq!(visible(&c.to_string()), c.escape_unicode().to_string());
        }
        for c in ['a', ' ', 'é', 'Ж', '漢', '🚀', '\u{301}', '`', '…'] {
            assert!(!hides(c), "{}", c.escape_unicode());
        }
    }

    #[test]
    fn words_of_html_are_what_is_seen_of_it() {
        for (html, words) in [
            ("a &amp;lt; b &lt; c &quot;d&quot;", "a &lt; b < c \"d\""),
            ("<ul><li>one</li><li>two</li></ul>", "one\n\ntwo"),
            ("<b>open", "open"),
            ("no end <a", "no end"),
            ("", ""),
        ] {
            assert_eq!(words_of_html(html), words, "{html}");
        }
    }

    #[test]
    fn names_lose_what_hides_and_keep_their_pictures() {
        for (given, kept) in [
            ("Ada", "Ada"),
            ("  Ada\n Lovelace ", "Ada Lovelace"),
            ("\u{202e}adA\u{202c}", "adA"),
            ("A\u{200b}d\u{e0041}a\u{2060}", "Ada"),
            ("\u{200b}\u{2060}\u{3164}\u{2800}", ""),
            ("👩\u{200d}💻 Coder", "👩\u{200d}💻 Coder"),
            ("👩🏽\u{200d}🚀", "👩🏽\u{200d}🚀"),
            ("❤\u{fe0f} Ada", "❤\u{fe0f} Ada"),
            ("Ada\u{fe0f}\u{200d}", "Ada"),
        ] {
            assert_eq!(name(given), kept, "{}", given.escape_unicode());
        }
    }

    proptest! {
        #[test]
        fn foreign_text_is_one_element_and_all_of_it(text in "(\\PC|[`~*_\\[\\]()<>&!#|\\n\\r \u{200b}\u{202e}\\\\-]|https://x\\.org){0,60}") {
            let html = render(&format!("a {} b", inline(&text))).html.unwrap_or_default();
            prop_assert!(!html.contains("<a") && !html.contains("<p>"), "{}", html);
            let html = render(&format!("a\n\n{}\n\nb", block(&text))).html.unwrap_or_default();
            prop_assert_eq!(html.matches("<pre>").count(), 1);
            prop_assert!(!html.contains("<a"), "{}", html);
            prop_assert!(html.trim_end().ends_with("<p>b</p>"), "{}", html);
        }
    }
}
