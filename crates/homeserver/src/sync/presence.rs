//! Presence: who is there, and what they say about themselves.
//!
//! Kept in memory; only what users set themselves outlives a restart. Syncing makes online, not syncing for a while makes
//! offline. With `allow_local_presence = false` nobody is ever seen.
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#presence>

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ruma::{
    MilliSecondsSinceUnixEpoch, OwnedUserId, UInt, UserId,
    events::presence::{PresenceEvent, PresenceEventContent},
    presence::PresenceState,
};
use serde::{Deserialize, Serialize};

use crate::{
    clock,
    error::{Error, Result},
    store::{Store, tables},
    stream::{Position, Stream, Touch},
};

/// Who has not synced for this long is offline. Longer than the longest wait of a sync.
const OFFLINE_AFTER: Duration = Duration::from_secs(180);
/// Who was active within this time is active now.
const ACTIVE_FOR: Duration = Duration::from_secs(60);

/// How somebody is seen.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    /// Online, away, or offline.
    pub state: PresenceState,
    /// What the user says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When the user last did something.
    pub active: MilliSecondsSinceUnixEpoch,
    /// Where it last changed. Of no meaning after a restart.
    #[serde(skip)]
    pub changed: Position,
    /// When a client of the user last synced.
    #[serde(skip, default = "clock::now")]
    synced: MilliSecondsSinceUnixEpoch,
}

impl Status {
    fn new(state: PresenceState) -> Self {
        let now = clock::now();
        Self {
            state,
            message: None,
            active: now,
            changed: Position::default(),
            synced: now,
        }
    }

    /// How long ago the user last did something.
    pub fn active_ago(&self) -> Duration {
        age(self.active)
    }

    /// Whether the user is doing something just now.
    pub fn currently_active(&self) -> bool {
        self.state == PresenceState::Online && self.active_ago() < ACTIVE_FOR
    }

    /// The event that others get.
    pub fn event(&self, sender: OwnedUserId) -> PresenceEvent {
        let mut content = PresenceEventContent::new(self.state.clone());
        content.status_msg.clone_from(&self.message);
        content.currently_active = Some(self.currently_active());
        let ago = u64::try_from(self.active_ago().as_millis()).unwrap_or_default();
        content.last_active_ago = UInt::new(ago);
        PresenceEvent { content, sender }
    }
}

fn age(time: MilliSecondsSinceUnixEpoch) -> Duration {
    let now = u64::from(clock::now().get());
    Duration::from_millis(now.saturating_sub(u64::from(time.get())))
}

/// Everybody's presence. Clones are the same.
#[derive(Clone, Debug)]
pub struct Presence {
    store: Store,
    stream: Stream,
    allowed: bool,
    users: Arc<Mutex<HashMap<OwnedUserId, Status>>>,
}

impl Presence {
    /// Nobody is there.
    pub fn new(store: Store, stream: Stream, allowed: bool) -> Self {
        Self {
            store,
            stream,
            allowed,
            users: Arc::default(),
        }
    }

    /// Whether this server keeps presence.
    pub fn is_allowed(&self) -> bool {
        self.allowed
    }

    fn users(&self) -> MutexGuard<'_, HashMap<OwnedUserId, Status>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How the user is seen.
    pub fn get(&self, user: &UserId) -> Result<Status> {
        if let Some(status) = self.users().get(user) {
            return Ok(status.clone());
        }
        self.stored(user)
    }

    /// What the user said last. Nobody is online before their first sync.
    fn stored(&self, user: &UserId) -> Result<Status> {
        let stored = self.store.get::<tables::Presence>((user,))?;
        let mut status = match stored {
            Some(value) => serde_json::from_value(value)?,
            None => Status::new(PresenceState::Offline),
        };
        status.state = PresenceState::Offline;
        Ok(status)
    }

    /// The user says how to be seen. Without a message, the last one is taken back.
    pub async fn set(
        &self,
        user: &UserId,
        state: PresenceState,
        message: Option<String>,
    ) -> Result<()> {
        if !self.allowed {
            return Ok(());
        }
        let mut status = Status::new(state);
        status.message = message;
        let value = serde_json::to_value(&status)?;
        self.store.put::<tables::Presence>((user,), &value).await?;
        self.replace(user, status)
    }

    /// A client of the user syncs, and says how the user is to be seen.
    pub fn synced(&self, user: &UserId, state: &PresenceState) -> Result<()> {
        if !self.allowed || *state == PresenceState::Offline {
            return Ok(());
        }
        let known = self.users().get(user).cloned();
        let mut status = match known {
            Some(status) => status,
            None => self.stored(user)?,
        };
        let now = clock::now();
        status.synced = now;
        if *state == PresenceState::Online {
            status.active = now;
        }
        if status.state == *state {
            self.users().insert(user.to_owned(), status);
            return Ok(());
        }
        let was_offline = status.state == PresenceState::Offline;
        status.state = state.clone();
        self.replace(user, status)?;
        if was_offline {
            tokio::spawn(self.clone().watch(user.to_owned()));
        }
        Ok(())
    }

    /// Whoever is woken waits for this lock, and then reads the position that is set here.
    fn replace(&self, user: &UserId, mut status: Status) -> Result<()> {
        let mut users = self.users();
        status.changed = self.stream.announce(vec![Touch::Everyone])?;
        users.insert(user.to_owned(), status);
        Ok(())
    }

    /// Makes the user offline once no client has synced for a while.
    async fn watch(self, user: OwnedUserId) {
        loop {
            let Some(status) = self.users().get(&user).cloned() else {
                return;
            };
            if status.state == PresenceState::Offline {
                return;
            }
            match OFFLINE_AFTER.checked_sub(age(status.synced)) {
                Some(left) if !left.is_zero() => tokio::time::sleep(left).await,
                _ => {
                    let mut status = status;
                    status.state = PresenceState::Offline;
                    if let Err(error) = self.replace(&user, status) {
                        tracing::error!(user.id = %user, %error, "nobody could be told that a user is offline");
                    }
                    return;
                }
            }
        }
    }

    /// Who is seen differently since `since`, as it was at `until`.
    pub fn since(&self, since: Position, until: Position) -> Vec<(OwnedUserId, Status)> {
        self.users()
            .iter()
            .filter(|(_, status)| status.changed > since && status.changed <= until)
            .map(|(user, status)| (user.clone(), status.clone()))
            .collect()
    }
}

/// 403 if this server keeps no presence.
pub fn not_kept() -> Error {
    Error::forbidden("Presence is disabled on this server")
}
