//! What agents write, as rooms show it, and foreign text inside our own messages.
//!
//! Invariants: the HTML has only elements and attributes of the specification, closes what it opens, nests no deeper than clients
//! follow, and links nowhere that runs a script; a text is shown with all its words; each part of a long one fits an event; foreign
//! text is one element of code and no link, whatever it holds.

use matrix_appservice_letta::matrix::{
    render::{Rendered, render, split},
    untrusted_text,
};

use crate::Target;

/// See the module.
pub const TARGET: Target = Target {
    name: "markdown",
    check,
    wrap,
    words: &[
        "# ",
        "> ",
        "> [!NOTE]\n",
        "- ",
        "1. ",
        "- [x] ",
        "```rust\n",
        "~~~\n",
        "`",
        "**",
        "__",
        "~~",
        "*",
        "_",
        "[a](javascript:alert(1))",
        "[a](https://example.org \"t\")",
        "![a](https://example.org/a.png)",
        "![a](mxc://example.org/a)",
        "<script>",
        "<b onclick=\"x\">",
        "<!--",
        "]]>",
        "|a|b|\n|-|-|\n|c|d|\n",
        "$x$",
        "$$x$$",
        "[^1]",
        "[^1]: a\n",
        "[a]: https://example.org\n",
        "<https://example.org>",
        "&lt;",
        "&#0;",
        "\\",
        "\n\n",
        "    ",
        "\u{202e}",
        "\u{200b}",
        "\0",
        "<mx-reply>",
        "<br>",
        "---\n",
    ],
};

/// The elements of the specification.
/// <https://spec.matrix.org/v1.19/client-server-api/#mroommessage-msgtypes>
const ELEMENTS: [&str; 38] = [
    "a",
    "b",
    "blockquote",
    "br",
    "caption",
    "code",
    "del",
    "details",
    "div",
    "em",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "i",
    "img",
    "li",
    "ol",
    "p",
    "pre",
    "s",
    "span",
    "strong",
    "sub",
    "summary",
    "sup",
    "table",
    "tbody",
    "td",
    "th",
    "thead",
    "tr",
    "u",
    "ul",
    "font",
];
/// Elements that have no end.
const EMPTY: [&str; 3] = ["br", "hr", "img"];
/// The attributes of the specification, each with its element; nothing stands for any.
const ATTRIBUTES: [(&str, &str); 10] = [
    ("a", "href"),
    ("a", "target"),
    ("code", "class"),
    ("div", "data-mx-maths"),
    ("span", "data-mx-maths"),
    ("img", "src"),
    ("img", "alt"),
    ("img", "title"),
    ("ol", "start"),
    ("font", "color"),
];
/// What links may begin with.
const SCHEMES: [&str; 7] = [
    "https:", "http:", "ftp:", "mailto:", "magnet:", "matrix:", "mxc:",
];
/// How deep elements nest: what the specification recommends.
const NESTING_MAX: usize = 100;

/// Panics if an invariant of the module does not hold.
pub fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let whole = render(&text);
    shown(&whole);
    assert!(words(&text).eq(words(&whole.body)), "words are lost");
    let parts = split(&text);
    assert_eq!(parts.is_empty(), text.trim().is_empty(), "{parts:?}");
    for part in &parts {
        let rendered = render(part);
        shown(&rendered);
        assert!(rendered.fits_an_event(), "a part is too long");
    }
    if let [only] = &*parts {
        assert_eq!(render(only), whole, "one part is not the text");
    }
    foreign_text(&text);
}

/// The letters and digits of a text, which no formatting takes away.
fn words(text: &str) -> impl Iterator<Item = char> {
    text.chars().filter(|c| c.is_alphanumeric())
}

fn foreign_text(text: &str) {
    let line = render(&format!("a {} b", untrusted_text::inline(text)));
    let html = line.html.unwrap_or_default();
    if html.is_empty() {
        // It is too long to be shown with HTML.
        return;
    }
    assert_eq!(elements(&html), ["code"], "{html}");
    let block = render(&format!("a\n\n{}\n\nb", untrusted_text::block(text)));
    let html = block.html.unwrap_or_default();
    assert!(
        html.is_empty() || elements(&html) == ["p", "pre", "code", "p"],
        "{html}"
    );
}

/// The names of the elements of a checked HTML, in order.
fn elements(html: &str) -> Vec<&str> {
    let tags = html.split('<').skip(1).filter(|tag| !tag.starts_with('/'));
    tags.map(|tag| tag.split([' ', '>', '/']).next().unwrap_or_default())
        .collect()
}

fn shown(rendered: &Rendered) {
    assert!(!rendered.body.contains(['\0', '\r']), "{:?}", rendered.body);
    let Some(html) = &rendered.html else { return };
    let mut open = Vec::new();
    let mut rest = &**html;
    while let Some(start) = rest.find('<') {
        let tag = &rest[start + 1..];
        let end = end_of(tag).expect("a tag that does not end");
        rest = &tag[end + 1..];
        let tag = &tag[..end];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "{html}");
            continue;
        }
        let tag = tag.trim_end_matches('/').trim_end();
        let (name, attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        assert!(ELEMENTS.contains(&name), "<{name}> in {html}");
        attributes_of(name, attributes, html);
        if !EMPTY.contains(&name) {
            open.push(name);
            assert!(open.len() <= NESTING_MAX, "too deep");
        }
    }
    assert!(open.is_empty(), "{open:?} stay open in {html}");
}

/// Where a tag ends: values may hold its end, too.
fn end_of(tag: &str) -> Option<usize> {
    let mut in_value = false;
    tag.find(|c: char| {
        in_value ^= c == '"';
        c == '>' && !in_value
    })
}

fn attributes_of(element: &str, mut rest: &str, html: &str) {
    while let Some((name, value)) = rest.split_once("=\"") {
        let (value, next) = value.split_once('"').expect("a value that does not end");
        let name = name.trim();
        rest = next;
        assert!(
            ATTRIBUTES.contains(&(element, name)),
            "<{element} {name}> in {html}"
        );
        match name {
            "href" => assert!(
                SCHEMES.iter().any(|scheme| value.starts_with(scheme)),
                "a link to {value:?} in {html}"
            ),
            "src" => assert!(value.starts_with("mxc:"), "an image at {value:?} in {html}"),
            "class" => assert!(value.starts_with("language-"), "class {value:?} in {html}"),
            _ => {}
        }
    }
    assert!(rest.trim().is_empty(), "<{element} … {rest}> in {html}");
}

fn wrap(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}
