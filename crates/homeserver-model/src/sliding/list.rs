//! Windows into ordered rooms, and what is wanted of each room that is seen through one. Pure.

use std::collections::BTreeMap;

use ruma::{OwnedRoomId, UInt};

use super::{
    filter::{Candidate, Filters},
    required::RequiredState,
};

/// What a client wants to know of a room.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoomRequest {
    /// How many of the latest events.
    pub timeline_limit: usize,
    /// Which state.
    pub required: RequiredState,
}

impl RoomRequest {
    /// Whoever wants the room more than once wants the most of each.
    pub fn add(&mut self, other: &Self) {
        self.timeline_limit = self.timeline_limit.max(other.timeline_limit);
        self.required.add(&other.required);
    }
}

/// A list as a client asks for it.
#[derive(Clone, Debug, Default)]
pub struct List {
    /// The windows: first and last index of each.
    pub ranges: Vec<(UInt, UInt)>,
    /// Which rooms are in it.
    pub filters: Filters,
    /// What is wanted of each room that is seen.
    pub wanted: RoomRequest,
}

/// What a list is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListWindow {
    /// How many rooms are in it.
    pub count: usize,
    /// The rooms that are seen.
    pub visible: Vec<OwnedRoomId>,
}

/// Puts rooms into the order of all lists: those with the latest news first.
pub fn sort(rooms: &mut [Candidate]) {
    rooms.sort_by(|one, other| {
        let latest_first = other.bump.cmp(&one.bump);
        latest_first.then_with(|| one.room_id.cmp(&other.room_id))
    });
}

impl List {
    /// Looks through the windows of the list into the sorted rooms.
    pub fn select_rooms(&self, sorted: &[Candidate]) -> ListWindow {
        let admitted: Vec<_> = sorted
            .iter()
            .filter(|room| self.filters.admit(room))
            .collect();
        let in_window = |index: usize| {
            let index = u64::try_from(index).unwrap_or(u64::MAX);
            self.ranges
                .iter()
                .any(|&(from, to)| (u64::from(from)..=u64::from(to)).contains(&index))
        };
        let visible = admitted
            .iter()
            .enumerate()
            .filter(|(index, _)| in_window(*index))
            .map(|(_, room)| room.room_id.clone());
        ListWindow {
            count: admitted.len(),
            visible: visible.collect(),
        }
    }
}

/// Adds what a list wants to the rooms that are seen through it.
pub fn merge_request(
    wanted: &mut BTreeMap<OwnedRoomId, RoomRequest>,
    rooms: &[OwnedRoomId],
    what: &RoomRequest,
) {
    for room in rooms {
        wanted.entry(room.clone()).or_default().add(what);
    }
}

#[cfg(test)]
mod tests {
    use ruma::{events::StateEventType, uint, user_id};

    use super::*;
    use crate::Position;

    fn rooms(bumps: &[u64]) -> Vec<Candidate> {
        let room = |(index, bump): (usize, &u64)| Candidate {
            room_id: format!("!{index}:letta.test").try_into().unwrap(),
            bump: Position(*bump),
            invited: false,
            direct: false,
            encrypted: false,
            room_type: None,
            name: None,
            tags: Vec::new(),
            spaces: Vec::new(),
        };
        let mut rooms: Vec<_> = bumps.iter().enumerate().map(room).collect();
        sort(&mut rooms);
        rooms
    }

    #[test]
    fn windows_show_the_latest_first_and_may_overlap_or_reach_beyond() {
        let rooms = rooms(&[10, 50, 30, 50, 20]);
        let list = List {
            ranges: vec![
                (uint!(0), uint!(1)),
                (uint!(1), uint!(2)),
                (uint!(4), uint!(99)),
            ],
            ..List::default()
        };
        let listed = list.select_rooms(&rooms);
        assert_eq!(listed.count, 5);
        assert_eq!(
            listed.visible,
            [
                "!1:letta.test",
                "!3:letta.test",
                "!2:letta.test",
                "!0:letta.test"
            ]
        );
        let backwards = List {
            ranges: vec![(uint!(3), uint!(1))],
            ..List::default()
        };
        assert_eq!(
            backwards.select_rooms(&rooms).visible,
            <[OwnedRoomId; 0]>::default()
        );
    }

    #[test]
    fn a_room_in_two_lists_is_wanted_with_the_most_of_both() {
        let me = user_id!("@alice:letta.test");
        let state = |kind: StateEventType| RequiredState::new(&[(kind, String::new())], me);
        let few = RoomRequest {
            timeline_limit: 1,
            required: state(StateEventType::RoomName),
        };
        let many = RoomRequest {
            timeline_limit: 20,
            required: state(StateEventType::RoomTopic),
        };
        let room: OwnedRoomId = "!0:letta.test".try_into().unwrap();
        let mut wanted = BTreeMap::new();
        merge_request(&mut wanted, std::slice::from_ref(&room), &many);
        merge_request(&mut wanted, std::slice::from_ref(&room), &few);
        assert_eq!(wanted[&room].timeline_limit, 20);
        let mut both = state(StateEventType::RoomName);
        both.add(&state(StateEventType::RoomTopic));
        assert_eq!(wanted[&room].required, both);
    }
}
