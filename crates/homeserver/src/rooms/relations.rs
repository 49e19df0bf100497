//! Events that relate to other events: which do, and what follows from them.
//!
//! Each relation is one row under the event that it relates to. What is shown with that event (its newest edit, what refers to it)
//! is kept beside it, so that showing an event reads no relations.
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#forming-relationships-between-events>

use std::{
    collections::{BTreeMap, HashMap, HashSet, hash_map::Entry},
    sync::Arc,
};

use ruma::{
    EventId, OwnedEventId, RoomId,
    api::Direction,
    events::{TimelineEventType, relation::RelationType},
};
use serde::Deserialize;

use super::{
    Derived, DerivedWrite, Pdu, RoomWriter, Rooms,
    pagination::{Page, PaginationToken, TimelineReader},
    record::{Aggregate, Relation},
};
use crate::{
    error::Result,
    limits::{REFERENCES_SHOWN_MAX, RELATED_EVENTS_MAX},
    store::tables,
    stream::{Position, Slot},
};

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
fn is_edit(edit: &Pdu, original: &Pdu) -> bool {
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
fn is_newer(edit: &Pdu, than: &Pdu) -> bool {
    (edit.origin_server_ts, &edit.event_id) > (than.origin_server_ts, &than.event_id)
}

/// Which events relate to which, derived from every event.
#[derive(Debug)]
pub struct RelationIndex;

impl Derived for RelationIndex {
    fn begin(&self, _: &RoomWriter) -> Result<Box<dyn DerivedWrite>> {
        Ok(Box::new(Notes::default()))
    }
}

/// What the events of one write relate to.
#[derive(Debug, Default)]
struct Notes {
    /// What is shown with events after what was noted so far.
    aggregates: HashMap<OwnedEventId, Aggregate>,
}

impl DerivedWrite for Notes {
    /// Notes that the next event relates to another one.
    fn next(&mut self, writer: &mut RoomWriter, pdu: &Arc<Pdu>, slot: Slot) -> Result<()> {
        let Some(relates) = relates_to(pdu) else {
            return Ok(());
        };
        let room = pdu.room_id.clone();
        let shows = matches!(
            relates.rel_type,
            RelationType::Replacement | RelationType::Reference
        );
        let parent = writer.event(&relates.event_id)?;
        if let Some(parent) = parent.filter(|parent| shows && parent.room_id == room) {
            let aggregate = self.aggregate(writer, &parent, pdu, &relates)?;
            let key = (&*room, &*relates.event_id);
            let batch = writer.batch();
            batch.put::<tables::Aggregates>(key, aggregate)?;
        }
        let relation = Relation {
            event_id: pdu.event_id.clone(),
            rel_type: relates.rel_type.to_string(),
            event_type: pdu.kind.to_string(),
            sender: pdu.sender.clone(),
            key: relates.key,
        };
        writer.add_row(move |batch, positions| {
            let key = (&*room, &*relates.event_id, positions.of(slot));
            batch.put::<tables::Relations>(key, &relation)
        });
        Ok(())
    }
}

impl Notes {
    /// What is shown with an event after this one.
    fn aggregate(
        &mut self,
        writer: &RoomWriter,
        parent: &Pdu,
        pdu: &Pdu,
        relates: &RelatesTo,
    ) -> Result<&Aggregate> {
        let aggregate = match self.aggregates.entry(parent.event_id.clone()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(entry) => {
                let key = (&*parent.room_id, &*parent.event_id);
                let stored = writer.rooms().store.get::<tables::Aggregates>(key)?;
                entry.insert(stored.unwrap_or_default())
            }
        };
        let refers = relates.rel_type == RelationType::Reference;
        if refers && aggregate.references.len() < REFERENCES_SHOWN_MAX {
            aggregate.references.push(pdu.event_id.clone());
        }
        let edit = match &aggregate.edit {
            Some(edit) => writer.event(edit)?,
            None => None,
        };
        if is_edit(pdu, parent) && edit.is_none_or(|edit| is_newer(pdu, &edit)) {
            aggregate.edit = Some(pdu.event_id.clone());
        }
        Ok(aggregate)
    }
}

/// Which relations are asked for; nothing: all.
#[derive(Clone, Debug, Default)]
pub struct RelationQuery {
    /// How the event relates.
    pub rel_type: Option<RelationType>,
    /// Its type.
    pub event_type: Option<TimelineEventType>,
}

impl RelationQuery {
    fn includes(&self, relation: &Relation) -> bool {
        let type_is = |kind: &RelationType| kind.as_str() == relation.rel_type;
        let event_is = |kind: &TimelineEventType| kind.to_string() == relation.event_type;
        self.rel_type.as_ref().is_none_or(type_is) && self.event_type.as_ref().is_none_or(event_is)
    }
}

/// The events that relate to this one over at most `depth` steps and that the reader is shown, oldest first.
pub fn relating(
    rooms: &Rooms,
    reader: &TimelineReader<'_>,
    event: &EventId,
    wanted: &RelationQuery,
    depth: u64,
) -> Result<Vec<Arc<Pdu>>> {
    let mut found: BTreeMap<Position, Arc<Pdu>> = BTreeMap::new();
    let mut looked: HashSet<OwnedEventId> = HashSet::new();
    let mut parents = vec![event.to_owned()];
    for _ in 0..depth {
        let mut children = Vec::new();
        for parent in parents {
            if found.len() >= RELATED_EVENTS_MAX || !looked.insert(parent.clone()) {
                continue;
            }
            for row in rooms
                .store
                .scan::<tables::Relations>((reader.room(), &*parent))
            {
                let ((_, _, position), relation) = row?;
                children.push(relation.event_id.clone());
                let pdu = rooms.event(&relation.event_id)?;
                let shown = pdu.filter(|pdu| pdu.redacted_by.is_none() && reader.shows(pdu));
                if let Some(pdu) = shown.filter(|_| wanted.includes(&relation)) {
                    found.insert(position, pdu);
                }
            }
        }
        parents = children;
    }
    Ok(found.into_values().collect())
}

/// A page of events that are in the direction of the page already.
pub fn cut(
    events: &[Arc<Pdu>],
    direction: Direction,
    from: Option<PaginationToken>,
    to: Option<PaginationToken>,
    limit: usize,
) -> Page {
    let is_behind = |pdu: &Pdu, token: PaginationToken| match direction {
        Direction::Backward => pdu.position <= token.0,
        Direction::Forward => pdu.position > token.0,
    };
    let mut rest = events
        .iter()
        .filter(|pdu| from.is_none_or(|from| is_behind(pdu, from)))
        .filter(|pdu| to.is_none_or(|to| !is_behind(pdu, to)));
    let page: Vec<Arc<Pdu>> = rest.by_ref().take(limit).cloned().collect();
    let more = rest.next().is_some();
    let end = page.last().filter(|_| more).map(|last| match direction {
        Direction::Backward => PaginationToken(last.position.before()),
        Direction::Forward => PaginationToken(last.position),
    });
    Page {
        events: page,
        start: from.unwrap_or(PaginationToken(Position::default())),
        end,
    }
}
