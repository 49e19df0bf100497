//! Answers that say nothing of what was asked for: nothing may be concluded from them.

use std::sync::{Arc, Mutex};

use letta_client::{
    Advice, ApprovalRequest, ApprovalStatus, Backend, BackendError, Conversation, Destination,
    StopReason, ToolCall, TurnEvent,
};
use serde_json::{Value, json};

use super::Turn;

/// What stands in Letta's place, by path. What is not named is answered with `[]`.
type Answers = Arc<Mutex<Vec<(String, Vec<String>)>>>;

/// A stand-in for a server that has no stream of its run. The last answer of a path is given again and again.
async fn stand_in(answers: Answers) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = axum::Router::new().fallback(move |method: http::Method, uri: http::Uri| {
        let mut answers = answers.lock().unwrap();
        let named = answers.iter_mut().find(|(path, _)| path == uri.path());
        let body = match named {
            Some((_, bodies)) if bodies.len() > 1 => bodies.remove(0),
            Some((_, bodies)) => bodies[0].clone(),
            None => "[]".to_owned(),
        };
        let (status, body) = if method == http::Method::POST {
            (
                400,
                json!({"detail": "Run was not created in background mode"}).to_string(),
            )
        } else {
            (200, body)
        };
        let status = http::StatusCode::from_u16(status).unwrap();
        async move { (status, [("content-type", "application/json")], body) }
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

async fn backend(path: &str, bodies: &[&str]) -> super::RestBackend {
    let bodies = bodies.iter().map(ToString::to_string).collect();
    let answers = Arc::new(Mutex::new(vec![(path.to_owned(), bodies)]));
    super::backend(&stand_in(answers).await, |_| {})
}

fn to(conversation: &str) -> Destination {
    Destination {
        agent: "agent-1".parse().unwrap(),
        conversation: match conversation {
            "" => Conversation::Default,
            id => Conversation::Own(id.parse().unwrap()),
        },
    }
}

fn request() -> ApprovalRequest {
    ApprovalRequest {
        id: "message-1".parse().unwrap(),
        calls: vec![ToolCall {
            id: "call-1".parse().unwrap(),
            name: "launch".to_owned(),
            arguments: "{}".to_owned(),
        }],
    }
}

/// What is no answer to any read, of one thing or of several.
const NOTHING: [&str; 7] = [
    "{}",
    "null",
    "\"ok\"",
    "{\"status\":\"ok\"}",
    "{\"id\":7,\"status\":[]}",
    "[{}]",
    "[[]]",
];

/// The same for reads of one thing.
const NOT_ONE: [&str; 2] = ["[]", "{\"id\":\"other-1\",\"status\":\"completed\"}"];

fn assert_unclear<T: std::fmt::Debug>(call: &str, body: &str, answer: Result<T, BackendError>) {
    match answer {
        Err(error) => assert_eq!(error.advice(), Advice::Retry, "{call}, {body}: {error:?}"),
        Ok(answer) => panic!("{call}, {body}: taken for {answer:?}"),
    }
}

#[tokio::test]
async fn reads_that_are_answered_with_something_else_are_not_known() {
    let run = "run-1".parse().unwrap();
    for body in NOTHING.into_iter().chain(NOT_ONE) {
        let letta = backend("/v1/runs/run-1", &[body]).await;
        let resumed = match letta.resume(&to("conv-1"), &run).await {
            Ok(stream) => {
                let turn = Turn::read(stream).await;
                turn.error.map_or(Ok(turn.events), Err)
            }
            Err(error) => Err(error),
        };
        assert_unclear("resume", body, resumed);
        let letta = backend("/v1/agents/agent-1", &[body]).await;
        assert_unclear("agent", body, letta.agent(&to("").agent).await);
        assert_unclear("pending", body, letta.pending_approval(&to("")).await);
    }
    for body in NOTHING {
        let letta = backend("/v1/conversations/conv-1/messages", &[body]).await;
        let own = to("conv-1");
        assert_unclear("history", body, letta.history(&own, 5).await);
        assert_unclear(
            "pending in a thread",
            body,
            letta.pending_approval(&own).await,
        );
        assert_unclear(
            "standing",
            body,
            letta.approval_status(&own, &request()).await,
        );
        let letta = backend("/v1/runs/", &[body]).await;
        assert_unclear("runs", body, letta.approval_status(&own, &request()).await);
    }
}

#[tokio::test]
async fn what_is_asked_and_decided_unreadably_is_not_known() {
    let odd = [
        json!({"message_type": "approval_request_message", "id": "message-1"}),
        json!({"message_type": "approval_request_message", "id": "message-1", "tool_call": {"name": "launch"}}),
        json!("waits"),
    ];
    for request in odd {
        let entry = json!({"id": "agent-1", "pending_approval": request}).to_string();
        let letta = backend("/v1/agents/agent-1", &[&entry]).await;
        assert_unclear("pending", &entry, letta.pending_approval(&to("")).await);
        if request.is_object() {
            let page = json!([request]).to_string();
            let letta = backend("/v1/conversations/conv-1/messages", &[&page]).await;
            assert_unclear(
                "pending in a thread",
                &page,
                letta.pending_approval(&to("conv-1")).await,
            );
        }
    }
    let decided = |approve: Value| {
        json!([{
            "id": "message-2", "message_type": "approval_response_message",
            "approvals": [{"tool_call_id": "call-1", "approve": approve}],
        }])
        .to_string()
    };
    for odd in [Value::Null, json!("yes")] {
        let page = decided(odd);
        let letta = backend("/v1/conversations/conv-1/messages", &[&page]).await;
        assert_unclear(
            "standing",
            &page,
            letta.approval_status(&to("conv-1"), &request()).await,
        );
    }
    let page = decided(json!(false));
    let letta = backend("/v1/conversations/conv-1/messages", &[&page]).await;
    let standing = letta
        .approval_status(&to("conv-1"), &request())
        .await
        .unwrap();
    let denied = ApprovalStatus::Decided {
        approve: false,
        run: None,
    };
    assert_eq!(standing, denied);
}

#[tokio::test]
async fn run_goes_on_until_its_own_record_says_that_it_has_ended() {
    let record = |status: &str| json!({"id": "run-1", "status": status}).to_string();
    let (running, completed) = (record("running"), record("completed"));
    let mut bodies = vec![running.as_str()];
    bodies.extend(NOTHING);
    bodies.extend(["[]", running.as_str(), completed.as_str()]);
    let letta = backend("/v1/runs/run-1", &bodies).await;
    let run = "run-1".parse().unwrap();
    let turn = Turn::read(letta.resume(&to("conv-1"), &run).await.unwrap()).await;
    assert_eq!(turn.stop(), &StopReason::EndTurn);
    let interrupted = turn.events.contains(&TurnEvent::Interrupted);
    assert!(interrupted, "{:?}", turn.events);
}
