//! Whatever is killed, whenever: no message is lost and no answer is given twice.

use std::time::Duration;

use http::Method;

use crate::support::kills::{self, Round};
use crate::support::letta::Agent;
use crate::support::room::{Entry, Room};
use crate::support::wire::{ExchangePhase, Held, Moment, Wire};
use crate::support::world::{SOON, World};
use crate::talk::words;

/// How often the bridge is killed at each point of a turn, unless `KILLS_PER_POINT` says otherwise.
const KILLS_PER_POINT: usize = 3;

/// What a person waits at most for an answer whose bridge was killed in between.
const PATIENCE: Duration = Duration::from_secs(45);

/// A point in the course of a turn at which the bridge is killed.
#[derive(Debug, Clone, Copy)]
enum Point {
    MessageNotYetThere,
    MessageTakenAnswerHeld,
    QuestionNotYetAtLetta,
    FirstChunk,
    FirstSayingNotYetSent,
    FirstSayingSentAnswerHeld,
    EditNotYetSent,
    MiddleChunk,
    LastChunkPassed,
    LastEditSentAnswerHeld,
}

impl Point {
    /// How long the agent speaks: enough for the point to come, and no longer. A word takes a quarter of a second.
    fn words(self) -> usize {
        match self {
            Self::MessageNotYetThere
            | Self::MessageTakenAnswerHeld
            | Self::QuestionNotYetAtLetta
            | Self::FirstChunk => 1,
            Self::FirstSayingNotYetSent
            | Self::FirstSayingSentAnswerHeld
            | Self::LastChunkPassed => 2,
            Self::MiddleChunk => 4,
            Self::EditNotYetSent | Self::LastEditSentAnswerHeld => 7,
        }
    }

    /// Arms the wire on which the point comes.
    fn hold(self, world: &World, question: String) -> Held {
        let last = format!("w{}", self.words() - 1);
        match self {
            Self::MessageNotYetThere => on(&world.push, move |one| {
                transaction(one, ExchangePhase::Arrived, &question)
            }),
            Self::MessageTakenAnswerHeld => on(&world.push, move |one| {
                transaction(one, ExchangePhase::Answered, &question)
            }),
            Self::QuestionNotYetAtLetta => {
                on(&world.ask, |one| prompt(one, ExchangePhase::Arrived))
            }
            Self::FirstChunk => on(&world.ask, |one| {
                prompt(one, ExchangePhase::Chunk) && one.chunks_before == 0
            }),
            Self::MiddleChunk => on(&world.ask, |one| {
                prompt(one, ExchangePhase::Chunk)
                    && String::from_utf8_lossy(&one.chunk).contains("w2")
            }),
            Self::LastChunkPassed => on(&world.ask, |one| prompt(one, ExchangePhase::End)),
            Self::FirstSayingNotYetSent => {
                on(&world.matrix, |one| saying(one, ExchangePhase::Arrived))
            }
            Self::FirstSayingSentAnswerHeld => {
                on(&world.matrix, |one| saying(one, ExchangePhase::Answered))
            }
            Self::EditNotYetSent => on(&world.matrix, |one| {
                saying(one, ExchangePhase::Arrived) && one.mentions("m.replace")
            }),
            Self::LastEditSentAnswerHeld => on(&world.matrix, move |one| {
                saying(one, ExchangePhase::Answered)
                    && one.mentions("m.replace")
                    && one.mentions(&last)
            }),
        }
    }
}

fn on(wire: &Wire, matches: impl Fn(&Moment) -> bool + Send + 'static) -> Held {
    wire.hold(matches)
}

fn transaction(moment: &Moment, stage: ExchangePhase, question: &str) -> bool {
    moment.is(stage, &Method::PUT, "/transactions/") && moment.mentions(question)
}

fn prompt(moment: &Moment, stage: ExchangePhase) -> bool {
    moment.is(stage, &Method::POST, "/messages")
}

