//! Who is blocked and was not heard: the log says it once for each of them, so that nobody can fill it.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
};

use ruma::OwnedUserId;
use tracing::info;

use super::super::route::IncomingEvent;

/// The most people remembered; then all are forgotten, and said once more.
const PEOPLE_MAX: usize = 10_000;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Blocked {
    noted: Mutex<HashSet<OwnedUserId>>,
}

impl Blocked {
    /// An event of somebody blocked has come.
    pub(super) fn note(&self, event: &IncomingEvent) {
        if self.is_new(&event.sender) {
            info!(
                event.id = %event.event_id, room.id = %event.room_id, user = %event.sender,
                "somebody is blocked by `permissions` and is not heard; this is said once"
            );
        }
    }

    fn is_new(&self, user: &OwnedUserId) -> bool {
        let mut noted = self.noted.lock().unwrap_or_else(PoisonError::into_inner);
        if noted.len() >= PEOPLE_MAX {
            noted.clear();
        }
        noted.insert(user.clone())
    }
}

#[cfg(test)]
mod tests {
    use ruma::UserId;

    use super::*;

    #[test]
    fn everybody_is_noted_once_and_memory_is_bounded() {
        let blocked = Blocked::default();
        let person = |number: usize| UserId::parse(format!("@p{number}:house.test")).unwrap();
        for number in 0..PEOPLE_MAX {
            assert!(blocked.is_new(&person(number)));
            assert!(!blocked.is_new(&person(number)) || number + 1 == PEOPLE_MAX);
        }
        assert!(blocked.is_new(&person(PEOPLE_MAX)));
        assert!(blocked.noted.lock().unwrap().len() <= PEOPLE_MAX);
    }
}
