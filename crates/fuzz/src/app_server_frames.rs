//! Frames of the App Server: what a conversation makes of anything that its server says.
//!
//! An input is a transcript as [`letta_client::app_server::transcript`] reads it; a line without a mark is a frame of the server.
//!
//! Invariants: no frame panics; a stream has at most one end, and nothing after it; its text is within the limit and without NUL; a
//! second socket that brings every frame again changes nothing.

use std::fmt::Write as _;

use letta_client::{
    TurnEvent,
    app_server::transcript::{self, Replay},
    rest::TurnLimits,
};

use crate::Target;

/// See the module.
pub const TARGET: Target = Target {
    name: "app_server_frames",
    check,
    wrap,
    words: &[
        "< ",
        "> ",
        "\n",
        r#"{"type":"stream_delta","runtime":{"agent_id":"agent-1","conversation_id":"default"},"delta":{"message_type":"assistant_message","id":"message-1","run_id":"run-1","content":"a"}}"#,
        r#"{"type":"turn_finished","runtime":{"agent_id":"agent-1","conversation_id":"default"},"turn_id":"t","stop_reason":"end_turn"}"#,
        r#"{"type":"update_loop_status","runtime":{"agent_id":"agent-1","conversation_id":"default"},"loop_status":{"status":"WAITING_ON_INPUT"}}"#,
        r#"{"type":"update_queue","runtime":{"agent_id":"agent-1","conversation_id":"default"},"queue":[]}"#,
        r#"{"type":"control_request","runtime":{"agent_id":"agent-1","conversation_id":"default"},"request_id":"perm-1","request":{"tool_name":"t","tool_call_id":"c","input":{}}}"#,
        r#""message_type":"loop_error""#,
        r#""message_type":"tool_call_message""#,
        r#""message_type":"user_message","otid":"k""#,
        r#""client_message_ids_by_run_id":{"run-1":["k"]}"#,
        r#""stop_reason":"requires_approval""#,
        r#""stop_reason":"cancelled""#,
        "\\ud83e",
        "\\udd80",
        "\\u0000",
    ],
};

/// A bridge that watches a conversation and has asked something in it.
const ASKED: &str = r#"> {"type":"runtime_start","request_id":"1","agent_id":"agent-1","conversation_id":"default"}
> {"type":"input","request_id":"2","runtime":{"agent_id":"agent-1","conversation_id":"default"},"payload":{"kind":"create_message","messages":[{"role":"user","content":"hi","client_message_id":"k"}]}}
< {"type":"input_accepted","request_id":"2","runtime":{"agent_id":"agent-1","conversation_id":"default"},"accepted":true,"disposition":"started"}
"#;

/// Panics if an invariant of the module does not hold.
pub fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut once = String::new();
    let mut twice = String::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        if line.starts_with("> ") {
            for transcript in [&mut once, &mut twice] {
                _ = writeln!(transcript, "{line}");
            }
            continue;
        }
        let frame = line.strip_prefix("< ").unwrap_or(line);
        _ = writeln!(once, "< {frame}");
        _ = writeln!(twice, "< {frame}\n<2 {frame}");
    }
    let (Ok(once), Ok(twice)) = (transcript::play(&once), transcript::play(&twice)) else {
        return;
    };
    streams(&once);
    let told = |played: &Replay| format!("{:#?}", played.turns);
    assert_eq!(
        told(&once),
        told(&twice),
        "a second socket changes something"
    );
}

fn streams(played: &Replay) {
    for turn in &played.turns {
        let mut over = false;
        let mut bytes = 0;
        for item in &turn.items {
            assert!(!over, "something after the end: {item:?}");
            over = matches!(item, Err(_) | Ok(TurnEvent::Finished(_)));
            if let Ok(TurnEvent::Text { delta, .. } | TurnEvent::Reasoning { delta, .. }) = item {
                bytes += delta.len();
                assert!(!delta.contains('\0'), "NUL in {delta:?}");
            }
        }
        assert!(bytes <= TurnLimits::default().text_bytes, "{bytes} bytes");
    }
}

fn wrap(text: &str) -> Vec<u8> {
    let runtime = serde_json::json!({ "agent_id": "agent-1", "conversation_id": "default" });
    let delta = |delta: serde_json::Value| serde_json::json!({ "type": "stream_delta", "runtime": runtime, "delta": delta });
    let frames = [
        serde_json::json!({
            "type": "update_loop_status", "runtime": runtime,
            "loop_status": { "status": text, "active_run_ids": [text], "client_message_ids_by_run_id": { text: [text] } },
        }),
        delta(
            serde_json::json!({ "message_type": "assistant_message", "id": text, "run_id": text, "content": text }),
        ),
        delta(serde_json::json!({
            "message_type": "tool_call_message", "id": "message-2",
            "tool_call": { "name": text, "arguments": text, "tool_call_id": text },
        })),
        delta(serde_json::json!({ "message_type": "loop_error", "message": text })),
        serde_json::json!({
            "type": "control_request", "runtime": runtime, "request_id": text,
            "request": { "tool_name": text, "tool_call_id": text, "input": { text: text } },
        }),
        serde_json::json!({ "type": "turn_finished", "runtime": runtime, "turn_id": text, "stop_reason": text }),
        serde_json::json!({ "type": text, "request_id": text }),
    ];
    let mut lines = ASKED.to_owned();
    for frame in frames {
        lines.extend(["< ", &frame.to_string(), "\n"]);
    }
    lines.into_bytes()
}