fn saying(moment: &Moment, stage: ExchangePhase) -> bool {
    moment.is(stage, &Method::PUT, "/send/m.room.message/")
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_a_message_arrives_it_is_answered_exactly_once() {
    kill_at(&[Point::MessageNotYetThere, Point::MessageTakenAnswerHeld]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_asking_letta_it_answers_exactly_once() {
    kill_at(&[
        Point::QuestionNotYetAtLetta,
        Point::FirstChunk,
        Point::MiddleChunk,
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_beginning_to_speak_it_answers_exactly_once() {
    kill_at(&[
        Point::FirstSayingNotYetSent,
        Point::FirstSayingSentAnswerHeld,
        Point::LastChunkPassed,
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_the_answer_grows_it_answers_exactly_once() {
    kill_at(&[Point::EditNotYetSent, Point::LastEditSentAnswerHeld]).await;
}

/// Kills the bridge at each of the points, again and again, and looks at what the person sees.
async fn kill_at(points: &[Point]) {
    let mut world = World::start().await;
    let (agent, room) = world.first_room().await;
    // As behind a proxy that tries again. What a homeserver does without one is tested below.
    world.push.set_patient(true);
    let rounds = kills::at_each(points, KILLS_PER_POINT, async |now| {
        round(&mut world, &agent, &room, now).await;
    });
    let rounds = rounds.await;
    let seen = world.settled(&room).await;
    assert_eq!(seen.said_by(&agent.ghost).count(), rounds, "{seen}");
    assert_eq!(
        world.letta.runs(),
        rounds,
        "Letta was asked more or less than once for a message"
    );
}

async fn round(world: &mut World, agent: &Agent, room: &str, now: Round<Point>) {
    // What is left of the last round must not be taken for this one.
    world.quiet_for(Duration::from_millis(200)).await;
    let count = now.point.words();
    let text = format!("slow: {count} (round {} {:?})", now.number, now.point);
    let mut held = now.point.hold(world, text.clone());
    let question = world.alice.say(room, &text).await;
    held.caught(SOON).await;
    world.bridge.kill9().await;
    held.release(now.fate());
    world.bridge.restart().await;
    world
        .alice
        .wait_for_answer(room, &question, PATIENCE, |text| text == words(count))
        .await;
    let seen = world.alice.room(room);
    answered_once(&seen, agent, &question, count);
}

fn answered_once(seen: &Room, agent: &Agent, question: &str, count: usize) {
    let answers: Vec<_> = seen.answers_to(question).collect();
    assert_eq!(answers.len(), 1, "not answered exactly once\n{seen}");
    assert_eq!(
        (answers[0].text(), answers[0].sender.as_str()),
        (words(count).as_str(), agent.ghost.as_str()),
        "{seen}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_while_the_bridge_is_down_is_answered_when_it_is_back() {
    let mut world = World::start().await;
    let (agent, room) = world.first_room().await;
    world.bridge.kill9().await;
    let mut questions = Vec::new();
    for text in ["say: one", "say: two", "say: three"] {
        questions.push(world.alice.say(&room, text).await);
    }
    world.bridge.restart().await;
    // Several messages may share a turn; then the last directive counts and the answer is to the last of them.
    let last = questions.last().unwrap();
    world
        .alice
        .wait_for_answer(&room, last, PATIENCE, |text| text == "three")
        .await;
    let seen = world.settled(&room).await;
    // Synapse may pass on the third only after the second is answered: then that answer is no reply, and only its words tell what it answers.
    let said: Vec<&str> = seen.said_by(&agent.ghost).map(Entry::text).collect();
    let distinct: std::collections::BTreeSet<_> = said.iter().collect();
    assert_eq!(distinct.len(), said.len(), "twice: {seen}");
    assert!(said.len() <= questions.len(), "{seen}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_homeserver_that_restarts_during_an_answer_shows_all_of_it() {
    let mut world = World::start().await;
    let (agent, room) = world.first_room().await;
    let question = world.alice.say(&room, "slow: 12").await;
    world
        .alice
        .wait_for_answer(&room, &question, SOON, |text| text.contains("w0"))
        .await;
    world.homeserver.stop().await;
    world.homeserver.start().await;
    world
        .alice
        .wait_for_answer(&room, &question, PATIENCE, |text| text == words(12))
        .await;
    answered_once(&world.settled(&room).await, &agent, &question, 12);
    let question = world.alice.say(&room, "slow: 2").await;
    world
        .alice
        .wait_for_answer(&room, &question, PATIENCE, |text| text == words(2))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_letta_is_away_the_room_hears_so_once_and_is_answered_later() {
    let mut world = World::start().await;
    let (agent, room) = world.first_room().await;
    world.letta.go_away().await;
    let question = world.alice.say(&room, "say: at last").await;
    world
        .alice
        .wait_for(
            "to hear that Letta is away",
            &room,
            Duration::from_secs(30),
            |room| {
                room.timeline
                    .iter()
                    .any(|entry| entry.sender != world.alice.user_id)
                    .then_some(())
            },
        )
        .await;
    // Time enough for a second try, and a third.
    tokio::time::sleep(Duration::from_secs(5)).await;
    let others = |seen: &Room| {
        seen.timeline
            .iter()
            .filter(|entry| entry.sender != world.alice.user_id)
            .count()
    };
    let seen = world.alice.room(&room);
    assert_eq!(others(&seen), 1, "the room heard it more than once\n{seen}");
    world.letta.come_back().await;
    world
        .alice
        .wait_for_answer(&room, &question, PATIENCE, |text| text == "at last")
        .await;
    let seen = world.settled(&room).await;
    assert!(others(&seen) <= 2, "{seen}");
    assert_eq!(
        seen.said_by(&agent.ghost)
            .filter(|entry| entry.text() == "at last")
            .count(),
        1,
        "{seen}"
    );
    assert_eq!(world.letta.runs(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bridge_that_is_stopped_during_an_answer_leaves_nothing_half_said() {
    let mut world = World::start().await;
    let (agent, room) = world.first_room().await;
    let question = world.alice.say(&room, "slow: 16").await;
    world
        .alice
        .wait_for_answer(&room, &question, SOON, |text| text.contains("w1"))
        .await;
    let (status, took) = world.bridge.sigterm().await;
    println!("the bridge ended {took:?} after SIGTERM: {status}");
    assert!(status.success(), "{status}\n{}", world.bridge.log_tail(20));
    world.bridge.restart().await;
    world
        .alice
        .wait_for_answer(&room, &question, PATIENCE, |text| text == words(16))
        .await;
    answered_once(&world.settled(&room).await, &agent, &question, 16);
    assert_eq!(world.letta.runs(), 1);
}
