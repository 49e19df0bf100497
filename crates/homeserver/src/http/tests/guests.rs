//! What guests may call, of everything that there is.

use std::collections::BTreeSet;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::{http::Route, testing::TestServer};

/// What the specification lets guests call, which they cannot do without.
const OF_THE_SPECIFICATION: &[(&str, &str)] = &[
    ("GET", "/_matrix/client/v3/rooms/{room_id}/state"),
    (
        "GET",
        "/_matrix/client/v3/rooms/{room_id}/context/{event_id}",
    ),
    ("GET", "/_matrix/client/v3/rooms/{room_id}/event/{event_id}"),
    ("GET", "/_matrix/client/v3/rooms/{room_id}/messages"),
    ("GET", "/_matrix/client/v3/rooms/{room_id}/members"),
    ("GET", "/_matrix/client/v3/sync"),
    ("POST", "/_matrix/client/v3/rooms/{room_id}/join"),
    ("POST", "/_matrix/client/v3/rooms/{room_id}/leave"),
    (
        "PUT",
        "/_matrix/client/v3/rooms/{room_id}/send/{event_type}/{txn_id}",
    ),
    (
        "PUT",
        "/_matrix/client/v3/rooms/{room_id}/state/{event_type}/{state_key}",
    ),
    (
        "PUT",
        "/_matrix/client/v3/sendToDevice/{event_type}/{txn_id}",
    ),
    ("PUT", "/_matrix/client/v3/profile/{user_id}/{key_name}"),
    ("GET", "/_matrix/client/v3/devices"),
    ("GET", "/_matrix/client/v3/devices/{device_id}"),
    ("PUT", "/_matrix/client/v3/devices/{device_id}"),
    ("POST", "/_matrix/client/v3/keys/upload"),
    ("POST", "/_matrix/client/v3/keys/query"),
    ("POST", "/_matrix/client/v3/keys/claim"),
];

/// What must not be open to whoever asks for a guest's account.
const CLOSED: &[(&str, &str)] = &[
    ("POST", "/_matrix/client/v3/createRoom"),
    ("POST", "/_matrix/media/v3/upload"),
    ("POST", "/_matrix/media/v1/create"),
    ("PUT", "/_matrix/media/v3/upload/{server_name}/{media_id}"),
    ("GET", "/_matrix/client/v1/media/preview_url"),
    ("POST", "/_matrix/client/v3/user_directory/search"),
    ("POST", "/_matrix/client/v3/search"),
    ("POST", "/_matrix/client/v3/rooms/{room_id}/invite"),
    ("POST", "/_matrix/client/v3/rooms/{room_id}/kick"),
    ("PUT", "/_matrix/client/v3/directory/room/{room_alias}"),
    (
        "PUT",
        "/_matrix/client/v3/user/{user_id}/account_data/{event_type}",
    ),
    ("POST", "/_matrix/client/v3/pushers/set"),
    (
        "PUT",
        "/_matrix/client/v3/pushrules/global/{kind}/{rule_id}",
    ),
    ("POST", "/_matrix/client/v3/room_keys/version"),
    ("POST", "/_matrix/client/v3/keys/device_signing/upload"),
    ("POST", "/_matrix/client/v3/rooms/{room_id}/upgrade"),
    (
        "POST",
        "/_matrix/client/v3/user/{user_id}/openid/request_token",
    ),
];

/// The path with something of the right kind in each place.
fn filled(path: &str, guest: &str) -> String {
    let segments = path.split('/').map(|segment| match segment {
        "{user_id}" => guest,
        "{room_id}" | "{room_id_or_alias}" => "!room:letta.test",
        "{room_alias}" | "{alias}" => "%23alias:letta.test",
        "{event_id}" => "$event",
        "{server_name}" => "letta.test",
        "{receipt_type}" => "m.read",
        "{kind}" => "override",
        place if place.starts_with('{') => "some",
        literal => literal,
    });
    segments.collect::<Vec<_>>().join("/")
}

fn code(answer: &Value) -> &str {
    answer["errcode"].as_str().unwrap_or("")
}

