//! A dangerous tool asks first: what a person sees, decides, and finds again after any crash.

use std::time::Duration;

use letta_client::rest::{RestBackend, RestConfig};
use letta_client::{Backend as _, Conversation, Decision, Destination, Prompt, ToolPolicy};

use crate::support::letta::Agent;
use crate::support::person::Person;
use crate::support::room::{Entry, Room};
use crate::support::world::{ALICE, SOON, World};

/// What a person waits at most for what a crash or a restart comes between.
pub const PATIENCE: Duration = Duration::from_secs(45);

/// Waits for the card that asks about what `question` has set going.
pub async fn approval_message(person: &Person, room: &str, question: &str) -> Entry {
    person
        .wait_for("for a card", room, PATIENCE, |room| {
            room.answers_to(question)
                .find(|entry| entry.text().contains("May I use"))
                .cloned()
        })
        .await
}

/// Waits until the ghost has put both choices under a card.
async fn offered(person: &Person, room: &str, approval_message: &Entry) {
    person
        .wait_for("for the choices", room, PATIENCE, |room| {
            let reactions = &room.entry(&approval_message.event_id)?.reactions;
            let ours = |key: &str| {
                reactions
                    .get(key)
                    .is_some_and(|by| by.contains(&approval_message.sender))
            };
            (ours("✅") && ours("❌")).then_some(())
        })
        .await;
}

/// Waits until the ghost has taken a choice back that nobody has used; the other one stays.
async fn withdrawn(person: &Person, room: &str, approval_message: &Entry, unused: &str) {
    person
        .wait_for("for a choice to go", room, PATIENCE, |room| {
            let reactions = &room.entry(&approval_message.event_id)?.reactions;
            let ghost = &approval_message.sender;
            let shows = |key: &str| reactions.get(key).is_some_and(|by| by.contains(ghost));
            let used = if unused == "❌" { "✅" } else { "❌" };
            (!shows(unused) && shows(used)).then_some(())
        })
        .await;
}

async fn decided(person: &Person, room: &str, approval_message: &Entry, how: &str) {
    person
        .wait_for("for the verdict on the card", room, PATIENCE, |room| {
            room.entry(&approval_message.event_id)?
                .text()
                .contains(how)
                .then_some(())
        })
        .await;
}

pub async fn hears(person: &Person, room: &str, words: &str) {
    person
        .wait_for("to hear it", room, PATIENCE, |room| {
            let mut timeline = room.timeline.iter();
            timeline
                .any(|entry| entry.sender != person.user_id && entry.says(words))
                .then_some(())
        })
        .await;
}

