//! A device is told that its event was sent before it sees the event in its own sync.
//!
//! The specification leaves the order open, but clients are not even-handed: matrix-js-sdk takes the first message of a thread, when
//! its echo overtakes the answer to its request, for one that could not be sent, and holds back all messages behind it for half a
//! minute. So a request that sends an event is *unanswered* until its answer is written, and the sync of the same device waits for
//! the answers to those that may have made what it is about to tell. Nobody else waits, other devices of the sender neither.
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#local-echo>

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ruma::{DeviceId, OwnedDeviceId, OwnedUserId, UserId};
use tokio::{sync::Notify, time::timeout};

/// The longest time that a sync waits for answers. A client that does not read its answers gets its events all the same.
const ANSWER_MAX_WAIT: Duration = Duration::from_millis(250);

/// The requests that send an event just now. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct PendingSends {
    inner: Arc<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    sends: Mutex<Sends>,
    answered: Notify,
    /// The longest time that a sync waits.
    #[cfg(test)]
    max_wait: Mutex<Option<Duration>>,
    /// How many syncs wait at this moment.
    #[cfg(test)]
    waiting: Arc<std::sync::atomic::AtomicUsize>,
}

#[derive(Debug, Default)]
struct Sends {
    next: u64,
    unanswered: BTreeMap<u64, (OwnedUserId, OwnedDeviceId)>,
}

impl Inner {
    fn sends(&self) -> MutexGuard<'_, Sends> {
        self.sends.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that sends an event, until its answer is written: the answer carries this along.
#[derive(Debug)]
pub struct PendingSend {
    pending_sends: Arc<Inner>,
    number: u64,
}

impl Drop for PendingSend {
    fn drop(&mut self) {
        self.pending_sends.sends().unanswered.remove(&self.number);
        self.pending_sends.answered.notify_waiters();
    }
}

impl PendingSends {
    /// A device begins to send an event. Begin before the event can be seen.
    pub fn begin(&self, user: &UserId, device: &DeviceId) -> PendingSend {
        let mut sends = self.inner.sends();
        let number = sends.next;
        sends.next += 1;
        sends
            .unanswered
            .insert(number, (user.to_owned(), device.to_owned()));
        PendingSend {
            pending_sends: self.inner.clone(),
            number,
        }
    }

    /// Waits until the device has the answers to all that it began to send before now, but not for ever.
    pub async fn answered(&self, user: &UserId, device: Option<&DeviceId>) {
        let Some(device) = device else { return };
        let now = self.inner.sends().next;
        let answered = async {
            loop {
                // Listens before it looks, so that no answer is missed in between.
                let next = self.inner.answered.notified();
                if !self.is_unanswered(user, device, now) {
                    return;
                }
                #[cfg(test)]
                let _waiting = crate::testing::Counted::new(&self.inner.waiting);
                next.await;
            }
        };
        if timeout(self.max_wait(), answered).await.is_err() {
            tracing::debug!(user.id = %user, "a device sees its event before the answer");
        }
    }

    #[cfg(not(test))]
    #[allow(clippy::unused_self, reason = "tests set it")]
    fn max_wait(&self) -> Duration {
        ANSWER_MAX_WAIT
    }

    fn is_unanswered(&self, user: &UserId, device: &DeviceId, before: u64) -> bool {
        let sends = self.inner.sends();
        sends
            .unanswered
            .range(..before)
            .any(|(_, (sender, from))| sender == user && from == device)
    }
}

#[cfg(test)]
impl PendingSends {
    fn max_wait(&self) -> Duration {
        self.inner
            .max_wait
            .lock()
            .unwrap()
            .unwrap_or(ANSWER_MAX_WAIT)
    }

    /// Waits for an answer as long as it takes.
    pub(crate) fn wait_for_ever(&self) {
        *self.inner.max_wait.lock().unwrap() = Some(Duration::MAX);
    }

    /// How many syncs wait for an answer at this moment.
    pub(crate) fn waiting(&self) -> usize {
        self.inner.waiting.load(std::sync::atomic::Ordering::SeqCst)
    }
}
