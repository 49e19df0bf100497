//! What a page says about itself: its Open Graph properties, and its title where it has none.
//!
//! Pages are hostile and can be nested as deep as they are long, so no tree is built of them: tags are looked for in the text.
//! Spec: <https://ogp.me/>

use std::{collections::BTreeMap, sync::LazyLock};

use crate::limits::{PREVIEW_TAGS_MAX, PREVIEW_VALUE_MAX_CHARS};
use regex::Regex;
use ruma::html::Html;

/// What the names of properties begin with.
const PREFIX: &str = "og:";

/// A pattern of our own, which the tests compile; one that is none finds nothing.
fn pattern(text: &str) -> Option<Regex> {
    Regex::new(text).ok()
}

static META: LazyLock<Option<Regex>> =
    LazyLock::new(|| pattern(r#"(?is)<meta\s((?:"[^"]*"|'[^']*'|[^"'>])*)>"#));
static ATTRIBUTE: LazyLock<Option<Regex>> =
    LazyLock::new(|| pattern(r#"(?is)([a-z:-]+)\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+))"#));
static TITLE: LazyLock<Option<Regex>> =
    LazyLock::new(|| pattern(r"(?is)<title(?:\s[^>]*)?>([^<]*)</title"));

/// The properties of a page, by their names.
pub(super) fn properties(page: &str) -> BTreeMap<String, String> {
    let mut properties = BTreeMap::new();
    let mut description = None;
    for tag in META
        .iter()
        .flat_map(|meta| meta.captures_iter(page))
        .take(PREVIEW_TAGS_MAX)
    {
        let attributes = attributes(&tag[1]);
        let name = attributes
            .get("property")
            .or_else(|| attributes.get("name"));
        let (Some(name), Some(content)) = (name, attributes.get("content")) else {
            continue;
        };
        if name.starts_with(PREFIX) {
            // A page may name several pictures; the first is the one that it wants to be shown by.
            properties
                .entry(name.clone())
                .or_insert_with(|| content.clone());
        } else if name == "description" {
            description = Some(content.clone());
        }
    }
    let title = TITLE.as_ref().and_then(|title| title.captures(page));
    if let Some(title) = title {
        let title = plain(&title[1]);
        properties.entry("og:title".to_owned()).or_insert(title);
    }
    if let Some(description) = description {
        properties
            .entry("og:description".to_owned())
            .or_insert(description);
    }
    properties
}

fn attributes(tag: &str) -> BTreeMap<String, String> {
    let found = ATTRIBUTE
        .iter()
        .flat_map(|attribute| attribute.captures_iter(tag));
    found
        .map(|found| {
            let value = (2..=4).find_map(|place| found.get(place));
            let value = value.map_or_else(String::new, |value| plain(value.as_str()));
            (found[1].to_ascii_lowercase(), value)
        })
        .collect()
}

/// The text with its character references resolved.
fn plain(text: &str) -> String {
    let text: String = text.trim().chars().take(PREVIEW_VALUE_MAX_CHARS).collect();
    // Without "<" there are no tags in it, so this is one text, whatever it says.
    let html = Html::parse(&text.replace('<', "&lt;"));
    html.children()
        .filter_map(|node| node.as_text().map(|text| text.borrow().to_string()))
        .collect()
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
}
