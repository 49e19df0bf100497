//! JSON in which some values are none that Rust can hold: half of a UTF-16 pair, a number beyond `f64`, `NaN`, a NUL, a raw
//! control character. Such a value costs itself only, never the message in which it stands.
//!
//! Models write text in pieces, and servers in JavaScript and Python cut it in the middle of a UTF-16 pair. So a lone half is
//! read as a stand-in, and [`SurrogateJoiner`] joins two of them, in one text or over several pieces of it. What has no other half, and a
//! NUL, becomes U+FFFD; a number or a word that is none becomes `null`.

use std::borrow::Cow;

use serde::de::DeserializeOwned;

/// The first stand-in: private use, as far from everybody's private use as can be.
const STAND_IN: u32 = 0x10_D800;

/// The first half of UTF-16.
const HALF: u32 = 0xD800;

/// The first second half.
const SECOND_HALF: u32 = 0xDC00;

/// After the last half.
const HALVES_END: u32 = 0xE000;

/// Reads JSON; what cannot be held is replaced.
pub(crate) fn read<T: DeserializeOwned>(text: &str) -> serde_json::Result<T> {
    if !text.contains("\\u0000") {
        match serde_json::from_str(text) {
            Ok(value) => return Ok(value),
            Err(error) => match replace_unrepresentable(text) {
                Cow::Borrowed(_) => return Err(error),
                Cow::Owned(replaced) => return serde_json::from_str(&replaced),
            },
        }
    }
    serde_json::from_str(&replace_unrepresentable(text))
}

/// The same for bytes; those that are no UTF-8 become U+FFFD.
pub(crate) fn read_bytes<T: DeserializeOwned>(bytes: &[u8]) -> serde_json::Result<T> {
    read(&String::from_utf8_lossy(bytes))
}

/// The text with every value replaced that cannot be held.
fn replace_unrepresentable(text: &str) -> Cow<'_, str> {
    let mut out = String::new();
    let (mut rest, mut in_string, mut changed) = (text, false, false);
    while let Some(first) = rest.chars().next() {
        let (taken, instead) = if in_string {
            in_string = first != '"';
            piece_of_string(rest, first)
        } else if first == '"' {
            in_string = true;
            (1, None)
        } else {
            piece_of_rest(rest, first)
        };
        changed |= instead.is_some();
        out.push_str(instead.as_deref().unwrap_or(&rest[..taken]));
        rest = &rest[taken..];
    }
    if changed {
        Cow::Owned(out)
    } else {
        Cow::Borrowed(text)
    }
}

/// How long the next piece of a string is, and what stands for it.
fn piece_of_string(rest: &str, first: char) -> (usize, Option<String>) {
    if first.is_ascii_control() {
        return (1, Some(written(char_of(u32::from(first)))));
    }
    if first != '\\' {
        return (first.len_utf8(), None);
    }
    let Some(unit) = unit(rest) else {
        return (rest.chars().take(2).map(char::len_utf8).sum(), None);
    };
    match unit {
        HALF..SECOND_HALF => match rest.get(UNIT_LEN..).and_then(self::unit) {
            Some(SECOND_HALF..HALVES_END) => (2 * UNIT_LEN, None),
            _ => (UNIT_LEN, Some(written(char_of(unit)))),
        },
        0 | SECOND_HALF..HALVES_END => (UNIT_LEN, Some(written(char_of(unit)))),
        _ => (UNIT_LEN, None),
    }
}

/// The length of `\uD83D`.
const UNIT_LEN: usize = 6;

/// The UTF-16 unit that is escaped here, if one is.
fn unit(rest: &str) -> Option<u32> {
    let digits = rest.strip_prefix("\\u")?.get(..4)?;
    let plain = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    plain
        .then(|| u32::from_str_radix(digits, 16).ok())
        .flatten()
}

