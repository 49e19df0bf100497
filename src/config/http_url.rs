//! `http://…` and `https://…` addresses in the configuration, written without a trailing slash.

use serde::{Deserialize, Deserializer, Serializer, de};
use url::Url;

/// The text of `url`, without the slash that `Url` gives to an empty path.
pub(crate) fn text(url: &Url) -> &str {
    url.as_str().trim_end_matches('/')
}

pub(super) fn serialize<S: Serializer>(url: &Url, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text(url))
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Url, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse(&text).ok_or_else(|| {
        de::Error::custom(format_args!(
            "expected an address that begins with `http://` or `https://`, got {text:?}"
        ))
    })
}

/// Takes an address of a server, with or without a path.
pub(crate) fn parse(text: &str) -> Option<Url> {
    parse_with_schemes(text, &["http", "https"])
}

/// The same for other schemes.
pub(super) fn parse_with_schemes(text: &str, schemes: &[&str]) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let plain = schemes.contains(&url.scheme())
        && url.has_host()
        // A password in an address would show in logs.
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    plain.then_some(url)
}

/// An address that is written in this program.
#[expect(
    clippy::expect_used,
    reason = "every call is made by the test of the defaults"
)]
pub(super) fn literal(text: &str) -> Url {
    Url::parse(text).expect("an address that is written in this program is valid")
}
