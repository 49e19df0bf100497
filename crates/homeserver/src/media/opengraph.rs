//! What a page says about itself: its Open Graph properties, those of Twitter, and its title where it has none.
//!
//! Pages are hostile and can be nested as deep as they are long, so no tree is built of them: a tokenizer of HTML names the tags, and
//! knows what is a comment, a script or a text. Spec: <https://ogp.me/>

use std::{cell::RefCell, collections::BTreeMap};

use encoding_rs::{Encoding, UTF_8, WINDOWS_1252};
use html5ever::{
    Attribute, TokenizerResult,
    buffer_queue::BufferQueue,
    tokenizer::{
        CharacterTokens, StartTag, Tag, TagToken, Token, TokenSink, TokenSinkResult, Tokenizer,
        TokenizerOpts,
        states::RawKind::{Rawtext, Rcdata, ScriptData},
    },
};

use crate::limits::{PREVIEW_TAGS_MAX, PREVIEW_VALUE_MAX_CHARS};

/// What the names of properties begin with.
const PREFIX: &str = "og:";
/// What those begin with that Twitter reads; they stand in where a page has no others.
const TWITTER: &str = "twitter:";
/// Where a page names its encoding, in bytes from its beginning.
const ENCODING_WITHIN_BYTES: usize = 1 << 10;

/// The text of a page: in the encoding of a byte order mark, of the header, of a `<meta>` at its beginning, or the likeliest.
pub(super) fn decoded(content_type: &str, bytes: &[u8]) -> String {
    let begin = &bytes[..bytes.len().min(ENCODING_WITHIN_BYTES)];
    let named = named_encoding(content_type.as_bytes()).or_else(|| named_encoding(begin));
    let likeliest = || {
        // A page that is cut off may end within a character.
        let is_utf8 = match std::str::from_utf8(bytes) {
            Ok(_) => true,
            Err(error) => error.error_len().is_none(),
        };
        if is_utf8 { UTF_8 } else { WINDOWS_1252 }
    };
    let encoding = named.unwrap_or_else(likeliest);
    encoding.decode(bytes).0.into_owned()
}

/// The encoding behind the first `charset=`.
fn named_encoding(text: &[u8]) -> Option<&'static Encoding> {
    let text = String::from_utf8_lossy(text).to_ascii_lowercase();
    let (_, label) = text.split_once("charset")?;
    let label = label.trim_start().strip_prefix('=')?;
    let label = label.trim_start().trim_start_matches(['"', '\'']);
    let end = label.find(|c: char| c.is_whitespace() || "\"';>/".contains(c));
    Encoding::for_label(&label.as_bytes()[..end.unwrap_or(label.len())])
}

/// The properties of a page, by their names.
pub(super) fn properties(page: &str) -> BTreeMap<String, String> {
    let tokenizer = Tokenizer::new(PageReader::default(), TokenizerOpts::default());
    let input = BufferQueue::default();
    input.push_back(page.into());
    while let TokenizerResult::Script(()) | TokenizerResult::EncodingIndicator(_) =
        tokenizer.feed(&input)
    {}
    tokenizer.end();
    let page = tokenizer.sink.page.into_inner();
    let mut properties = page.properties;
    for (name, value) in [
        (
            "title",
            page.twitter.get("twitter:title").or(page.title.as_ref()),
        ),
        (
            "description",
            page.twitter
                .get("twitter:description")
                .or(page.description.as_ref()),
        ),
        (
            "image",
            page.twitter
                .get("twitter:image")
                .or_else(|| page.twitter.get("twitter:image:src")),
        ),
    ] {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            let name = format!("{PREFIX}{name}");
            properties.entry(name).or_insert_with(|| value.clone());
        }
    }
    properties
}

/// What was found so far.
#[derive(Debug, Default)]
struct Page {
    properties: BTreeMap<String, String>,
    twitter: BTreeMap<String, String>,
    description: Option<String>,
    title: Option<String>,
    /// The text of the title while it is read.
    reads_title: Option<String>,
    /// How deep within pictures, whose parts have titles of their own.
    pictures: u32,
    tags: usize,
}

/// Reads the tokens of a page.
#[derive(Debug, Default)]
struct PageReader {
    page: RefCell<Page>,
}

impl TokenSink for PageReader {
    type Handle = ();

    fn process_token(&self, token: Token, _: u64) -> TokenSinkResult<()> {
        let mut page = self.page.borrow_mut();
        match token {
            TagToken(tag) if tag.kind == StartTag => page.opens(&tag),
            TagToken(tag) => {
                page.closes(&tag.name);
                TokenSinkResult::Continue
            }
            CharacterTokens(text) => {
                if let Some(title) = &mut page.reads_title {
                    title.push_str(&text);
                }
                TokenSinkResult::Continue
            }
            _ => TokenSinkResult::Continue,
        }
    }
}

