//! Presence: who is there, and what they say about themselves.
//!
//! Kept in memory; only what users set themselves outlives a restart. Syncing makes online, not syncing for a while makes
//! offline. With `allow_local_presence = false` nobody is ever seen.
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#presence>

use std::{
    collections::{BTreeSet, HashMap},
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
    locks::KeyedLocks,
    store::{Store, tables},
    stream::{Position, Stream, WakeTarget},
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
    /// Whether the user never syncs, because an application service acts for it: then it is seen as was said last.
    #[serde(skip)]
    never_syncs: bool,
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
            never_syncs: false,
        }
    }

    /// How long ago the user last did something.
    pub fn active_ago(&self) -> Duration {
        age(self.active)
    }

    /// For how long the user is still seen if no client syncs; nothing if they are offline.
    fn time_left(&self) -> Option<Duration> {
        let here = self.state != PresenceState::Offline && !self.never_syncs;
        here.then(|| OFFLINE_AFTER.saturating_sub(age(self.synced)))
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
    /// Held by whoever writes what the user says, to disk and to memory.
    saying: KeyedLocks<OwnedUserId>,
}

impl Presence {
    /// Nobody is there.
    pub fn new(store: Store, stream: Stream, allowed: bool) -> Self {
        let inner = Inner {
            store,
            stream,
            allowed,
            users: Mutex::default(),
            saying: KeyedLocks::default(),
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

    /// The user says how to be seen. Without a message, the last one is taken back. Who never syncs is seen so until something else
    /// is said, or the server starts anew.
    ///
    /// # Errors
    ///
    /// 400 `M_INVALID_PARAM` if the message is too long.
    pub async fn set(
        &self,
        user: &UserId,
        state: PresenceState,
        message: Option<String>,
        never_syncs: bool,
    ) -> Result<()> {
        if !self.inner.allowed {
            return Ok(());
        }
        if message.as_deref().is_some_and(|message| !is_short(message)) {
            return Err(Error::invalid(format!(
                "Status message too long (max {PRESENCE_MESSAGE_MAX_BYTES} bytes)"
            )));
        }
        let mut status = Status::new(state);
        status.message = message;
        status.never_syncs = never_syncs;
        let value = serde_json::to_value(&status)?;
        // Held over both writes: what is shown now is what is shown after a restart.
        let saying = self.inner.saying.lock([user.to_owned()]).await;
        self.inner
            .store
            .put::<tables::Presence>((user,), &value)
            .await?;
        let fallback = status.clone();
        self.change(user, fallback, |shown| {
            *shown = status;
            true
        })?;
        drop(saying);
        Ok(())
    }

    /// A client of the user syncs, and says how the user is to be seen.
    pub fn synced(&self, user: &UserId, state: &PresenceState) -> Result<()> {
        if !self.inner.allowed || *state == PresenceState::Offline {
            return Ok(());
        }
        let sync = |status: &mut Status| {
            let now = clock::now();
            status.synced = now;
            if *state == PresenceState::Online {
                status.active = now;
            }
            let changes = status.state != *state;
            status.state = state.clone();
            changes
        };
        if let Some(status) = self.users().get_mut(user)
            && status.state == *state
        {
            sync(status);
            return Ok(());
        }
        // Read from the database while nobody's lock is held; what is in memory by then counts.
        let fallback = self.stored(user)?;
        self.change(user, fallback, sync)
    }

    /// Changes how the user is seen, from what it is at that moment: read and written under one lock. `apply` says whether others see
    /// a difference. The position is set before anybody is woken, and nobody is woken while the lock is held.
    fn change(
        &self,
        user: &UserId,
        fallback: Status,
        apply: impl FnOnce(&mut Status) -> bool,
    ) -> Result<()> {
        let mut comes = false;
        self.inner
            .stream
            .announce(&[WakeTarget::Everyone], |position| {
                let mut users = self.users();
                let status = users.entry(user.to_owned()).or_insert(fallback);
                let (was_here, last) = (status.state != PresenceState::Offline, status.changed);
                // Somebody else may have come later and been faster: it never goes back.
                status.changed = if apply(status) {
                    last.max(position)
                } else {
                    last
                };
                comes = status.state != PresenceState::Offline && !was_here;
            })?;
        if comes {
            #[expect(
                clippy::disallowed_methods,
                reason = "a timer that nothing waits for; it goes with the presence of everybody"
            )]
            tokio::spawn(watch(Arc::downgrade(&self.inner), user.to_owned()));
        }
        Ok(())
    }

    /// Makes the user offline if no client has synced for a while, or says for how long there is nothing to do.
    fn fade(&self, user: &UserId) -> Option<Duration> {
        let left = self.users().get(user).and_then(Status::time_left)?;
        if !left.is_zero() {
            return Some(left);
        }
        let gone = Status::new(PresenceState::Offline);
        let mut left = None;
        let changed = self.change(user, gone, |status| {
            // A client may have synced just now.
            left = status.time_left().filter(|left| !left.is_zero());
            let fades = left.is_none() && status.state != PresenceState::Offline;
            if fades {
                status.state = PresenceState::Offline;
            }
            fades
        });
        if let Err(error) = changed {
            tracing::error!(user.id = %user, %error, "could not announce that a user is offline");
        }
        left
    }

    /// The user is gone for ever, and so is what they said.
    pub fn forget(&self, user: &UserId) -> Result<()> {
        let is_here = |status: &Status| status.state != PresenceState::Offline;
        if self.users().get(user).is_some_and(is_here) {
            let gone = Status::new(PresenceState::Offline);
            self.change(user, gone.clone(), |status| {
                *status = gone;
                true
            })?;
        }
        Ok(())
    }

    /// Who is seen differently since `since`, as it was at `until`, and how those of `also` are seen.
    pub fn since(
        &self,
        since: Position,
        until: Position,
        also: &BTreeSet<OwnedUserId>,
    ) -> Vec<(OwnedUserId, Status)> {
        self.users()
            .iter()
            .filter(|(user, status)| {
                status.changed <= until && (status.changed > since || also.contains(*user))
            })
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
pub fn presence_disabled_error() -> Error {
    Error::forbidden("Presence is disabled on this server")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_never_syncs_is_seen_until_something_else_is_said() {
        let mut status = Status::new(PresenceState::Online);
        status.synced = MilliSecondsSinceUnixEpoch(UInt::MIN);
        assert_eq!(status.time_left(), Some(Duration::ZERO));
        status.never_syncs = true;
        assert_eq!(status.time_left(), None, "no timer takes it back");
    }
}
