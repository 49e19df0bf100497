//! How notifications and pushers are stored.

use ruma::{MilliSecondsSinceUnixEpoch, OwnedEventId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Something that notified a user and was not read yet.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Notification {
    /// The event.
    pub event_id: OwnedEventId,
    /// The thread that it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<OwnedEventId>,
    /// Whether it counts as unread.
    #[serde(default)]
    pub notify: bool,
    /// Whether it mentions the user.
    #[serde(default)]
    pub highlight: bool,
    /// What the push rules said.
    pub actions: Value,
    /// When.
    pub time: MilliSecondsSinceUnixEpoch,
    /// The thread was read up to a later event; the row stays for the list of notifications.
    #[serde(default)]
    pub read: bool,
}

/// A pusher: where a user wants to be told of notifications.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PusherRecord {
    /// The pusher as its client set it.
    pub pusher: Value,
    /// The device that set it.
    pub device: Option<String>,
}