/// What a unit that is no character is read as.
fn char_of(unit: u32) -> char {
    let unit = match unit {
        HALF..HALVES_END => unit - HALF + STAND_IN,
        0 => u32::from(char::REPLACEMENT_CHARACTER),
        other => other,
    };
    char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// A character inside a JSON string.
fn written(c: char) -> String {
    if c.is_ascii_control() {
        format!("\\u{:04x}", u32::from(c))
    } else {
        c.to_string()
    }
}

/// How long the next piece outside of strings is, and what stands for it.
fn piece_of_rest(rest: &str, first: char) -> (usize, Option<String>) {
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    if !is_word(first) {
        return (first.len_utf8(), None);
    }
    let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
    let word = &rest[..end];
    let holds = match word {
        "true" | "false" | "null" => true,
        _ => word.parse::<f64>().is_ok_and(f64::is_finite),
    };
    (end, (!holds).then(|| "null".to_owned()))
}

/// Joins the halves of UTF-16 pairs in the pieces of one text.
#[derive(Debug, Default)]
pub(crate) struct SurrogateJoiner {
    /// The first half with which the last piece ended.
    first: Option<u32>,
}

impl SurrogateJoiner {
    /// The next piece, joined with what the last one left.
    pub(crate) fn join(&mut self, piece: &str) -> String {
        if self.first.is_none() && !piece.chars().any(is_stand_in) {
            return piece.to_owned();
        }
        let mut out = String::with_capacity(piece.len());
        for c in piece.chars() {
            let half = is_stand_in(c).then(|| u32::from(c) - STAND_IN + HALF);
            match (self.first.take(), half) {
                (Some(first), Some(second)) if second >= SECOND_HALF => {
                    let joined = 0x1_0000 + ((first - HALF) << 10) + (second - SECOND_HALF);
                    out.push(char::from_u32(joined).unwrap_or(char::REPLACEMENT_CHARACTER));
                    continue;
                }
                (Some(_), _) => out.push(char::REPLACEMENT_CHARACTER),
                (None, _) => {}
            }
            match half {
                Some(first) if first < SECOND_HALF => self.first = Some(first),
                Some(_) => out.push(char::REPLACEMENT_CHARACTER),
                None => out.push(c),
            }
        }
        out
    }

    /// What is left when no piece follows.
    pub(crate) fn end(&mut self) -> &'static str {
        if self.first.take().is_some() {
            "\u{fffd}"
        } else {
            ""
        }
    }
}

/// A text that is complete.
pub(crate) fn join_surrogates(text: &str) -> String {
    let mut halves = SurrogateJoiner::default();
    halves.join(text) + halves.end()
}

fn is_stand_in(c: char) -> bool {
    (STAND_IN..STAND_IN + (HALVES_END - HALF)).contains(&u32::from(c))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn texts(pieces: &[&str]) -> String {
        let mut halves = SurrogateJoiner::default();
        let mut out = String::new();
        for piece in pieces {
            let text: String = read(piece).unwrap();
            out += &halves.join(&text);
        }
        out + halves.end()
    }

    #[test]
    fn a_value_that_cannot_be_held_costs_itself_only() {
        for (text, expected) in [
            (r#"{"a":1e999,"b":2}"#, json!({"a": null, "b": 2})),
            (
                r#"{"a":-1e999,"b":[1e400,3]}"#,
                json!({"a": null, "b": [null, 3]}),
            ),
            (
                r#"{"a":NaN,"b":-Infinity,"c":1.5e3}"#,
                json!({"a": null, "b": null, "c": 1500.0}),
            ),
            (r#"{"a":"x\u0000y"}"#, json!({"a": "x\u{fffd}y"})),
            ("{\"a\":\"x\u{0}y\u{1}\"}", json!({"a": "x\u{fffd}y\u{1}"})),
            (
                r#"{"a":"\\ud83d","b":"1e999"}"#,
                json!({"a": "\\ud83d", "b": "1e999"}),
            ),
            (r#"{"a":"\ud83d\ude00"}"#, json!({"a": "😀"})),
        ] {
            assert_eq!(read::<Value>(text).unwrap(), expected, "{text}");
        }
        assert!(read::<Value>(r#"{"a":"#).is_err());
    }

    #[test]
    fn halves_are_joined_over_pieces_and_alone_become_a_replacement() {
        assert_eq!(texts(&[r#""a\ud83d""#, r#""\ude00b""#]), "a😀b");
        assert_eq!(texts(&[r#""a\ud83d""#, r#""""#, r#""\ude00b""#]), "a😀b");
        assert_eq!(texts(&[r#""a\ud83d""#, r#""b""#]), "a\u{fffd}b");
        assert_eq!(texts(&[r#""a\ude00\ud83d""#]), "a\u{fffd}\u{fffd}");
        assert_eq!(texts(&[r#""\ud83d\ud83d\ude00""#]), "\u{fffd}😀");
    }

    proptest! {
        /// Whatever UTF-16 a text has and wherever it is cut, what is whole comes through.
        #[test]
        fn every_cut_of_utf16_is_joined(text in "[a😀é\u{10FFFF}\"\\\\]{0,20}", cut in 0usize..40) {
            let units: Vec<u16> = text.encode_utf16().collect();
            let (left, right) = units.split_at(cut.min(units.len()));
            let written = |units: &[u16]| {
                let escaped: Vec<_> = units.iter().map(|unit| format!("\\u{unit:04x}")).collect();
                let escaped = escaped.concat();
                format!("\"{escaped}\"")
            };
            prop_assert_eq!(texts(&[&written(left), &written(right)]), text);
        }

        #[test]
        fn nothing_makes_it_panic_or_change_good_json(text in "[\\[\\]{}\",:\\\\ud8ce0-9aN+.\u{0}-]{0,40}") {
            let _ = read::<Value>(&text);
            if let Ok(value) = serde_json::from_str::<Value>(&text)
                && !text.contains("\\u0000")
            {
                prop_assert_eq!(read::<Value>(&text).unwrap(), value);
            }
        }
    }
}
