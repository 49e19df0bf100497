//! One flood: a name, what it needs beforehand, and rounds that some tasks make as fast as they are answered.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use http::StatusCode;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::stage::Stage;

/// After this time a flood counts as under way, however few of its rounds have ended.
const UNDER_WAY: Duration = Duration::from_secs(2);
/// How long the rounds of a flood that has to end may take; after it they are dropped.
const GRACE: Duration = Duration::from_secs(5);
/// How long a flood may take for the rounds that it has to make.
const ROUNDS_WITHIN: Duration = Duration::from_mins(1);

pub type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// One round of a task: it is given the number of the task and of the round.
pub type Round = Arc<dyn Fn(usize, usize) -> Work<Answer> + Send + Sync>;

pub struct Flood {
    pub name: &'static str,
    /// How many tasks make it at its usual size, and at full size.
    pub tasks: (usize, usize),
    /// Makes what the rounds need, while the homeserver does not limit rates yet.
    pub prepare: fn(Arc<Stage>) -> Work<Round>,
}

/// How the homeserver took one round.
#[derive(Clone, Copy, Debug)]
pub enum Answer {
    /// 2xx, or a connection that it let stand.
    Done,
    /// 4xx: a limit.
    Refused,
    /// 5xx.
    Failed,
    /// It hung up, or nobody waited for it.
    None,
}

impl Answer {
    pub fn of(status: &reqwest::Result<StatusCode>) -> Self {
        match status {
            Ok(status) if status.is_success() => Self::Done,
            Ok(status) if status.is_client_error() => Self::Refused,
            Ok(_) => Self::Failed,
            Err(_) => Self::None,
        }
    }
}

/// Rounds, by how they were taken.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub done: usize,
    pub refused: usize,
    pub failed: usize,
    pub unanswered: usize,
}

#[derive(Default)]
struct Tally {
    answers: [AtomicUsize; 4],
    counted: Notify,
}

impl Tally {
    fn count(&self, answer: Answer) {
        self.answers[answer as usize].fetch_add(1, Ordering::Relaxed);
        self.counted.notify_one();
    }

    fn counts(&self) -> Counts {
        let of = |answer: Answer| self.answers[answer as usize].load(Ordering::Relaxed);
        Counts {
            done: of(Answer::Done),
            refused: of(Answer::Refused),
            failed: of(Answer::Failed),
            unanswered: of(Answer::None),
        }
    }

    fn rounds(&self) -> usize {
        let answers = self.answers.iter();
        answers.map(|count| count.load(Ordering::Relaxed)).sum()
    }

    async fn reach(&self, rounds: usize) {
        while self.rounds() < rounds {
            self.counted.notified().await;
        }
    }
}

/// A round out of a function.
pub fn round<F, R>(make: F) -> Round
where
    F: Fn(usize, usize) -> R + Send + Sync + 'static,
    R: Future<Output = Answer> + Send + 'static,
{
    Arc::new(move |task, number| Box::pin(make(task, number)))
}

/// A flood that is under way.
pub struct Running {
    ends: Arc<AtomicBool>,
    tally: Arc<Tally>,
    tasks: JoinSet<()>,
}

impl Running {
    /// Begins, and waits until there is something of it.
    pub async fn start(round: &Round, tasks: usize) -> Self {
        let mut running = Self {
            ends: Arc::default(),
            tally: Arc::default(),
            tasks: JoinSet::new(),
        };
        for task in 0..tasks {
            let (ends, tally) = (running.ends.clone(), running.tally.clone());
            let round = round.clone();
            running.tasks.spawn(async move {
                for number in 0.. {
                    if ends.load(Ordering::Relaxed) {
                        break;
                    }
                    tally.count(round(task, number).await);
                }
            });
        }
        let _ = tokio::time::timeout(UNDER_WAY, running.tally.reach(tasks)).await;
        running
    }

    /// Waits until so many rounds have been made.
    pub async fn reach(&self, rounds: usize) {
        let reached = tokio::time::timeout(ROUNDS_WITHIN, self.tally.reach(rounds)).await;
        let counts = self.tally.counts();
        assert!(reached.is_ok(), "not {rounds} rounds: {counts:?}");
    }

    /// Ends it.
    pub async fn stop(mut self) -> Counts {
        self.ends.store(true, Ordering::Relaxed);
        let ending = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(GRACE, ending).await.is_err() {
            self.tasks.shutdown().await;
        }
        self.tally.counts()
    }
}
