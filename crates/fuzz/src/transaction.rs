//! Transactions of a homeserver: from the bytes of a body to what each event means to the bridge.
//!
//! Invariants: a body is a list of events, or refused; each event is read the same alone as among others; nothing that one of our
//! own users or somebody blocked said becomes a prompt, a command, a reaction or an edit; what is admitted can be routed, under the
//! id that it was admitted by, and always to the same; a prompt says something, and in its own room.

use std::collections::BTreeMap;

use letta_client::AgentId;
use matrix_appservice_letta::{
    appservice::inbound::{self, ID_BYTES_MAX, Inbound},
    config::{Level, Permissions},
    identity::Identity,
    journal::{RoomKind, RoomRecord},
    turns::route::{IncomingEvent, Route, Rules, route},
};
use ruma::{OwnedEventId, owned_server_name, owned_user_id};
use serde_json::value::RawValue;

use crate::Target;

/// See the module.
pub const TARGET: Target = Target {
    name: "transaction",
    check,
    wrap,
    words: &[
        r#"{"events":[]}"#,
        r#""type":"m.room.message""#,
        r#""type":"m.room.member""#,
        r#""type":"m.reaction""#,
        r#""type":"m.room.redaction""#,
        r#""type":"m.room.encrypted""#,
        r#""state_key":"@agent_1:example.org""#,
        r#""sender":"@alice:example.org""#,
        r#""sender":"@agent_1:example.org""#,
        r#""sender":"@letta:example.org""#,
        r#""event_id":"$1""#,
        r#""room_id":"!1:example.org""#,
        r#""msgtype":"m.text""#,
        r#""msgtype":"m.notice""#,
        r#""m.relates_to":{"rel_type":"m.replace","event_id":"$2"}"#,
        r#""m.relates_to":{"rel_type":"m.thread","event_id":"$2"}"#,
        r#""m.mentions":{"user_ids":["@agent_1:example.org"]}"#,
        r#""redacts":"$2""#,
        r#""membership":"invite""#,
        r#""origin_server_ts":-1"#,
        "!letta ",
    ],
};

/// Panics if an invariant of the module does not hold.
pub fn check(data: &[u8]) {
    let Ok((events, _)) = inbound::events_of(data) else {
        return;
    };
    let rules = rules();
    for event in events {
        let alone = format!(r#"{{"events":[{}]}}"#, event.get());
        let (alone, _) = inbound::events_of(alone.as_bytes()).expect("a list of one event");
        let [alone] = &*alone else {
            unreachable!("one event is {}", alone.len());
        };
        let id = admitted(&rules, event.clone());
        assert_eq!(admitted(&rules, alone.clone()), id, "others change {event}");
        if let Some(id) = id {
            meaning(&rules, &id, &event);
        }
    }
}

/// The id under which an event is admitted.
fn admitted(rules: &Rules, event: Box<RawValue>) -> Option<OwnedEventId> {
    match inbound::read(&rules.identity, event) {
        Ok((Inbound::Admit(id, _), _)) => {
            assert!(id.as_str().len() <= ID_BYTES_MAX, "{id} is too long");
            Some(id)
        }
        Ok((Inbound::StartEcho(_) | Inbound::Nothing, _)) | Err(_) => None,
    }
}

fn meaning(rules: &Rules, id: &OwnedEventId, event: &RawValue) {
    let read = serde_json::from_str::<IncomingEvent>(event.get());
    let read = read.expect("what is admitted can be routed");
    assert_eq!(read.event_id, *id);
    for room in rooms() {
        let meant = route(&read, room.as_ref(), rules, None);
        assert_eq!(meant, route(&read, room.as_ref(), rules, None));
        let says = matches!(
            meant,
            Route::Prompt { .. } | Route::Command | Route::Reaction | Route::Edit { .. }
        );
        let unheard = rules.identity.is_ours(&read.sender) || rules.is_user_blocked(&read.sender);
        assert!(
            !(says && unheard),
            "{} became {}",
            read.sender,
            meant.kind()
        );
        match &meant {
            Route::Prompt {
                conversation,
                also,
                text,
                ..
            } => {
                assert!(!text.trim().is_empty(), "a prompt of nothing");
                for conversation in [conversation].into_iter().chain(also) {
                    assert_eq!(conversation.room, read.room_id);
                }
                assert!(room.is_some(), "a prompt in a room that is not known");
            }
            Route::Edit { text, .. } => assert!(!text.trim().is_empty(), "an edit to nothing"),
            _ => {}
        }
    }
}

fn rules() -> Rules {
    let template = "agent_{id}".parse().expect("a template");
    let domain = owned_server_name!("example.org");
    let identity = Identity::new(&domain, template, "letta", "letta_agents");
    let mut permissions = Permissions::nobody();
    permissions.grant_server(domain, Level::Talk);
    permissions.grant(owned_user_id!("@mallory:example.org"), Level::Block);
    Rules {
        identity: identity.expect("names"),
        permissions,
    }
}

/// A room of each kind, and one that is not known.
fn rooms() -> [Option<RoomRecord>; 4] {
    let agent = |id: &str| AgentId::parse(id).expect("an agent");
    let room = |kind, guests| RoomRecord {
        kind,
        guests,
        bot: true,
        replaced: None,
        predecessor: None,
    };
    let home = RoomKind::Home {
        agent: agent("agent-1"),
    };
    let management = RoomKind::Management {
        user: owned_user_id!("@alice:example.org"),
    };
    [
        None,
        Some(room(home, BTreeMap::new())),
        Some(room(management, BTreeMap::new())),
        Some(room(
            RoomKind::Other,
            [(agent("agent-1"), true), (agent("agent-2"), false)].into(),
        )),
    ]
}

fn wrap(text: &str) -> Vec<u8> {
    let event = |number: usize, kind: &str, content: serde_json::Value| {
        serde_json::json!({
            "event_id": format!("${number}"), "room_id": "!1:example.org", "sender": "@alice:example.org",
            "type": kind, "origin_server_ts": 1, "content": content,
        })
    };
    let edited = serde_json::json!({
        "msgtype": "m.text", "body": text, "m.new_content": { "msgtype": "m.text", "body": text },
        "m.relates_to": { "rel_type": "m.replace", "event_id": "$0" },
    });
    let relation = serde_json::json!({ "rel_type": "m.annotation", "event_id": "$0", "key": text });
    let input = serde_json::json!({ "events": [
        event(0, "m.room.message", serde_json::json!({ "msgtype": "m.text", "body": text })),
        event(1, "m.room.message", serde_json::json!({ "msgtype": text, "body": text, "formatted_body": text })),
        event(2, "m.room.message", edited),
        event(3, "m.reaction", serde_json::json!({ "m.relates_to": relation })),
        event(4, text, serde_json::json!({ text: text })),
        { "event_id": text, "room_id": text, "sender": text, "type": text, "content": text },
        text,
    ] });
    input.to_string().into_bytes()
}
