//! Who asks, and with which device.

use ruma::{OwnedDeviceId, OwnedUserId};

/// Who looks at an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Viewer {
    /// The user.
    pub user_id: OwnedUserId,
    /// The device; nothing for an application service that acts without one.
    pub device_id: Option<OwnedDeviceId>,
}
