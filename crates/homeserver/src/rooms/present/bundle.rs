//! What is shown with an event because others relate to it: its newest edit, its thread, the events that refer to it.
//!
//! Two lookups tell that there is nothing to show, which is the case for nearly every event.
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#aggregations-of-child-events>

use std::sync::Arc;

use ruma::{
    UInt,
    events::{
        AnyTimelineEvent,
        relation::{BundledMessageLikeRelations, BundledReference, BundledThread, ReferenceChunk},
    },
    serde::Raw,
};

use super::{Pdu, Room, Rooms, Unsigned, Viewer, show};
use crate::{
    error::Result,
    rooms::{erased, record::Aggregate, relations, visibility::EventVisibility},
    store::tables,
};

type Bundle = BundledMessageLikeRelations<Raw<AnyTimelineEvent>>;

/// Everything that is shown with the event.
pub(super) fn of(rooms: &Rooms, pdu: &Pdu, viewer: &Viewer) -> Result<Bundle> {
    let mut bundle = Bundle::new();
    bundle.thread = thread(rooms, pdu, viewer)?.map(Box::new);
    if let Some(aggregate) = aggregate(rooms, pdu)? {
        let event_visibility = EventVisibility::new(rooms, &viewer.user_id, &pdu.room_id)?;
        bundle.replace = shown_edit(rooms, pdu, viewer, &event_visibility)?.map(Box::new);
        bundle.reference = references(rooms, &aggregate, &event_visibility)?.map(Box::new);
    }
    Ok(bundle)
}

/// The newest edit of the event, as the viewer sees it.
pub(super) fn edit(
    rooms: &Rooms,
    pdu: &Pdu,
    viewer: &Viewer,
) -> Result<Option<Raw<AnyTimelineEvent>>> {
    if aggregate(rooms, pdu)?.is_none() {
        return Ok(None);
    }
    let event_visibility = EventVisibility::new(rooms, &viewer.user_id, &pdu.room_id)?;
    shown_edit(rooms, pdu, viewer, &event_visibility)
}

/// A redacted event has lost what others said of it, except its thread.
fn aggregate(rooms: &Rooms, pdu: &Pdu) -> Result<Option<Aggregate>> {
    if pdu.redacted_by.is_some() {
        return Ok(None);
    }
    Ok(rooms
        .store
        .get::<tables::Aggregates>((&*pdu.room_id, &*pdu.event_id))?)
}

fn shown_edit(
    rooms: &Rooms,
    pdu: &Pdu,
    viewer: &Viewer,
    event_visibility: &EventVisibility,
) -> Result<Option<Raw<AnyTimelineEvent>>> {
    let edit = relations::newest_edit(rooms, pdu)?;
    let edit = edit.filter(|edit| {
        event_visibility.allows_event(edit) && !erased::hides(rooms, event_visibility, edit)
    });
    edit.map(|edit| show(&edit, Room::Named, Unsigned::of(rooms, &edit, viewer)?))
        .transpose()
}

fn references(
    rooms: &Rooms,
    aggregate: &Aggregate,
    event_visibility: &EventVisibility,
) -> Result<Option<ReferenceChunk>> {
    let mut chunk = Vec::new();
    for id in &aggregate.references {
        let shown = rooms
            .event(id)?
            .is_some_and(|pdu| pdu.redacted_by.is_none() && event_visibility.allows_event(&pdu));
        if shown {
            chunk.push(BundledReference::new(id.clone()));
        }
    }
    Ok((!chunk.is_empty()).then(|| ReferenceChunk::new(chunk)))
}

fn thread(rooms: &Rooms, root: &Pdu, viewer: &Viewer) -> Result<Option<BundledThread>> {
    let Some(thread) = rooms
        .store
        .get::<tables::Threads>((&*root.room_id, &*root.event_id))?
    else {
        return Ok(None);
    };
    let Some(latest) = rooms.event(&thread.last_event)? else {
        return Ok(None);
    };
    if !EventVisibility::new(rooms, &viewer.user_id, &root.room_id)?.allows_event(&latest) {
        return Ok(None);
    }
    let took_part = root.sender == viewer.user_id || thread.participants.contains(&viewer.user_id);
    let shown = shown_latest(rooms, &latest, viewer)?;
    let count = UInt::try_from(thread.count).unwrap_or(UInt::MAX);
    Ok(Some(BundledThread::new(shown, count, took_part)))
}

/// The latest event of a thread comes with its own edit.
fn shown_latest<T>(rooms: &Rooms, latest: &Arc<Pdu>, viewer: &Viewer) -> Result<Raw<T>> {
    let redacted = erased::redacted_copy(rooms, &viewer.user_id, latest)?;
    let latest = redacted.as_ref().unwrap_or(latest);
    let unsigned = Unsigned::of(rooms, latest, viewer)?.with_edit(rooms, latest, viewer)?;
    show(latest, Room::Named, unsigned)
}
