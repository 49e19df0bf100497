//! How account data and receipts are stored.

use ruma::{MilliSecondsSinceUnixEpoch, OwnedEventId, OwnedUserId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use homeserver_model::Position;

/// One piece of account data.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct AccountDatum {
    /// Where it last changed.
    pub position: Position,
    /// Its content; an empty object if it is deleted.
    pub content: Box<RawValue>,
    /// Whether it is deleted. The row stays, so that other devices hear of it.
    #[serde(default)]
    pub deleted: bool,
}

/// A receipt.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Receipt {
    /// Who read.
    pub user_id: OwnedUserId,
    /// How: `m.read` or `m.read.private`.
    pub receipt_type: String,
    /// Up to which event.
    pub event_id: OwnedEventId,
    /// In which thread: an event id, `main`, or nothing for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<String>,
    /// When.
    pub time: MilliSecondsSinceUnixEpoch,
}
