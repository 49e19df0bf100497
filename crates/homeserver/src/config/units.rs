//! Numbers with a unit, as Tuwunel writes them, and the more readable spellings beside them.
//!
//! A size is a count of bytes or a text such as `24 MiB`. A time is a count of the unit that the key
//! has in Tuwunel (seconds for one, milliseconds for another), or a text such as `7d` that carries
//! its own unit.

use std::{fmt, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// How units of sizes are spelled, in small letters, and how many bytes they hold.
const SIZES: [(&str, u64); 8] = [
    ("", 1),
    ("b", 1),
    ("kb", 1_000),
    ("kib", 1 << 10),
    ("mb", 1_000_000),
    ("mib", 1 << 20),
    ("gb", 1_000_000_000),
    ("gib", 1 << 30),
];

/// A count of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

impl Bytes {
    /// So many times 1,048,576 bytes.
    pub const fn mebibytes(count: u64) -> Self {
        Self(count << 20)
    }

    /// The count as a length in memory; a count that memory cannot hold is the longest length.
    pub fn as_len(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }

    fn parse(text: &str) -> Option<Self> {
        let digits = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let (count, unit) = text.split_at(digits);
        let unit = unit.trim().to_ascii_lowercase();
        let (_, size) = SIZES.iter().find(|(name, _)| *name == unit)?;
        Some(Self(count.parse::<u64>().ok()?.checked_mul(*size)?))
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bytes if bytes > 0 && bytes % (1 << 20) == 0 => write!(f, "{} MiB", bytes >> 20),
            bytes if bytes > 0 && bytes % (1 << 10) == 0 => write!(f, "{} KiB", bytes >> 10),
            bytes => write!(f, "{bytes}"),
        }
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match NumberOrText::deserialize(deserializer) {
            Ok(NumberOrText::Number(bytes)) => Some(Self(bytes)),
            Ok(NumberOrText::Text(text)) => Self::parse(text.trim()),
            Err(_) => None,
        }
        .ok_or_else(|| de::Error::custom("expected a count of bytes or a size like \"24 MiB\""))
    }
}

/// Who may use a file, as `chmod` writes it: the digits are octal, as a number or as a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode(pub u32);

impl Default for Mode {
    fn default() -> Self {
        Self(0o660)
    }
}

impl Serialize for Mode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{:o}", self.0))
    }
}

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let digits = match NumberOrText::deserialize(deserializer) {
            Ok(NumberOrText::Number(digits)) => Some(digits.to_string()),
            Ok(NumberOrText::Text(digits)) => Some(digits),
            Err(_) => None,
        };
        digits
            .and_then(|digits| u32::from_str_radix(digits.trim(), 8).ok())
            .filter(|mode| *mode <= 0o777)
            .map(Self)
            .ok_or_else(|| de::Error::custom("expected a mode of a file like 660"))
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum NumberOrText {
    Number(u64),
    Text(String),
}

fn duration<'de, D: Deserializer<'de>>(
    deserializer: D,
    unit: &str,
    of_unit: fn(u64) -> Duration,
) -> Result<Duration, D::Error> {
    match NumberOrText::deserialize(deserializer) {
        Ok(NumberOrText::Number(count)) => Some(of_unit(count)),
        Ok(NumberOrText::Text(text)) => humantime::parse_duration(&text).ok(),
        Err(_) => None,
    }
    .ok_or_else(|| {
        de::Error::custom(format_args!(
            "expected a count of {unit} or a time like \"30s\" or \"7d\""
        ))
    })
}

/// `#[serde(with = "seconds")]`: a plain number counts seconds.
pub(super) mod seconds {
    use std::time::Duration;

    use serde::{Deserializer, Serializer};

    pub(in crate::config) fn serialize<S: Serializer>(
        time: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(time.as_secs())
    }

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        super::duration(deserializer, "seconds", Duration::from_secs)
    }
}

/// `#[serde(with = "milliseconds")]`: a plain number counts milliseconds.
pub(super) mod milliseconds {
    use std::time::Duration;

    use serde::{Deserializer, Serializer};

    pub(in crate::config) fn serialize<S: Serializer>(
        time: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
    }

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        super::duration(deserializer, "milliseconds", Duration::from_millis)
    }
}

/// A value, or a list of them, as `address` and `port` may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OneOrMany<T>(pub Vec<T>);

impl<T: Serialize> Serialize for OneOrMany<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0.as_slice() {
            [only] => only.serialize(serializer),
            many => many.serialize(serializer),
        }
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrManyVisitor(std::marker::PhantomData))
    }
}

/// Asks for no type before the value is seen, so that the error is that of the value, with its path.
struct OneOrManyVisitor<T>(std::marker::PhantomData<T>);

impl<'de, T: Deserialize<'de>> de::Visitor<'de> for OneOrManyVisitor<T> {
    type Value = OneOrMany<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value or a list of values")
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element()? {
            values.push(value);
        }
        Ok(OneOrMany(values))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        T::deserialize(de::value::StrDeserializer::new(text)).map(|value| OneOrMany(vec![value]))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Self::Value, E> {
        T::deserialize(de::value::U64Deserializer::new(number)).map(|value| OneOrMany(vec![value]))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Self::Value, E> {
        T::deserialize(de::value::I64Deserializer::new(number)).map(|value| OneOrMany(vec![value]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_and_without_units() {
        let read = |text: &str| Bytes::parse(text).map(|bytes| bytes.0);
        assert_eq!(read("1000"), Some(1000));
        assert_eq!(read("24 MiB"), Some(24 * 1024 * 1024));
        assert_eq!(read("24mb"), Some(24_000_000));
        assert_eq!(read("1 GiB"), Some(1 << 30));
        assert_eq!(read("much"), None);
        assert_eq!(read("1 furlong"), None);
        assert_eq!(read("99999999999 GiB"), None);
    }

    #[test]
    fn sizes_are_written_as_they_are_read() {
        for text in ["24 MiB", "768 KiB", "1000", "0"] {
            assert_eq!(Bytes::parse(text).unwrap().to_string(), text);
        }
    }
}
