//! What the homeserver has said about rooms, remembered until a room changes.
//!
//! Promise: nothing is remembered that was true only before a change. An answer that was asked for before the change may come
//! after it, so whoever asks takes a [`Ticket`] first, and a ticket is void once anything has changed.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use ruma::{OwnedRoomId, RoomId};

/// The most rooms remembered; then all are forgotten and asked for again.
const ROOMS_MAX: usize = 10_000;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(crate) struct RoomCache<T> {
    state: Mutex<State<T>>,
}

#[derive(Debug)]
struct State<T> {
    rooms: HashMap<OwnedRoomId, T>,
    /// Counts the changes of all rooms: one that changes meanwhile costs the others one more question, and never a wrong answer.
    changes: u64,
}

impl<T> Default for State<T> {
    fn default() -> Self {
        Self {
            rooms: HashMap::new(),
            changes: 0,
        }
    }
}

/// The right to remember an answer, taken before the question.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket {
    changes: u64,
}

impl<T: Default> RoomCache<T> {
    /// What `read` finds in what is known of a room, or the right to remember what will be asked for.
    pub(crate) fn look<R>(
        &self,
        room: &RoomId,
        read: impl FnOnce(&T) -> Option<R>,
    ) -> Result<R, Ticket> {
        let state = self.state();
        state.rooms.get(room).and_then(read).ok_or(Ticket {
            changes: state.changes,
        })
    }

    /// Remembers what was asked for with this ticket, unless something has changed since.
    pub(crate) fn remember(&self, ticket: Ticket, room: &RoomId, write: impl FnOnce(&mut T)) {
        let mut state = self.state();
        if state.changes != ticket.changes {
            return;
        }
        if state.rooms.len() >= ROOMS_MAX {
            state.rooms.clear();
        }
        write(state.rooms.entry(room.to_owned()).or_default());
    }

    /// The room has changed.
    pub(crate) fn changed(&self, room: &RoomId) {
        let mut state = self.state();
        state.rooms.remove(room);
        state.changes += 1;
    }

    fn state(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use ruma::room_id;

    use super::*;

    fn known(cache: &RoomCache<usize>, room: &RoomId) -> Option<usize> {
        cache.look(room, |count| Some(*count)).ok()
    }

    #[test]
    fn answer_of_before_a_change_is_not_remembered() {
        let (one, other) = (room_id!("!one:x"), room_id!("!other:x"));
        for changes in [&[][..], &[one], &[other], &[one, one]] {
            let cache = RoomCache::<usize>::default();
            let ticket = cache.look(one, |count| Some(*count)).unwrap_err();
            for room in changes {
                cache.changed(room);
            }
            cache.remember(ticket, one, |count| *count = 1);
            let expected = changes.is_empty().then_some(1);
            assert_eq!(known(&cache, one), expected, "{changes:?}");
            // The next answer is.
            let ticket = cache.look(one, |_| None::<()>).unwrap_err();
            cache.remember(ticket, one, |count| *count = 2);
            assert_eq!(known(&cache, one), Some(2));
            cache.changed(one);
            assert_eq!(known(&cache, one), None);
        }
    }

    #[test]
    fn what_is_remembered_of_rooms_is_bounded() {
        let cache = RoomCache::<usize>::default();
        for number in 0..ROOMS_MAX + 10 {
            let room = OwnedRoomId::try_from(format!("!r{number}:x")).unwrap();
            let ticket = cache.look(&room, |count| Some(*count)).unwrap_err();
            cache.remember(ticket, &room, |count| *count = number);
            assert!(cache.state().rooms.len() <= ROOMS_MAX);
        }
    }
}
