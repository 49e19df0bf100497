//! Long answers, cut so that nothing is lost and every part reads by itself.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use ruma::{OwnedUserId, event_id};

use super::*;
use crate::matrix::{
    content::{MENTIONS_MAX, MsgKind, edit},
    render::{EVENT_BYTES_MAX, render},
};

/// Far more than any of them takes, in a slow build on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

fn html(markdown: &str) -> String {
    render(markdown).html.unwrap_or_default()
}

/// What holds for every split: no part is empty, and each fits an event as an edit.
fn assert_parts(parts: &[String]) {
    let user = OwnedUserId::try_from(format!("@{}:example.org", "a".repeat(200)));
    let mentions = vec![user.expect("a user id"); MENTIONS_MAX];
    for part in parts {
        assert!(!part.trim().is_empty());
        let content = edit(
            event_id!("$0123456789abcdef"),
            render(part),
            MsgKind::Notice,
            mentions.clone(),
            &"s".repeat(100),
        );
        let bytes = content.to_string().len();
        assert!(bytes <= EVENT_BYTES_MAX, "{bytes} bytes");
    }
}

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

#[test]
fn nothing_is_no_part_and_a_short_text_is_one() {
    assert_eq!(split(" \n\t\n"), Vec::<String>::new());
    assert_eq!(split("hello\n"), ["hello"]);
}

#[test]
fn a_long_text_ends_its_parts_with_paragraphs() {
    let paragraph = format!("**Some** {}", "words ".repeat(200));
    let text = vec![paragraph.trim_end(); 100].join("\n\n");
    let parts = split(&text);
    assert!(parts.len() > 1);
    assert_parts(&parts);
    assert_eq!(parts.join("\n\n"), text);
}

#[test]
fn a_long_line_is_cut_between_words() {
    let text = "wörd ".repeat(12_000);
    let parts = split(&text);
    assert_parts(&parts);
    assert_eq!(words(&parts.join(" ")), words(&text));
}

#[test]
fn a_long_word_is_cut_between_characters() {
    let text = "ö".repeat(60_000);
    let parts = split(&text);
    assert_parts(&parts);
    assert_eq!(parts.concat(), text);
}

#[test]
fn code_is_closed_and_opened_again() {
    let code = (0..4_000)
        .map(|line| format!("    line({line});\n\n"))
        .collect::<Vec<_>>()
        .concat();
    for (open, close) in [
        ("```rust\n", "```"),
        ("~~~~ rust\n", "~~~~"),
        ("- so:\n  ```rust\n", "  ```"),
    ] {
        let parts = split(&format!("Intro\n\n{open}{code}{close}\n\nOutro"));
        assert!(parts.len() > 2);
        assert_parts(&parts);
        for part in &parts {
            assert!(html(part).contains(r#"<code class="language-rust">"#));
            assert!(
                part.ends_with(close) || part.ends_with("Outro"),
                "{}",
                &part[part.len() - 20..]
            );
        }
        let lines: Vec<_> = parts
            .iter()
            .flat_map(|part| part.lines())
            .filter(|line| line.contains("line("))
            .map(|line| {
                format!(
                    "{line}

"
                )
            })
            .collect();
        assert_eq!(lines.concat(), code);
    }
}

#[test]
fn a_table_keeps_its_rows_and_repeats_its_header() {
    let rows = (0..2_000)
        .map(|row| format!("| left {row} | right {row} |\n"))
        .collect::<Vec<_>>()
        .concat();
    let parts = split(&format!(
        "Numbers:\n\n| a | b |\n|---|---|\n{rows}\nThat is all."
    ));
    assert!(parts.len() > 2);
    assert_parts(&parts);
    for part in &parts {
        let rendered = html(part);
        assert!(rendered.contains("<th>a</th>"));
        assert_eq!(
            rendered.matches("left").count(),
            rendered.matches("right").count()
        );
    }
}

#[test]
fn parts_stay_while_the_text_grows() {
    let text = (0..400)
        .map(|n| format!("Paragraph {n} with **{}**.\n\n", "words ".repeat(40).trim()))
        .collect::<Vec<_>>()
        .concat();
    let whole = split(&text);
    for end in (30_000..text.len()).step_by(7_001) {
        let parts = split(&text[..end]);
        assert_eq!(parts[..parts.len() - 1], whole[..parts.len() - 1]);
    }
}

#[test]
fn hostile_text_splits_in_bounded_time() {
    let table = |columns, rows| {
        format!(
            "{}|\n{}|\n{}",
            "|a".repeat(columns),
            "|-".repeat(columns),
            "|b\n".repeat(rows)
        )
    };
    let mut texts: Vec<_> = [">", "[", "*"]
        .map(|unit| unit.repeat(EVENT_BYTES_MAX))
        .into();
    texts.extend(
        ["**a", "$a", "#\n", "- a\n\n", "> ```\n", "\u{1}", "\u{a0}b"]
            .map(|unit| unit.repeat(SOURCE_BYTES_MAX / 2 / unit.len())),
    );
    texts.extend([table(2_000, 15_000), table(100, 20_000), table(14_000, 2)]);
    for text in texts {
        let start = Instant::now();
        let parts = split(&text);
        assert!(
            start.elapsed() < PATIENCE,
            "{text:.20} took {:?}",
            start.elapsed()
        );
        assert_parts(&parts);
    }
}

proptest! {
    // Each case renders a long text many times.
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn any_text_splits(text in any::<String>()) {
        assert_parts(&split(&text));
    }

    #[test]
    fn splitting_keeps_all_words(
        blocks in prop::collection::vec((0..6_usize, 1..1_500_usize), 1..12),
    ) {
        let text: String = blocks.iter().enumerate().map(|(n, &(kind, size))| match kind {
            0 => format!("{}\n\n", format!("word{n} ").repeat(size)),
            1 => format!("```js\n{}```\n\n", format!("code{n} ( )\n").repeat(size)),
            2 => format!("|x{n}|y|\n|-|-|\n{}\n", format!("|cell{n}|\"q\"|\n").repeat(size)),
            3 => format!("{}\n", format!("- item{n} *i*\n").repeat(size)),
            4 => format!("{}\n\n", format!("{n}😀").repeat(size)),
            _ => format!("> {}\n\n", format!("quote{n} <b>\n> ").repeat(size)),
        }).collect();
        let parts = split(&text);
        assert_parts(&parts);
        let joined = parts.join(" ");
        for (n, &(kind, size)) in blocks.iter().enumerate() {
            let word = match kind { 0 => "word", 1 => "code", 2 => "cell", 3 => "item", 4 => continue, _ => "quote" };
            let found = words(&joined).into_iter().filter(|w| w.trim_matches(|c: char| !c.is_alphanumeric()).split('|').any(|w| *w == format!("{word}{n}"))).count();
            prop_assert_eq!(found, size, "{}{}", word, n);
        }
    }
}