#[tokio::test]
async fn guest_is_refused_everything_that_is_not_on_the_list() {
    let test = TestServer::start_with(|config| {
        config.registration.allow_guest_registration = true;
        config.sync.client_sync_timeout_default = std::time::Duration::ZERO;
    })
    .await;
    let (mut refused, mut taken) = (0, 0);
    for Route {
        method,
        path,
        guests,
        ..
    } in crate::api::routes().table()
    {
        // Each asks as somebody new: one of them logs out.
        let register = "/_matrix/client/v3/register?kind=guest";
        let (status, guest) = test.call(Method::POST, register, json!({})).await;
        assert_eq!(status, StatusCode::OK, "{guest}");
        let user = guest["user_id"].as_str().unwrap();
        let token = guest["access_token"].as_str().unwrap();
        let filled = filled(path, user);
        let asks = if filled.contains('?') { '&' } else { '?' };
        let with_token = format!("{filled}{asks}access_token={token}");
        let (_, stranger) = test.call(method.clone(), &filled, json!({})).await;
        let needs_token = code(&stranger) == "M_MISSING_TOKEN";
        let (status, answer) = test.call(method.clone(), &with_token, json!({})).await;
        let forbidden = code(&answer) == "M_GUEST_ACCESS_FORBIDDEN";
        // Some are for application services alone.
        let needs_token = needs_token && code(&answer) != "M_UNAUTHORIZED";
        let name = format!("{method} {path}");
        if *guests {
            assert!(!forbidden, "{name}: {status} {answer}");
            taken += 1;
        } else if needs_token {
            assert!(forbidden, "{name}: {status} {answer}");
            assert_eq!(status, StatusCode::FORBIDDEN, "{name}");
            refused += 1;
        }
    }
    assert!(
        refused > 80 && taken > 30,
        "{refused} refused, {taken} taken"
    );
}

#[tokio::test]
async fn guest_sets_a_display_name_and_no_other_field() {
    let test = TestServer::start_with(|config| {
        config.registration.allow_guest_registration = true;
    })
    .await;
    let register = "/_matrix/client/v3/register?kind=guest";
    let (_, guest) = test.call(Method::POST, register, json!({})).await;
    let user = guest["user_id"].as_str().unwrap();
    let token = guest["access_token"].as_str().unwrap();
    for (field, value, expected) in [
        ("displayname", json!("Guest"), StatusCode::OK),
        (
            "avatar_url",
            json!("mxc://letta.test/a"),
            StatusCode::FORBIDDEN,
        ),
        ("m.tz", json!("Europe/Berlin"), StatusCode::FORBIDDEN),
        ("org.example.notes", json!("x"), StatusCode::FORBIDDEN),
    ] {
        let path = format!("/_matrix/client/v3/profile/{user}/{field}?access_token={token}");
        let (status, answer) = test.call(Method::PUT, &path, json!({ field: value })).await;
        assert_eq!(status, expected, "{field}: {answer}");
        let read = format!("/_matrix/client/v3/profile/{user}/{field}");
        let (_, kept) = test.call(Method::GET, &read, json!({})).await;
        assert_eq!(
            kept.get(field).is_some(),
            expected == StatusCode::OK,
            "{field}: {kept}"
        );
    }
}

/// A path without the names of its arguments.
fn shape(path: &str) -> String {
    let segments = path.split('/');
    let segments = segments.map(|part| if part.starts_with('{') { "{}" } else { part });
    segments.collect::<Vec<_>>().join("/")
}

#[test]
fn list_for_guests_is_that_of_the_specification() {
    let routes = crate::api::routes();
    let of = |guests: bool| -> BTreeSet<(String, String)> {
        let routes = routes.table().iter();
        let routes = routes.filter(|route| route.guests == guests);
        let routes = routes.map(|route| (route.method.to_string(), shape(route.path)));
        routes.collect()
    };
    let (open, closed) = (of(true), of(false));
    for (method, path) in OF_THE_SPECIFICATION {
        let route = ((*method).to_owned(), shape(path));
        assert!(open.contains(&route), "{method} {path} is closed");
    }
    for (method, path) in CLOSED {
        let route = ((*method).to_owned(), shape(path));
        assert!(
            closed.contains(&route),
            "{method} {path} is open or missing"
        );
    }
}
