//! Rooms, push, previews, sliding sync.

use std::time::Duration;

use serde_json::Map;

use super::*;
use crate::{limits::*, rooms::aliases};

const SLIDING: &str = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync";

pub(super) async fn probe(table: &mut Table) {
    events(table).await;
    rooms(table).await;
    pushers(table).await;
    previews(table).await;
    sliding(table).await;
    sliding_filters(table).await;
}

async fn rooms(table: &mut Table) {
    let (who, room) = table.somebody("rooms").await;
    let alias = |name: &str| {
        let path = format!("/_matrix/client/v3/directory/room/%23{name}:letta.test");
        put(path, json!({ "room_id": room }))
    };
    let name_max = ALIAS_MAX_BYTES - "#:letta.test".len();
    table
        .row(
            "ALIAS_MAX_BYTES",
            &who,
            alias(&long(name_max)),
            // The whole is refused by the type of the request already, or by us.
            alias(&long(name_max + 1)),
        )
        .await;
    let mut batch = table.test.server.store.batch();
    for number in 2..ALIASES_PER_ROOM {
        let alias = format!("#alias{number}:letta.test").try_into().unwrap();
        let alias: ruma::OwnedRoomAliasId = alias;
        aliases::put(&mut batch, &alias, &room, &who.user_id).unwrap();
    }
    table.test.server.store.commit(batch).await.unwrap();
    table
        .row("ALIASES_PER_ROOM", &who, alias("last"), alias("beyond"))
        .await;

    let send = |txn: usize, delay: Option<Duration>| {
        let delay = delay.map(|delay| delay.as_millis());
        let query = delay.map_or_else(String::new, |delay| {
            format!("?org.matrix.msc4140.delay={delay}")
        });
        let path = format!(
            "/_matrix/client/v3/rooms/{room}/send/m.room.message/{}{query}",
            long(txn)
        );
        put(path, json!({ "msgtype": "m.text", "body": "hello" }))
    };
    let max = TRANSACTION_ID_MAX_BYTES;
    let soon = Some(Duration::from_hours(1));
    for (within, beyond) in [
        (send(max, None), send(max + 1, None)),
        (send(max, soon), send(max + 1, soon)),
    ] {
        table
            .row("TRANSACTION_ID_MAX_BYTES", &who, within, beyond)
            .await;
    }
    let beyond = Some(DELAY_MAX + Duration::from_millis(1));
    table
        .row("DELAY_MAX", &who, send(7, Some(DELAY_MAX)), send(8, beyond))
        .await;
}

async fn events(table: &mut Table) {
    let (who, room) = table.somebody("events").await;
    let state = |kind: usize, key: usize| {
        let (kind, key) = (long(kind), long(key));
        let path = format!("/_matrix/client/v3/rooms/{room}/state/{kind}/{key}");
        put(path, json!({}))
    };
    let max = EVENT_FIELD_MAX_BYTES;
    for beyond in [state(max + 1, 1), state(1, max + 1)] {
        table
            .row("EVENT_FIELD_MAX_BYTES", &who, state(max, max), beyond)
            .await;
    }
    let message = |bytes: usize| {
        let path = format!("/_matrix/client/v3/rooms/{room}/send/x/{bytes}");
        put(path, padded(bytes, |text| json!({ "body": text })))
    };
    // The server adds the sender, the time, hashes and signatures.
    let max = EVENT_MAX_BYTES;
    table
        .row("EVENT_MAX_BYTES", &who, message(max - 1_500), message(max))
        .await;
    let nested = |levels: usize| {
        let path = format!("/_matrix/client/v3/rooms/{room}/send/x/{levels}");
        let body = (0..levels).fold(json!(1), |inner, _| json!({ "a": inner }));
        put(path, body)
    };
    let max = JSON_MAX_DEPTH;
    table
        .row("JSON_MAX_DEPTH", &who, nested(max), nested(max + 1))
        .await;
    let invites = |count: usize| {
        let users: Vec<String> = (0..count).map(|n| format!("@n{n}:letta.test")).collect();
        post("/_matrix/client/v3/createRoom", json!({ "invite": users }))
    };
    let max = INVITES_PER_NEW_ROOM;
    table
        .row("INVITES_PER_NEW_ROOM", &who, invites(max), invites(max + 1))
        .await;
}

