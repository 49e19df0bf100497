//! Which keys answers have to have.

use serde::Deserialize;
use serde_json::Value;

/// The places of required keys, from the same document as the requests.
const REQUIRED: &str = include_str!("../../../../../../tests/clients/shapes/required.json");

/// What matrix-js-sdk reads in answers without asking whether it is there.
const READ_BY_JS_SDK: &[(&str, &str, &[&str])] = &[
    (
        "GET",
        "/_matrix/client/v3/pushrules/",
        &["global", "override"],
    ),
    ("GET", "/_matrix/client/v3/pushrules/", &["global", "room"]),
    (
        "GET",
        "/_matrix/client/v3/pushrules/",
        &["global", "sender"],
    ),
    (
        "GET",
        "/_matrix/client/v3/pushrules/",
        &["global", "underride"],
    ),
    (
        "GET",
        "/_matrix/client/v3/pushrules/",
        &["global", "content"],
    ),
    (
        "GET",
        "/_matrix/client/v3/capabilities",
        &["capabilities", "m.change_password"],
    ),
    ("GET", "/_matrix/client/v3/devices", &["devices"]),
    ("GET", "/_matrix/client/v3/pushers", &["pushers"]),
    ("GET", "/_matrix/client/v3/account/3pid", &["threepids"]),
    ("GET", "/_matrix/client/v3/login", &["flows"]),
    ("POST", "/_matrix/client/v3/keys/query", &["device_keys"]),
    ("POST", "/_matrix/client/v3/keys/query", &["failures"]),
    ("POST", "/_matrix/client/v3/keys/claim", &["failures"]),
    (
        "GET",
        "/_matrix/client/v3/rooms/{roomId}/context/{eventId}",
        &["events_before"],
    ),
    (
        "GET",
        "/_matrix/client/v3/rooms/{roomId}/context/{eventId}",
        &["events_after"],
    ),
    (
        "GET",
        "/_matrix/client/v3/rooms/{roomId}/context/{eventId}",
        &["state"],
    ),
    (
        "GET",
        "/_matrix/client/v3/rooms/{roomId}/members",
        &["chunk"],
    ),
    (
        "GET",
        "/_matrix/client/v3/rooms/{roomId}/joined_members",
        &["joined"],
    ),
    (
        "GET",
        "/_matrix/client/v3/user/{userId}/rooms/{roomId}/tags",
        &["tags"],
    ),
    (
        "POST",
        "/_matrix/client/v3/search",
        &["search_categories", "room_events", "results"],
    ),
    (
        "POST",
        "/_matrix/client/v3/search",
        &["search_categories", "room_events", "highlights"],
    ),
    (
        "POST",
        "/_matrix/client/v3/search",
        &["search_categories", "room_events", "count"],
    ),
    (
        "POST",
        "/_matrix/client/v3/search",
        &[
            "search_categories",
            "room_events",
            "results",
            "*",
            "context",
            "events_before",
        ],
    ),
    (
        "POST",
        "/_matrix/client/v3/search",
        &[
            "search_categories",
            "room_events",
            "results",
            "*",
            "context",
            "events_after",
        ],
    ),
    (
        "GET",
        "/_matrix/client/v3/sync",
        &["rooms", "join", "*", "timeline", "events"],
    ),
    (
        "GET",
        "/_matrix/client/v3/sync",
        &["rooms", "join", "*", "timeline"],
    ),
    (
        "GET",
        "/_matrix/client/v3/sync",
        &["rooms", "join", "*", "timeline", "limited"],
    ),
    (
        "GET",
        "/_matrix/client/v3/sync",
        &["rooms", "leave", "*", "timeline", "limited"],
    ),
];

const THIRDPARTY: &str = "is what application services answer, see their tests";

/// What nothing here asks, and why.
pub(super) const NOT_ASKED: &[(&str, &str)] = &[
    (
        "POST /_matrix/client/v1/appservice/{appserviceId}/ping",
        "needs an application service that answers",
    ),
    (
        "GET /.well-known/matrix/support",
        "404 unless it is configured",
    ),
    (
        "GET /_matrix/client/v1/admin/lock/{userId}",
        "for admins, whose answer has one key",
    ),
    (
        "PUT /_matrix/client/v1/admin/lock/{userId}",
        "for admins, whose answer has one key",
    ),
    (
        "GET /_matrix/client/v1/admin/suspend/{userId}",
        "for admins, whose answer has one key",
    ),
    (
        "PUT /_matrix/client/v1/admin/suspend/{userId}",
        "for admins, whose answer has one key",
    ),
    (
        "POST /_matrix/client/v3/register",
        "needs a flow; its answer is that of every registration",
    ),
    ("POST /_matrix/client/v3/refresh", "needs a refresh token"),
    (
        "POST /_matrix/client/v3/knock/{roomIdOrAlias}",
        "answers as joining does",
    ),
    ("GET /_matrix/client/v3/thirdparty/location", THIRDPARTY),
    (
        "GET /_matrix/client/v3/thirdparty/location/{protocol}",
        THIRDPARTY,
    ),
    (
        "GET /_matrix/client/v3/thirdparty/protocol/{protocol}",
        THIRDPARTY,
    ),
    ("GET /_matrix/client/v3/thirdparty/user", THIRDPARTY),
    (
        "GET /_matrix/client/v3/thirdparty/user/{protocol}",
        THIRDPARTY,
    ),
    ("POST /_matrix/media/v3/upload", "its body is a file"),
    (
        "GET /_matrix/client/v3/voip/turnServer",
        "empty without a relay, as Synapse's",
    ),
];

#[derive(Deserialize)]
pub(super) struct Operation {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) required: Vec<Vec<String>>,
}

pub(super) fn operations() -> Vec<Operation> {
    let mut all: Vec<Operation> = serde_json::from_str(REQUIRED).unwrap();
    for (method, path, place) in READ_BY_JS_SDK {
        all.push(Operation {
            method: (*method).to_owned(),
            path: (*path).to_owned(),
            required: vec![place.iter().map(|name| (*name).to_owned()).collect()],
        });
    }
    all
}

pub(super) fn fits(template: &str, path: &str) -> bool {
    let path = path.split('?').next().unwrap();
    let (mut wanted, mut there) = (template.split('/'), path.split('/'));
    loop {
        match (wanted.next(), there.next()) {
            (None, None) => return true,
            (Some(wanted), Some(there)) if wanted.starts_with('{') || wanted == there => {}
            _ => return false,
        }
    }
}

/// Whether everything that is there down to the last name has that name, too.
pub(super) fn has(answer: &Value, place: &[String]) -> bool {
    let Some((first, rest)) = place.split_first() else {
        return true;
    };
    match answer {
        Value::Array(items) if first == "*" => items.iter().all(|item| has(item, rest)),
        Value::Object(fields) if first == "*" => fields.values().all(|value| has(value, rest)),
        Value::Object(fields) => match fields.get(first) {
            Some(value) => has(value, rest),
            None => !rest.is_empty(),
        },
        _ => true,
    }
}
