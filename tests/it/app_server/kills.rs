//! Whoever of the three is killed, in the middle of an answer or of an approval: nothing is lost, nothing is said or done
//! twice, and the conversation goes on.
//!
//! | killed | what a person sees |
//! |---|---|
//! | homeserver | the answer whole, once; one card; the tool runs once |
//! | bridge or App Server, in an answer | the answer whole, once; of the App Server, or that its rest is lost |
//! | either of them, before a choice | the same; the choice counts although Letta forgets that it has asked |
//! | either of them, while a choice is carried out | the tool runs once; who cannot know that asks again on a new card, or says that the answer is lost |

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::approvals::approval_message;
use crate::support::deployment::{Deployment, PATIENCE, Victim};
use crate::support::kills::{self, Round};
use crate::support::letta::Agent;
use crate::support::peer::{Kind, Tool};
use crate::support::room::{Entry, Room};

/// How often each of them is killed at each moment, unless `KILLS_PER_POINT` says otherwise.
const KILLS_PER_MOMENT: usize = 1;
/// How many beats, of a quarter of a second, the agent speaks.
const BEATS: usize = 8;
/// By how much later each kill in an answer comes than the one before, until it begins anew after [`SHIFTS`] of them: from
/// before the message has arrived to after the last word.
const SHIFT: Duration = Duration::from_millis(150);
const SHIFTS: usize = 20;

/// What is said of an answer that Letta itself has lost.
const LOST: &str = "[STREAM_INCOMPLETE]";

/// When it happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    Answer,
    CardShown,
    ChoiceMadeBefore,
    ChoiceMadeAfter,
}

/// What a person has seen of all rounds.
#[derive(Debug, Default)]
struct Tally {
    answers_whole: usize,
    answers_told_lost: usize,
    cards_asked_again: usize,
    asked_after_it_ran: usize,
    longest_wait_afterwards: Duration,
}

/// How an approval ended for the person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Whole,
    /// The tool has run, and the person was told that the rest is lost.
    ToldLost,
    /// It was asked again only after the tool had run, and the person has refused that.
    AskedAfterItRan,
}

