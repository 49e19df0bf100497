//! What a room hears when Letta cannot, may not or need not be asked: why, what one can do, and nothing twice.

use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::json;

use crate::approvals::{heard, hears};
use crate::support::deployment::{Deployment, PATIENCE};
use crate::support::peer::Kind;
use crate::support::room::{Entry, Room};
use crate::support::wire::{ExchangePhase, Moment, RuleAction};
use crate::support::world::{ALICE, BOT, SOON, World};
use crate::talk::words;

const BOB: &str = "@bob:letta.test";
/// Longer than the bridge needs to do what it must not do.
const NOTHING: Duration = Duration::from_secs(4);

fn asks_letta(moment: &Moment) -> bool {
    moment.is(ExchangePhase::Arrived, &Method::POST, "/messages")
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_prompt_is_set_aside_and_can_be_tried_again() {
    let world = World::start().await;
    let (_, room) = world.first_room().await;
    let body = json!({"detail": "the message cannot be read"});
    let rule = world.ask.always(
        RuleAction::Answer(StatusCode::UNPROCESSABLE_ENTITY, body),
        |one| asks_letta(one) && one.mentions("say: poison"),
    );
    world.alice.say(&room, "say: poison").await;
    hears(&world.alice, &room, "`!letta retry 1`").await;
    let next = world.alice.say(&room, "say: the next one").await;
    world
        .alice
        .wait_for_answer(&room, &next, SOON, |text| text == "the next one")
        .await;
    world.alice.say(&room, "!letta failed").await;
    hears(&world.alice, &room, "tries one again").await;
    world.ask.forget(rule);
    world.alice.say(&room, "!letta retry 1").await;
    world
        .alice
        .wait_for("for the answer", &room, SOON, |room| {
            room.timeline
                .iter()
                .any(|entry| entry.text() == "poison")
                .then_some(())
        })
        .await;
    world.alice.say(&room, "!letta failed").await;
    hears(&world.alice, &room, "Nothing was set aside").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_is_said_once_and_nothing_says_that_it_is_done() {
    let world = World::start().await;
    let (_, room) = world.first_room().await;
    let question = world.alice.say(&room, "slow: 60").await;
    world
        .alice
        .wait_for_answer(&room, &question, SOON, |text| text.contains("w0"))
        .await;
    world.alice.say(&room, "!letta stop").await;
    hears(&world.alice, &room, "Stopped.").await;
    let seen = world.settled(&room).await;
    assert_eq!(heard(&seen, "Stopped"), 1, "{seen}");
    assert_eq!(heard(&seen, "Done after"), 0, "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_is_heard_while_letta_is_away() {
    let mut world = World::start().await;
    let (_, room) = world.first_room().await;
    world.letta.go_away().await;
    world.alice.say(&room, "say: never").await;
    hears(&world.alice, &room, "LETTA_").await;
    world.alice.say(&room, "!letta stop").await;
    // Letta cannot hear it, and that is said; the turn is over all the same.
    hears(&world.alice, &room, "Stopped here").await;
    world.letta.come_back().await;
    let question = world.alice.say(&room, "say: the next one").await;
    world
        .alice
        .wait_for_answer(&room, &question, SOON, |text| text == "the next one")
        .await;
    let seen = world.settled(&room).await;
    assert_eq!(
        heard(&seen, "never"),
        0,
        "what was given up is answered\n{seen}"
    );
}

/// A room of Alice's own, with an agent and the bot in it.
async fn room_of_alice(world: &World, ghost: &str) -> String {
    let room = world.alice.create_room(&[ghost, BOT]).await;
    world
        .alice
        .wait_for("for both to come in", &room, SOON, |room| {
            let joined = |user| {
                room.member(user)
                    .is_some_and(|member| member.membership == "join")
            };
            (joined(ghost) && joined(BOT)).then_some(())
        })
        .await;
    room
}

async fn set_power(world: &World, room: &str, ghost_may_speak: bool) {
    let needed = if ghost_may_speak { 0 } else { 50 };
    let levels = world
        .alice
        .room(room)
        .state("m.room.power_levels", "")
        .cloned()
        .expect("a room has power levels");
    let mut levels = levels;
    levels["events"]["m.room.message"] = needed.into();
    levels["users"][BOT] = 50.into();
    let call = json!({"room": room, "kind": "m.room.power_levels", "content": levels});
    world.alice.call("put_state", call).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn muted_agent_is_not_asked_and_the_bot_says_so_once() {
    let world = World::start().await;
    let agent = world.agents().remove(0);
    let room = room_of_alice(&world, &agent.ghost).await;
    // That it can speak is known, and must be forgotten when it no longer can.
    let question = world.alice.mention(&room, &agent.ghost, "say: first").await;
    world
        .alice
        .wait_for_answer(&room, &question, SOON, |text| text == "first")
        .await;
    set_power(&world, &room, false).await;
    for text in ["say: one", "say: two"] {
        world.alice.mention(&room, &agent.ghost, text).await;
        hears(&world.alice, &room, "[AGENT_MUTED]").await;
    }
    let seen = world.settled(&room).await;
    assert_eq!(heard(&seen, "[AGENT_MUTED]"), 1, "{seen}");
    assert_eq!(
        seen.said_by(BOT)
            .filter(|entry| entry.says("[AGENT_MUTED]"))
            .count(),
        1,
        "{seen}"
    );
    assert_eq!(
        world.letta.runs(),
        1,
        "Letta was asked for what nobody hears"
    );
    set_power(&world, &room, true).await;
    let question = world.alice.mention(&room, &agent.ghost, "say: again").await;
    world
        .alice
        .wait_for_answer(&room, &question, SOON, |text| text == "again")
        .await;
    // It was heard, and is muted again.
    let runs = world.letta.runs();
    set_power(&world, &room, false).await;
    world.alice.mention(&room, &agent.ghost, "say: more").await;
    world
        .alice
        .wait_for("to hear it again", &room, SOON, |room| {
            (heard(room, "[AGENT_MUTED]") == 2).then_some(())
        })
        .await;
    assert_eq!(
        world.letta.runs(),
        runs,
        "Letta was asked for what nobody hears"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn redacted_answer_stops_growing_and_its_turn_ends() {
    let world = World::start().await;
    let agent = world.agents().remove(0);
    let room = room_of_alice(&world, &agent.ghost).await;
    let question = world.alice.mention(&room, &agent.ghost, "slow: 60").await;
    let answer = world
        .alice
        .wait_for_answer(&room, &question, SOON, |text| text.contains("w0"))
        .await;
    world.alice.redact(&room, &answer.event_id).await;
    world
        .alice
        .wait_for("for the redaction", &room, SOON, |room| {
            room.entry(&answer.event_id)?.redacted.then_some(())
        })
        .await;
    // One edit may be under way; then there is silence.
    world.settled(&room).await;
    let edits = || {
        world.matrix.count(|one| {
            one.path.contains("/send/m.room.message/")
                && one.json()["m.relates_to"]["rel_type"] == "m.replace"
        })
    };
    let before = edits();
    tokio::time::sleep(NOTHING).await;
    assert_eq!(edits(), before, "it is sent again in clear");
    let seen = world.settled(&room).await;
    assert!(
        seen.entry(&answer.event_id)
            .is_some_and(|entry| entry.redacted),
        "{seen}"
    );
    let question = world
        .alice
        .mention(&room, &agent.ghost, "say: the next one")
        .await;
    world
        .alice
        .wait_for_answer(&room, &question, SOON, |text| text == "the next one")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sender_who_answers_every_answer_is_braked() {
    let world = World::plan().with("TURNS__PER_MINUTE", "3").start().await;
    let (agent, room) = world.first_room().await;
    for number in 0..3 {
        let question = world.alice.say(&room, &format!("say: turn {number}")).await;
        world
            .alice
            .wait_for_answer(&room, &question, SOON, |text| {
                text == format!("turn {number}")
            })
            .await;
    }
    for number in 3..6 {
        world.alice.say(&room, &format!("say: turn {number}")).await;
    }
    hears(&world.alice, &room, "[TOO_MANY_TURNS]").await;
    let seen = world.settled(&room).await;
    assert_eq!(world.letta.runs(), 3, "{seen}");
    // What waited is answered, together, when the minute is over.
    let answered = |room: &Room| {
        let mut said = room.said_by(&agent.ghost).map(Entry::text);
        said.any(|text| text.contains("turn 5")).then_some(())
    };
    world
        .alice
        .wait_for("for the rest", &room, Duration::from_secs(90), answered)
        .await;
    let seen = world.settled(&room).await;
    assert_eq!(heard(&seen, "[TOO_MANY_TURNS]"), 1, "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn braked_sender_holds_up_nobody_else() {
    let mut world = World::plan()
        .permissions(&[(ALICE, "admin"), (BOB, "user")])
        .with("TURNS__PER_MINUTE", "2")
        .start()
        .await;
    let bob = world.person("bob").await;
    let agent = world.agents().remove(0);
    let room = world.alice.create_room(&[&agent.ghost, BOB]).await;
    bob.join(&room).await;
    for number in 0..2 {
        let question = world
            .alice
            .mention(&room, &agent.ghost, &format!("say: turn {number}"))
            .await;
        world
            .alice
            .wait_for_answer(&room, &question, SOON, |text| {
                text == format!("turn {number}")
            })
            .await;
    }
    world
        .alice
        .mention(&room, &agent.ghost, "say: too many")
        .await;
    hears(&world.alice, &room, "[TOO_MANY_TURNS]").await;
    let question = bob.mention(&room, &agent.ghost, "say: hello Bob").await;
    bob.wait_for_answer(&room, &question, SOON, |text| text == "hello Bob")
        .await;
    let answered = |room: &Room| {
        let mut said = room.said_by(&agent.ghost).map(Entry::text);
        said.any(|text| text == "too many").then_some(())
    };
    assert_eq!(answered(&bob.room(&room)), None, "the brake is off");
    world
        .alice
        .wait_for("for the rest", &room, Duration::from_secs(90), answered)
        .await;
    let seen = world.settled(&room).await;
    assert_eq!(heard(&seen, "[TOO_MANY_TURNS]"), 1, "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn agent_that_is_removed_is_said_to_be_gone_and_not_asked() {
    let world = World::start().await;
    let agent = world.agents().remove(0);
    let room = world.enter(&agent).await;
    assert!(world.letta.demo.remove_agent(&agent.id));
    let asked = || {
        world
            .ask
            .count(|one| one.method == Method::POST && one.path.contains("/messages"))
    };
    let before = asked();
    world.alice.say(&room, "say: anybody?").await;
    hears(&world.alice, &room, "[AGENT_GONE]").await;
    tokio::time::sleep(NOTHING).await;
    assert!(asked() <= before + 1, "it is asked again and again");
    let seen = world.settled(&room).await;
    assert_eq!(heard(&seen, "[AGENT_GONE]"), 1, "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn letta_that_dies_in_an_answer_is_told_of_soon_and_the_notice_is_edited() {
    let mut world = World::start().await;
    let (agent, room) = world.first_room().await;
    let question = world.alice.say(&room, &format!("slow: {}", 8)).await;
    world
        .alice
        .wait_for_answer(&room, &question, SOON, |text| text.contains("w0"))
        .await;
    world.letta.go_away().await;
    hears(&world.alice, &room, "[LETTA_UNREACHABLE]").await;
    world.letta.come_back().await;
    world
        .alice
        .wait_for_answer(&room, &question, Duration::from_mins(1), |text| {
            text == words(8)
        })
        .await;
    let seen = world.settled(&room).await;
    let notices: Vec<_> = seen
        .said_by(&agent.ghost)
        .filter(|entry| entry.says("[LETTA_UNREACHABLE]"))
        .collect();
    assert_eq!(notices.len(), 1, "{seen}");
    assert!(notices[0].text().contains("was lost for"), "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn notice_of_an_outage_is_edited_also_after_a_restart_of_the_bridge() {
    let mut world = World::start().await;
    let (agent, room) = world.first_room().await;
    world.letta.go_away().await;
    let question = world.alice.say(&room, "say: at last").await;
    hears(&world.alice, &room, "`!letta stop` gives it up").await;
    world.bridge.kill9().await;
    world.bridge.restart().await;
    world.letta.come_back().await;
    world
        .alice
        .wait_for_answer(&room, &question, Duration::from_mins(1), |text| {
            text == "at last"
        })
        .await;
    let seen = world.settled(&room).await;
    assert_eq!(heard(&seen, "gives it up"), 0, "{seen}");
    let told = |entry: &&Entry| entry.text().contains("is delivered now");
    assert_eq!(seen.said_by(&agent.ghost).filter(told).count(), 1, "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn real_agent_deleted_while_it_answers_is_said_to_be_gone() {
    let deployment = Deployment::start(Kind::AppServer, &[]).await;
    let agent = deployment.agents().await.remove(0);
    let room = deployment.enter(&agent).await;
    let (prompt, _) = deployment.peer.slow(60);
    let question = deployment.alice.say(&room, &prompt).await;
    deployment
        .alice
        .wait_for_answer(&room, &question, PATIENCE, |text| text.contains('1'))
        .await;
    deployment.peer.delete_agent(&agent).await;
    // What Letta says of it differs between its versions; that the next message is not asked for ever does not.
    deployment
        .alice
        .say(&room, &deployment.peer.say("anybody?"))
        .await;
    deployment.hears(&room, "[AGENT_GONE]").await;
    let seen = deployment.alice.room(&room);
    assert_eq!(heard(&seen, "CONVERSATION_LOST"), 0, "{seen}");
    assert_eq!(heard(&seen, "Try again in a moment"), 0, "{seen}");
}
