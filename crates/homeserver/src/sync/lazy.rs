//! Which members a device was already told of, so that lazy loading does not repeat them.
//!
//! A device has got what was in an answer once it asks with the position of that answer, not before: an answer that was lost is
//! given again. The memory is bounded; what falls out of it is told once more, which is allowed.
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#lazy-loading-room-members>

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use quick_cache::sync::Cache;
use ruma::{DeviceId, OwnedDeviceId, OwnedRoomId, OwnedUserId, RoomId, UserId};

use crate::stream::Position;

/// For how many rooms of devices it is remembered.
const ROOMS_OF_DEVICES: usize = 20_000;
/// How many members are remembered for one room of one device.
const MEMBERS: usize = 1_000;

type RoomOfDevice = (OwnedUserId, OwnedDeviceId, OwnedRoomId);
type Sent = Arc<Mutex<HashMap<OwnedUserId, Position>>>;

/// The memory of all devices.
#[derive(Debug)]
pub struct SentMembers {
    rooms: Cache<RoomOfDevice, Sent>,
}

impl Default for SentMembers {
    fn default() -> Self {
        Self {
            rooms: Cache::new(ROOMS_OF_DEVICES),
        }
    }
}

impl SentMembers {
    /// Forgets what the device was told of a room, because it begins anew.
    pub fn forget(&self, user: &UserId, device: &DeviceId, room: &RoomId) {
        self.rooms
            .remove(&(user.to_owned(), device.to_owned(), room.to_owned()));
    }

    /// Those of `members` that the device did not get in an answer up to `since`; they count as given with the answer `until`.
    pub fn take_unsent(
        &self,
        (user, device, room): (&UserId, &DeviceId, &RoomId),
        members: Vec<OwnedUserId>,
        since: Position,
        until: Position,
    ) -> Vec<OwnedUserId> {
        let key = (user.to_owned(), device.to_owned(), room.to_owned());
        let sent = self.rooms.get(&key).unwrap_or_default();
        self.rooms.insert(key, sent.clone());
        let mut sent = sent.lock().unwrap_or_else(PoisonError::into_inner);
        if sent.len() > MEMBERS {
            sent.clear();
        }
        let mut missing = members;
        missing.retain(|member| sent.get(member).is_none_or(|&given| given > since));
        for member in &missing {
            sent.insert(member.clone(), until);
        }
        missing
    }
}
