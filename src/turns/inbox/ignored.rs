//! Logs which events are ignored and why: once per room and reason, so that nobody can fill the log.
//! Who is blocked is logged once per sender, whatever the room.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

use ruma::{OwnedRoomId, OwnedUserId};
use tracing::{info, warn};

use super::super::route::{IgnoreReason, IncomingEvent};

/// The most rooms and senders remembered; then all are forgotten, and logged once more.
const LOGGED_MAX: usize = 10_000;

#[derive(Debug, PartialEq, Eq, Hash)]
enum Logged {
    Room(OwnedRoomId, IgnoreReason),
    BlockedSender(OwnedUserId),
}

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct IgnoredEvents {
    logged: Mutex<HashSet<Logged>>,
}

impl IgnoredEvents {
    /// Logs that an event is ignored, unless the same was logged before.
    pub(super) fn log(&self, event: &IncomingEvent, why: IgnoreReason) {
        let key = match why {
            IgnoreReason::Blocked => Logged::BlockedSender(event.sender.clone()),
            why => Logged::Room(event.room_id.clone(), why),
        };
        if !self.is_new(key) {
            return;
        }
        let reason = why.reason();
        match why {
            IgnoreReason::Malformed => warn!(
                event.id = %event.event_id, room.id = %event.room_id, user.id = %event.sender, reason,
                "event ignored; further ones of this kind in this room are not logged"
            ),
            IgnoreReason::Blocked => info!(
                event.id = %event.event_id, room.id = %event.room_id, user.id = %event.sender, reason,
                "event ignored; further ones of this sender are not logged"
            ),
            _ => info!(
                event.id = %event.event_id, room.id = %event.room_id, user.id = %event.sender, reason,
                "event ignored; further ones of this kind in this room are not logged"
            ),
        }
    }

    fn is_new(&self, key: Logged) -> bool {
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.len() >= LOGGED_MAX {
            logged.clear();
        }
        logged.insert(key)
    }
}

#[cfg(test)]
mod tests {
    use ruma::{RoomId, UserId};

    use super::*;

    #[test]
    fn each_key_is_logged_once_and_memory_is_bounded() {
        let ignored = IgnoredEvents::default();
        let sender = |number: usize| {
            Logged::BlockedSender(UserId::parse(format!("@p{number}:house.test")).unwrap())
        };
        for number in 0..LOGGED_MAX {
            assert!(ignored.is_new(sender(number)));
            assert!(!ignored.is_new(sender(number)) || number + 1 == LOGGED_MAX);
        }
        assert!(ignored.is_new(sender(LOGGED_MAX)));
        assert!(ignored.logged.lock().unwrap().len() <= LOGGED_MAX);
    }

    #[test]
    fn same_room_is_logged_once_per_reason() {
        let ignored = IgnoredEvents::default();
        let room = |name: &str, why| Logged::Room(RoomId::parse(name).unwrap(), why);
        assert!(ignored.is_new(room("!one:house.test", IgnoreReason::NotAddressed)));
        assert!(ignored.is_new(room("!one:house.test", IgnoreReason::Notice)));
        assert!(ignored.is_new(room("!two:house.test", IgnoreReason::Notice)));
        assert!(!ignored.is_new(room("!one:house.test", IgnoreReason::Notice)));
    }
}
