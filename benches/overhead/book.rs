//! When what happened: one entry per question, all instants from one clock.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::Notify;

/// What happened to one question.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Times {
    /// The homeserver began to send the transaction that holds it.
    pub(crate) sent: Option<Instant>,
    /// Letta had the request that asks it.
    pub(crate) asked: Option<Instant>,
    /// Letta said the first token of the answer.
    pub(crate) token: Option<Instant>,
    /// The homeserver had the `PUT` of the answer.
    pub(crate) put: Option<Instant>,
}

impl Times {
    /// Transaction sent until Letta was asked.
    pub(crate) fn way_in(&self) -> Option<Duration> {
        Some(self.asked?.duration_since(self.sent?))
    }

    /// First token until the `PUT`.
    pub(crate) fn way_out(&self) -> Option<Duration> {
        Some(self.put?.duration_since(self.token?))
    }
}

#[derive(Default)]
struct Inner {
    questions: Mutex<HashMap<String, Times>>,
    changed: Notify,
}

/// All questions, by event id. Clones are the same book.
#[derive(Clone, Default)]
pub(crate) struct Book(Arc<Inner>);

impl Book {
    /// Notes something that happened now. The first time counts.
    pub(crate) fn note(&self, question: &str, what: impl Fn(&mut Times) -> &mut Option<Instant>) {
        let now = Instant::now();
        let mut questions = self.lock();
        what(questions.entry(question.to_owned()).or_default()).get_or_insert(now);
        drop(questions);
        self.0.changed.notify_waiters();
    }

    /// Waits until the answer to a question has arrived.
    pub(crate) async fn answered(&self, question: &str) -> Times {
        loop {
            let changed = self.0.changed.notified();
            if let Some(times) = self.lock().get(question)
                && times.put.is_some()
            {
                return *times;
            }
            changed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Times>> {
        self.0
            .questions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}
