//! The real App Server, from Letta's own socket to what a person sees: agents appear, and tools ask.
//!
//! `LETTA_TEST_HOMESERVER` chooses the homeserver, as everywhere; the Letta is always the real one, with a scripted model
//! behind it. What its tools do is seen in files that they write.

mod kills;

use std::time::{Duration, Instant};

use crate::approvals::{approval_message, heard};
use crate::support::deployment::{Deployment, PATIENCE};
use crate::support::peer::Kind;

#[tokio::test(flavor = "multi_thread")]
async fn agents_made_in_letta_appear_while_everything_runs() {
    let deployment = Deployment::start(Kind::AppServer, &[]).await;
    for agent in deployment.agents().await {
        deployment.enter(&agent).await;
    }
    for name in ["Hedy", "Lise"] {
        let agent = deployment.peer.make_agent(name).await;
        let made = Instant::now();
        let invited = deployment
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
        let room = deployment.enter(&agent).await;
        let question = deployment
            .alice
            .say(&room, &deployment.peer.say("here I am"))
            .await;
        let answer = deployment
            .alice
            .wait_for_answer(&room, &question, PATIENCE, |text| text == "here I am");
        assert_eq!(answer.await.sender, agent.ghost);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_proxy_that_speaks_tls_it_is_the_same() {
    let deployment = Deployment::start_secured().await;
    let agent = deployment.agents().await.remove(0);
    let room = deployment.enter(&agent).await;
    let (prompt, expected) = deployment.peer.slow(BEATS);
    let question = deployment.alice.say(&room, &prompt).await;
    let answer = deployment
        .alice
        .wait_for_answer(&room, &question, PATIENCE, |text| text.trim() == expected);
    assert!(answer.await.edits >= 1, "it did not grow");
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_conversation_that_letta_has_lost_the_room_hears_and_is_answered() {
    let mut deployment = Deployment::start(Kind::AppServer, &[]).await;
    let agent = deployment.agents().await.remove(0);
    let room = deployment.enter(&agent).await;
    for words in ["before it", "after it"] {
        let question = deployment
            .alice
            .say(&room, &deployment.peer.say(words))
            .await;
        deployment
            .alice
            .wait_for_answer(&room, &question, PATIENCE, |text| text == words)
            .await;
        if words == "before it" {
            deployment.peer.lose_conversations().await;
        }
    }
    let seen = deployment.alice.room(&room);
    assert_eq!(heard(&seen, "CONVERSATION_LOST"), 1, "{seen}");
}

/// How many beats, of a quarter of a second, the agent speaks.
const BEATS: usize = 8;

/// How long nothing may happen after what must have no effect.
const NOTHING: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread")]
async fn only_the_requester_decides_an_approval() {
    let mut deployment = Deployment::start(Kind::AppServer, &["@bob:letta.test"]).await;
    let bob = deployment.person("bob").await;
    let agent = deployment.agents().await.remove(0);
    let room = deployment
        .alice
        .create_room(&[&agent.ghost, &bob.user_id])
        .await;
    bob.join(&room).await;

    let tool = deployment.peer.tool("approved");
    let prompt = format!("please\n{}", tool.prompt);
    let question = deployment.alice.mention(&room, &agent.ghost, &prompt).await;
    let first = approval_message(&deployment.alice, &room, &question).await;
    for sign in ["✅", "❌"] {
        bob.react(&room, &first.event_id, sign).await;
    }
    deployment.hears(&room, "NOT_YOURS_TO_DECIDE").await;
    tokio::time::sleep(NOTHING).await;
    let seen = deployment.alice.room(&room);
    assert!(!tool.has_run(), "a stranger has set it going\n{seen}");
    assert_eq!(
        seen.entry(&first.event_id)
            .map(|approval_message| approval_message.edits),
        Some(0),
        "{seen}"
    );
    assert_eq!(heard(&seen, "NOT_YOURS_TO_DECIDE"), 1, "{seen}");
    deployment.alice.react(&room, &first.event_id, "✅").await;
    deployment
        .alice
        .wait_for_answer(&room, &question, PATIENCE, |text| {
            text.contains(&tool.returned)
        })
        .await;
    assert_eq!(tool.times_run(), 1);

    let tool = deployment.peer.tool("denied");
    let prompt = format!("please\n{}", tool.prompt);
    let question = deployment.alice.mention(&room, &agent.ghost, &prompt).await;
    let second = approval_message(&deployment.alice, &room, &question).await;
    deployment.alice.react(&room, &second.event_id, "❌").await;
    deployment
        .alice
        .wait_for_answer(&room, &question, PATIENCE, |text| {
            text.contains(tool.denied)
        })
        .await;
    assert!(!tool.has_run(), "what was denied has run");
    let seen = deployment.alice.room(&room);
    assert_eq!(heard(&seen, &tool.returned), 0, "{seen}");
}
