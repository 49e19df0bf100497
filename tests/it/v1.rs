//! What only a real V1 server shows: decisions that come twice, decisions that are taken elsewhere, calls that are streamed and not
//! kept. `make compatibility` and `make proof` run these, with `LETTA_TEST_BACKEND=v1`; `make test` leaves them out by name, because
//! the server takes minutes to install and to start.

use std::time::Duration;

use crate::approvals::heard;
use crate::odd_values::odd_values_cost_at_most_their_answer;
use crate::provider::refusals_are_told_and_pause_the_agent;
use crate::support::deployment::{Deployment, PATIENCE, Victim};
use crate::support::letta::Agent;
use crate::support::peer::{Kind, Tool};
use crate::support::room::Entry;

/// How long after a decision the bridge is killed.
const KILLS_AFTER: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_millis(150),
    Duration::from_millis(600),
    Duration::from_secs(2),
];

/// A house around a V1 server, and a room of an agent in it.
async fn deployment() -> (Deployment, Agent, String) {
    assert!(
        Kind::chosen() == Kind::V1,
        "this needs a real V1 server: set LETTA_TEST_BACKEND=v1, or leave it out with --skip v1::"
    );
    let deployment = Deployment::start(Kind::V1, &[]).await;
    let agent = deployment.agents().await.remove(0);
    let room = deployment.enter(&agent).await;
    (deployment, agent, room)
}

/// Asks for a tool and waits for the approval message.
async fn asked(deployment: &Deployment, room: &str, prompt: &str) -> (String, Entry) {
    let question = deployment.alice.say(room, prompt).await;
    let approval_message =
        deployment
            .alice
            .wait_for("for an approval message", room, PATIENCE, |room| {
                let mut answers = room.answers_to(&question);
                answers
                    .find(|entry| entry.text().contains("May I use"))
                    .cloned()
            });
    let approval_message = approval_message.await;
    (question, approval_message)
}

async fn is_free(deployment: &Deployment, room: &str, words: &str) {
    let next = deployment
        .alice
        .say(room, &deployment.peer.say(words))
        .await;
    deployment
        .alice
        .wait_for_answer(room, &next, PATIENCE, |text| text == words)
        .await;
}

/// Waits for the agent's words after a tool, and counts them once everything is quiet.
async fn answered_once(
    deployment: &Deployment,
    room: &str,
    question: &str,
    tool: &Tool,
    free: &str,
) {
    let returned = |text: &str| text.contains(&tool.returned);
    deployment
        .alice
        .wait_for_answer(room, question, PATIENCE, returned)
        .await;
    is_free(deployment, room, free).await;
    let seen = deployment.alice.room(room);
    let answers = seen
        .answers_to(question)
        .filter(|entry| returned(entry.text()))
        .count();
    assert_eq!(answers, 1, "{seen}");
    assert_eq!(tool.times_run(), 1, "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bridge_killed_after_a_decision_runs_the_tool_and_the_model_once() {
    let (mut deployment, _, room) = deployment().await;
    for (round, after) in KILLS_AFTER.into_iter().enumerate() {
        let tool = deployment.peer.tool(&format!("kill-{round}"));
        let (question, approval_message) = asked(&deployment, &room, &tool.prompt).await;
        deployment
            .alice
            .react(&room, &approval_message.event_id, "✅")
            .await;
        tokio::time::sleep(after).await;
        deployment.kill(Victim::Bridge).await;
        answered_once(
            &deployment,
            &room,
            &question,
            &tool,
            &format!("free {round}"),
        )
        .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn decision_in_lettas_own_app_closes_the_approval_message() {
    let (deployment, agent, room) = deployment().await;
    for (round, approve) in [true, false].into_iter().enumerate() {
        let tool = deployment.peer.tool(&format!("elsewhere-{round}"));
        let (question, approval_message) = asked(&deployment, &room, &tool.prompt).await;
        deployment.peer.decide_elsewhere(&agent, approve).await;
        let said = if approve {
            "Approved outside"
        } else {
            "Denied outside"
        };
        deployment
            .alice
            .wait_for(
                "for the approval message to say so",
                &room,
                PATIENCE,
                |room| {
                    room.entry(&approval_message.event_id)
                        .filter(|entry| entry.text().contains(said))
                        .map(|_| ())
                },
            )
            .await;
        let returned = |text: &str| text.contains("it returned");
        deployment
            .alice
            .wait_for_answer(&room, &question, PATIENCE, returned)
            .await;
        assert_eq!(tool.times_run(), usize::from(approve));
        is_free(&deployment, &room, &format!("free {round}")).await;
    }
}

/// Somebody has decided in Letta's own app a moment before, so the approval message does not say so yet.
#[tokio::test(flavor = "multi_thread")]
async fn decision_after_one_elsewhere_tells_what_was_decided_there() {
    let (deployment, agent, room) = deployment().await;
    let tool = deployment.peer.tool("late");
    let (question, approval_message) = asked(&deployment, &room, &tool.prompt).await;
    deployment.peer.decide_elsewhere(&agent, true).await;
    deployment
        .alice
        .react(&room, &approval_message.event_id, "❌")
        .await;
    deployment
        .alice
        .wait_for("for what is true", &room, PATIENCE, |room| {
            room.entry(&approval_message.event_id)
                .filter(|entry| entry.text().contains("Approved outside"))
                .map(|_| ())
        })
        .await;
    answered_once(&deployment, &room, &question, &tool, "free").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn provider_that_refuses_pauses_the_agent_until_it_is_resumed() {
    let deployment = Deployment::start(Kind::V1, &[]).await;
    refusals_are_told_and_pause_the_agent(&deployment).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_calls_of_which_letta_keeps_one_can_be_approved() {
    let (deployment, _, room) = deployment().await;
    let (one, two) = (deployment.peer.tool("one"), deployment.peer.tool("two"));
    let commands = [&one, &two].map(|tool| tool.prompt.trim_start_matches("run ").to_owned());
    let prompt = format!("both {} ;; {}", commands[0], commands[1]);
    let (question, approval_message) = asked(&deployment, &room, &prompt).await;
    assert!(
        !approval_message.text().contains(&commands[1]),
        "{}",
        approval_message.text()
    );
    deployment.hears(&room, "Not run: Bash.").await;
    deployment
        .alice
        .react(&room, &approval_message.event_id, "✅")
        .await;
    answered_once(&deployment, &room, &question, &one, "free").await;
    assert!(!two.has_run());
    let seen = deployment.alice.room(&room);
    assert_eq!(heard(&seen, "CALLS_DROPPED"), 1, "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn value_that_rust_cannot_hold_costs_at_most_its_answer() {
    let deployment = Deployment::start(Kind::V1, &[]).await;
    odd_values_cost_at_most_their_answer(&deployment).await;
}
