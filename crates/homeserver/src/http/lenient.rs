//! What clients send although the specification has it otherwise, made into what they mean.
//!
//! Or made into what can be refused in words.
//!
//! matrix-nio joins rooms with no body at all, and begins to register with an `auth` that names neither a type nor a session.
//! Other homeservers take both.

use bytes::Bytes;
use http::{Method, request::Parts};
use serde_json::Value;

/// The body as it is meant.
pub(super) fn mend(parts: &Parts, bytes: Bytes) -> Bytes {
    let path = parts.uri.path();
    // A file may well be empty.
    if path.contains("/media/") || parts.method == Method::GET {
        return bytes;
    }
    let bytes = if bytes.iter().all(u8::is_ascii_whitespace) {
        Bytes::from_static(b"{}")
    } else {
        bytes
    };
    if path.ends_with("/register") {
        return without_empty_auth(&bytes).unwrap_or(bytes);
    }
    if path.ends_with("/login") {
        return with_type(&bytes).unwrap_or(bytes);
    }
    bytes
}

/// ruma 0.17 looks up the type of a login without asking whether there is one, and panics; one that is null it refuses in words.
/// It does so before it notices that more follows the first value.
fn with_type(bytes: &[u8]) -> Option<Bytes> {
    let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<Value>();
    let mut body = values.next()?.ok()?;
    let rest = &bytes[values.byte_offset()..];
    let fields = body.as_object_mut()?;
    if fields.contains_key("type") {
        return None;
    }
    fields.insert("type".to_owned(), Value::Null);
    let mended = serde_json::to_vec(&body).ok()?;
    Some([mended.as_slice(), rest].concat().into())
}

fn without_empty_auth(bytes: &[u8]) -> Option<Bytes> {
    let mut body: Value = serde_json::from_slice(bytes).ok()?;
    let auth = body.get("auth")?;
    if auth.get("type").is_some() || auth.get("session").is_some() {
        return None;
    }
    body.as_object_mut()?.remove("auth");
    serde_json::to_vec(&body).ok().map(Bytes::from)
}
