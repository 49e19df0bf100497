//! Every kind of event, and the one thing that it is to the bridge.
//!
//! Here are who is who and which rooms there are; the cases are by theme.

mod generated;
mod meant;
mod refers;
mod speakers;
mod texts;

use ruma::{owned_event_id, owned_room_id, owned_user_id, server_name};
use serde_json::{Value, json};

use super::*;

const ANN: &str = "@ann:example.org";
const EVE: &str = "@eve:elsewhere.test";
const BOT: &str = "@letta:example.org";
const HOME: &str = "agent-1";
const HOME_GHOST: &str = "@agent_1:example.org";
const GUEST: &str = "agent-2";
const GUEST_GHOST: &str = "@agent_2:example.org";

fn agent(id: &str) -> AgentId {
    id.parse().unwrap()
}

fn rules() -> Rules {
    let template = "agent_{id}".parse().unwrap();
    let identity = Identity::new(
        server_name!("example.org"),
        template,
        "letta",
        "letta_agents",
    );
    let mut permissions = Permissions::nobody();
    permissions.grant(owned_user_id!("@ann:example.org"), Level::Talk);
    permissions.grant(owned_user_id!("@bob:example.org"), Level::Talk);
    Rules {
        identity: identity.unwrap(),
        permissions,
    }
}

#[test]
fn message_with_wrong_values_beside_it_is_read() {
    for value in [
        "-1",
        "1.5",
        "1e999",
        "null",
        "\"x\"",
        "[]",
        "{}",
        "\"\\ud800\"",
    ] {
        for name in ["origin_server_ts", "redacts"] {
            let event = format!(
                r#"{{"event_id":"$1","room_id":"!1:example.org","sender":"{ANN}","type":"m.room.message","{name}":{value},
                "content":{{"msgtype":"m.text","body":"hello"}}}}"#
            );
            let event: IncomingEvent = serde_json::from_str(&event).expect(value);
            let routed = route(&event, Some(&home()), &rules(), None);
            assert!(matches!(routed, Route::Prompt { .. }), "{name}: {value}");
        }
    }
}

fn room(kind: RoomKind) -> RoomRecord {
    RoomRecord {
        bot: true,
        ..RoomRecord::new(kind)
    }
}

fn home() -> RoomRecord {
    room(RoomKind::Home { agent: agent(HOME) })
}

fn management() -> RoomRecord {
    let user = owned_user_id!("@ann:example.org");
    room(RoomKind::Management { user })
}

/// A room of people to which an agent was invited, as a direct chat or not.
fn visited(direct: bool) -> RoomRecord {
    RoomRecord {
        guests: [(agent(GUEST), direct)].into(),
        ..room(RoomKind::Other)
    }
}

fn event(overrides: &Value) -> IncomingEvent {
    let mut event = json!({
        "event_id": "$event",
        "room_id": "!room:example.org",
        "sender": ANN,
        "type": "m.room.message",
        "origin_server_ts": 1,
        "content": {},
    });
    for (key, value) in overrides.as_object().unwrap() {
        event[key] = value.clone();
    }
    // By way of text: a raw value can only be read from one.
    serde_json::from_str(&event.to_string()).unwrap()
}

fn said(content: &Value) -> IncomingEvent {
    event(&json!({ "content": content }))
}

fn text(body: &str) -> Value {
    json!({ "msgtype": "m.text", "body": body })
}

/// A message with more in its content.
fn with(mut content: Value, more: &Value) -> Value {
    for (key, value) in more.as_object().unwrap() {
        content[key] = value.clone();
    }
    content
}

/// Routes, and says in a word or two what came of it.
fn brief(event: &IncomingEvent, room: &RoomRecord) -> String {
    let route = route(event, Some(room), &rules(), None);
    match &route {
        Route::Prompt {
            conversation, text, ..
        } => {
            assert_eq!(conversation.room, event.room_id);
            let thread = conversation.thread.as_deref();
            let thread = thread.map_or_else(String::new, |root| format!(" in {root}"));
            format!("prompt to {}{thread}: {text}", conversation.agent)
        }
        Route::Edit { original, text, .. } => format!("edit of {original}: {text}"),
        Route::Redaction { of } => format!("redaction of {of}"),
        Route::Ignore(why) => format!("ignore: {why:?}"),
        _ => route.kind().to_owned(),
    }
}

fn brief_text(content: &Value, room: &RoomRecord) -> String {
    brief(&said(content), room)
}
