//! An event that somebody wants to send: what it becomes is decided by the room's writer.

use ruma::{
    MilliSecondsSinceUnixEpoch, OwnedEventId, OwnedUserId,
    events::{StateEventType, TimelineEventType},
};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::record::SendId;
use crate::error::{Error, Result};

/// An event before it is one.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Who sends it.
    pub sender: OwnedUserId,
    /// Its type.
    pub kind: TimelineEventType,
    /// Its state key, if it is state.
    pub state_key: Option<String>,
    /// Its content: a JSON object.
    pub content: Box<RawValue>,
    /// The event that it redacts.
    pub redacts: Option<OwnedEventId>,
    /// When it was sent, if not now. Only application services may say so.
    pub time: Option<MilliSecondsSinceUnixEpoch>,
    /// By which request it is sent.
    pub send_id: Option<SendId>,
}

impl Draft {
    /// A message event.
    pub fn message(sender: OwnedUserId, kind: TimelineEventType, content: Box<RawValue>) -> Self {
        Self {
            sender,
            kind,
            state_key: None,
            content,
            redacts: None,
            time: None,
            send_id: None,
        }
    }

    /// A state event with content that is not typed.
    pub fn new_raw_state(
        sender: OwnedUserId,
        kind: &StateEventType,
        key: impl Into<String>,
        content: Box<RawValue>,
    ) -> Self {
        Self {
            state_key: Some(key.into()),
            ..Self::message(sender, kind.to_string().into(), content)
        }
    }

    /// A state event.
    pub fn state(
        sender: OwnedUserId,
        kind: &StateEventType,
        key: impl Into<String>,
        content: &impl Serialize,
    ) -> Result<Self> {
        let content = to_raw_value(content)
            .map_err(|error| Error::Broken(format!("content of our own: {error}")))?;
        Ok(Self::new_raw_state(sender, kind, key, content))
    }
}
