//! Killed at any step of an approval, the bridge asks once, runs the tool once, and answers once.

use std::time::Duration;

use http::Method;

use crate::approvals::{PATIENCE, approval_message, heard};
use crate::support::kills::{self, Round};
use crate::support::room::Room;
use crate::support::wire::{ExchangePhase, Held, Moment};
use crate::support::world::{SOON, World};

/// How often the bridge is killed at each step, unless `KILLS_PER_POINT` says otherwise.
const KILLS_PER_STEP: usize = 2;

/// A step of an approval at which the bridge is killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    RequestHeard,
    CardNotYetSent,
    CardSentAnswerHeld,
    ChoiceNotYetSent,
    ReactionNotYetThere,
    ReactionTakenAnswerHeld,
    VerdictNotYetShown,
    DecisionNotYetAtLetta,
    DecisionAtLettaAnswerHeld,
    AnswerNotYetSent,
    AnswerSentAnswerHeld,
}

impl Step {
    /// Whether it comes before the person can react.
    fn comes_before_the_choice(self) -> bool {
        matches!(
            self,
            Self::RequestHeard
                | Self::CardNotYetSent
                | Self::CardSentAnswerHeld
                | Self::ChoiceNotYetSent
        )
    }

    fn hold(self, world: &World) -> Held {
        let said = |one: &Moment, stage, words: &str| {
            one.is(stage, &Method::PUT, "/send/m.room.message/") && one.mentions(words)
        };
        let reaction = |one: &Moment, stage| {
            let ours = one.is(stage, &Method::PUT, "/transactions/");
            ours && one.mentions("m.reaction") && one.mentions("@alice:")
        };
        let to_letta = |one: &Moment, stage| one.is(stage, &Method::POST, "/messages");
        match self {
            Self::RequestHeard => world.ask.hold(move |one| to_letta(one, ExchangePhase::End)),
            Self::CardNotYetSent => world
                .matrix
                .hold(move |one| said(one, ExchangePhase::Arrived, "May I")),
            Self::CardSentAnswerHeld => world
                .matrix
                .hold(move |one| said(one, ExchangePhase::Answered, "May I")),
            Self::ChoiceNotYetSent => world
                .matrix
                .hold(|one| one.is(ExchangePhase::Arrived, &Method::PUT, "/send/m.reaction/")),
            Self::ReactionNotYetThere => world
                .push
                .hold(move |one| reaction(one, ExchangePhase::Arrived)),
            Self::ReactionTakenAnswerHeld => world
                .push
                .hold(move |one| reaction(one, ExchangePhase::Answered)),
            Self::VerdictNotYetShown => world
                .matrix
                .hold(move |one| said(one, ExchangePhase::Arrived, "Approved**")),
            Self::DecisionNotYetAtLetta => world
                .ask
                .hold(move |one| to_letta(one, ExchangePhase::Arrived)),
            Self::DecisionAtLettaAnswerHeld => world
                .ask
                .hold(move |one| to_letta(one, ExchangePhase::Answered)),
            Self::AnswerNotYetSent => world
                .matrix
                .hold(move |one| said(one, ExchangePhase::Arrived, "tool launch")),
            Self::AnswerSentAnswerHeld => world
                .matrix
                .hold(move |one| said(one, ExchangePhase::Answered, "tool launch")),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_it_asks_it_asks_once() {
    kill_at(&[
        Step::RequestHeard,
        Step::CardNotYetSent,
        Step::CardSentAnswerHeld,
        Step::ChoiceNotYetSent,
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_a_decision_arrives_it_is_taken_once() {
    kill_at(&[
        Step::ReactionNotYetThere,
        Step::ReactionTakenAnswerHeld,
        Step::VerdictNotYetShown,
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_letta_is_told_the_tool_runs_once() {
    kill_at(&[
        Step::DecisionNotYetAtLetta,
        Step::DecisionAtLettaAnswerHeld,
        Step::AnswerNotYetSent,
        Step::AnswerSentAnswerHeld,
    ])
    .await;
}

async fn kill_at(steps: &[Step]) {
    let mut world = World::start().await;
    let (_, room) = world.first_room().await;
    world.push.set_patient(true);
    let rounds = kills::at_each(steps, KILLS_PER_STEP, async |now| {
        round(&mut world, &room, now).await;
    });
    let rounds = rounds.await;
    let seen = world.settled(&room).await;
    assert_eq!(heard(&seen, "Approved** by @alice"), rounds, "{seen}");
    assert_eq!(
        world.letta.runs(),
        rounds,
        "Letta took more or less than one question for each round"
    );
}

async fn round(world: &mut World, room: &str, now: Round<Step>) {
    world.quiet_for(Duration::from_millis(200)).await;
    let (step, number) = (now.point, now.number);
    let early = step.comes_before_the_choice();
    let mut held = early.then(|| step.hold(world));
    let text = format!(r#"approve: launch {{"round":{number}}}"#);
    let question = world.alice.say(room, &text).await;
    if let Some(mut held) = held.take() {
        kill(world, &mut held).await;
        held.release(now.fate());
        world.bridge.restart().await;
    }
    let asked = approval_message(&world.alice, room, &question).await;
    // Both choices are there before somebody reacts, or a hold could catch their echo.
    world.quiet_for(Duration::from_millis(300)).await;
    let mut held = (!early).then(|| step.hold(world));
    world.alice.react(room, &asked.event_id, "✅").await;
    if let Some(mut held) = held.take() {
        kill(world, &mut held).await;
        held.release(now.fate());
        world.bridge.restart().await;
    }
    let result = format!(r#"demo result for {{"round":{number}}}"#);
    world
        .alice
        .wait_for_answer(room, &question, PATIENCE, |text| text.contains(&result))
        .await;
    let seen = world.settled(room).await;
    once(&seen, &question, &asked.sender, step);
}

async fn kill(world: &mut World, held: &mut Held) {
    held.caught(SOON).await;
    world.bridge.kill9().await;
}

/// One card with no choice twice, one answer, nothing else.
fn once(seen: &Room, question: &str, ghost: &str, step: Step) {
    let spoken: Vec<_> = seen
        .answers_to(question)
        .filter(|entry| entry.msgtype.as_deref() == Some("m.text"))
        .collect();
    assert_eq!(spoken.len(), 2, "{step:?}: a card and an answer\n{seen}");
    for choice in ["✅", "❌"] {
        // The one that nobody has used is taken back, unless the bridge died before that.
        let by = spoken[0].reactions.get(choice).into_iter().flatten();
        let ours = by.filter(|user| *user == ghost).count();
        assert!(ours <= 1, "{step:?}: {choice} {ours} times\n{seen}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_survives_a_restart_of_the_homeserver_and_of_letta() {
    let mut world = World::start().await;
    let (_, room) = world.first_room().await;
    let question = world.alice.say(&room, "approve: launch {}").await;
    let asked = approval_message(&world.alice, &room, &question).await;
    world.homeserver.stop().await;
    world.bridge.kill9().await;
    world.homeserver.start().await;
    world.bridge.restart().await;
    // What is decided while Letta is away is told to Letta when it is back.
    world.letta.go_away().await;
    world.alice.react(&room, &asked.event_id, "✅").await;
    world
        .alice
        .wait_for("for the verdict", &room, PATIENCE, |room| {
            room.entry(&asked.event_id)?
                .text()
                .contains("Approved** by @alice")
                .then_some(())
        })
        .await;
    world.letta.come_back().await;
    world
        .alice
        .wait_for_answer(&room, &question, PATIENCE, |text| {
            text.contains("tool launch returned")
        })
        .await;
    let seen = world.settled(&room).await;
    once(&seen, &question, &asked.sender, Step::RequestHeard);
}
