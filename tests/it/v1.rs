//! What only a real V1 server shows: decisions that come twice, decisions that are taken elsewhere, calls that are streamed and not
//! kept. `make compatibility` and `make proof` run these, with `LETTA_TEST_BACKEND=v1`; `make test` leaves them out by name, because
//! the server takes minutes to install and to start.

use std::time::Duration;

use crate::approvals::heard;
use crate::odd_values::odd_values_cost_at_most_their_answer;
use crate::provider::refusals_are_told_and_pause_the_agent;
use crate::support::house::{House, PATIENCE, Victim};
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
async fn house() -> (House, Agent, String) {
    assert!(
        Kind::chosen() == Kind::V1,
        "this needs a real V1 server: set LETTA_TEST_BACKEND=v1, or leave it out with --skip v1::"
    );
    let house = House::start(Kind::V1, &[]).await;
    let agent = house.agents().await.remove(0);
    let room = house.enter(&agent).await;
    (house, agent, room)
}

/// Asks for a tool and waits for the approval message.
async fn asked(house: &House, room: &str, prompt: &str) -> (String, Entry) {
    let question = house.alice.say(room, prompt).await;
    let card = house
        .alice
        .wait_for("for an approval message", room, PATIENCE, |room| {
            let mut answers = room.answers_to(&question);
            answers
                .find(|entry| entry.text().contains("May I use"))
                .cloned()
        });
    let card = card.await;
    (question, card)
}

async fn is_free(house: &House, room: &str, words: &str) {
    let next = house.alice.say(room, &house.peer.say(words)).await;
    house
        .alice
        .wait_for_answer(room, &next, PATIENCE, |text| text == words)
        .await;
}

/// Waits for the agent's words after a tool, and counts them once everything is quiet.
async fn answered_once(house: &House, room: &str, question: &str, tool: &Tool, free: &str) {
    let returned = |text: &str| text.contains(&tool.returned);
    house
        .alice
        .wait_for_answer(room, question, PATIENCE, returned)
        .await;
    is_free(house, room, free).await;
    let seen = house.alice.room(room);
    let answers = seen
        .answers_to(question)
        .filter(|entry| returned(entry.text()))
        .count();
    assert_eq!(answers, 1, "{seen}");
    assert_eq!(tool.times_run(), 1, "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bridge_killed_after_a_decision_runs_the_tool_and_the_model_once() {
    let (mut house, _, room) = house().await;
    for (round, after) in KILLS_AFTER.into_iter().enumerate() {
        let tool = house.peer.tool(&format!("kill-{round}"));
        let (question, card) = asked(&house, &room, &tool.prompt).await;
        house.alice.react(&room, &card.event_id, "✅").await;
        tokio::time::sleep(after).await;
        house.kill(Victim::Bridge).await;
        answered_once(&house, &room, &question, &tool, &format!("free {round}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn decision_in_lettas_own_app_closes_the_approval_message() {
    let (house, agent, room) = house().await;
    for (round, approve) in [true, false].into_iter().enumerate() {
        let tool = house.peer.tool(&format!("elsewhere-{round}"));
        let (question, card) = asked(&house, &room, &tool.prompt).await;
        house.peer.decide_elsewhere(&agent, approve).await;
        let said = if approve {
            "Approved outside"
        } else {
            "Denied outside"
        };
        house
            .alice
            .wait_for(
                "for the approval message to say so",
                &room,
                PATIENCE,
                |room| {
                    room.entry(&card.event_id)
                        .filter(|entry| entry.text().contains(said))
                        .map(|_| ())
                },
            )
            .await;
        let returned = |text: &str| text.contains("it returned");
        house
            .alice
            .wait_for_answer(&room, &question, PATIENCE, returned)
            .await;
        assert_eq!(tool.times_run(), usize::from(approve));
        is_free(&house, &room, &format!("free {round}")).await;
    }
}

/// Somebody has decided in Letta's own app a moment before, so the approval message does not say so yet.
#[tokio::test(flavor = "multi_thread")]
async fn decision_after_one_elsewhere_tells_what_was_decided_there() {
    let (house, agent, room) = house().await;
    let tool = house.peer.tool("late");
    let (question, card) = asked(&house, &room, &tool.prompt).await;
    house.peer.decide_elsewhere(&agent, true).await;
    house.alice.react(&room, &card.event_id, "❌").await;
    house
        .alice
        .wait_for("for what is true", &room, PATIENCE, |room| {
            room.entry(&card.event_id)
                .filter(|entry| entry.text().contains("Approved outside"))
                .map(|_| ())
        })
        .await;
    answered_once(&house, &room, &question, &tool, "free").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn provider_that_refuses_pauses_the_agent_until_it_is_resumed() {
    let house = House::start(Kind::V1, &[]).await;
    refusals_are_told_and_pause_the_agent(&house).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_calls_of_which_letta_keeps_one_can_be_approved() {
    let (house, _, room) = house().await;
    let (one, two) = (house.peer.tool("one"), house.peer.tool("two"));
    let commands = [&one, &two].map(|tool| tool.prompt.trim_start_matches("run ").to_owned());
    let prompt = format!("both {} ;; {}", commands[0], commands[1]);
    let (question, card) = asked(&house, &room, &prompt).await;
    assert!(!card.text().contains(&commands[1]), "{}", card.text());
    house.hears(&room, "Not run: Bash.").await;
    house.alice.react(&room, &card.event_id, "✅").await;
    answered_once(&house, &room, &question, &one, "free").await;
    assert!(!two.has_run());
    let seen = house.alice.room(&room);
    assert_eq!(heard(&seen, "CALLS_DROPPED"), 1, "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn value_that_rust_cannot_hold_costs_at_most_its_answer() {
    let house = House::start(Kind::V1, &[]).await;
    odd_values_cost_at_most_their_answer(&house).await;
}
