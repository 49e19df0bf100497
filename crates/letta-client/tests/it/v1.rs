//! What a V1 server does that its documentation does not say, as it was measured on 0.16.8; the demo does the same here.
//! `tests/v1` has the same against a real one.

use std::time::Duration;

use letta_client::{
    ApprovalRequest, ApprovalStatus, Backend, BackendError, Decision, StopReason, TurnEvent,
    demo::{Demo, DemoServer},
};

use super::{Lab, Turn, backend, is_text, until, words};

fn request(turn: &Turn) -> ApprovalRequest {
    let asked = turn.events.iter().find_map(|event| match event {
        TurnEvent::Approval(request) => Some(request.clone()),
        _ => None,
    });
    asked.unwrap_or_else(|| panic!("{turn:?}"))
}

fn decisions(request: &ApprovalRequest, approve: bool) -> Vec<Decision> {
    let decision = |call: &letta_client::ToolCall| Decision {
        call: call.id.clone(),
        approve,
        reason: None,
    };
    request.calls.iter().map(decision).collect()
}

impl Lab {
    async fn decide(&self, request: &ApprovalRequest, approve: bool) -> Result<Turn, BackendError> {
        let decided = decisions(request, approve);
        let stream = self.backend.decide(&self.to, request, &decided).await?;
        Ok(Turn::read(stream).await)
    }
}

#[tokio::test]
async fn a_decision_that_comes_twice_does_not_run_the_model_again() {
    let lab = Lab::new().await;
    let request = request(&lab.turn("$1", "approve: launch {}").await);
    let first = lab.decide(&request, true).await.unwrap();
    let second = lab.decide(&request, true).await.unwrap();
    assert_eq!(second.text(), first.text());
    assert_eq!(second.run(), first.run());
    let history = lab.backend.history(&lab.to, 20).await.unwrap();
    assert!(
        !history.iter().any(|item| item.text.contains("keep-alive")),
        "{history:?}"
    );
}

#[tokio::test]
async fn the_other_decision_after_one_that_was_taken_is_not_told() {
    let lab = Lab::new().await;
    let request = request(&lab.turn("$1", "approve: launch {}").await);
    assert_eq!(
        lab.backend
            .approval_status(&lab.to, &request)
            .await
            .unwrap(),
        ApprovalStatus::Waits
    );
    let taken = lab.decide(&request, true).await.unwrap();
    let sends = lab
        .demo()
        .request_count("POST /v1/conversations/{conversation}/messages");
    let error = lab.decide(&request, false).await.unwrap_err();
    assert!(matches!(error, BackendError::NotPending), "{error:?}");
    let after = lab
        .demo()
        .request_count("POST /v1/conversations/{conversation}/messages");
    assert_eq!(after, sends, "Letta was told");
    let standing = lab
        .backend
        .approval_status(&lab.to, &request)
        .await
        .unwrap();
    let run = Some(taken.run());
    assert_eq!(standing, ApprovalStatus::Decided { approve: true, run });
}

#[tokio::test]
async fn a_decision_that_is_being_carried_out_is_followed_and_not_told_again() {
    let lab = Lab::new().await;
    let request = request(&lab.turn("$1", "approve: slowly {}").await);
    let decided = decisions(&request, true);
    let mut stream = lab
        .backend
        .decide(&lab.to, &request, &decided)
        .await
        .unwrap();
    until(&mut stream, is_text).await;
    drop(stream);
    let again = lab.decide(&request, true).await.unwrap();
    assert_eq!(again.stop(), &StopReason::EndTurn);
    assert_eq!(again.text(), "tool slowly returned: demo result for {}");
}

