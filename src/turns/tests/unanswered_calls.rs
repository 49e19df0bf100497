//! A Letta that never answers one kind of call: whatever a turn waits for, that it shall stop and that the process ends is heard.

use std::time::Duration;

use super::{
    lab::{ANN, Lab, ann},
    letta::Fate,
};
use crate::{journal::ConversationKey, turns::decide::DecisionOutcome};

/// Longer than any limit of the bridge. The clock is the test's own.
const LONG: Duration = Duration::from_hours(400);

/// Each kind of call of a turn, and how many of its kind are answered before it.
const CALLS: [(&str, usize); 11] = [
    ("send", 0),
    ("history", 0),
    ("agent", 0),
    ("resume", 0),
    ("pending", 0),
    // Before a decision is told.
    ("standing", 0),
    // After Letta has refused it.
    ("standing", 1),
    ("decide", 0),
    // After a stop.
    ("cancel", 0),
    // Before the first message of a thread is sent.
    ("create_conversation", 0),
    ("watch", 0),
];

/// Where somebody speaks for this call to be needed: an agent's own room has its conversation already.
fn place_of(lab: &Lab, call: &str) -> ConversationKey {
    match call {
        "create_conversation" | "watch" => lab.thread("$root"),
        _ => lab.home.clone(),
    }
}

/// A turn that waits for an answer to this call.
async fn waiting_for(call: &'static str, after: usize) -> Lab {
    eprintln!("a Letta that does not answer: {call}, {after} before");
    let mut lab = Lab::new();
    match call {
        "agent" | "resume" => lab.letta.next([Fate::Close]),
        "pending" => lab.letta.next([Fate::Waits]),
        "standing" | "decide" => lab.letta.next([Fate::Asks]),
        "cancel" => lab.letta.next([Fate::Endless]),
        "history" => lab.letta.next([Fate::Hang]),
        _ => {}
    }
    if !matches!(call, "history") {
        lab.letta.hang(call, after);
    }
    lab.say_in(&place_of(&lab, call), ANN, "asked");
    match call {
        "history" => {
            lab.soon(|lab| lab.letta.asked("send") == 1).await;
            lab.letta.hang(call, after);
            lab.restart().await;
        }
        "standing" | "decide" => {
            lab.soon(|lab| {
                let turns = lab.journal.turns_in(lab.room()).unwrap();
                turns.iter().any(|turn| turn.waits_for().is_some())
            })
            .await;
            assert_eq!(lab.decide(ann(), true), DecisionOutcome::Taken);
        }
        "cancel" => {
            lab.until_seen("answer to asked.").await;
            return lab;
        }
        _ => {}
    }
    lab.soon(|lab| lab.letta.asked(call) > after).await;
    lab
}

#[tokio::test(start_paused = true)]
async fn stop_is_heard_whatever_letta_does_not_answer() {
    for (call, after) in CALLS {
        let lab = waiting_for(call, after).await;
        // Nothing but the stop can end a call that is never answered.
        let place = place_of(&lab, call);
        let stopped = tokio::time::timeout(LONG, lab.stop_in(&place)).await;
        assert!(stopped.is_ok(), "{call}: who stops is kept waiting");
        lab.until(&format!("{call}, {after} before, ends"), |lab| {
            lab.journal.turns_in(lab.room()).unwrap().is_empty()
        })
        .await;
        lab.letta.heal();
        lab.say_in(&place, ANN, "next");
        lab.until_seen("answer to next.").await;
    }
}

#[tokio::test(start_paused = true)]
async fn shutdown_is_heard_whatever_letta_does_not_answer() {
    for (call, after) in CALLS {
        let mut lab = waiting_for(call, after).await;
        let ended = tokio::time::timeout(LONG, lab.end()).await;
        assert!(ended.is_ok(), "{call}, {after} before: it goes on");
        assert_eq!(
            lab.journal.turns_in(lab.room()).unwrap().len(),
            1,
            "{call}, {after} before: the turn is lost"
        );
        lab.letta.heal();
        lab.letta.take_decisions();
        lab.restart().await;
        lab.until_quiet().await;
        let seen = lab.homeserver.timeline().join("\n");
        let is_answered = seen.contains("answer to asked.") || seen.contains("it was decided.");
        assert!(is_answered, "{call}, {after} before: {seen}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_stops_before_letta_has_heard_an_approval_does_not_let_the_tool_run() {
    let lab = waiting_for("standing", 0).await;
    lab.letta.take_decisions();
    lab.stop().await;
    lab.until_quiet().await;
    let seen = lab.homeserver.timeline().join("\n");
    assert!(
        seen.contains("because @ann:house.test stopped the turn"),
        "{seen}"
    );
    assert!(
        !seen.contains("**Approved**") && !seen.contains("Approved by"),
        "{seen}"
    );
    assert_eq!(lab.letta.approved(), [false]);
}
