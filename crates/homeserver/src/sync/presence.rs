//! Presence: who is there, and what they say about themselves.
//!
//! Kept in memory; only what users set themselves outlives a restart. Syncing makes online, not syncing for a while makes
//! offline. With `allow_local_presence = false` nobody is ever seen.
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#presence>

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use ruma::{
    MilliSecondsSinceUnixEpoch, OwnedUserId, UInt, UserId,
    events::presence::{PresenceEvent, PresenceEventContent},
    presence::PresenceState,
};
use serde::{Deserialize, Serialize};

use crate::{
    blocking, clock,
    error::{Error, Result},
    limits::PRESENCE_MESSAGE_MAX_BYTES,
    store::{Store, tables},
    stream::{Position, Stream, Touch},
};

/// Who has not synced for this long is offline. Longer than the longest wait of a sync.
const OFFLINE_AFTER: Duration = Duration::from_mins(3);
/// Who was active within this time is active now.
const ACTIVE_FOR: Duration = Duration::from_mins(1);

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

/// Whether a status message is within its limit.
fn is_short(message: &str) -> bool {
    message.len() <= PRESENCE_MESSAGE_MAX_BYTES
}

fn age(time: MilliSecondsSinceUnixEpoch) -> Duration {
    let now = u64::from(clock::now().get());
    Duration::from_millis(now.saturating_sub(u64::from(time.get())))
}

/// Everybody's presence. Clones are the same.
#[derive(Clone, Debug)]
pub struct Presence {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Store,
    stream: Stream,
    allowed: bool,
    users: Mutex<HashMap<OwnedUserId, Status>>,
}

impl Presence {
    /// Nobody is there.
    pub fn new(store: Store, stream: Stream, allowed: bool) -> Self {
        let inner = Inner {
            store,
            stream,
            allowed,
            users: Mutex::default(),
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Whether this server keeps presence.
    pub fn is_allowed(&self) -> bool {
        self.inner.allowed
    }

    fn users(&self) -> MutexGuard<'_, HashMap<OwnedUserId, Status>> {
        self.inner
            .users
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
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
        let stored = self.inner.store.get::<tables::Presence>((user,))?;
        let mut status = match stored {
            Some(value) => serde_json::from_value(value)?,
            None => Status::new(PresenceState::Offline),
        };
        status.state = PresenceState::Offline;
        // Written before there was a limit: nobody is sent it any more.
        status.message = status.message.filter(|message| is_short(message));
        Ok(status)
    }

    /// The user says how to be seen. Without a message, the last one is taken back.
    ///
    /// # Errors
    ///
    /// 400 `M_INVALID_PARAM` if the message is too long.
    pub async fn set(
        &self,
        user: &UserId,
        state: PresenceState,
        message: Option<String>,
    ) -> Result<()> {
        if !self.inner.allowed {
            return Ok(());
        }
        if message.as_deref().is_some_and(|message| !is_short(message)) {
            return Err(Error::invalid(format!(
                "A status message can have {PRESENCE_MESSAGE_MAX_BYTES} bytes"
            )));
        }
        let mut status = Status::new(state);
        status.message = message;
        let value = serde_json::to_value(&status)?;
        self.inner
            .store
            .put::<tables::Presence>((user,), &value)
            .await?;
        self.replace(user, status)
    }

    /// A client of the user syncs, and says how the user is to be seen.
    pub fn synced(&self, user: &UserId, state: &PresenceState) -> Result<()> {
        if !self.inner.allowed || *state == PresenceState::Offline {
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
        status.state = state.clone();
        self.replace(user, status)
    }

    /// The position is set before anybody is woken, and nobody is woken while the lock is held.
    fn replace(&self, user: &UserId, mut status: Status) -> Result<()> {
        let comes = status.state != PresenceState::Offline;
        let mut was_here = false;
        self.inner.stream.announce(&[Touch::Everyone], |position| {
            let mut users = self.users();
            // Somebody else may have come later and been faster: it never goes back.
            let last = users.get(user).map(|before| before.changed);
            status.changed = last.map_or(position, |last| last.max(position));
            let before = users.insert(user.to_owned(), status);
            was_here = before.is_some_and(|before| before.state != PresenceState::Offline);
        })?;
        if comes && !was_here {
            tokio::spawn(watch(Arc::downgrade(&self.inner), user.to_owned()));
        }
        Ok(())
    }

    /// Makes the user offline if no client has synced for a while, or says for how long there is nothing to do.
    fn fade(&self, user: &UserId) -> Option<Duration> {
        let mut status = self.users().get(user).cloned()?;
        if status.state == PresenceState::Offline {
            return None;
        }
        let left = OFFLINE_AFTER.checked_sub(age(status.synced));
        if let Some(left) = left.filter(|left| !left.is_zero()) {
            return Some(left);
        }
        status.state = PresenceState::Offline;
        if let Err(error) = self.replace(user, status) {
            tracing::error!(user.id = %user, %error, "nobody could be told that a user is offline");
        }
        None
    }

    /// The user is gone for ever, and so is what they said.
    pub fn forget(&self, user: &UserId) -> Result<()> {
        let known = self.users().get(user).cloned();
        if known.is_some_and(|status| status.state != PresenceState::Offline) {
            self.replace(user, Status::new(PresenceState::Offline))?;
        }
        self.users().remove(user);
        Ok(())
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

/// Looks after somebody until they are offline. Does not keep a server alive that is closed meanwhile.
async fn watch(presence: Weak<Inner>, user: OwnedUserId) {
    loop {
        let (presence, user) = (presence.clone(), user.clone());
        let fading = blocking::run(move || {
            let inner = presence.upgrade()?;
            Presence { inner }.fade(&user)
        });
        let Ok(Some(left)) = fading.await else {
            return;
        };
        tokio::time::sleep(left).await;
    }
}

/// 403 if this server keeps no presence.
pub fn not_kept() -> Error {
    Error::forbidden("Presence is disabled on this server")
}
