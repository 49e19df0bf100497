//! What clients send although the specification has it otherwise, made into what they mean.
//!
//! Or made into what can be refused in words.
//!
//! matrix-nio joins rooms with no body at all, and begins to register with an `auth` that names neither a type nor a session.
//! Other homeservers take both. A body is looked at where it is and copied only if something in it changes. What the specification
//! lets a request leave out and ruma does not is added in [`optional`].

use std::ops::Range;

use bytes::Bytes;
use http::Method;
use serde::Deserialize;
use serde_json::value::RawValue;

mod optional;

/// The body as it is meant.
pub(super) fn normalize(method: &Method, path: &str, bytes: Bytes) -> Bytes {
    // A file may well be empty.
    if path.contains("/media/") || method == Method::GET {
        return bytes;
    }
    let bytes = if bytes.iter().all(u8::is_ascii_whitespace) {
        Bytes::from_static(b"{}")
    } else {
        bytes
    };
    if path.ends_with("/login")
        && let Some((place, new)) = no_type(&bytes)
    {
        let parts = [&bytes[..place.start], new.as_bytes(), &bytes[place.end..]];
        return parts.concat().into();
    }
    optional::complete(method, path, bytes)
}

/// Where a login that says no type has to say one, and how; nothing if it says one, or is no object.
///
/// ruma 0.17 looks up the type of a login without asking whether there is one, and panics; one that is null it refuses in words.
fn no_type(bytes: &[u8]) -> Option<(Range<usize>, &'static str)> {
    #[derive(Deserialize)]
    struct Fields<'a> {
        #[serde(borrow, rename = "type")]
        kind: Option<&'a RawValue>,
    }
    if serde_json::from_slice::<Fields<'_>>(bytes)
        .ok()?
        .kind
        .is_some()
    {
        return None;
    }
    let opens = bytes.iter().position(|byte| *byte == b'{')? + 1;
    let mut rest = bytes[opens..].iter();
    let is_empty = rest.find(|byte| !byte.is_ascii_whitespace()) == Some(&b'}');
    let missing = if is_empty {
        r#""type":null"#
    } else {
        r#""type":null,"#
    };
    Some((opens..opens, missing))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normalized(path: &str, body: &'static str) -> String {
        let bytes = normalize(&Method::POST, path, Bytes::from_static(body.as_bytes()));
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[test]
    fn login_without_a_type_gets_one_that_can_be_refused() {
        for (body, meant) in [
            ("{}", r#"{"type":null}"#),
            (" { } ", r#" {"type":null } "#),
            (r#"{"a":{"type":1}}"#, r#"{"type":null,"a":{"type":1}}"#),
            (r#"{"type":"x"}"#, r#"{"type":"x"}"#),
            (r#"{"\u0074ype":"x"}"#, r#"{"\u0074ype":"x"}"#),
            ("[]", "[]"),
            ("", r#"{"type":null}"#),
        ] {
            assert_eq!(
                normalized("/_matrix/client/v3/login", body),
                meant,
                "{body}"
            );
        }
    }

    #[test]
    fn auth_that_names_nothing_is_none() {
        for (body, meant) in [
            (r#"{"auth":{},"a":1}"#, r#"{"a":1}"#),
            (r#"{"a": 1.0, "auth" : {"x":[1]} }"#, r#"{"a":1.0}"#),
            (r#"{"auth":{"session":"x"}}"#, r#"{"auth":{"session":"x"}}"#),
            (r#"{"auth":{"type":"x"}}"#, r#"{"auth":{"type":"x"}}"#),
            (r#"{"a":{"auth":{}}}"#, r#"{"a":{"auth":{}}}"#),
        ] {
            assert_eq!(
                normalized("/_matrix/client/v3/register", body),
                meant,
                "{body}"
            );
        }
    }

    #[test]
    fn body_that_needs_no_change_is_not_copied() {
        for path in [
            "/_matrix/client/v3/login",
            "/_matrix/client/v3/register",
            "/other",
        ] {
            let body = Bytes::from_static(br#"{"type":"x","auth":{"type":"y"}}"#);
            let same = normalize(&Method::POST, path, body.clone());
            assert_eq!(same.as_ptr(), body.as_ptr(), "{path}");
        }
    }
}
