//! Text that never leaves: no log, no error and no `Debug` shows it.

use std::{borrow::Cow, fmt};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use subtle::ConstantTimeEq;

/// What stands in the place of every secret that is shown.
const HIDDEN: &str = "***";
/// What stands in a token's place until one is made. The wording is that of mautrix bridges.
const PLACEHOLDER: &str = "This value is generated when generating the registration";

/// A token, a key or a password. Serializing hides it; a file that holds it says so with [`in_file`].
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// Takes a text as a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// What stands in its place until one is made.
    pub fn placeholder() -> Self {
        Self::new(PLACEHOLDER)
    }

    /// Whether it is still the placeholder, or empty.
    pub fn is_missing(&self) -> bool {
        self.0.trim().is_empty() || self.0 == PLACEHOLDER
    }

    /// The text itself, for the one place that sends, writes or checks it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether `given` is the secret, in a time that does not tell how much of it is.
    pub fn matches(&self, given: &str) -> bool {
        self.0.as_bytes().ct_eq(given.as_bytes()).into()
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.matches(&other.0)
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(HIDDEN)
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(HIDDEN)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_string(SecretVisitor)
    }
}

impl JsonSchema for Secret {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "writeOnly": true })
    }
}

/// A secret in a file that holds it, for `#[serde(with = "settings::secret::in_file")]`: written as it is, so write the file with mode
/// 0600. It may be empty or a placeholder there, see [`Secret::is_missing`].
pub mod in_file {
    use super::{Deserialize, Deserializer, Secret, Serializer};

    /// Writes the text itself.
    pub fn serialize<S: Serializer>(secret: &Secret, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(secret.expose())
    }

    /// Reads any text.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Secret, D::Error> {
        String::deserialize(deserializer).map(Secret)
    }
}

/// [`in_file`] for a secret that need not be there.
pub mod in_file_if_any {
    use super::{Deserialize, Deserializer, Secret, Serialize, Serializer};

    /// Writes the text itself, if there is one.
    pub fn serialize<S: Serializer>(
        secret: &Option<Secret>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        secret.as_ref().map(Secret::expose).serialize(serializer)
    }

    /// Reads any text.
    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Secret>, D::Error> {
        Option::<String>::deserialize(deserializer).map(|text| text.map(Secret))
    }
}

/// Takes text. Refuses numbers and switches itself, because serde's own error would repeat them.
struct SecretVisitor;

impl SecretVisitor {
    fn refused<E: de::Error>() -> E {
        E::custom("expected text in quotes")
    }
}

impl de::Visitor<'_> for SecretVisitor {
    type Value = Secret;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text in quotes")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Secret, E> {
        if text.trim().is_empty() {
            return Err(E::custom("it is empty; remove the key to do without it"));
        }
        Ok(Secret::new(text))
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Secret, E> {
        Err(Self::refused())
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Secret, E> {
        Err(Self::refused())
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Secret, E> {
        Err(Self::refused())
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Secret, E> {
        Err(Self::refused())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_is_compared_and_never_shown() {
        let secret = Secret::new("hunter2");
        assert!(secret.matches("hunter2"));
        assert!(!secret.matches("hunter"));
        assert!(!secret.matches(""));
        assert_eq!(format!("{:?}", Some(&secret)), "Some(***)");
        assert_eq!(serde_json::to_string(&secret).unwrap(), r#""***""#);
        assert!(Secret::placeholder().is_missing());
        assert!(Secret::new(" ").is_missing());
    }

    #[test]
    fn error_does_not_repeat_a_secret() {
        for given in ["12345", "-12345", "1234.5", "true"] {
            let value: figment::value::Value = given.parse().unwrap();
            let error = value.deserialize::<Secret>().unwrap_err();
            assert_eq!(error.to_string(), "expected text in quotes");
        }
    }

    #[test]
    fn file_that_holds_secrets_is_written_and_read_as_it_is() {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct File {
            #[serde(with = "in_file")]
            token: Secret,
            #[serde(default, with = "in_file_if_any")]
            key: Option<Secret>,
        }
        let file = File {
            token: Secret::new("aaa"),
            key: None,
        };
        let text = serde_yaml::to_string(&file).unwrap();
        assert_eq!(text, "token: aaa\nkey: null\n");
        assert_eq!(serde_yaml::from_str::<File>(&text).unwrap(), file);
        let file: File = serde_yaml::from_str("token: ''\nkey: k").unwrap();
        assert!(file.token.is_missing());
        assert_eq!(file.key, Some(Secret::new("k")));
    }
}
