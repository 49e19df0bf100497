//! Members who write: events with dear push rules, rooms with much state, messages, joins, rooms.

use std::sync::Arc;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::proof::account::part;
use crate::proof::neighbors::flood::{Round, round};
use crate::proof::neighbors::stage::{Stage, body};
use crate::proof::room_of;

/// Lengths of a pattern and numbers of conditions to try, the largest first.
const PATTERN_SIZES: [usize; 2] = [200_000, 512];
const CONDITIONS: [usize; 2] = [20_000, 32];
/// What each condition but the last takes long to find.
const CONDITION_PATTERN: &str = "*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*";
/// Numbers of initial events to try.
const INITIAL_EVENTS: [usize; 2] = [8_000, 200];

/// Messages to a room of members whose push rules are as large as they may be.
pub async fn push_rules(stage: Arc<Stage>) -> Round {
    let room = stage.room_of_attackers().await;
    for member in &stage.attackers[..stage.size(1, 3)] {
        let rule =
            |kind: &str, id: &str| format!("/_matrix/client/v3/pushrules/global/{kind}/{id}");
        for length in PATTERN_SIZES {
            let content = json!({ "actions": ["notify"], "pattern": "?".repeat(length) });
            let path = rule("content", "strange");
            if accepted(member.ask(Method::PUT, &path, Some(&content)).await) {
                break;
            }
        }
        for count in CONDITIONS {
            let found = json!({ "kind": "event_match", "key": "content.body", "pattern": CONDITION_PATTERN });
            let mut conditions = vec![found; count - 1];
            conditions.push(
                json!({ "kind": "event_match", "key": "content.msgtype", "pattern": "nothing" }),
            );
            let content = json!({ "actions": ["notify"], "conditions": conditions });
            let rules = if count == CONDITIONS[0] {
                1
            } else {
                stage.size(4, 40)
            };
            let mut taken = false;
            for number in 0..rules {
                let path = rule("override", &format!("many-{number}"));
                taken = accepted(member.ask(Method::PUT, &path, Some(&content)).await);
                if !taken {
                    break;
                }
            }
            if taken {
                break;
            }
        }
    }
    let text = "a".repeat(stage.size(1_000, 30_000));
    let content = body(&json!({ "msgtype": "m.text", "body": text }));
    round(move |task, number| {
        let (stage, content) = (stage.clone(), content.clone());
        let path = send_path(&room, &format!("rules-{task}-{number}"));
        async move { stage.fire(task, Method::PUT, &path, content).await }
    })
}

fn accepted(answer: reqwest::Result<(StatusCode, Value)>) -> bool {
    answer.is_ok_and(|(status, _)| status.is_success())
}

fn send_path(room: &str, id: &str) -> String {
    let room = part(room);
    format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/{id}")
}

/// Rooms with as much initial state as is accepted.
pub async fn initial_state(stage: Arc<Stage>) -> Round {
    let sizes = if stage.full {
        &INITIAL_EVENTS[..]
    } else {
        &[50]
    };
    let room_with = |events: usize| {
        let events = (0..events)
            .map(|number| json!({ "type": "t", "state_key": number.to_string(), "content": {} }));
        json!({ "initial_state": events.collect::<Vec<_>>() })
    };
    let mut content = room_with(sizes[sizes.len() - 1]);
    for &size in &sizes[..sizes.len() - 1] {
        let larger = room_with(size);
        let path = "/_matrix/client/v3/createRoom";
        let asked = stage.attackers[0].ask(Method::POST, path, Some(&larger));
        if accepted(asked.await) {
            content = larger;
            break;
        }
    }
    posts(stage, "/_matrix/client/v3/createRoom", &content)
}

/// The same request again and again.
pub fn posts(stage: Arc<Stage>, path: &'static str, content: &Value) -> Round {
    let content = body(content);
    round(move |task, _| {
        let (stage, content) = (stage.clone(), content.clone());
        async move { stage.fire(task, Method::POST, path, content).await }
    })
}

/// Messages as fast as they are answered.
pub async fn messages(stage: Arc<Stage>) -> Round {
    let room = stage.room_of_attackers().await;
    let content = body(&json!({ "msgtype": "m.text", "body": "hello ".repeat(100) }));
    round(move |task, number| {
        let (stage, content) = (stage.clone(), content.clone());
        let path = send_path(&room, &format!("fast-{task}-{number}"));
        async move { stage.fire(task, Method::PUT, &path, content).await }
    })
}

/// Joining rooms and leaving them.
pub async fn joins(stage: Arc<Stage>) -> Round {
    let mut rooms = Vec::new();
    for _ in 0..stage.size(2, 10) {
        rooms.push(room_of(&[&stage.attackers[0]]).await);
    }
    round(move |task, number| {
        let stage = stage.clone();
        let room = part(&rooms[(task + number / 2) % rooms.len()]);
        let what = ["join", "leave"][number % 2];
        let path = format!("/_matrix/client/v3/rooms/{room}/{what}");
        // The first one stays where they are.
        let task = task % 3 + 1;
        async move { stage.fire(task, Method::POST, &path, "{}".into()).await }
    })
}

/// Making rooms.
pub async fn creations(stage: Arc<Stage>) -> Round {
    let content = json!({ "preset": "public_chat", "name": "one more" });
    posts(stage, "/_matrix/client/v3/createRoom", &content)
}