async fn pushers(table: &mut Table) {
    let (who, _) = table.somebody("pushers").await;
    let set = |app: usize, key: usize, whole: Option<usize>| {
        let pusher = |text: &str| {
            json!({
                "app_id": long(app), "pushkey": long(key), "kind": "http", "lang": text,
                "app_display_name": "app", "device_display_name": "device",
                "data": { "url": "https://push.example.org/_matrix/push/v1/notify" },
            })
        };
        let pusher = match whole {
            Some(bytes) => padded(bytes, pusher),
            None => pusher("en"),
        };
        post("/_matrix/client/v3/pushers/set", pusher)
    };
    let max = APP_ID_MAX_BYTES;
    table
        .row(
            "APP_ID_MAX_BYTES",
            &who,
            set(max, 1, None),
            set(max + 1, 1, None),
        )
        .await;
    let max = PUSHKEY_MAX_BYTES;
    table
        .row(
            "PUSHKEY_MAX_BYTES",
            &who,
            set(1, max, None),
            set(1, max + 1, None),
        )
        .await;
    let max = PUSHER_MAX_BYTES;
    table
        .row(
            "PUSHER_MAX_BYTES",
            &who,
            set(2, 2, Some(max)),
            set(3, 3, Some(max + 1)),
        )
        .await;
}

async fn previews(table: &mut Table) {
    let (who, _) = table.somebody("previews").await;
    let preview = |bytes: usize| {
        let address = format!("http://a.example/{}", long(bytes - 17));
        let path = format!("/_matrix/client/v1/media/preview_url?url={address}");
        (Method::GET, path, json!({}))
    };
    table
        .row_with(
            "PREVIEW_URL_MAX_BYTES",
            &who,
            // No page is previewed here.
            StatusCode::FORBIDDEN,
            preview(PREVIEW_URL_MAX_BYTES),
            preview(PREVIEW_URL_MAX_BYTES + 1),
        )
        .await;
}

async fn sliding_filters(table: &mut Table) {
    let (who, _) = table.somebody("sliding-filters").await;
    let filtered = |filters: Value| {
        let list = json!({ "ranges": [[0, 0]], "timeline_limit": 1, "required_state": [], "filters": filters });
        post(SLIDING, json!({ "lists": { "a": list } }))
    };
    let entries = |count: usize| filtered(json!({ "not_tags": vec!["u.x"; count] }));
    let max = LIST_FILTER_ENTRIES_MAX;
    table
        .row(
            "LIST_FILTER_ENTRIES_MAX",
            &who,
            entries(max),
            entries(max + 1),
        )
        .await;
    let like = |bytes: usize| filtered(json!({ "room_name_like": long(bytes) }));
    let max = ROOM_NAME_LIKE_MAX_BYTES;
    table
        .row("ROOM_NAME_LIKE_MAX_BYTES", &who, like(max), like(max + 1))
        .await;
}

async fn sliding(table: &mut Table) {
    let (who, _) = table.somebody("sliding").await;
    let name = |bytes: usize| post(SLIDING, json!({ "conn_id": long(bytes) }));
    let max = CONNECTION_NAME_MAX_BYTES;
    table
        .row("CONNECTION_NAME_MAX_BYTES", &who, name(max), name(max + 1))
        .await;
    let list = |ranges: usize, required: usize| {
        let ranges: Vec<[usize; 2]> = (0..ranges).map(|number| [number, number]).collect();
        let required: Vec<[String; 2]> = (0..required)
            .map(|number| [format!("type{number}"), String::new()])
            .collect();
        json!({ "ranges": ranges, "timeline_limit": 1, "required_state": required })
    };
    let lists = |names: Vec<String>, list: &Value| {
        let lists = names.into_iter().map(|name| (name, list.clone()));
        post(
            SLIDING,
            json!({ "lists": lists.collect::<Map<String, Value>>() }),
        )
    };
    let many = |count: usize| {
        let names = (0..count).map(|number| number.to_string()).collect();
        lists(names, &list(1, 0))
    };
    table
        .row("LISTS_MAX", &who, many(LISTS_MAX), many(LISTS_MAX + 1))
        .await;
    let named = |bytes: usize| lists(vec![long(bytes)], &list(1, 0));
    let max = LIST_NAME_MAX_BYTES;
    table
        .row("LIST_NAME_MAX_BYTES", &who, named(max), named(max + 1))
        .await;
    let one = |ranges: usize, required: usize| lists(vec!["a".into()], &list(ranges, required));
    let max = LIST_RANGES_MAX;
    table
        .row("LIST_RANGES_MAX", &who, one(max, 0), one(max + 1, 0))
        .await;
    let max = REQUIRED_STATE_MAX;
    table
        .row("REQUIRED_STATE_MAX", &who, one(1, max), one(1, max + 1))
        .await;
    let subscribed = |count: usize| {
        let room = json!({ "timeline_limit": 1, "required_state": [] });
        let rooms = (0..count).map(|number| (format!("!r{number}:letta.test"), room.clone()));
        let rooms: Map<String, Value> = rooms.collect();
        post(SLIDING, json!({ "room_subscriptions": rooms }))
    };
    let max = SUBSCRIPTIONS_MAX;
    table
        .row(
            "SUBSCRIPTIONS_MAX",
            &who,
            subscribed(max),
            subscribed(max + 1),
        )
        .await;
}
