//! Events that relate to other events: which do, and what follows from them.
//!
//! Each relation is one row under the event that it relates to. What is shown with that event (its newest edit, what refers to it)
//! is kept beside it, so that showing an event reads no relations.
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#forming-relationships-between-events>

use std::sync::Arc;

use ruma::{EventId, OwnedEventId, RoomId, events::relation::RelationType};
use serde::Deserialize;

use super::{Pdu, Rooms};
use crate::{error::Result, store::tables};

/// What `m.relates_to` says.
#[derive(Clone, Debug, Deserialize)]
pub struct RelatesTo {
    /// How the event relates.
    pub rel_type: RelationType,
    /// To which event.
    pub event_id: OwnedEventId,
    /// The key of an annotation.
    #[serde(default)]
    pub key: Option<String>,
}

/// To what the event relates. That it is a reply is no relation.
pub fn relates_to(pdu: &Pdu) -> Option<RelatesTo> {
    #[derive(Deserialize)]
    struct Content {
        #[serde(rename = "m.relates_to")]
        relates_to: RelatesTo,
    }
    Some(pdu.content_as::<Content>()?.relates_to)
}

/// The newest event that edits this one: by the same sender, of the same type, and not redacted.
/// Spec: <https://spec.matrix.org/v1.19/client-server-api/#event-replacements>
pub fn newest_edit(rooms: &Rooms, original: &Pdu) -> Result<Option<Arc<Pdu>>> {
    let key = (&*original.room_id, &*original.event_id);
    let noted = match rooms.store.get::<tables::Aggregates>(key)? {
        Some(aggregate) => aggregate.edit,
        None => None,
    };
    let Some(noted) = noted else { return Ok(None) };
    match rooms.event(&noted)? {
        Some(edit) if edit.redacted_by.is_none() => Ok(Some(edit)),
        // It is gone since: the one before it is the newest now.
        _ => newest_of_all_edits(rooms, original),
    }
}

fn newest_of_all_edits(rooms: &Rooms, original: &Pdu) -> Result<Option<Arc<Pdu>>> {
    let mut newest: Option<Arc<Pdu>> = None;
    for edit in related(rooms, &original.room_id, &original.event_id) {
        let edit = edit?;
        if is_edit(&edit, original) && newest.as_ref().is_none_or(|newest| is_newer(&edit, newest))
        {
            newest = Some(edit);
        }
    }
    Ok(newest)
}

/// The events that relate to this one, oldest first, redacted ones left out.
fn related(
    rooms: &Rooms,
    room: &RoomId,
    event: &EventId,
) -> impl Iterator<Item = Result<Arc<Pdu>>> {
    let rows = rooms.store.scan::<tables::Relations>((room, event));
    rows.filter_map(move |row| {
        let found = row
            .map_err(Into::into)
            .and_then(|(_, relation)| rooms.event(&relation.event_id));
        found
            .map(|pdu| pdu.filter(|pdu| pdu.redacted_by.is_none()))
            .transpose()
    })
}

/// Whether the one is an edit of the other.
pub(super) fn is_edit(edit: &Pdu, original: &Pdu) -> bool {
    let says_so = relates_to(edit).is_some_and(|relates| {
        relates.rel_type == RelationType::Replacement && relates.event_id == original.event_id
    });
    let is_original =
        relates_to(original).is_none_or(|relates| relates.rel_type != RelationType::Replacement);
    says_so
        && is_original
        && edit.sender == original.sender
        && edit.kind == original.kind
        && edit.state_key.is_none()
        && original.state_key.is_none()
}

/// Whether one edit counts and not the other: the later one does, and of two at the same time the one with the larger id.
pub(super) fn is_newer(edit: &Pdu, than: &Pdu) -> bool {
    (edit.origin_server_ts, &edit.event_id) > (than.origin_server_ts, &than.event_id)
}
