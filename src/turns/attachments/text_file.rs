//! The words of a text file, in a fenced block that they cannot end.
//!
//! What is text is decided by what is in the file, never by what its sender calls it.

use crate::turns::envelope::normalize_text;

/// The shortest fence.
const FENCE_CHARS_MIN: usize = 3;
/// The first bytes of files that are UTF-8 by accident or by half, and no text.
const NO_TEXTS: [&[u8]; 2] = [b"%PDF-", b"{\\rtf"];
/// Endings of names, and what their text is written in where that is called otherwise.
const LANGUAGES: [(&str, &str); 17] = [
    ("bat", "batch"),
    ("c", "c"),
    ("cc", "cpp"),
    ("h", "c"),
    ("hs", "haskell"),
    ("js", "javascript"),
    ("kt", "kotlin"),
    ("log", "text"),
    ("md", "markdown"),
    ("pl", "perl"),
    ("ps1", "powershell"),
    ("py", "python"),
    ("rb", "ruby"),
    ("rs", "rust"),
    ("sh", "bash"),
    ("ts", "typescript"),
    ("txt", "text"),
];
/// The longest ending that is taken for the name of a language, in characters.
const LANGUAGE_CHARS_MAX: usize = 12;

/// A file as a fenced block; `None`: it is no text.
pub(super) fn fenced(name: &str, bytes: &[u8]) -> Option<String> {
    let text = text_of(bytes)?;
    let fence = "`".repeat((longest_run(&text) + 1).max(FENCE_CHARS_MIN));
    let end = if text.ends_with('\n') { "" } else { "\n" };
    Some(format!("{fence}{}\n{text}{end}{fence}", language(name)))
}

/// The words of a file, if it has nothing else: UTF-8 without control characters but those that lay a text out.
fn text_of(bytes: &[u8]) -> Option<String> {
    if NO_TEXTS.iter().any(|magic| bytes.starts_with(magic)) {
        return None;
    }
    let text = std::str::from_utf8(bytes).ok()?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let is_layout = |c: char| {
        matches!(
            c,
            '\n' | '\r' | '\t' | '\u{b}' | '\u{c}' | '\u{1b}' | '\u{85}'
        )
    };
    let is_text = !text.chars().any(|c| c.is_control() && !is_layout(c));
    is_text.then(|| normalize_text(text))
}

/// The most backticks in a row.
fn longest_run(text: &str) -> usize {
    let runs = text.split(|c| c != '`').map(str::len);
    runs.max().unwrap_or(0)
}

/// What a text is written in, by the ending of its name.
fn language(name: &str) -> String {
    let Some((_, ending)) = name.rsplit_once('.') else {
        return String::new();
    };
    let ending = ending.to_ascii_lowercase();
    let known = LANGUAGES.iter().find(|(known, _)| *known == ending);
    let is_word = ending.chars().all(|c| c.is_ascii_alphanumeric());
    match known {
        Some((_, language)) => (*language).to_owned(),
        None if is_word && ending.len() <= LANGUAGE_CHARS_MAX => ending,
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_is_fenced_with_its_language_and_anything_else_is_no_text() {
        assert_eq!(
            fenced("main.rs", b"fn main() {}\n").as_deref(),
            Some("```rust\nfn main() {}\n```")
        );
        assert_eq!(
            fenced("NOTES", "\u{feff}über\r\nx".as_bytes()).as_deref(),
            Some("```\nüber\nx\n```")
        );
        assert_eq!(fenced("a.b c", b"x").as_deref(), Some("```\nx\n```"));
        assert_eq!(
            fenced("a.yaml", b"a: 1").as_deref(),
            Some("```yaml\na: 1\n```")
        );
        assert_eq!(fenced("empty.txt", b"").as_deref(), Some("```text\n\n```"));
        for bytes in [
            &b"\xff\xfe"[..],
            b"a\0b",
            b"%PDF-1.7\nall text",
            b"\x7fELF",
            b"{\\rtf1 x}",
        ] {
            assert_eq!(fenced("a.txt", bytes), None, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn no_file_ends_its_fence(text in "(`{1,6}|\n|\r|\u{2028}|~~~|x){0,20}", name in "\\PC{0,12}") {
            let block = fenced(&name, text.as_bytes()).expect("it is text");
            let mut lines = block.lines();
            let first = lines.next().unwrap_or_default();
            let fence = first.len() - first.trim_start_matches('`').len();
            let last = lines.next_back().unwrap_or_default();
            prop_assert!(fence >= FENCE_CHARS_MIN && last == "`".repeat(fence));
            prop_assert!(lines.all(|line| longest_run(line) < fence));
        }
    }
}
