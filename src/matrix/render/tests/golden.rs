//! What models write, and the HTML that it becomes: the table in `golden.txt`. And that no word of it is lost.

use std::path::Path;

use proptest::prelude::*;

use super::super::*;
use crate::architecture::same_as_on_disk;

/// Each case is `=== name`, what was written, `-->`, and the HTML.
const TABLE: &str = include_str!("golden.txt");
const TABLE_PATH: &str = "src/matrix/render/tests/golden.txt";

fn cases() -> Vec<(&'static str, &'static str)> {
    let case = |case: &'static str| {
        let (name, rest) = case.split_once('\n').expect("a case has a name");
        let (written, _) = rest.split_once("\n-->\n").expect("a case has HTML");
        (name, written)
    };
    TABLE.split("=== ").skip(1).map(case).collect()
}

#[test]
fn model_outputs_become_the_html_of_the_table() {
    let cases = cases();
    assert!(cases.len() >= 60, "{}", cases.len());
    let rendered: Vec<_> = cases
        .iter()
        .map(|(name, written)| {
            let html = render(written).html.unwrap_or_else(|| "(plain)".to_owned());
            format!("=== {name}\n{written}\n-->\n{}\n", html.trim_end())
        })
        .collect();
    same_as_on_disk(Path::new(TABLE_PATH), &rendered.join("\n"));
}

/// The letters and digits that a reader of some HTML sees, in order.
fn visible(html: &str) -> String {
    let mut words = String::new();
    let mut rest = html;
    while let Some((before, after)) = rest.split_once('<') {
        words.push_str(before);
        rest = after.split_once('>').map_or("", |(_, rest)| rest);
    }
    words.push_str(rest);
    let words = words
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&nbsp;", " ")
        .replace("&amp;", "&");
    alphanumeric(&words)
}

fn alphanumeric(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).collect()
}

fn html_of(written: &str) -> String {
    let plain = |rendered: &Rendered| rendered.body.replace('&', "&amp;").replace('<', "&lt;");
    let rendered = render(written);
    rendered.html.clone().unwrap_or_else(|| plain(&rendered))
}

#[test]
fn hostile_dollars_and_addresses_take_time_that_grows_with_them() {
    for unit in [
        "$$x", "\\(", "\\[x ", "$x ", "@a", "#a:", "https://", "www.a", "a/_", "._", "[a]:b\n",
        "a@", "((", "/_x)",
    ] {
        let text = unit.repeat(SOURCE_BYTES_MAX / unit.len());
        let masked = opaque::mask(&text);
        assert_eq!(masked.restore(&masked.text), text);
    }
}

/// Pieces of text of which every letter and digit is seen.
fn pieces() -> impl Strategy<Value = &'static str> {
    prop::sample::select(
        [
            "word",
            " ",
            " ",
            "\n",
            "\n\n",
            "*",
            "**",
            "_",
            "__",
            "~~",
            "`",
            "$",
            "$$",
            "$x^2$",
            "$HOME",
            "$5 ",
            "\\(a_1\\)",
            "\\[",
            "\\]",
            "https://a.bc/_d_",
            "https://a.bc/?e=*f*",
            "www.ab.cd",
            "@_g_:h.ij",
            "#k:l.mn",
            "o_p@q.rs",
            "t/__u__.py",
            "(",
            ")",
            "[",
            "] ",
            "<",
            ">",
            "!",
            "&",
            "\\",
            "|",
            "\u{100000}",
            "é漢",
            "```\n",
            "> ",
            "# ",
            "| a | b |\n|---|---|\n",
            "\"",
            "'",
            ":",
            ";",
            "{",
            "}",
        ]
        .to_vec(),
    )
}

/// Whether a line opens a code block and names its language, which is not seen.
fn has_info_string(line: &str) -> bool {
    let line = line.trim_start_matches([' ', '>']);
    let is_fence = line.starts_with("```") || line.starts_with("~~~");
    is_fence && line.contains(char::is_alphanumeric)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_word_is_lost(pieces in prop::collection::vec(pieces(), 0..40)) {
        let written = pieces.concat();
        prop_assume!(!written.lines().any(has_info_string));
        prop_assert_eq!(visible(&html_of(&written)), alphanumeric(&written), "{}", written);
    }

    #[test]
    fn what_is_masked_is_put_back(text in any::<String>(), pieces in prop::collection::vec(pieces(), 0..40)) {
        for text in [text, pieces.concat()] {
            let masked = opaque::mask(&text);
            prop_assert_eq!(masked.restore(&masked.text), text.as_str());
        }
    }
}
