//! What people are told while an agent is paused, and of what they decided.

use letta_client::{Conversation, FailureKind};

use super::{
    lab::{ANN, Lab, admin},
    letta::Fate,
};
use crate::{
    journal::QueuedPrompt,
    turns::{decide::RoomThread, reaction_command::ReactionCommand},
};

const BOB: &str = "@bob:house.test";
const CLEO: &str = "@cleo:house.test";
const PAUSED: &str = "The agent is paused";

/// Each waits for a paused agent: Ann's turn, and behind it Bob and Cleo, who came before and after the pause began.
async fn three_wait() -> Lab {
    let lab = Lab::new();
    lab.letta.next([Fate::Hang]);
    lab.letta.always(Fate::Fail(FailureKind::Credits));
    lab.say("first");
    lab.until("asked", |lab| lab.letta.asked("send") == 1).await;
    lab.say_in(&lab.home, BOB, "second");
    lab.until_seen(PAUSED).await;
    lab.say_in(&lab.home, CLEO, "third");
    tell(&lab, CLEO).await;
    lab
}

/// As the inbox does when a prompt is queued.
async fn tell(lab: &Lab, sender: &str) {
    let queued = lab.journal.queued_prompts(&lab.home).unwrap();
    let prompts: Vec<QueuedPrompt> = queued
        .into_iter()
        .filter(|prompt| prompt.sender == sender)
        .collect();
    assert!(!prompts.is_empty(), "{sender} waits");
    for prompt in prompts {
        lab.turns.tell_of_pause(&lab.home, &prompt).await.unwrap();
    }
}

/// How many notices say that the agent is paused, edits of them not counted.
fn notices(lab: &Lab) -> usize {
    let seen = lab.homeserver.timeline();
    let new = seen
        .iter()
        .filter(|line| line.contains(PAUSED) && !line.contains("* "));
    new.count()
}

#[tokio::test(start_paused = true)]
async fn everybody_who_waits_for_a_paused_agent_hears_so_once() {
    let lab = three_wait().await;
    // Ann's notice said before that Letta does not answer; it is edited.
    lab.until("Bob and Cleo are told", |lab| notices(lab) == 2)
        .await;
    lab.say_in(&lab.home, BOB, "more");
    lab.say_in(&lab.home, ANN, "and_more");
    tell(&lab, BOB).await;
    tell(&lab, ANN).await;
    lab.until("it is tried twice more", |lab| {
        lab.turns.pauses().all()[0].tries >= 3
    })
    .await;
    assert_eq!(notices(&lab), 2, "{:?}", lab.homeserver.timeline());
}

#[tokio::test(start_paused = true)]
async fn resume_in_vain_is_told_to_everybody_who_waits() {
    let lab = three_wait().await;
    lab.until("Bob and Cleo are told", |lab| notices(lab) == 2)
        .await;
    assert!(lab.turns.resume_agent(&lab.home.agent).unwrap());
    lab.until("all three are told", |lab| notices(lab) == 5)
        .await;
}

#[tokio::test(start_paused = true)]
async fn decision_on_a_lost_conversation_is_not_said_to_be_done() {
    for (again, answer) in [
        (Fate::Well, "answer to asked."),
        (Fate::Asks, "it was decided."),
    ] {
        let lab = Lab::new();
        let conversation = Conversation::Own("conv-1".parse().unwrap());
        let journal = &lab.journal;
        journal.set_conversation(&lab.home, &conversation).unwrap();
        lab.letta.next([Fate::Asks, again.clone()]);
        lab.letta.forget_before_decision();
        lab.say("asked");
        lab.until_seen("launch").await;
        let turn = lab.journal.open_turn(&lab.home).unwrap().unwrap();
        let approval_message = turn.waits_for().unwrap().approval_message.clone();
        let shown = || lab.journal.event_of(&approval_message).unwrap().flatten();
        lab.until("the card is there", |_| shown().is_some()).await;
        let place = RoomThread {
            room: lab.home.room.clone(),
            thread: None,
        };
        lab.turns
            .handle_reaction(&place, &shown().unwrap(), ReactionCommand::Approve, admin())
            .await
            .unwrap();
        lab.until_seen(answer).await;
        lab.until_quiet().await;
        let seen = lab.homeserver.timeline().join("\n");
        assert_eq!(lab.letta.asked("send"), 2, "{again:?}: {seen}");
        assert!(seen.contains("{CONVERSATION_LOST}"), "{again:?}: {seen}");
        assert!(!seen.contains("STREAM_INCOMPLETE"), "{again:?}: {seen}");
        assert!(!seen.contains("has been done"), "{again:?}: {seen}");
    }
}
