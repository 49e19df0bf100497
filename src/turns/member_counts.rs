//! How many people are in a room: asked once, remembered until somebody comes or goes.

use ruma::{RoomId, UserId};
use tracing::debug;

use crate::room_cache::RoomCache;
use crate::{
    identity::Identity,
    matrix::{Actor, Homeserver},
};

/// See the module's documentation.
pub(super) struct MemberCounts {
    homeserver: Homeserver,
    identity: Identity,
    counts: RoomCache<usize>,
}

impl MemberCounts {
    /// Nothing is known yet.
    pub(super) fn new(homeserver: Homeserver, identity: Identity) -> Self {
        Self {
            homeserver,
            identity,
            counts: RoomCache::default(),
        }
    }

    /// Whether a ghost's room holds more than one person. If that cannot be found out it does,
    /// so that an agent is told who speaks rather than left to guess.
    pub(super) async fn has_several(&self, ghost: &UserId, room: &RoomId) -> bool {
        self.people(ghost, room).await.is_none_or(|count| count > 1)
    }

    /// How many people a ghost's room holds; `None`: it cannot be found out now.
    pub(super) async fn people(&self, ghost: &UserId, room: &RoomId) -> Option<usize> {
        let ticket = match self.counts.look(room, |count| Some(*count)) {
            Ok(count) => return Some(count),
            Err(ticket) => ticket,
        };
        match self
            .homeserver
            .joined_members(Actor::Ghost(ghost), room)
            .await
        {
            Ok(members) => {
                let people = members.iter().filter(|user| !self.identity.is_ours(user));
                let people = people.count();
                self.counts.remember(ticket, room, |count| *count = people);
                Some(people)
            }
            Err(error) => {
                debug!(room.id = %room, %error, "could not fetch room members");
                None
            }
        }
    }

    /// Somebody has come or gone.
    pub(super) fn changed(&self, room: &RoomId) {
        self.counts.changed(room);
    }
}
