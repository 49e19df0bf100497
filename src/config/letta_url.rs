//! The address of Letta: as any other in the configuration, or `ws://…`, `wss://…` of an App Server.

use serde::{Deserialize, Deserializer, Serializer, de};
use url::Url;

use super::http_url;

pub(super) fn serialize<S: Serializer>(url: &Url, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(http_url::text(url))
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Url, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse(&text).ok_or_else(|| {
        de::Error::custom(format_args!(
            "expected an address that begins with `http://`, `https://`, `ws://` or `wss://`, got \
             {text:?}"
        ))
    })
}

/// Takes an address of Letta, with or without a path.
pub(crate) fn parse(text: &str) -> Option<Url> {
    http_url::parse_with_schemes(text, &["http", "https", "ws", "wss"])
}

/// Whether only an App Server can be meant.
pub(crate) fn is_web_socket(url: &Url) -> bool {
    matches!(url.scheme(), "ws" | "wss")
}
