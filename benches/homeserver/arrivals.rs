//! When events arrived somewhere: noted by whoever receives them, asked for by whoever sent them.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Context;
use tokio::sync::Notify;

/// How long an event may take.
const PATIENCE: Duration = Duration::from_mins(1);

/// The arrivals at one place. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Arrivals {
    inner: Arc<(Mutex<HashMap<String, Instant>>, Notify)>,
}

impl Arrivals {
    /// Notes that this event is here since `at`. The first arrival counts.
    pub(crate) fn note(&self, event: &str, at: Instant) {
        let (seen, noted) = &*self.inner;
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.entry(event.to_owned()).or_insert(at);
        noted.notify_waiters();
    }

    /// Waits for an event, and forgets it.
    pub(crate) async fn of(&self, event: &str) -> anyhow::Result<Instant> {
        let (seen, noted) = &*self.inner;
        let waiting = async {
            loop {
                let next = noted.notified();
                let arrived = seen
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .remove(event);
                match arrived {
                    Some(at) => return at,
                    None => next.await,
                }
            }
        };
        tokio::time::timeout(PATIENCE, waiting)
            .await
            .with_context(|| format!("{event} did not arrive"))
    }
}
