//! The real App Server, from Letta's own socket to what a person sees: agents appear, and tools ask.
//!
//! `LETTA_TEST_HOMESERVER` chooses the homeserver, as everywhere; the Letta is always the real one, with a scripted model
//! behind it. What its tools do is seen in files that they write.

mod kills;

use std::time::{Duration, Instant};

use crate::approvals::{card, heard};
use crate::support::house::{House, PATIENCE};
use crate::support::peer::Kind;

#[tokio::test(flavor = "multi_thread")]
async fn agents_made_in_letta_appear_while_everything_runs() {
    let house = House::start(Kind::AppServer, &[]).await;
    for agent in house.agents().await {
        house.enter(&agent).await;
    }
    for name in ["Hedy", "Lise"] {
        let agent = house.peer.make_agent(name).await;
        let made = Instant::now();
        let invited = house
            .alice
            .wait_until("for an invitation", PATIENCE, |rooms| {
                let mut rooms = rooms.values();
                rooms
                    .any(|room| room.alias() == Some(&agent.alias) && room.name() == Some(name))
                    .then_some(())
            });
        invited.await;
        println!(
            "{name} appeared {:?} after Letta had made it",
            made.elapsed()
        );
        let room = house.enter(&agent).await;
        let question = house.alice.say(&room, &house.peer.say("here I am")).await;
        let answer = house
            .alice
            .wait_for_answer(&room, &question, PATIENCE, |text| text == "here I am");
        assert_eq!(answer.await.sender, agent.ghost);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_proxy_that_speaks_tls_it_is_the_same() {
    let house = House::start_secured().await;
    let agent = house.agents().await.remove(0);
    let room = house.enter(&agent).await;
    let (prompt, expected) = house.peer.slow(BEATS);
    let question = house.alice.say(&room, &prompt).await;
    let answer = house
        .alice
        .wait_for_answer(&room, &question, PATIENCE, |text| text.trim() == expected);
    assert!(answer.await.edits >= 1, "it did not grow");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_conversation_that_letta_has_lost_the_room_hears_and_is_answered() {
    let mut house = House::start(Kind::AppServer, &[]).await;
    let agent = house.agents().await.remove(0);
    let room = house.enter(&agent).await;
    for words in ["before it", "after it"] {
        let question = house.alice.say(&room, &house.peer.say(words)).await;
        house
            .alice
            .wait_for_answer(&room, &question, PATIENCE, |text| text == words)
            .await;
        if words == "before it" {
            house.peer.lose_conversations().await;
        }
    }
    let seen = house.alice.room(&room);
    assert_eq!(heard(&seen, "CONVERSATION_LOST"), 1, "{seen}");
}

/// How many beats, of a quarter of a second, the agent speaks.
const BEATS: usize = 8;

/// How long nothing may happen after what must have no effect.
const NOTHING: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_choice_is_nothing_and_the_askers_decides() {
    let mut house = House::start(Kind::AppServer, &["@bob:letta.test"]).await;
    let bob = house.person("bob").await;
    let agent = house.agents().await.remove(0);
    let room = house.alice.create_room(&[&agent.ghost, &bob.user_id]).await;
    bob.join(&room).await;

    let tool = house.peer.tool("approved");
    let prompt = format!("please\n{}", tool.prompt);
    let question = house.alice.mention(&room, &agent.ghost, &prompt).await;
    let first = card(&house.alice, &room, &question).await;
    for sign in ["✅", "❌"] {
        bob.react(&room, &first.event_id, sign).await;
    }
    house.hears(&room, "NOT_YOURS_TO_DECIDE").await;
    tokio::time::sleep(NOTHING).await;
    let seen = house.alice.room(&room);
    assert!(!tool.has_run(), "a stranger has set it going\n{seen}");
    assert_eq!(
        seen.entry(&first.event_id).map(|card| card.edits),
        Some(0),
        "{seen}"
    );
    assert_eq!(heard(&seen, "NOT_YOURS_TO_DECIDE"), 1, "{seen}");
    house.alice.react(&room, &first.event_id, "✅").await;
    house
        .alice
        .wait_for_answer(&room, &question, PATIENCE, |text| {
            text.contains(&tool.returned)
        })
        .await;
    assert_eq!(tool.times_run(), 1);

    let tool = house.peer.tool("denied");
    let prompt = format!("please\n{}", tool.prompt);
    let question = house.alice.mention(&room, &agent.ghost, &prompt).await;
    let second = card(&house.alice, &room, &question).await;
    house.alice.react(&room, &second.event_id, "❌").await;
    house
        .alice
        .wait_for_answer(&room, &question, PATIENCE, |text| {
            text.contains(tool.denied)
        })
        .await;
    assert!(!tool.has_run(), "what was denied has run");
    let seen = house.alice.room(&room);
    assert_eq!(heard(&seen, &tool.returned), 0, "{seen}");
}
