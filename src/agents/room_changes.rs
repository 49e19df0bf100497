//! Looks again at the rooms that the bridge made, when others have changed them and soon after a start.
//!
//! docs/rooms.md says for each property of a room whether it is repaired, respected or told; how, is in [`provision`](super::provision).
//! Whoever changes the same again and again is left alone after a few repairs.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{StreamExt, stream};
use ruma::{OwnedRoomId, RoomId};
use tokio::{sync::Notify, time::Instant};
use tracing::debug;

use super::Agents;
use crate::workers::Tasks;

/// How long after a start all rooms are looked at, so that more urgent things come first.
const FIRST_AFTER: Duration = Duration::from_secs(30);
/// The pause between two rounds, so that who changes rooms again and again makes little work.
const ROUND_PAUSE: Duration = Duration::from_secs(1);
/// How many rooms are looked at at the same time.
const LOOKS_AT_ONCE: usize = 4;
/// The most rooms that wait to be looked at; beyond it all are looked at.
const CHANGED_ROOMS_MAX: usize = 1_000;
/// How often something about one room is repaired within [`REPAIRS_WINDOW`]; then it stays as others want it.
const REPAIRS_PER_ROOM_MAX: u32 = 5;
/// The time in which repairs are counted.
const REPAIRS_WINDOW: Duration = Duration::from_hours(1);

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct RoomChanges {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    rooms: BTreeSet<OwnedRoomId>,
    /// Whether more has changed than is remembered.
    all: bool,
    /// Since when repairs of a room are counted, and how many there were.
    repairs: HashMap<OwnedRoomId, (Instant, u32)>,
}

impl RoomChanges {
    /// Others have changed a room.
    pub fn note(&self, room: &RoomId) {
        let mut state = self.state();
        if state.rooms.len() >= CHANGED_ROOMS_MAX {
            state.rooms.clear();
            state.all = true;
        }
        if !state.all {
            state.rooms.insert(room.to_owned());
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Whether something about a room may be repaired once more; it counts as done.
    pub fn may_repair(&self, room: &RoomId, now: Instant) -> bool {
        let mut state = self.state();
        state
            .repairs
            .retain(|_, (since, _)| now.duration_since(*since) < REPAIRS_WINDOW);
        let (_, count) = state.repairs.entry(room.to_owned()).or_insert((now, 0));
        *count += 1;
        *count <= REPAIRS_PER_ROOM_MAX
    }

    /// The rooms that have changed; `None`: it can be any.
    fn take(&self) -> Option<BTreeSet<OwnedRoomId>> {
        let mut state = self.state();
        let rooms = std::mem::take(&mut state.rooms);
        (!std::mem::take(&mut state.all)).then_some(rooms)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks at rooms until the process is about to end.
pub async fn serve(agents: Agents, tasks: Tasks) {
    let provisioner = &agents.provisioner;
    let first = tokio::time::sleep(FIRST_AFTER);
    let mut first = std::pin::pin!(first);
    let mut is_first = true;
    loop {
        let changed = tokio::select! {
            () = provisioner.room_changes.changed.notified() => provisioner.room_changes.take(),
            () = &mut first, if is_first => {
                is_first = false;
                None
            }
            () = tasks.closing() => return,
        };
        let due = provisioner.rooms_of_ours(changed.as_ref());
        let look = &agents.discovery_trigger.look;
        stream::iter(due)
            .take_while(|_| std::future::ready(!tasks.is_closing()))
            .for_each_concurrent(LOOKS_AT_ONCE, |room| async move {
                match provisioner.reconcile_room(&room).await {
                    // What was taken off the space is listed again by discovery.
                    Ok(true) => look.notify_one(),
                    Ok(false) => {}
                    Err(error) => {
                        debug!(room.id = %room, error = &error as &dyn std::error::Error, "a room cannot be looked at (now)");
                    }
                }
            })
            .await;
        tokio::select! {
            () = tokio::time::sleep(ROUND_PAUSE) => {}
            () = tasks.closing() => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use ruma::owned_room_id;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn same_room_is_repaired_a_few_times_an_hour() {
        let changes = RoomChanges::default();
        let (one, other) = (owned_room_id!("!one:x"), owned_room_id!("!other:x"));
        for _ in 0..REPAIRS_PER_ROOM_MAX {
            assert!(changes.may_repair(&one, Instant::now()));
        }
        assert!(!changes.may_repair(&one, Instant::now()));
        assert!(changes.may_repair(&other, Instant::now()));
        tokio::time::advance(REPAIRS_WINDOW).await;
        assert!(changes.may_repair(&one, Instant::now()));
    }

    #[test]
    fn more_changes_than_are_remembered_make_all_rooms_due() {
        let changes = RoomChanges::default();
        let room = |number: usize| OwnedRoomId::try_from(format!("!{number}:x")).unwrap();
        changes.note(&room(1));
        changes.note(&room(1));
        assert_eq!(changes.take(), Some(BTreeSet::from([room(1)])));
        for number in 0..=CHANGED_ROOMS_MAX {
            changes.note(&room(number));
        }
        assert_eq!(changes.take(), None);
        assert_eq!(changes.take(), Some(BTreeSet::new()));
    }
}
