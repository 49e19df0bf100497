//! How an event is shown: to whom, in which room version, and after what else happened in the same moment.

use ruma::{EventId, RoomId, events::TimelineEventType};
use serde_json::{json, value::to_raw_value};

use super::{history::say, room, rooms};
use crate::{rooms::Draft, stream::Position, testing::TestServer};

#[tokio::test]
async fn only_the_device_that_sent_an_event_sees_its_transaction_id() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let other = test.log_in(&alice.user_id).await;
    let room = room(&alice, json!({})).await;
    let sent = alice
        .put(
            &rooms(&room, "send/m.room.message/mine"),
            json!({ "body": "x" }),
        )
        .await;
    let path = rooms(
        &room,
        &format!("event/{}", sent["event_id"].as_str().unwrap()),
    );
    assert_eq!(alice.get(&path).await["unsigned"]["transaction_id"], "mine");
    let shown = other.get(&path).await;
    assert_eq!(shown["sender"], json!(alice.user_id));
    assert!(shown["unsigned"].get("transaction_id").is_none());
}

#[tokio::test]
async fn state_says_what_it_replaced_and_a_redaction_what_it_redacts_in_every_version() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    for version in ["10", "11", "12"] {
        let room = room(&alice, json!({ "room_version": version, "topic": "tea" })).await;
        let topic = rooms(&room, "state/m.room.topic/");
        let sent = alice.put(&topic, json!({ "topic": "milk" })).await;
        let id = sent["event_id"].as_str().unwrap();
        let shown = alice.get(&rooms(&room, &format!("event/{id}"))).await;
        let unsigned = &shown["unsigned"];
        assert_eq!(unsigned["prev_content"]["topic"], "tea");
        assert_eq!(unsigned["prev_sender"], json!(alice.user_id));
        assert!(unsigned["replaces_state"].is_string());
        assert_eq!(shown["state_key"], "");

        let text = say(&alice, &room, "x").await;
        let path = rooms(&room, &format!("redact/{text}/r"));
        let redaction = alice.put(&path, json!({ "reason": "typo" })).await;
        let id = redaction["event_id"].as_str().unwrap();
        let shown = alice.get(&rooms(&room, &format!("event/{id}"))).await;
        assert_eq!(shown["redacts"], *text, "{version}");
        assert_eq!(
            shown["content"],
            json!({ "redacts": text, "reason": "typo" })
        );
    }
}

#[tokio::test]
async fn several_answers_in_one_write_count_one_by_one() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let room = room(&alice, json!({})).await;
    let origin = say(&alice, &room, "origin").await;
    let relate = |kind: &str| {
        let content = json!({
            "msgtype": "m.text", "body": "x", "m.new_content": { "msgtype": "m.text", "body": "x" },
            "m.relates_to": { "rel_type": kind, "event_id": origin },
        });
        Draft::message(
            alice.user_id.clone(),
            TimelineEventType::RoomMessage,
            to_raw_value(&content).unwrap(),
        )
    };
    let room_id = RoomId::parse(&room).unwrap();
    for _ in 0..2 {
        let mut writer = test.server.rooms.write(&room_id).await.unwrap();
        for kind in [
            "m.thread",
            "m.reference",
            "m.replace",
            "m.thread",
            "m.reference",
        ] {
            writer.add(relate(kind)).unwrap();
        }
        writer.commit().await.unwrap();
    }
    let shown = alice.get(&rooms(&room, &format!("event/{origin}"))).await;
    let relations = &shown["unsigned"]["m.relations"];
    assert_eq!(relations["m.thread"]["count"], 4);
    let references = relations["m.reference"]["chunk"].as_array().unwrap();
    assert_eq!(references.len(), 4);
    let latest = relations["m.thread"]["latest_event"]["event_id"]
        .as_str()
        .unwrap();
    let latest = EventId::parse(latest).unwrap();
    let latest = test.server.rooms.event(&latest).unwrap().unwrap();
    let newest = test
        .server
        .rooms
        .events_down(&room_id, Position::MAX)
        .next()
        .unwrap()
        .unwrap();
    assert_eq!(latest.depth + 1, newest.depth);
    assert_eq!(relations["m.replace"]["type"], "m.room.message");
    let threads = rooms(&room, "threads").replacen("v3", "v1", 1);
    let threads = alice.get(&threads).await;
    assert_eq!(threads["chunk"].as_array().unwrap().len(), 1);
}
