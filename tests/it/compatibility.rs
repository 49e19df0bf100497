//! What works with which Letta on which homeserver: the same scenarios for every pair.
//!
//! `LETTA_TEST_HOMESERVER` and `LETTA_TEST_BACKEND` choose the pair. Each feature writes down what came of it as soon as it
//! has been seen (`record`), and `make compatibility` runs all pairs and makes the table in `docs/compatibility.md` of
//! that. What a pair cannot do is a scenario as well: it has to say so, or to show it.

mod record;

use std::time::Duration;

use self::record::{Feature, Outcome, passed, record};
use crate::pictures;
use crate::support::deployment::{Deployment, PATIENCE, Victim};
use crate::support::letta::Agent;
use crate::support::peer::Kind;
use crate::support::room::Entry;
use crate::support::server::Homeserver;

/// Long enough for what happens at once, on a machine that does a lot besides.
const SOON: Duration = Duration::from_secs(30);

/// How long V1 holds the lock of a default conversation in which it was killed.
const LOCKED_FOR: Duration = Duration::from_mins(5);

/// How many beats, of a quarter of a second, an answer takes that something comes between.
const BEATS: usize = 12;

/// The same for one that must not be over before something else is.
const BEATS_LONG: usize = 80;

/// Everything ready, and `features` written down as begun.
async fn begin(features: &[Feature]) -> Deployment {
    let kind = Kind::chosen();
    for feature in features {
        record(
            Homeserver::chosen_name(),
            kind.name(),
            *feature,
            Outcome::Begun,
        );
    }
    Deployment::start(kind, &[]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_and_agents_talk() {
    let deployment = begin(&[
        Feature::AgentsAppear,
        Feature::Streamed,
        Feature::Thread,
        Feature::TwoRooms,
        Feature::Stop,
    ])
    .await;
    let mut rooms = Vec::new();
    for agent in deployment.agents().await {
        rooms.push((deployment.enter(&agent).await, agent));
    }
    passed(&deployment, Feature::AgentsAppear, Outcome::Works);
    streamed(&deployment, &rooms[0]).await;
    thread(&deployment, &rooms[0]).await;
    two_rooms(&deployment, &rooms[0]).await;
    stop(&deployment, &rooms[0].0).await;
}

async fn streamed(deployment: &Deployment, (room, agent): &(String, Agent)) {
    let (prompt, expected) = deployment.peer.slow(BEATS);
    let question = deployment.alice.say(room, &prompt).await;
    let complete = |text: &str| text.trim() == expected;
    let answer = deployment
        .alice
        .wait_for_answer(room, &question, PATIENCE, complete)
        .await;
    assert_eq!(answer.sender, agent.ghost);
    assert!(answer.edits >= 2, "it did not grow: {:?}", answer.bodies);
    passed(deployment, Feature::Streamed, Outcome::Works);
}

async fn thread(deployment: &Deployment, (room, agent): &(String, Agent)) {
    let top = deployment.alice.notice(room, "let us talk here").await;
    let prompt = deployment.peer.say("in the thread");
    deployment.alice.say_in_thread(room, &top, &prompt).await;
    let said = deployment
        .alice
        .wait_for("for an answer", room, SOON, |room| {
            room.said_by(&agent.ghost)
                .find(|entry| entry.text() == "in the thread")
                .cloned()
        });
    assert_eq!(said.await.thread, Some(top));
    passed(deployment, Feature::Thread, Outcome::Works);
}

/// Two rooms of one agent: a short answer here does not wait for a long one there.
async fn two_rooms(deployment: &Deployment, (room, agent): &(String, Agent)) {
    let other = deployment.alice.chat_with(&agent.ghost).await;
    let (prompt, expected) = deployment.peer.slow(BEATS_LONG);
    let long = deployment.alice.say(room, &prompt).await;
    let begun = |text: &str| expected.starts_with(text.trim_end_matches([' ', '…', '▍']));
    deployment
        .alice
        .wait_for_answer(room, &long, SOON, |text| !text.is_empty() && begun(text))
        .await;
    let short = deployment
        .alice
        .say(&other, &deployment.peer.say("meanwhile"))
        .await;
    deployment
        .alice
        .wait_for_answer(&other, &short, SOON, |text| text == "meanwhile")
        .await;
    let so_far = deployment.alice.room(room);
    let so_far = so_far
        .answers_to(&long)
        .any(|entry| entry.text().trim() == expected);
    assert!(!so_far, "the short answer came after the long one");
    deployment
        .alice
        .wait_for_answer(room, &long, PATIENCE, |text| text.trim() == expected)
        .await;
    passed(deployment, Feature::TwoRooms, Outcome::Works);
}

async fn stop(deployment: &Deployment, room: &str) {
    let (prompt, expected) = deployment.peer.slow(BEATS_LONG);
    let question = deployment.alice.say(room, &prompt).await;
    deployment
        .alice
        .wait_for_answer(room, &question, SOON, |text| !text.is_empty())
        .await;
    deployment.alice.say(room, "!letta stop").await;
    if deployment.peer.kind == Kind::OpenAi {
        // The room is quiet, and hears that Letta goes on.
        deployment.hears(room, "cannot stop a turn").await;
        return passed(deployment, Feature::Stop, Outcome::NotThere);
    }
    deployment.hears(room, "Stopped.").await;
    let next = deployment
        .alice
        .say(room, &deployment.peer.say("still here"))
        .await;
    deployment
        .alice
        .wait_for_answer(room, &next, SOON, |text| text == "still here")
        .await;
    let seen = deployment.alice.room(room);
    let whole = |entry: &Entry| entry.text().contains(&expected);
    assert!(!seen.answers_to(&question).any(whole), "it went on\n{seen}");
    passed(deployment, Feature::Stop, Outcome::Works);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_asks_before_it_runs() {
    let deployment = begin(&[Feature::Approve, Feature::Deny]).await;
    let agent = deployment.agents().await.remove(0);
    let room = deployment.enter(&agent).await;
    for (feature, sign) in [(Feature::Approve, "✅"), (Feature::Deny, "❌")] {
        let tool = deployment.peer.tool(&format!("{feature:?}"));
        let question = deployment.alice.say(&room, &tool.prompt).await;
        if deployment.peer.kind == Kind::OpenAi {
            // Nobody is asked. That it ran all the same is what the documentation warns of.
            returns(&deployment, &room, &question, &tool.returned).await;
            assert!(tool.has_run(), "the tool did not run");
            passed(&deployment, feature, Outcome::NotThere);
            continue;
        }
        let approval_message = deployment
            .alice
            .wait_for("for a card", &room, PATIENCE, |room| {
                let mut answers = room.answers_to(&question);
                answers
                    .find(|entry| entry.text().contains("May I use"))
                    .cloned()
            });
        let approval_message = approval_message.await;
        assert!(!tool.has_run(), "it ran before anybody was asked");
        deployment
            .alice
            .react(&room, &approval_message.event_id, sign)
            .await;
        let said = if feature == Feature::Approve {
            tool.returned.as_str()
        } else {
            tool.denied
        };
        returns(&deployment, &room, &question, said).await;
        assert_eq!(
            tool.has_run(),
            feature == Feature::Approve && tool.leaves_a_trace()
        );
        passed(&deployment, feature, Outcome::Works);
    }
}

async fn returns(deployment: &Deployment, room: &str, question: &str, words: &str) {
    deployment
        .alice
        .wait_for_answer(room, question, PATIENCE, |text| text.contains(words))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_shows_a_picture() {
    let deployment = begin(&[Feature::Picture]).await;
    let agent = deployment.peer.seeing_agent().await;
    let room = deployment.enter(&agent).await;
    let (caption, said) = deployment.peer.look();
    let image = ("m.image", "red.png", "image/png");
    let bytes = pictures::png(40, 30);
    let shown = pictures::show(&deployment.alice, &room, image, &bytes, caption).await;
    deployment
        .alice
        .wait_for_answer(&room, &shown, PATIENCE, |text| text.contains(said))
        .await;
    let seen = image::load_from_memory(&deployment.peer.last_picture()).expect("a picture");
    assert_eq!((seen.width(), seen.height()), (40, 30));
    passed(&deployment, Feature::Picture, Outcome::Works);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_killed_in_the_middle_of_an_answer_it_is_given_once() {
    let mut deployment = begin(&[
        Feature::KillBridge,
        Feature::KillLetta,
        Feature::KillHomeserver,
    ])
    .await;
    let agent = deployment.agents().await.remove(0);
    let room = deployment.enter(&agent).await;
    for (feature, victim) in [
        (Feature::KillBridge, Victim::Bridge),
        (Feature::KillHomeserver, Victim::Homeserver),
        (Feature::KillLetta, Victim::Letta),
    ] {
        let outcome = killed(&mut deployment, &room, &agent, victim).await;
        passed(&deployment, feature, outcome);
    }
}

async fn killed(deployment: &mut Deployment, room: &str, agent: &Agent, victim: Victim) -> Outcome {
    let (prompt, expected) = deployment.peer.slow(BEATS);
    let question = deployment.alice.say(room, &prompt).await;
    deployment
        .alice
        .wait_for_answer(room, &question, SOON, |text| !text.is_empty())
        .await;
    deployment.kill(victim).await;
    let patience = match (deployment.peer.kind, victim) {
        (Kind::V1, Victim::Letta) => LOCKED_FOR + PATIENCE,
        _ => PATIENCE,
    };
    let agent_says = |entry: &&Entry| entry.sender == agent.ghost;
    let whole = |entry: &&Entry| entry.text().trim() == expected;
    let told = |entry: &&Entry| entry.says("[STREAM_INCOMPLETE]");
    let was_told = deployment
        .alice
        .wait_for("for the end of the answer", room, patience, |seen| {
            seen.answers_to(&question)
                .filter(agent_says)
                .find(|entry| whole(entry) || told(entry))
                .map(|entry| told(&entry))
        })
        .await;
    let next = deployment
        .alice
        .say(room, &deployment.peer.say("and on"))
        .await;
    deployment
        .alice
        .wait_for_answer(room, &next, PATIENCE, |text| text == "and on")
        .await;
    let seen = deployment.alice.room(room);
    let times = seen.answers_to(&question).filter(whole).count();
    assert_eq!(times, usize::from(!was_told), "{victim:?}\n{seen}");
    if was_told {
        Outcome::Told
    } else {
        Outcome::Works
    }
}
