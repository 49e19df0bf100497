//! Tools that wait for a person.

use letta_client::{
    ApprovalRequest, Backend, BackendError, Decision, Destination, StopReason, ToolPolicy,
    TurnEvent,
};

use super::{Lab, Turn, prompt};

fn request(turn: &Turn) -> ApprovalRequest {
    let asked: Vec<_> = turn
        .events
        .iter()
        .filter_map(|event| match event {
            TurnEvent::Approval(request) => Some(request.clone()),
            _ => None,
        })
        .collect();
    let [request] = &asked[..] else {
        panic!("{turn:?}")
    };
    request.clone()
}

fn decide(request: &ApprovalRequest, approve: bool) -> Vec<Decision> {
    let reason = (!approve).then(|| "not today".to_owned());
    let decision = |call: &letta_client::ToolCall| Decision {
        call: call.id.clone(),
        approve,
        reason: reason.clone(),
    };
    request.calls.iter().map(decision).collect()
}

#[tokio::test]
async fn a_tool_that_waits_is_asked_about_and_runs_once_approved() {
    let lab = Lab::new().await;
    let turn = lab
        .turn("$1", r#"approve: launch {"what":"rocket"} ;; wave {}"#)
        .await;
    assert_eq!(turn.stop(), &StopReason::NeedsApproval);
    let request = request(&turn);
    let calls: Vec<_> = request
        .calls
        .iter()
        .map(|c| (c.name.as_str(), c.arguments.as_str()))
        .collect();
    assert_eq!(calls, [("launch", r#"{"what":"rocket"}"#), ("wave", "{}")]);

    let decided = lab
        .backend
        .decide(&lab.to, &request, &decide(&request, true))
        .await
        .unwrap();
    let turn = Turn::read(decided).await;
    assert_eq!(turn.stop(), &StopReason::EndTurn);
    assert!(
        turn.text().starts_with("tool launch returned: demo result"),
        "{turn:?}"
    );
    assert_eq!(lab.turn("$2", "say: done").await.text(), "done");
}

#[tokio::test]
async fn a_tool_that_is_denied_does_not_run_and_the_agent_learns_why() {
    let lab = Lab::new().await;
    let request = request(&lab.turn("$1", "approve: launch {}").await);
    let decided = lab
        .backend
        .decide(&lab.to, &request, &decide(&request, false))
        .await
        .unwrap();
    let turn = Turn::read(decided).await;
    let returned = turn.events.iter().find_map(|event| match event {
        TurnEvent::ToolReturn { ok, text, .. } => Some((*ok, text.as_str())),
        _ => None,
    });
    let expected = "Error: request to call tool denied. User reason: not today";
    assert_eq!(returned, Some((false, expected)));
}

#[tokio::test]
async fn a_message_before_the_decision_is_told_to_wait() {
    let lab = Lab::new().await;
    let request = request(&lab.turn("$1", "approve: launch {}").await);
    let turn = lab.turn("$2", "say: barging in").await;
    assert!(
        matches!(turn.error, Some(BackendError::ApprovalPending)),
        "{turn:?}"
    );
    // A conversation cannot be freed by cancelling, only by deciding.
    assert!(!lab.backend.cancel(&lab.to).await.unwrap());
    let decided = lab
        .backend
        .decide(&lab.to, &request, &decide(&request, false))
        .await
        .unwrap();
    Turn::read(decided).await;
    assert_eq!(lab.turn("$3", "say: free").await.text(), "free");
}

#[tokio::test]
async fn the_agents_own_route_tells_to_wait_in_another_shape() {
    let lab = Lab::new().await;
    lab.demo()
        .set_faults(|faults| faults.no_conversations = true);
    lab.turn("$1", "approve: launch {}").await;
    let error = lab.send("$2", "say: barging in").await.err().unwrap();
    assert!(matches!(error, BackendError::ApprovalPending), "{error:?}");
}

#[tokio::test]
async fn a_decision_on_half_of_the_calls_is_refused_and_the_request_stands() {
    let lab = Lab::new().await;
    let request = request(&lab.turn("$1", "approve: launch {} ;; wave {}").await);
    let half = &decide(&request, true)[..1];
    let turn = Turn::read(lab.backend.decide(&lab.to, &request, half).await.unwrap()).await;
    assert!(
        matches!(turn.error, Some(BackendError::NotPending)),
        "{turn:?}"
    );
    let all = decide(&request, true);
    let turn = Turn::read(lab.backend.decide(&lab.to, &request, &all).await.unwrap()).await;
    assert_eq!(turn.stop(), &StopReason::EndTurn);
    let none = decide(&request, false);
    let error = lab.backend.decide(&lab.to, &request, &none).await.err();
    assert!(matches!(error, Some(BackendError::NotPending)), "{error:?}");
}

#[tokio::test]
async fn a_decision_that_arrived_unheard_goes_on_as_the_first_time() {
    let lab = Lab::new().await;
    let request = request(&lab.turn("$1", "approve: launch {} ;; wave {}").await);
    let all = decide(&request, true);
    let first = lab.backend.decide(&lab.to, &request, &all).await.unwrap();
    let first = Turn::read(first).await;
    let again = lab.backend.decide(&lab.to, &request, &all).await.unwrap();
    let again = Turn::read(again).await;
    assert_eq!((again.run(), again.text()), (first.run(), first.text()));
}

#[tokio::test]
async fn what_waits_is_found_again_in_every_conversation() {
    let lab = Lab::new().await;
    let conversation = lab
        .backend
        .create_conversation(&lab.to.agent, "other")
        .await
        .unwrap();
    let other = Destination {
        conversation,
        ..lab.to.clone()
    };
    for to in [lab.to.clone(), other] {
        let pending = || lab.backend.pending_approval(&to);
        assert_eq!(pending().await.unwrap(), None);
        let asked = prompt("$1", r#"approve: launch {"what":"rocket"} ;; wave {}"#);
        let stream = lab.backend.send(&to, &[asked], ToolPolicy::default()).await;
        let request = request(&Turn::read(stream.unwrap()).await);
        assert_eq!(pending().await.unwrap(), Some(request.clone()));
        let denied = decide(&request, false);
        let stream = lab.backend.decide(&to, &request, &denied).await.unwrap();
        Turn::read(stream).await;
        assert_eq!(pending().await.unwrap(), None);
    }
}

#[tokio::test]
async fn a_request_in_one_conversation_blocks_no_other() {
    let lab = Lab::new().await;
    lab.turn("$1", "approve: launch {}").await;
    let conversation = lab
        .backend
        .create_conversation(&lab.to.agent, "other")
        .await
        .unwrap();
    let other = Destination {
        conversation,
        ..lab.to.clone()
    };
    let stream = lab
        .backend
        .send(&other, &[prompt("$2", "say: hi")], ToolPolicy::default())
        .await
        .unwrap();
    assert_eq!(Turn::read(stream).await.text(), "hi");
}
