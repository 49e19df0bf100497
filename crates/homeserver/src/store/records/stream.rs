//! How what happened at a position is stored.

use ruma::{OwnedDeviceId, OwnedEventId, OwnedRoomId, OwnedUserId};
use serde::{Deserialize, Serialize};

/// What happened at a position, for those who follow everything (application services, pushers).
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// An event was appended to a room.
    Event(OwnedRoomId, OwnedEventId),
    /// A receipt was sent: room and reader.
    Receipt(OwnedRoomId, OwnedUserId),
    /// A message was left for a device.
    ToDevice(OwnedUserId, OwnedDeviceId),
    /// The devices or keys of a user changed.
    DeviceList(OwnedUserId),
    /// Account data of a user changed.
    AccountData(OwnedUserId),
}