struct Scene {
    deployment: Deployment,
    agent: Agent,
    room: String,
    victim: Victim,
    tally: Tally,
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bridge_is_killed() {
    kill(Victim::Bridge).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_app_server_is_killed() {
    kill(Victim::Letta).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_homeserver_is_killed() {
    kill(Victim::Homeserver).await;
}

async fn kill(victim: Victim) {
    let deployment = Deployment::start(Kind::AppServer, &[]).await;
    let agent = deployment.agents().await.remove(0);
    let room = deployment.enter(&agent).await;
    let mut scene = Scene {
        deployment,
        agent,
        room,
        victim,
        tally: Tally::default(),
    };
    let moments = [
        Moment::Answer,
        Moment::CardShown,
        Moment::ChoiceMadeBefore,
        Moment::ChoiceMadeAfter,
    ];
    let started = Instant::now();
    let rounds = kills::at_each(&moments, KILLS_PER_MOMENT, async |round| {
        match round.point {
            Moment::Answer => scene.in_an_answer(round).await,
            _ => scene.in_an_approval(round).await,
        }
        scene.goes_on(round).await;
    });
    let rounds = rounds.await;
    let homeserver = scene.deployment.homeserver.name();
    println!(
        "{victim:?} killed {rounds} times with {homeserver} in {:?}: {:?}",
        started.elapsed(),
        scene.tally
    );
}

impl Scene {
    async fn in_an_answer(&mut self, round: Round<Moment>) {
        let (prompt, expected) = self.deployment.peer.slow(BEATS);
        let question = self.deployment.alice.say(&self.room, &prompt).await;
        if self.forgets_what_it_has_just_taken() {
            self.until_read(&question).await;
        }
        tokio::time::sleep(SHIFT * u32::try_from(round.number % SHIFTS).unwrap()).await;
        self.deployment.kill(self.victim).await;
        let whole = |entry: &&Entry| entry.text().trim() == expected;
        let told = |entry: &&Entry| entry.says(LOST);
        let alice = &self.deployment.alice;
        let told = alice.wait_for("for the end of the answer", &self.room, PATIENCE, |seen| {
            let mut answers = seen.answers_to(&question);
            answers
                .find(|entry| whole(entry) || told(entry))
                .map(|entry| told(&entry))
        });
        let told = told.await;
        self.tally.answers_told_lost += usize::from(told);
        self.tally.answers_whole += usize::from(!told);
        assert!(
            !told || self.victim == Victim::Letta,
            "only Letta can lose what it says"
        );
        let seen = alice.room(&self.room);
        let times = seen.answers_to(&question).filter(whole).count();
        assert_eq!(times, usize::from(!told), "{round:?}\n{seen}");
    }

    async fn in_an_approval(&mut self, round: Round<Moment>) {
        let tool = self
            .deployment
            .peer
            .tool(&format!("{:?}-{}", self.victim, round.number));
        let alice = self.deployment.alice.clone();
        let room = self.room.clone();
        let question = alice.say(&room, &tool.prompt).await;
        let asked = approval_message(&alice, &room, &question).await;
        match round.point {
            Moment::ChoiceMadeBefore => {
                alice.react(&room, &asked.event_id, "✅").await;
                if self.forgets_what_it_has_just_taken() {
                    self.until_taken(&asked).await;
                }
                self.deployment.kill(self.victim).await;
            }
            Moment::ChoiceMadeAfter => {
                let react = alice.react(&room, &asked.event_id, "✅");
                self.deployment.kill_during(self.victim, react).await;
            }
            Moment::Answer | Moment::CardShown => {
                self.deployment.kill(self.victim).await;
                alice.react(&room, &asked.event_id, "✅").await;
            }
        }
        let end = self.decide_to_the_end(&question, asked, &tool).await;
        let seen = alice.room(&room);
        assert_eq!(tool.times_run(), 1, "{round:?}\n{seen}");
        let says = |words: &str| {
            self.since(&seen, &question)
                .filter(|entry| entry.says(words))
                .count()
        };
        assert_eq!(
            says(&tool.returned),
            usize::from(end == End::Whole),
            "{round:?}\n{seen}"
        );
        match end {
            End::Whole => self.tally.answers_whole += 1,
            End::ToldLost => self.tally.answers_told_lost += 1,
            End::AskedAfterItRan => self.tally.asked_after_it_ran += 1,
        }
    }

    /// Synapse notes what it has passed on to application services before it has written down what that is. Killed in between,
    /// it never tells of it, to no bridge: what is proved with it begins when the bridge has heard.
    fn forgets_what_it_has_just_taken(&self) -> bool {
        self.victim == Victim::Homeserver && self.deployment.homeserver.name() == "synapse"
    }

    /// Waits until the agent has read a message.
    async fn until_read(&self, question: &str) {
        let ghost = &self.agent.ghost;
        let read = |seen: &Room| seen.was_read(question, ghost).then_some(());
        let alice = &self.deployment.alice;
        alice
            .wait_for("to be read", &self.room, PATIENCE, read)
            .await;
    }

    /// Waits until a choice on this card counts.
    async fn until_taken(&self, approval_message: &Entry) {
        let taken = |seen: &Room| {
            let approval_message = seen.entry(&approval_message.event_id)?;
            approval_message.text().contains("Approved").then_some(())
        };
        let alice = &self.deployment.alice;
        alice
            .wait_for("for the choice to count", &self.room, PATIENCE, taken)
            .await;
    }

    /// Decides what is asked again, as a person does who sees what has run already.
    async fn decide_to_the_end(&mut self, question: &str, asked: Entry, tool: &Tool) -> End {
        let alice = self.deployment.alice.clone();
        let mut decided = HashSet::from([asked.event_id]);
        loop {
            let next = alice.wait_for("for the answer", &self.room, PATIENCE, |seen| {
                let mut news = self.since(seen, question);
                news.find_map(|entry| {
                    let text = entry.text();
                    let asks = text.contains("May I use") && !decided.contains(&entry.event_id);
                    let ends = text.contains(tool.denied) || entry.says(LOST);
                    (asks || ends).then(|| (asks, entry.clone()))
                })
            });
            let (asks, entry) = next.await;
            let whole = entry.text().contains(&tool.returned);
            assert!(
                whole || self.victim != Victim::Homeserver,
                "Letta has forgotten nothing: {entry:?}"
            );
            match asks {
                false if whole => return End::Whole,
                false if entry.says(LOST) => return End::ToldLost,
                false => return End::AskedAfterItRan,
                true => {}
            }
            self.tally.cards_asked_again += 1;
            let sign = if tool.has_run() { "❌" } else { "✅" };
            alice.react(&self.room, &entry.event_id, sign).await;
            decided.insert(entry.event_id);
        }
    }

    /// What the agent has said since a question.
    fn since<'a>(&'a self, seen: &'a Room, question: &'a str) -> impl Iterator<Item = &'a Entry> {
        let after = seen
            .timeline
            .iter()
            .skip_while(move |entry| entry.event_id != question);
        after.filter(|entry| entry.sender == self.agent.ghost && !entry.redacted)
    }

    /// A further message is answered, and no card is left that waits.
    async fn goes_on(&mut self, round: Round<Moment>) {
        let alice = &self.deployment.alice;
        let words = format!("still here after {}", round.number);
        let asked = Instant::now();
        let question = alice
            .say(&self.room, &self.deployment.peer.say(&words))
            .await;
        let complete = |text: &str| text == words;
        alice
            .wait_for_answer(&self.room, &question, PATIENCE, complete)
            .await;
        let longest = &mut self.tally.longest_wait_afterwards;
        *longest = asked.elapsed().max(*longest);
        let seen = alice.room(&self.room);
        let mut said = seen.said_by(&self.agent.ghost);
        assert!(
            !said.any(|entry| entry.text().contains("May I use")),
            "{round:?}\n{seen}"
        );
    }
}
