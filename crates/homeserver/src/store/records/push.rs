//! How notifications and pushers are stored.

use ruma::{MilliSecondsSinceUnixEpoch, OwnedEventId, UInt};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use homeserver_model::Position;

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

/// How far a pusher has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PusherProgress {
    /// What notified the user up to here was told, or is not to be told any more.
    pub told: Position,
    /// How much is unread, as the gateway was told last; nothing if it never was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub badge: Option<UInt>,
}

impl PusherProgress {
    /// A pusher that begins here.
    pub fn at(told: Position) -> Self {
        Self { told, badge: None }
    }
}
