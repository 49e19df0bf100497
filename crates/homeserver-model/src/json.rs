//! Whether a body is JSON that may be passed on, found without building anything of it.
//!
//! What is passed on as it came (messages to devices, account data) is not looked at by ruma, so a number without end or half a
//! surrogate pair in it would make the sync of whoever gets it unreadable. `serde`'s `IgnoredAny` does not look into strings and
//! numbers; this visitor has the parser read each of them and keeps none, so the memory that it takes is that of the longest
//! string. It counts, too: nesting, because recursive parsers follow it down, and values, because each takes some hundred bytes
//! once a body is parsed, although two bytes of JSON can make one.

use std::cell::Cell;

use ruma::api::error::ErrorKind;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use crate::{
    Refusal,
    limits::{JSON_MAX_DEPTH, JSON_MAX_VALUES},
};

/// What is beyond a limit.
#[derive(Clone, Copy)]
enum Beyond {
    Depth,
    Values,
}

/// Refuses what is no JSON, and JSON with more levels or values than anybody needs. The type that a request claims does not matter:
/// it is read as JSON all the same.
pub fn check(bytes: &[u8]) -> Result<(), Refusal> {
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    if !matches!(first, Some(b'{' | b'[')) {
        return Ok(());
    }
    let (values, beyond) = (Cell::new(0), Cell::new(None));
    let checked = Checked {
        depth: 0,
        values: &values,
        beyond: &beyond,
    };
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let read = checked.deserialize(&mut deserializer);
    let Err(error) = read.and_then(|()| deserializer.end()) else {
        return Ok(());
    };
    Err(match beyond.get() {
        Some(Beyond::Depth) => Refusal::bad_json(format!(
            "JSON nested too deeply (max {JSON_MAX_DEPTH} levels)"
        )),
        Some(Beyond::Values) => {
            Refusal::bad_json(format!("JSON has too many values (max {JSON_MAX_VALUES})"))
        }
        None => Refusal::bad_request(ErrorKind::NotJson, format!("The body is not JSON: {error}")),
    })
}

/// One value, read and forgotten.
#[derive(Clone, Copy)]
struct Checked<'a> {
    depth: usize,
    values: &'a Cell<usize>,
    beyond: &'a Cell<Option<Beyond>>,
}

impl Checked<'_> {
    /// The values within this one.
    fn inner<E: serde::de::Error>(self) -> Result<Self, E> {
        let depth = self.depth + 1;
        if depth > JSON_MAX_DEPTH {
            self.beyond.set(Some(Beyond::Depth));
            return Err(E::custom("too deep"));
        }
        Ok(Self { depth, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Checked<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.values.set(self.values.get() + 1);
        if self.values.get() > JSON_MAX_VALUES {
            self.beyond.set(Some(Beyond::Values));
            return Err(D::Error::custom("too many values"));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Checked<'_> {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        let inner = self.inner()?;
        while list.next_element_seed(inner)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let inner = self.inner()?;
        while map.next_key_seed(Key)?.is_some() {
            map.next_value_seed(inner)?;
        }
        Ok(())
    }
}

/// The name of a field, read and forgotten.
struct Key;

impl<'de> DeserializeSeed<'de> for Key {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key {
    type Value = ();

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn code(bytes: &[u8]) -> Option<ErrorKind> {
        check(bytes).err().map(|refusal| refusal.kind)
    }

    #[test]
    fn body_that_only_looks_like_json_is_refused() {
        for bad in [
            r#"{"a": "\ud800"}"#,
            r#"{"\udc00": 1}"#,
            r#"{"a": 1e999}"#,
            r#"{"a": [1, 2}"#,
            r#"{"a": 1} {}"#,
            r#"{"a": 01}"#,
            r#"{"a": "x"#,
            r#"{"a" 1}"#,
            "{\"a\": \"\u{1}\"}",
            "[",
        ] {
            assert_eq!(code(bad.as_bytes()), Some(ErrorKind::NotJson), "{bad}");
        }
        assert_eq!(code(b"{\"a\": \"\xff\"}"), Some(ErrorKind::NotJson));
        for good in [
            r#"{"a": "\ud83d\ude00", "b": [null, true, -1, 1e3, 1.5, {}, []]}"#,
            "  {} \n",
            "",
            // Not ours to judge: ruma says what is wrong with it.
            "\"text\"",
            "nonsense",
        ] {
            assert_eq!(code(good.as_bytes()), None, "{good}");
        }
    }

    #[test]
    fn depth_and_number_of_values_have_limits() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert_eq!(code(nested(JSON_MAX_DEPTH).as_bytes()), None);
        let deep = nested(JSON_MAX_DEPTH + 1);
        assert_eq!(code(deep.as_bytes()), Some(ErrorKind::BadJson));
        assert_eq!(code(nested(300_000).as_bytes()), Some(ErrorKind::BadJson));
        // The outer list is one of the values.
        let flat = |values: usize, value: &str| format!("[{}]", vec![value; values - 1].join(","));
        for value in ["0", "{}", "\"\"", "[]"] {
            assert_eq!(code(flat(JSON_MAX_VALUES, value).as_bytes()), None);
            let many = flat(JSON_MAX_VALUES + 1, value);
            assert_eq!(code(many.as_bytes()), Some(ErrorKind::BadJson), "{value}");
        }
        let fields = vec![r#"{"":0}"#; JSON_MAX_VALUES / 2].join(",");
        assert_eq!(
            code(format!("[{fields}]").as_bytes()),
            Some(ErrorKind::BadJson)
        );
    }

    proptest! {
        #[test]
        fn check_agrees_with_a_parser_that_builds(text in r#"[\[{]([\[\]{}:,0-9eE."\\u d8a-]|true|null|\\ud83d|\\ude00){0,24}"#) {
            let builds = serde_json::from_str::<Value>(&text).is_ok();
            prop_assert_eq!(check(text.as_bytes()).is_ok(), builds, "{}", text);
        }
    }
}
