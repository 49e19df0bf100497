//! Whether an event passes a filter that a client gave.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#filtering>

pub use homeserver_model::filter::matches_non_room;
use homeserver_model::filter::{self, FilterSubject};
use ruma::{OwnedUserId, api::client::filter::RoomEventFilter};
use serde::Deserialize;

use super::{Pdu, Rooms};
use crate::{error::Result, store::tables};

/// Whether an event of a room passes. The limit is not part of it.
pub fn matches(filter: &RoomEventFilter, pdu: &Pdu) -> bool {
    let event = FilterSubject {
        room_id: &pdu.room_id,
        sender: &pdu.sender,
        kind: &pdu.kind.to_string(),
        content: &pdu.content,
    };
    filter::matches(filter, &event)
}

/// The part of a filter that asks what others said of an event; ruma's type does not have it.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct RelatedBy {
    /// Only events to which one of these relates something.
    #[serde(default)]
    related_by_senders: Option<Vec<OwnedUserId>>,
    /// Only events to which something relates in one of these ways.
    #[serde(default)]
    related_by_rel_types: Option<Vec<String>>,
}

impl RelatedBy {
    /// Reads it from the filter as it came. What is wrong with that is found where the rest of it is read.
    pub fn read(filter: Option<&str>) -> Self {
        filter
            .and_then(|filter| serde_json::from_str(filter).ok())
            .unwrap_or_default()
    }

    /// Whether something relates to the event in this way.
    pub fn matches(&self, rooms: &Rooms, pdu: &Pdu) -> Result<bool> {
        let (senders, types) = (&self.related_by_senders, &self.related_by_rel_types);
        if senders.is_none() && types.is_none() {
            return Ok(true);
        }
        let key = (&*pdu.room_id, &*pdu.event_id);
        for row in rooms.store.scan::<tables::Relations>(key) {
            let (_, relation) = row?;
            let by_sender = senders
                .as_ref()
                .is_none_or(|senders| senders.contains(&relation.sender));
            let by_type = types
                .as_ref()
                .is_none_or(|types| types.contains(&relation.rel_type));
            if by_sender && by_type {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
