//! Syncs that wait for something to happen: only so many of a device and of a user, and each can give its connection to others.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use ruma::{DeviceId, OwnedDeviceId, OwnedUserId, UserId};
use system::connections::Connection;
use tokio_util::sync::CancellationToken;

use crate::limits::{WAITING_SYNCS_PER_DEVICE, WAITING_SYNCS_PER_USER};

/// All syncs that wait. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct WaitingSyncs {
    users: Arc<Mutex<Users>>,
}

#[derive(Debug, Default)]
struct Users {
    next_id: u64,
    waiting: HashMap<OwnedUserId, Vec<Entry>>,
}

#[derive(Debug)]
struct Entry {
    id: u64,
    device: Option<OwnedDeviceId>,
    ended: CancellationToken,
}

/// A sync that waits, until this is dropped.
struct Waiting<'a> {
    syncs: &'a WaitingSyncs,
    user: &'a UserId,
    id: u64,
    ended: CancellationToken,
}

impl WaitingSyncs {
    /// Waits for the future, unless newer syncs of the device or the user take its place: then it gives nothing.
    pub async fn wait<F: Future>(
        &self,
        user: &UserId,
        device: Option<&DeviceId>,
        connection: Option<&Connection>,
        future: F,
    ) -> Option<F::Output> {
        let _waits = connection.map(Connection::waits);
        let waiting = self.enter(user, device);
        waiting.ended.run_until_cancelled(future).await
    }

    /// How many syncs of a user wait.
    #[cfg(test)]
    pub fn count(&self, user: &UserId) -> usize {
        self.lock().waiting.get(user).map_or(0, Vec::len)
    }

    fn enter<'a>(&'a self, user: &'a UserId, device: Option<&DeviceId>) -> Waiting<'a> {
        let ended = CancellationToken::new();
        let mut users = self.lock();
        users.next_id += 1;
        let id = users.next_id;
        let syncs = users.waiting.entry(user.to_owned()).or_default();
        // Those that were told to end stay in the list until they have ended.
        let waits = |sync: &&Entry| !sync.ended.is_cancelled();
        let of_device = |sync: &&Entry| device.is_some() && sync.device.as_deref() == device;
        let own = syncs.iter().filter(waits).filter(of_device);
        if own.clone().count() >= WAITING_SYNCS_PER_DEVICE
            && let Some(oldest) = own.min_by_key(|sync| sync.id)
        {
            oldest.ended.cancel();
        }
        let all = syncs.iter().filter(waits);
        if all.clone().count() >= WAITING_SYNCS_PER_USER
            && let Some(oldest) = all.min_by_key(|sync| sync.id)
        {
            oldest.ended.cancel();
        }
        syncs.push(Entry {
            id,
            device: device.map(ToOwned::to_owned),
            ended: ended.clone(),
        });
        drop(users);
        Waiting {
            syncs: self,
            user,
            id,
            ended,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Users> {
        // Nothing panics while it holds this lock.
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut users = self.syncs.lock();
        if let Some(syncs) = users.waiting.get_mut(self.user) {
            syncs.retain(|sync| sync.id != self.id);
            if syncs.is_empty() {
                users.waiting.remove(self.user);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use ruma::{device_id, user_id};

    use super::*;

    #[tokio::test]
    async fn newer_syncs_end_the_oldest_of_their_device() {
        let (syncs, user) = (WaitingSyncs::default(), user_id!("@a:b.c"));
        let mut tasks = Vec::new();
        for device in ["ONE", "TWO"] {
            for _ in 0..10 * WAITING_SYNCS_PER_DEVICE {
                let syncs = syncs.clone();
                tasks.push(tokio::spawn(async move {
                    let device: Option<&DeviceId> = Some(device.into());
                    syncs.wait(user, device, None, pending::<()>()).await
                }));
            }
        }
        let ended = tasks.len() - 2 * WAITING_SYNCS_PER_DEVICE;
        while tasks.iter().filter(|task| task.is_finished()).count() < ended {
            tokio::task::yield_now().await;
        }
        assert_eq!(syncs.count(user), 2 * WAITING_SYNCS_PER_DEVICE);
        assert!(!tasks[tasks.len() - 1].is_finished(), "the newest waits");
        for task in tasks {
            task.abort();
            _ = task.await;
        }
        assert_eq!(syncs.count(user), 0);
        let device = Some(device_id!("ONE"));
        assert_eq!(syncs.wait(user, device, None, async { 7 }).await, Some(7));
    }

    #[tokio::test]
    async fn syncs_of_many_devices_end_the_oldest_of_the_user() {
        let (syncs, user) = (WaitingSyncs::default(), user_id!("@a:b.c"));
        let guards: Vec<_> = (0..WAITING_SYNCS_PER_USER + 10)
            .map(|number| {
                let device: OwnedDeviceId = format!("D{number}").into();
                syncs.enter(user, Some(&device))
            })
            .collect();
        let ended = guards.iter().map(|guard| guard.ended.is_cancelled());
        let ended: Vec<_> = ended.collect();
        assert!(ended[..10].iter().all(|ended| *ended));
        assert!(ended[10..].iter().all(|ended| !*ended));
    }
}
