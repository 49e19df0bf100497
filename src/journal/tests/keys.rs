//! Keys that never meet, and values that come back.

use proptest::prelude::*;

use super::*;
use crate::journal::{
    key::{Key, conversation, last_number, texts},
    outbox::Sent,
};

/// Texts of all kinds, also such as look like the bytes between texts.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-c\u{0}\u{1}]{0,4}",
        "\\PC{0,20}",
        Just(String::new()),
        "[!$@a-z:.é]{250,255}",
    ]
}

fn room() -> impl Strategy<Value = OwnedRoomId> {
    "![a-zA-Z0-9_.:é-]{1,60}".prop_filter_map("no room id", |id| RoomId::parse(id).ok())
}

fn event_id() -> impl Strategy<Value = OwnedEventId> {
    "\\$[a-zA-Z0-9_.:/é-]{1,60}".prop_filter_map("no event id", |id| EventId::parse(id).ok())
}

fn key() -> impl Strategy<Value = ConversationKey> {
    let thread = proptest::option::of(event_id());
    ("[a-z0-9-]{1,40}", room(), thread).prop_map(|(id, room, thread)| ConversationKey {
        agent: agent(&format!("agent-{id}")),
        room,
        thread,
    })
}

fn written(texts: &[String], number: Option<u64>) -> Vec<u8> {
    let key = texts
        .iter()
        .fold(Key::new(b'x'), |key, text| key.text(text));
    match number {
        Some(number) => key.number(number).bytes(),
        None => key.bytes(),
    }
}

proptest! {
    #[test]
    fn keys_of_other_texts_are_other_keys(a in prop::collection::vec(text(), 0..4), b in prop::collection::vec(text(), 0..4)) {
        prop_assert_eq!(written(&a, None) == written(&b, None), a == b);
    }

    #[test]
    fn a_key_is_found_under_its_first_texts_only(a in prop::collection::vec(text(), 1..3), b in prop::collection::vec(text(), 1..3), number: u64) {
        let (prefix, key) = (written(&a, None), written(&b, Some(number)));
        if key.starts_with(&prefix) && a.len() <= b.len() {
            prop_assert_eq!(&b[..a.len()], &a[..]);
        }
    }

    #[test]
    fn a_conversations_records_are_no_others(a in key(), b in key(), number: u64) {
        let prefix = Key::new(b'q').conversation(&a).bytes();
        let other = Key::new(b'q').conversation(&b).number(number).bytes();
        prop_assert_eq!(other.starts_with(&prefix), a == b);
    }

    #[test]
    fn a_key_tells_what_it_names(a in key(), number: u64) {
        let bytes = Key::new(b'q').conversation(&a).number(number).bytes();
        prop_assert_eq!(conversation(&bytes), Some(a.clone()));
        prop_assert_eq!(texts(&bytes).next(), Some(a.agent.as_str()));
        prop_assert_eq!(last_number(&bytes), number);
    }

    #[test]
    fn numbers_sort(a: u64, b: u64) {
        let key = |number| Key::new(b'i').number(number).bytes();
        prop_assert_eq!(key(a).cmp(&key(b)), a.cmp(&b));
    }

    #[test]
    fn any_bytes_are_read_without_harm(bytes: Vec<u8>) {
        prop_assert!(texts(&bytes).count() <= bytes.len());
        last_number(&bytes);
        conversation(&bytes);
        prop_assert!(decode::<AgentRecord>(&bytes, "agent").is_err());
    }

    #[test]
    fn turns_come_back(key in key(), words in "\\PC{0,200}", run in proptest::option::of("[a-z0-9-]{1,40}"), edits: u32, answered: bool) {
        let first = QueuedPrompt { text: words.clone(), ..prompt(1) };
        let id = TurnId::of(&first.event_id, &key.agent);
        let mut turn = TurnRecord::new(id, key, vec![first, prompt(2)], Millis(5));
        turn.shown.edits_reserved = edits;
        if let Some(run) = run.and_then(|id| letta_client::RunId::parse(format!("run-{id}")).ok()) {
            turn.advance(|state| state.start_run(run)).unwrap();
        }
        if answered {
            let answer = Answer { text: words.clone(), ending_notice: Some(NoticeText::new(words, "")) };
            turn.advance(|state| state.finish(answer)).unwrap();
        }
        let bytes = encode(&turn, "turn").unwrap();
        prop_assert_eq!(decode::<TurnRecord>(&bytes, "turn").unwrap(), turn);
    }

    #[test]
    fn messages_and_their_events_come_back(body in "\\PC{0,200}", event in proptest::option::of(event_id()), at: u64) {
        let content = serde_json::value::to_raw_value(&json!({ "body": body })).unwrap();
        let item = OutboxItem { content, ..item(room_id!("!room:house.test"), SendId::of(&[&body])) };
        let bytes = encode(&item, "outbox").unwrap();
        let back: OutboxItem = decode(&bytes, "outbox").unwrap();
        prop_assert_eq!(back.content.get(), item.content.get());
        prop_assert_eq!((back.room, back.sender, back.send_id), (item.room, item.sender, item.send_id));
        let bytes = encode(&Sent { event_id: event.clone(), at: Millis(at) }, "sent").unwrap();
        let back: Sent = decode(&bytes, "sent").unwrap();
        prop_assert_eq!((back.event_id, back.at), (event, Millis(at)));
    }
}
