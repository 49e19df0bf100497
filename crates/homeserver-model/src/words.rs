//! The words of a text, as search finds them: one function for what is stored and what is asked.
//!
//! Texts are compared in one form (NFKC, case folded), so `ﬁ`, `Ｆ`, `e` with an accent beside it and `STRASSE` are found however
//! they are typed. Scripts without spaces (Chinese, Japanese, Thai, Khmer, Lao, Burmese), and Korean, whose particles stick to words, are
//! cut into overlapping pairs of characters: whatever part of a sentence is asked for, its pairs are there. Every word is also found by
//! its beginning.

use unicode_normalization::UnicodeNormalization;

use crate::limits::SEARCH_WORD_MAX_CHARS;

/// The first and the last character of the blocks whose scripts are cut into pairs.
const PAIRED: [(char, char); 13] = [
    // Thai and Lao.
    ('\u{0e00}', '\u{0eff}'),
    // Burmese.
    ('\u{1000}', '\u{109f}'),
    // Korean, in three forms.
    ('\u{1100}', '\u{11ff}'),
    ('\u{3130}', '\u{318f}'),
    ('\u{ac00}', '\u{d7ff}'),
    // Khmer.
    ('\u{1780}', '\u{17ff}'),
    // Signs that stand for characters, as in 人々.
    ('\u{3005}', '\u{3007}'),
    // Kana and Bopomofo.
    ('\u{3040}', '\u{312f}'),
    ('\u{31a0}', '\u{31ff}'),
    // Chinese characters.
    ('\u{3400}', '\u{4dbf}'),
    ('\u{4e00}', '\u{9fff}'),
    ('\u{f900}', '\u{faff}'),
    ('\u{20000}', '\u{323af}'),
];

/// What a character belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Words that spaces divide.
    Spaced,
    /// A script that is cut into pairs.
    Paired,
    /// No word.
    Between,
}

fn kind_of(character: char) -> Kind {
    let is_paired = PAIRED
        .iter()
        .any(|(first, last)| (*first..=*last).contains(&character));
    if is_paired {
        Kind::Paired
    } else if character.is_alphanumeric()
        || unicode_normalization::char::is_combining_mark(character)
    {
        Kind::Spaced
    } else {
        Kind::Between
    }
}

/// The text in the form in which texts are compared.
fn folded(text: &str) -> String {
    // To large letters and back: some letters have several small forms, or none of their own.
    let fold = |character: char| {
        let large = character.to_uppercase();
        large.flat_map(char::to_lowercase)
    };
    text.nfkc().flat_map(fold).nfkc().collect()
}

/// The words of a text, in its order. A run of a script that is cut into pairs ends with its last character alone, so that every
/// character of it begins one.
pub fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (kind, run) in runs(&folded(text)) {
        if kind == Kind::Spaced {
            words.push(run.iter().take(SEARCH_WORD_MAX_CHARS).collect());
            continue;
        }
        for start in 0..run.len() {
            words.push(run.iter().skip(start).take(2).collect());
        }
    }
    words
}

/// The words that are asked for: those of the text, without the last characters of runs that its pairs have already.
pub fn asked_words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (kind, run) in runs(&folded(text)) {
        if kind == Kind::Spaced || run.len() < 2 {
            words.push(run.iter().take(SEARCH_WORD_MAX_CHARS).collect());
        } else {
            words.extend(run.windows(2).map(|pair| pair.iter().collect::<String>()));
        }
    }
    words
}

/// The runs of characters of one kind.
fn runs(text: &str) -> Vec<(Kind, Vec<char>)> {
    let mut runs: Vec<(Kind, Vec<char>)> = Vec::new();
    let mut before = Kind::Between;
    for character in text.chars() {
        let kind = kind_of(character);
        if kind != Kind::Between {
            match runs.last_mut() {
                Some((_, run)) if kind == before => run.push(character),
                _ => runs.push((kind, vec![character])),
            }
        }
        before = kind;
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a message is found by a search.
    fn finds(term: &str, message: &str) -> bool {
        let there = words(message);
        let asked = asked_words(term);
        !asked.is_empty()
            && asked
                .iter()
                .all(|asked| there.iter().any(|word| word.starts_with(&**asked)))
    }

    #[test]
    fn words_are_found_in_every_script() {
        for (term, message) in [
            ("東京", "明日は東京都に行きます"),
            ("京", "東京"),
            ("行きます", "明日は東京都に行きます。"),
            ("カタカナ", "ｶﾀｶﾅで書く"),
            ("学校", "我们的学校很大"),
            ("학교", "학교에서 만나요"),
            ("만나", "학교에서 만나요"),
            ("สวัสดี", "สวัสดีครับทุกคน"),
            ("ครับ", "สวัสดีครับทุกคน"),
            ("strasse", "Die Straße"),
            ("STRASSE", "Die Straße"),
            ("ΟΔΟΣ", "μια οδος"),
            ("οδός", "ΟΔΌΣ"),
            ("cafe\u{301}", "Café"),
            ("café", "cafe\u{301} noir"),
            ("file", "a ﬁle"),
            ("ABC", "ＡＢＣ"),
            ("hel wor", "Hello, world!"),
            ("iphone版", "新しいiPhone版です"),
            ("हिन्दी", "यह हिन्दी है"),
        ] {
            assert!(
                finds(term, message),
                "{term} in {message}: {:?}",
                words(message)
            );
        }
        for (term, message) in [
            ("京東", "東京"),
            ("ello", "Hello"),
            ("東京", "東 京"),
            ("", "anything"),
            ("!?", "what!?"),
        ] {
            assert!(!finds(term, message), "{term} in {message}");
        }
    }

    #[test]
    fn long_words_are_cut() {
        let longest = words(&"a".repeat(1_000));
        assert_eq!(longest[0].chars().count(), SEARCH_WORD_MAX_CHARS);
        assert_eq!(words("学校"), ["学校", "校"]);
        assert_eq!(asked_words("学校 x"), ["学校", "x"]);
    }
}
