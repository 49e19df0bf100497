//! A double of an App Server: speaks as much of its protocol as a bridge needs to hear agents talk.
//!
//! Every socket that has started a conversation hears all of them, as two sockets of one client do.
//! What it does not know it leaves unanswered, as the real one does.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    Json, Router,
    extract::{
        State, WebSocketUpgrade,
        ws::{Message, WebSocket},
    },
    response::Response,
    routing::get,
};
use serde_json::{Value, json};
use tokio::sync::broadcast;

use super::{
    listen::listen,
    words::{Pace, Words, agent, agent_number},
};

/// How many events a socket may be behind. More than it can be in a minute of this bench.
const BACKLOG: usize = 1 << 16;

#[derive(Clone)]
struct Server {
    words: Words,
    pace: Pace,
    agents: usize,
    conversations: Arc<AtomicUsize>,
    events: broadcast::Sender<Arc<str>>,
}

/// Listens, and answers where.
pub(crate) async fn start(words: Words, pace: Pace, agents: usize) -> anyhow::Result<String> {
    let server = Server {
        words,
        pace,
        agents,
        conversations: Arc::default(),
        events: broadcast::channel(BACKLOG).0,
    };
    let router = Router::new()
        .route("/app-server-info", get(info))
        .route("/ws", get(open))
        .with_state(server);
    listen(router).await
}

async fn info() -> Json<Value> {
    Json(json!({
        "type": "app_server_info_response", "success": true, "backend": "local",
        "letta_code_version": "0.34.12", "protocol_version": 1, "capabilities": {},
    }))
}

async fn open(State(server): State<Server>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(move |socket| server.serve(socket))
}

impl Server {
    async fn serve(self, mut socket: WebSocket) {
        let mut events = self.events.subscribe();
        let mut subscribed = false;
        loop {
            let frame = tokio::select! {
                event = events.recv() => match event {
                    Ok(event) if subscribed => event.to_string(),
                    Ok(_) => continue,
                    Err(_) => return,
                },
                asked = socket.recv() => match asked {
                    Some(Ok(Message::Text(text))) => {
                        let Ok(request) = serde_json::from_str::<Value>(&text) else { continue };
                        subscribed |= request["type"] == "runtime_start";
                        let Some(answer) = self.answer(&request) else { continue };
                        answer.to_string()
                    }
                    Some(Ok(_)) => continue,
                    Some(Err(_)) | None => return,
                },
            };
            if socket.send(Message::text(frame)).await.is_err() {
                return;
            }
        }
    }

    fn answer(&self, request: &Value) -> Option<Value> {
        let kind = request["type"].as_str()?;
        let mut answer = match kind {
            "agent_list" => json!({ "agents": (0..self.agents).map(entry).collect::<Vec<_>>() }),
            "agent_retrieve" => {
                json!({ "agent": entry(agent_number(request["agent_id"].as_str()?)?) })
            }
            "conversation_create" => {
                let number = self.conversations.fetch_add(1, Ordering::Relaxed);
                json!({ "conversation": { "id": format!("local-conv-{number}") } })
            }
            "conversation_messages_list" => json!({ "messages": [], "has_more": false }),
            "runtime_start" => json!({ "runtime": {
                "agent_id": request["agent_id"], "conversation_id": request["conversation_id"],
            }}),
            "input" => {
                tokio::spawn(self.clone().speak(request.clone()));
                json!({ "accepted": true, "disposition": "started" })
            }
            _ => return None,
        };
        answer["type"] = match kind {
            "input" => "input_accepted".into(),
            kind => format!("{kind}_response").into(),
        };
        answer["request_id"] = request["request_id"].clone();
        answer["success"] = true.into();
        Some(answer)
    }

    /// One turn, as every socket hears it.
    async fn speak(self, request: Value) {
        let runtime = &request["runtime"];
        let Some(room) = runtime["agent_id"].as_str().and_then(agent_number) else {
            return;
        };
        let run = format!("local-run-{room}");
        let tell = |mut event: Value| {
            event["runtime"] = runtime.clone();
            // It fails only when nobody listens.
            drop(self.events.send(event.to_string().into()));
        };
        let key = &request["payload"]["messages"][0]["client_message_id"];
        tell(json!({ "type": "update_loop_status", "loop_status": {
            "status": "PROCESSING_API_RESPONSE", "active_run_ids": [run],
            "client_message_ids_by_run_id": { &run: [key] },
        }}));
        let mut ticks = self.pace.ticks();
        for sequence in 1..=self.pace.count {
            ticks.tick().await;
            let text = self.words.say(room);
            tell(json!({ "type": "stream_delta", "delta": {
                "type": "message", "message_type": "assistant_message", "id": format!("ui-msg-{room}"),
                "content": [{ "type": "text", "text": text }], "run_id": run, "seq_id": sequence,
            }}));
        }
        tell(json!({ "type": "stream_delta", "delta": {
            "type": "message", "message_type": "stop_reason", "stop_reason": "end_turn", "run_id": run,
            "seq_id": self.pace.count + 1,
        }}));
        tell(
            json!({ "type": "update_loop_status", "loop_status": { "status": "WAITING_ON_INPUT" } }),
        );
        tell(
            json!({ "type": "turn_finished", "turn_id": format!("turn-{room}"), "stop_reason": "end_turn",
            "run_id": run }),
        );
    }
}

fn entry(number: usize) -> Value {
    json!({ "id": agent(number), "name": format!("Agent {number}") })
}