/// How many messages of others hold these words.
pub fn heard(seen: &Room, words: &str) -> usize {
    let others = seen.timeline.iter().filter(|entry| entry.sender != ALICE);
    others.filter(|entry| entry.says(words)).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tool_runs_when_its_asker_approves_and_the_card_says_who() {
    let world = World::start().await;
    let (ada, room) = world.first_room().await;
    let text = r#"approve: launch {"what":"rocket"} ;; wave {}"#;
    let question = world.alice.say(&room, text).await;
    let approval_message = approval_message(&world.alice, &room, &question).await;
    assert_eq!(approval_message.sender, ada.ghost);
    assert_eq!(approval_message.mentions, [ALICE]);
    assert!(
        approval_message.text().contains("`what`: `rocket`"),
        "{approval_message:?}"
    );
    assert!(
        approval_message.text().contains("`wave`"),
        "{approval_message:?}"
    );
    offered(&world.alice, &room, &approval_message).await;
    let before = world.settled(&room).await;
    assert_eq!(heard(&before, "demo result"), 0, "{before}");

    world
        .alice
        .react(&room, &approval_message.event_id, "✅")
        .await;
    decided(
        &world.alice,
        &room,
        &approval_message,
        "Approved** by @alice",
    )
    .await;
    withdrawn(&world.alice, &room, &approval_message, "❌").await;
    world
        .alice
        .wait_for_answer(&room, &question, SOON, |text| {
            text.contains("tool launch returned") && text.contains("tool wave returned")
        })
        .await;
    let seen = world.settled(&room).await;
    let spoken = seen
        .said_by(&ada.ghost)
        .filter(|entry| entry.msgtype.as_deref() == Some("m.text"));
    assert_eq!(spoken.count(), 2, "a card and an answer\n{seen}");
    let question = world.alice.say(&room, "say: and now").await;
    world
        .alice
        .wait_for_answer(&room, &question, SOON, |text| text == "and now")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_tool_does_not_run_and_the_agent_learns_why() {
    let world = World::start().await;
    let (_, room) = world.first_room().await;
    let question = world.alice.say(&room, "approve: launch {}").await;
    let first = approval_message(&world.alice, &room, &question).await;
    world.alice.react(&room, &first.event_id, "❌").await;
    decided(&world.alice, &room, &first, "Denied** by @alice").await;
    hears(&world.alice, &room, "request to call tool denied").await;
    // In words, in a thread, with a reason.
    let text = "approve: launch {} (in the thread)";
    let question = world.alice.say_in_thread(&room, &question, text).await;
    let second = approval_message(&world.alice, &room, &question).await;
    assert!(second.thread.is_some(), "{second:?}");
    world.alice.say(&room, "!letta deny not today").await;
    decided(&world.alice, &room, &second, "`not today`").await;
    hears(&world.alice, &room, "User reason: not today").await;
    let seen = world.settled(&room).await;
    assert_eq!(heard(&seen, "demo result"), 0, "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_decides_nothing_and_is_told_once() {
    let bob = "@bob:letta.test";
    let mut world = World::plan()
        .permissions(&[(ALICE, "admin"), (bob, "talk")])
        .start()
        .await;
    let bob = world.person("bob").await;
    let ada = world.agents().remove(0);
    let room = world.alice.create_room(&[&ada.ghost, &bob.user_id]).await;
    bob.join(&room).await;
    let question = world
        .alice
        .mention(&room, &ada.ghost, "approve: launch {}")
        .await;
    let first = approval_message(&world.alice, &room, &question).await;
    bob.react(&room, &first.event_id, "✅").await;
    hears(&bob, &room, "NOT_YOURS_TO_DECIDE").await;
    bob.react(&room, &first.event_id, "❌").await;
    bob.react(&room, &first.event_id, "🛑").await;
    world.alice.react(&room, &first.event_id, "👍").await;
    let seen = world.settled(&room).await;
    assert_eq!(heard(&seen, "NOT_YOURS_TO_DECIDE"), 1, "{seen}");
    assert_eq!(heard(&seen, "demo result"), 0, "{seen}");
    let now = seen.entry(&first.event_id).expect("the card is there");
    assert_eq!(now.edits, 0, "{seen}");
    world.alice.react(&room, &first.event_id, "✅").await;
    hears(&bob, &room, "tool launch returned").await;

    // An admin decides what others have asked for.
    let question = bob.mention(&room, &ada.ghost, "approve: launch {}").await;
    let second = approval_message(&world.alice, &room, &question).await;
    assert_eq!(second.mentions, [bob.user_id.as_str()]);
    world.alice.react(&room, &second.event_id, "❌").await;
    decided(&bob, &room, &second, "Denied** by @alice").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn request_without_decision_is_denied_at_its_timeout() {
    let world = World::plan()
        .with("TURNS__APPROVAL_TIMEOUT", "2s")
        .start()
        .await;
    let (_, room) = world.first_room().await;
    let question = world.alice.say(&room, "approve: launch {}").await;
    let approval_message = approval_message(&world.alice, &room, &question).await;
    decided(
        &world.alice,
        &room,
        &approval_message,
        "nobody decided in time",
    )
    .await;
    hears(&world.alice, &room, "Nobody decided within 2s").await;
    // Too late is nothing.
    world
        .alice
        .react(&room, &approval_message.event_id, "✅")
        .await;
    let seen = world.settled(&room).await;
    assert_eq!(heard(&seen, "demo result"), 0, "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn turn_stops_by_reaction_and_by_command_and_keeps_its_text() {
    let world = World::start().await;
    let (_, room) = world.first_room().await;
    let question = world.alice.say(&room, "slow: 200").await;
    let growing = world
        .alice
        .wait_for_answer(&room, &question, SOON, |text| text.contains("w3"))
        .await;
    world.alice.react(&room, &growing.event_id, "🛑").await;
    hears(&world.alice, &room, "Stopped.").await;
    let seen = world.settled(&room).await;
    let said = seen.entry(&growing.event_id).expect("it stays").text();
    assert!(
        said.starts_with("w0 w1 w2 w3") && !said.contains("w150"),
        "{said}"
    );

    let question = world.alice.say(&room, "approve: launch {}").await;
    let approval_message = approval_message(&world.alice, &room, &question).await;
    world.alice.say(&room, "!letta stop").await;
    decided(&world.alice, &room, &approval_message, "stopped the turn").await;
    let question = world.alice.say(&room, "say: free").await;
    world
        .alice
        .wait_for_answer(&room, &question, SOON, |text| text == "free")
        .await;
    let seen = world.settled(&room).await;
    assert_eq!(heard(&seen, "Stopped."), 2, "{seen}");
    assert_eq!(heard(&seen, "denied. User reason"), 0, "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn message_during_an_approval_is_answered_with_one_notice() {
    let world = World::start().await;
    let (_, room) = world.first_room().await;
    let question = world.alice.say(&room, "approve: launch {}").await;
    let approval_message = approval_message(&world.alice, &room, &question).await;
    world.alice.say(&room, "say: one").await;
    let last = world.alice.say(&room, "say: two").await;
    hears(&world.alice, &room, "waits for a decision").await;
    // Another conversation does not wait.
    let threaded = world
        .alice
        .say_in_thread(&room, &question, "say: beside")
        .await;
    world
        .alice
        .wait_for_answer(&room, &threaded, SOON, |text| text == "beside")
        .await;
    // A reaction that is taken back in time would be nothing; this one is meant.
    world
        .alice
        .react(&room, &approval_message.event_id, "✅\u{fe0f}")
        .await;
    world
        .alice
        .wait_for_answer(&room, &last, SOON, |text| text == "two")
        .await;
    let seen = world.settled(&room).await;
    assert_eq!(heard(&seen, "waits for a decision"), 1, "{seen}");
    assert_eq!(heard(&seen, "tool launch returned"), 1, "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn decision_in_another_app_is_shown_in_the_room() {
    let world = World::start().await;
    let (ada, room) = world.first_room().await;
    let question = world.alice.say(&room, "approve: launch {}").await;
    let asked = approval_message(&world.alice, &room, &question).await;
    let (letta, to) = another_app(&world, &ada);
    let request = letta.pending_approval(&to).await.expect("Letta answers");
    let request = request.expect("something waits");
    let denied = Decision {
        call: request.calls[0].id.clone(),
        approve: false,
        reason: None,
    };
    let turn = letta.decide(&to, &request, &[denied]).await;
    futures_util::StreamExt::count(turn.expect("Letta takes it")).await;
    world.alice.react(&room, &asked.event_id, "✅").await;
    hears(&world.alice, &room, "Denied outside of Matrix").await;
    let question = world.alice.say(&room, "say: go on").await;
    world
        .alice
        .wait_for_answer(&room, &question, SOON, |text| text == "go on")
        .await;
    let seen = world.settled(&room).await;
    assert_eq!(heard(&seen, "demo result"), 0, "{seen}");
}

fn another_app(world: &World, agent: &Agent) -> (RestBackend, Destination) {
    let letta = RestBackend::new(RestConfig::new(world.letta.url())).expect("an address");
    let to = Destination {
        agent: agent.id.clone(),
        conversation: Conversation::Default,
    };
    (letta, to)
}

/// Sets a tool going behind the bridge's back, as another app does.
async fn behind_its_back(world: &World, agent: &Agent, text: &str) {
    let (letta, to) = another_app(world, agent);
    let prompt = Prompt::new(format!("elsewhere {text}"), text);
    let turn = letta.send(&to, &[prompt], ToolPolicy::default()).await;
    let events = futures_util::StreamExt::count(turn.expect("Letta takes it")).await;
    assert!(events > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn request_of_an_external_turn_is_asked_first() {
    let mut world = World::start().await;
    let (ada, room) = world.first_room().await;
    behind_its_back(&world, &ada, "approve: launch {}").await;
    let question = world.alice.say(&room, "say: and me").await;
    let first = approval_message(&world.alice, &room, &question).await;
    assert!(first.text().contains("only an admin"), "{first:?}");
    world.alice.react(&room, &first.event_id, "✅").await;
    world
        .alice
        .wait_for_answer(&room, &question, PATIENCE, |text| text == "and me")
        .await;
    hears(&world.alice, &room, "tool launch returned").await;

    // The same at a start, when nobody has spoken.
    world.bridge.kill9().await;
    behind_its_back(&world, &ada, "approve: wave {}").await;
    world.bridge.restart().await;
    let found = world
        .alice
        .wait_for("for a card", &room, PATIENCE, |room| {
            let mut cards = room.said_by(&ada.ghost);
            cards
                .find(|entry| entry.text().contains("May I use `wave`"))
                .cloned()
        })
        .await;
    world.alice.react(&room, &found.event_id, "❌").await;
    decided(&world.alice, &room, &found, "Denied").await;
    hears(&world.alice, &room, "request to call tool denied").await;
}
