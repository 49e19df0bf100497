//! When and where a device was last seen. Written now and then, not with every request.

use std::time::Duration;

use quick_cache::sync::Cache;
use ruma::{OwnedDeviceId, OwnedUserId};
use tokio::time::Instant;

use super::{Accounts, record::Token};
use crate::{caller::RequestMetadata, clock, error::Result, store::tables};

/// How often it is written for one device.
const EVERY: Duration = Duration::from_mins(5);
/// How many devices are remembered between two writes.
const REMEMBERED_MAX: usize = 10_000;

/// When devices were last written.
#[derive(Debug)]
pub(super) struct LastSeen {
    written: Cache<(OwnedUserId, OwnedDeviceId), Instant>,
}

impl Default for LastSeen {
    fn default() -> Self {
        Self {
            written: Cache::new(REMEMBERED_MAX),
        }
    }
}

impl Accounts {
    /// Notes that the device of this token is there.
    pub(super) fn note_seen(&self, token: &Token, facts: &RequestMetadata) {
        let key = (token.user_id.clone(), token.device_id.clone());
        let now = Instant::now();
        let recent = |at: &Instant| now.duration_since(*at) < EVERY;
        if self.seen.written.get(&key).as_ref().is_some_and(recent) {
            return;
        }
        self.seen.written.insert(key.clone(), now);
        let (accounts, ip) = (self.clone(), facts.ip.map(|ip| ip.to_string()));
        self.tasks.spawn(async move {
            if let Err(error) = accounts.write_seen(key, ip).await {
                tracing::warn!(%error, "could not store when a device was last seen");
            }
        });
    }

    async fn write_seen(
        &self,
        (user, device): (OwnedUserId, OwnedDeviceId),
        ip: Option<String>,
    ) -> Result<()> {
        let changing = self.changing.lock([user.clone()]).await;
        if let Some(mut record) = self.store.get::<tables::Devices>((&user, &device))? {
            record.last_seen = Some(clock::now());
            record.last_seen_ip = ip.or(record.last_seen_ip);
            self.store
                .put::<tables::Devices>((&user, &device), &record)
                .await?;
        }
        drop(changing);
        Ok(())
    }
}

#[cfg(test)]
impl Accounts {
    /// Writes nothing for a while when the device is seen.
    pub(super) fn suppress_seen_write(&self, user: &ruma::UserId, device: &ruma::DeviceId) {
        let key = (user.to_owned(), device.to_owned());
        self.seen.written.insert(key, Instant::now());
    }
}
