//! A homeserver that keeps what was said while the bridge was down until the next event for the bridge, as Tuwunel up to 1.8.2
//! does. It is a double made of a real homeserver and a wire: transactions are refused until the bridge has sent its start event.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use http::{Method, StatusCode};

use crate::support::wire::{ExchangePhase, Moment, RuleAction, matrix_error};
use crate::support::world::{SOON, World};

/// How long an answer may take that waits for the homeserver to try again.
const PATIENCE: Duration = Duration::from_mins(1);
const START_EVENT: &str = "/state/org.letta.bridge.start";

/// What releases the queue.
#[derive(Clone, Copy, PartialEq)]
enum Release {
    AtTheStartEvent,
    Never,
}

/// Refuses transactions from now on until it is released. Gives the flag that says that they are refused.
fn freeze(world: &World, release: Release) -> Arc<AtomicBool> {
    let frozen = Arc::new(AtomicBool::new(true));
    let refused = Arc::clone(&frozen);
    world.push.always(
        matrix_error(StatusCode::SERVICE_UNAVAILABLE, "M_UNKNOWN"),
        move |one| {
            one.is(ExchangePhase::Arrived, &Method::PUT, "/transactions/")
                && refused.load(Ordering::SeqCst)
        },
    );
    let released = Arc::clone(&frozen);
    world.matrix.always(RuleAction::Pass, move |one| {
        if release == Release::AtTheStartEvent && start_event(one, ExchangePhase::Answered) {
            released.store(false, Ordering::SeqCst);
        }
        false
    });
    frozen
}

fn start_event(moment: &Moment, stage: ExchangePhase) -> bool {
    moment.is(stage, &Method::PUT, START_EVENT)
}

/// A world in which one message was answered, so that the bridge knows what it has admitted.
async fn world_with_history() -> (World, String) {
    let world = World::start().await;
    let (_, room) = world.first_room().await;
    let question = world.alice.say(&room, "say: before").await;
    world
        .alice
        .wait_for_answer(&room, &question, SOON, |text| text == "before")
        .await;
    world.settled(&room).await;
    (world, room)
}

async fn answered_once(world: &World, room: &str, question: &str, answer: &str) {
    world
        .alice
        .wait_for_answer(room, question, PATIENCE, |text| text == answer)
        .await;
    let seen = world.settled(room).await;
    assert_eq!(seen.answers_to(question).count(), 1, "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn frozen_queue_is_released_by_the_start_event() {
    let (mut world, room) = world_with_history().await;
    world.bridge.kill9().await;
    freeze(&world, Release::AtTheStartEvent);
    let question = world.alice.say(&room, "say: after").await;
    world.bridge.restart().await;
    answered_once(&world, &room, &question, "after").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bridge_killed_around_its_start_event_answers_once() {
    let (mut world, room) = world_with_history().await;
    world.bridge.kill9().await;
    let frozen = freeze(&world, Release::AtTheStartEvent);
    for stage in [ExchangePhase::Arrived, ExchangePhase::Answered] {
        frozen.store(true, Ordering::SeqCst);
        let text = format!("say: {stage:?}");
        let question = world.alice.say(&room, &text).await;
        let mut held = world.matrix.hold(move |one| start_event(one, stage));
        world.bridge.start();
        held.caught(SOON).await;
        world.bridge.kill9().await;
        held.release(RuleAction::Drop);
        frozen.store(true, Ordering::SeqCst);
        world.bridge.restart().await;
        answered_once(&world, &room, &question, &format!("{stage:?}")).await;
        world.bridge.kill9().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rooms_are_read_where_not_even_the_start_event_comes_back() {
    let (mut world, room) = world_with_history().await;
    world.bridge.kill9().await;
    let frozen = freeze(&world, Release::Never);
    let question = world.alice.say(&room, "say: read").await;
    world.bridge.restart().await;
    answered_once(&world, &room, &question, "read").await;
    // The same event in a transaction is no second question.
    frozen.store(false, Ordering::SeqCst);
    let later = world.alice.say(&room, "say: later").await;
    answered_once(&world, &room, &later, "later").await;
    assert_eq!(world.alice.room(&room).answers_to(&question).count(), 1);
    assert_eq!(world.letta.runs(), 3);
}
