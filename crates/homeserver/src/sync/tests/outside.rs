//! What somebody is told of rooms that others invite them to, however much these say.

use super::*;
use crate::{
    limits::{OUTSIDE_STATE_LEAST_BYTES, OUTSIDE_STATE_MAX_BYTES},
    testing::TestServer,
};

/// What is beside the events: room ids and braces.
const BESIDE: usize = 4 << 10;

async fn large_room(mallory: &TestUser, bob: &TestUser, reason: &str) -> String {
    let long = "x".repeat(55_000);
    let state = |kind: &str, content: Value| json!({ "type": kind, "content": content });
    let join_rule = json!({ "join_rule": "invite", "org.example": long });
    let body = json!({
        "preset": "private_chat",
        "creation_content": { "org.example": "x".repeat(40_000) },
        "initial_state": [
            state("m.room.name", json!({ "name": "short", "org.example": long })),
            state("m.room.topic", json!({ "topic": long })),
            state("m.room.avatar", json!({ "url": "mxc://letta.test/a", "org.example": long })),
            state("m.room.join_rules", join_rule),
        ],
    });
    let answer = mallory.post("/_matrix/client/v3/createRoom", body).await;
    let room = answer["room_id"].as_str().unwrap().to_owned();
    let path = format!("/_matrix/client/v3/rooms/{room}/invite");
    let body = json!({ "user_id": bob.user_id, "reason": reason });
    mallory.post(&path, body).await;
    room
}

/// Checks what is told of one room.
fn is_told(room: &str, events: &[Value], bob: &TestUser, fields: &[(&str, &str)]) {
    let of = |kind: &str, key: &str| {
        let found = events
            .iter()
            .find(|event| event["type"] == kind && event["state_key"] == key);
        found.unwrap_or_else(|| panic!("{room}: no {kind} in {} events", events.len()))
    };
    let own = of("m.room.member", bob.user_id.as_str());
    assert_eq!(own["content"]["membership"], "invite", "{room}");
    for (kind, field) in fields {
        assert!(of(kind, "")["content"][*field].is_string(), "{room} {kind}");
    }
}

#[tokio::test]
async fn invitations_of_others_have_a_largest_size_in_one_sync() {
    let test = TestServer::start().await;
    let (mallory, bob) = (test.person("mallory").await, test.person("bob").await);
    let alice = test.person("alice").await;
    let mut last = sync(&bob, "").await;
    let honest = room(&alice, "private_chat").await;
    set_state(&alice, &honest, "m.room.name", json!({ "name": "honest" })).await;
    set_state(
        &alice,
        &honest,
        "m.room.topic",
        json!({ "topic": "of this" }),
    )
    .await;
    invite(&alice, &honest, &bob).await;
    let reason = "x".repeat(55_000);
    let mut rooms = Vec::new();
    for number in 0..60 {
        let reason = if number % 2 == 0 { &reason } else { "" };
        rooms.push(large_room(&mallory, &bob, reason).await);
    }
    let first = sync(&bob, "").await;
    let list = json!({ "lists": { "all": { "ranges": [[0, 99]], "timeline_limit": 1, "required_state": [] } } });
    let path = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync?timeout=0";
    let sliding = bob.post(path, list).await;
    let next = next(&bob, &mut last, "").await;
    let most = OUTSIDE_STATE_MAX_BYTES + rooms.len() * (OUTSIDE_STATE_LEAST_BYTES + BESIDE);
    for answer in [&first, &next, &sliding] {
        let size = answer.to_string().len();
        assert!(size <= most, "{size} of {most} bytes");
        let events = |room: &str| {
            let (v3, v5) = (&answer["rooms"]["invite"][room], &answer["rooms"][room]);
            let events = v3["invite_state"]["events"].as_array();
            let events = events.or_else(|| v5["invite_state"].as_array());
            events
                .cloned()
                .unwrap_or_else(|| panic!("{room} is not told"))
        };
        let needed = [
            ("m.room.create", "room_version"),
            ("m.room.join_rules", "join_rule"),
            ("m.room.name", "name"),
        ];
        for room in &rooms {
            is_told(room, &events(room), &bob, &needed);
        }
        let all = [needed.as_slice(), &[("m.room.topic", "topic")]].concat();
        is_told(&honest, &events(&honest), &bob, &all);
    }
}
