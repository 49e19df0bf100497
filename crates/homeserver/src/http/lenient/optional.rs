//! What the specification lets a request leave out, or name in an older way, although ruma's type of the request has to have it.
//!
//! One table: which request, and what completes its body. A body that needs nothing is not copied, and of one that does every other
//! field stays as it was sent, for some are signed.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::Method;
use serde_json::value::{RawValue, to_raw_value};

/// The fields of a body.
type Fields = BTreeMap<String, Box<RawValue>>;

/// Completes a body. `None` if nothing is missing.
type Complete = fn(Fields) -> serde_json::Result<Option<Fields>>;

/// How long somebody types who does not say how long, in milliseconds: as long as with Synapse. The specification lets `timeout` out.
const TYPING_DEFAULT_MS: u64 = 30_000;

/// Which requests are completed: the method, the last segments of the path (`*` is any), and how.
const REQUESTS: &[(Method, &[&str], Complete)] = &[
    // https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3roomsroomidtypinguserid
    (Method::PUT, &["rooms", "*", "typing", "*"], typing),
    // https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3pushrulesglobalkindruleid
    (Method::PUT, &["global", "override", "*"], conditions),
    (Method::PUT, &["global", "underride", "*"], conditions),
    // https://spec.matrix.org/v1.19/client-server-api/#put_matrixclientv3directorylistroomroomid
    (Method::PUT, &["directory", "list", "room", "*"], visibility),
    // https://spec.matrix.org/v1.19/client-server-api/#user-interactive-authentication-api
    (Method::POST, &["register"], auth),
    (Method::POST, &["account", "password"], auth),
    (Method::POST, &["account", "deactivate"], auth),
    (Method::POST, &["delete_devices"], auth),
    (Method::DELETE, &["devices", "*"], auth),
    (Method::POST, &["device_signing", "upload"], auth),
    (Method::POST, &["login", "get_token"], auth),
];

/// The body with everything that ruma asks for.
pub(super) fn complete(method: &Method, path: &str, bytes: Bytes) -> Bytes {
    let wanted = REQUESTS.iter().find(|(of, end, _)| {
        let mut segments = path.rsplit('/');
        of == method
            && end
                .iter()
                .rev()
                .all(|&wanted| fits(wanted, segments.next()))
    });
    let Some((_, _, complete)) = wanted else {
        return bytes;
    };
    let completed = serde_json::from_slice(&bytes).and_then(complete);
    match completed.and_then(|fields| fields.map(|fields| serde_json::to_vec(&fields)).transpose())
    {
        Ok(Some(completed)) => completed.into(),
        // What is no object, or says something else than it can, ruma refuses in words.
        Ok(None) | Err(_) => bytes,
    }
}

fn fits(wanted: &str, segment: Option<&str>) -> bool {
    segment.is_some_and(|segment| wanted == "*" || wanted == segment)
}

fn typing(mut fields: Fields) -> serde_json::Result<Option<Fields>> {
    if fields.contains_key("timeout") {
        return Ok(None);
    }
    fields.insert("timeout".to_owned(), to_raw_value(&TYPING_DEFAULT_MS)?);
    Ok(Some(fields))
}

/// A room that is listed is public.
fn visibility(mut fields: Fields) -> serde_json::Result<Option<Fields>> {
    if fields.contains_key("visibility") {
        return Ok(None);
    }
    fields.insert("visibility".to_owned(), to_raw_value("public")?);
    Ok(Some(fields))
}

/// A rule without conditions always matches.
fn conditions(mut fields: Fields) -> serde_json::Result<Option<Fields>> {
    if fields
        .get("conditions")
        .is_some_and(|value| value.get() != "null")
    {
        return Ok(None);
    }
    fields.insert(
        "conditions".to_owned(),
        RawValue::from_string("[]".to_owned())?,
    );
    Ok(Some(fields))
}

/// Who shows a password.
#[derive(serde::Serialize)]
struct Identifier<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    user: &'a RawValue,
}

/// An `auth` that names neither a type nor a session is none; the user of a password is named by `identifier`, or by `user`, which
/// is deprecated.
fn auth(mut fields: Fields) -> serde_json::Result<Option<Fields>> {
    let Some(auth) = fields.get("auth") else {
        return Ok(None);
    };
    let mut auth: Fields = serde_json::from_str(auth.get())?;
    if !auth.contains_key("type") && !auth.contains_key("session") {
        fields.remove("auth");
        return Ok(Some(fields));
    }
    let Some(user) = auth
        .get("user")
        .filter(|_| !auth.contains_key("identifier"))
    else {
        return Ok(None);
    };
    let identifier = to_raw_value(&Identifier {
        kind: "m.id.user",
        user,
    })?;
    auth.insert("identifier".to_owned(), identifier);
    fields.insert("auth".to_owned(), to_raw_value(&auth)?);
    Ok(Some(fields))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(method: &Method, path: &str, body: &str) -> String {
        let path = format!("/_matrix/client/v3/{path}");
        let bytes = complete(method, &path, Bytes::copy_from_slice(body.as_bytes()));
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[test]
    fn fields_that_the_specification_lets_out_are_added() {
        for (path, body, meant) in [
            (
                "rooms/!r/typing/@a",
                r#"{"typing":true}"#,
                r#"{"timeout":30000,"typing":true}"#,
            ),
            (
                "pushrules/global/override/x",
                r#"{"actions":[1.50]}"#,
                r#"{"actions":[1.50],"conditions":[]}"#,
            ),
            (
                "pushrules/global/underride/x",
                r#"{"actions":[],"conditions":null}"#,
                r#"{"actions":[],"conditions":[]}"#,
            ),
        ] {
            assert_eq!(completed(&Method::PUT, path, body), meant);
        }
        let old = r#"{"auth":{"type":"m.login.password","user":"a","password":"b"}}"#;
        let new = r#"{"auth":{"identifier":{"type":"m.id.user","user":"a"},"password":"b","type":"m.login.password","user":"a"}}"#;
        assert_eq!(completed(&Method::POST, "account/password", old), new);
        assert_eq!(completed(&Method::DELETE, "devices/x", old), new);
    }

    #[test]
    fn body_that_lacks_nothing_stays_as_it_is() {
        for (method, path, body) in [
            (
                Method::PUT,
                "rooms/!r/typing/@a",
                r#"{ "typing":true,"timeout":1}"#,
            ),
            (
                Method::PUT,
                "pushrules/global/content/x",
                r#"{"actions":[]}"#,
            ),
            (
                Method::PUT,
                "pushrules/global/override/x/actions",
                r#"{"actions":[]}"#,
            ),
            (Method::PUT, "devices/x", r#"{"auth":{}}"#),
            (
                Method::POST,
                "delete_devices",
                r#"{"auth":{"type":"m.login.password","user":1,"identifier":2}}"#,
            ),
            (Method::POST, "delete_devices", "[]"),
            (Method::POST, "delete_devices", r#"{"auth":[]}"#),
        ] {
            assert_eq!(completed(&method, path, body), body, "{path}");
        }
    }
}