impl Page {
    fn opens(&mut self, tag: &Tag) -> TokenSinkResult<()> {
        match &*tag.name {
            "meta" if self.tags < PREVIEW_TAGS_MAX => {
                self.tags += 1;
                self.meta(&tag.attrs);
            }
            "svg" if !tag.self_closing => self.pictures += 1,
            "title" if self.pictures == 0 => {
                self.reads_title = Some(String::new());
                return TokenSinkResult::RawData(Rcdata);
            }
            "textarea" => return TokenSinkResult::RawData(Rcdata),
            "script" => return TokenSinkResult::RawData(ScriptData),
            "style" | "xmp" | "iframe" | "noembed" | "noframes" => {
                return TokenSinkResult::RawData(Rawtext);
            }
            _ => {}
        }
        TokenSinkResult::Continue
    }

    fn closes(&mut self, name: &str) {
        match name {
            "svg" => self.pictures = self.pictures.saturating_sub(1),
            "title" => {
                let title = self.reads_title.take().map(|title| plain(&title));
                self.title = self.title.take().or(title);
            }
            _ => {}
        }
    }

    fn meta(&mut self, attributes: &[Attribute]) {
        let value = |name: &str| {
            let found = attributes.iter().find(|found| *found.name.local == *name);
            found.map(|found| plain(&found.value))
        };
        let (Some(name), Some(content)) = (
            value("property").or_else(|| value("name")),
            value("content"),
        ) else {
            return;
        };
        // A page may name several pictures; the first is the one that it wants to be shown by.
        if name.starts_with(PREFIX) {
            self.properties.entry(name).or_insert(content);
        } else if name.starts_with(TWITTER) {
            self.twitter.entry(name).or_insert(content);
        } else if name.eq_ignore_ascii_case("description") {
            self.description = Some(content);
        }
    }
}

fn plain(text: &str) -> String {
    text.trim().chars().take(PREVIEW_VALUE_MAX_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_known_by_its_properties_and_else_by_its_title() {
        let page = r#"<html><head><title>Not this</title>
            <META content='Tom &amp; "Jerry"' property=og:title><meta property="og:image" content="/first.png">
            <meta property="og:image" content="/second.png"><meta name="description" content="a > b">"#;
        let properties = properties(page);
        assert_eq!(properties["og:title"], "Tom & \"Jerry\"");
        assert_eq!(properties["og:image"], "/first.png");
        assert_eq!(properties["og:description"], "a > b");
        let plain_page = super::properties("<title>A &lt;b&gt; title</title>");
        assert_eq!(plain_page["og:title"], "A <b> title");
        assert!(super::properties(&"<div>".repeat(200_000)).is_empty());
    }

    #[test]
    fn comments_scripts_and_pictures_say_nothing_of_the_page() {
        for (page, title) in [
            ("<!-- <title>Old</title> --><title>New</title>", "New"),
            (
                "<!-- <meta property='og:title' content='Old'> --><title>New</title>",
                "New",
            ),
            ("<svg><title>Icon</title></svg><title>Page</title>", "Page"),
            (
                "<svg><svg></svg><title>Icon</title></svg><title>Page</title>",
                "Page",
            ),
            (
                "<script>'<title>No</title>'</script><title>Yes</title>",
                "Yes",
            ),
            ("<style><title>No</title></style><title>Yes</title>", "Yes"),
            (
                "<title>Tom &amp;amp; <b>Jerry</b></title>",
                "Tom &amp; <b>Jerry</b>",
            ),
            ("<title>One</title><title>Two</title>", "One"),
            (
                "<meta name='twitter:title' content='Bird'><title>Page</title>",
                "Bird",
            ),
            (
                "<meta name='twitter:title' content='Bird'><meta property='og:title' content='Graph'>",
                "Graph",
            ),
        ] {
            assert_eq!(properties(page)["og:title"], title, "{page}");
        }
        let page =
            "<meta name=twitter:image content=/a.png><meta name=twitter:description content=about>";
        let found = properties(page);
        assert_eq!(
            (&*found["og:image"], &*found["og:description"]),
            ("/a.png", "about")
        );
    }

    #[test]
    fn page_is_read_in_its_encoding() {
        let latin = b"<title>Caf\xe9</title>";
        let cyrillic = b"<meta charset=windows-1251><title>\xcf\xf0\xe8</title>";
        let japanese = b"<title>\x93\x8c\x8b\x9e</title>";
        for (content_type, bytes, title) in [
            ("text/html", &latin[..], "Café"),
            ("text/html; charset=ISO-8859-1", latin, "Café"),
            ("text/html", cyrillic, "При"),
            ("text/html; charset=\"Shift_JIS\"", japanese, "東京"),
            ("text/html", "<title>Grüße</title>".as_bytes(), "Grüße"),
            (
                "text/html; charset=nonsense",
                "<title>Grüße</title>".as_bytes(),
                "Grüße",
            ),
        ] {
            let page = decoded(content_type, bytes);
            assert_eq!(properties(&page)["og:title"], title, "{content_type}");
        }
        assert!(decoded("text/html", &"ü".as_bytes()[..1]).contains('\u{fffd}'));
    }
}
