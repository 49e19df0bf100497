//! How many people are in a room: asked once, remembered until somebody comes or goes.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use ruma::{OwnedRoomId, RoomId, UserId};
use tracing::debug;

use crate::{
    identity::Identity,
    matrix::{Actor, Homeserver},
};

/// The most rooms remembered; then all are forgotten and asked for again.
const ROOMS_MAX: usize = 10_000;

/// See the module's documentation.
pub struct People {
    homeserver: Homeserver,
    identity: Identity,
    counts: Mutex<HashMap<OwnedRoomId, usize>>,
}

impl People {
    /// Nothing is known yet.
    pub fn new(homeserver: Homeserver, identity: Identity) -> Self {
        Self {
            homeserver,
            identity,
            counts: Mutex::default(),
        }
    }

    /// Whether a ghost's room holds more than one person. If that cannot be found out it does,
    /// so that an agent is told who speaks rather than left to guess.
    pub async fn are_several(&self, ghost: &UserId, room: &RoomId) -> bool {
        if let Some(count) = self.counts().get(room) {
            return *count > 1;
        }
        match self
            .homeserver
            .joined_members(Actor::Ghost(ghost), room)
            .await
        {
            Ok(members) => {
                let count = members
                    .iter()
                    .filter(|user| !self.identity.is_ours(user))
                    .count();
                let mut counts = self.counts();
                if counts.len() >= ROOMS_MAX {
                    counts.clear();
                }
                counts.insert(room.to_owned(), count);
                count > 1
            }
            Err(error) => {
                debug!(room.id = %room, %error, "members could not be counted");
                true
            }
        }
    }

    /// Somebody has come or gone.
    pub fn changed(&self, room: &RoomId) {
        self.counts().remove(room);
    }

    fn counts(&self) -> std::sync::MutexGuard<'_, HashMap<OwnedRoomId, usize>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