/// V1 with `parallel_tool_calls: false`, its default, streams every call of an answer and keeps one.
#[tokio::test]
async fn the_request_is_what_letta_has_stored_and_not_what_it_has_streamed() {
    let lab = Lab::new().await;
    lab.demo()
        .set_faults(|faults| faults.keeps_first_call = true);
    let asked = lab
        .turn("$1", r#"approve: launch {"n":1} ;; launch {"n":2}"#)
        .await;
    let request = request(&asked);
    let dropped = asked.events.iter().filter_map(|event| match event {
        TurnEvent::CallDropped(call) => Some(call.arguments.as_str()),
        _ => None,
    });
    assert_eq!(dropped.collect::<Vec<_>>(), [r#"{"n":2}"#]);
    let arguments: Vec<_> = request
        .calls
        .iter()
        .map(|call| call.arguments.as_str())
        .collect();
    assert_eq!(arguments, [r#"{"n":1}"#]);
    let turn = lab.decide(&request, true).await.unwrap();
    assert_eq!(turn.stop(), &StopReason::EndTurn, "{turn:?}");
    assert_eq!(lab.turn("$2", "say: free").await.text(), "free");
}

/// A decision on what does not wait is refused inside a stream that begins with 200.
#[tokio::test]
async fn a_refused_decision_is_a_refusal_also_inside_a_stream() {
    let lab = Lab::new().await;
    let mut request = request(&lab.turn("$1", "approve: launch {}").await);
    request.calls[0].id = "call_of-somebody-else".parse().unwrap();
    let turn = lab.decide(&request, true).await.unwrap();
    assert!(
        matches!(turn.error, Some(BackendError::NotPending)),
        "{turn:?}"
    );
}

/// A lab whose server is killed while it answers, and comes back at the same address.
async fn killed_while_it_answers(text: &str, wanted: fn(&TurnEvent) -> bool) -> (Lab, Turn) {
    let demo = Demo::builder()
        .ping_every(Duration::from_millis(20))
        .build();
    let mut lab = Lab::of(demo, |_| {}).await;
    let mut stream = lab.send("$1", text).await.unwrap();
    let heard = until(&mut stream, wanted).await;
    lab.demo().kill_runs();
    let (demo, address) = (lab.demo().clone(), lab.server.address());
    let port = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let other = DemoServer::start(Demo::new(), port).await.unwrap();
    std::mem::replace(&mut lab.server, other).shutdown().await;
    // It is seen to be away before it is back.
    let gone = backend(&format!("http://{address}"), |_| {}).info().await;
    assert!(gone.is_err());
    let rest = tokio::spawn(Turn::read(stream));
    while lab.backend.info().await.is_ok() {}
    lab.server = DemoServer::start(demo, address).await.unwrap();
    let mut turn = rest.await.unwrap();
    turn.events.splice(0..0, heard);
    (lab, turn)
}

#[tokio::test]
async fn a_run_that_letta_has_lost_is_cancelled_and_can_be_asked_for_anew() {
    let (lab, turn) = killed_while_it_answers("slow: 20", is_text).await;
    assert!(
        matches!(turn.error, Some(BackendError::RunDied { .. })),
        "{turn:?}"
    );
    // Its conversation is free, and another key leads to another run.
    let again = lab.turn("$1.1", "slow: 2").await;
    assert_eq!(again.text(), words(2));
    assert_ne!(again.run(), turn.run());
}

#[tokio::test]
async fn a_run_that_letta_has_lost_after_a_tool_call_has_broken_off() {
    let called = |event: &TurnEvent| matches!(event, TurnEvent::Text { .. });
    let (lab, turn) = killed_while_it_answers("tool: slowly {}", called).await;
    assert_eq!(turn.code(), "RUN_DIED", "{turn:?}");
    assert_eq!(lab.turn("$2", "say: free").await.text(), "free");
}

#[tokio::test]
async fn a_run_that_is_only_slow_is_left_alone() {
    let demo = Demo::builder()
        .ping_every(Duration::from_millis(20))
        .build();
    let lab = Lab::of(demo, |_| {}).await;
    lab.demo().drop_connection_after(2);
    let turn = lab.turn("$1", "wait: 1").await;
    assert_eq!(turn.text(), "waited 1s");
}

/// V1's own route for stopping the default conversation stops every run of the agent.
#[tokio::test]
async fn a_stop_in_one_conversation_leaves_the_others_alone() {
    let lab = Lab::new().await;
    let conversation = lab
        .backend
        .create_conversation(&lab.to.agent, "other")
        .await
        .unwrap();
    let other = letta_client::Destination {
        conversation,
        ..lab.to.clone()
    };
    let mut here = lab.send("$1", "slow: 40").await.unwrap();
    let prompts = [super::prompt("$2", "slow: 8")];
    let policy = letta_client::ToolPolicy::default();
    let mut there = lab.backend.send(&other, &prompts, policy).await.unwrap();
    until(&mut here, is_text).await;
    let heard = until(&mut there, is_text).await;
    assert!(lab.backend.cancel(&lab.to).await.unwrap());
    assert_eq!(Turn::read(here).await.stop(), &StopReason::Cancelled);
    let mut rest = Turn::read(there).await;
    rest.events.splice(0..0, heard);
    assert_eq!(rest.text(), words(8));
    assert!(!lab.backend.cancel(&lab.to).await.unwrap());
}
