//! Threads: which a room has, how long they are, and who took part.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#threading>

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use ruma::{EventId, OwnedEventId, RoomId, UserId, events::relation::RelationType};

use super::{
    Derived, DerivedWrite, Pdu, RoomWriter,
    pagination::{PaginationToken, TimelineReader},
    record::Thread,
    relations::relates_to,
};
use crate::{
    error::Result,
    limits::THREAD_PARTICIPANTS_MAX,
    rooms::Rooms,
    store::{Batch, StoreError, tables},
    stream::{Position, Slot},
};

/// The root of the thread that the event belongs to.
pub fn root_of(pdu: &Pdu) -> Option<OwnedEventId> {
    let relates = relates_to(pdu)?;
    (relates.rel_type == RelationType::Thread).then_some(relates.event_id)
}

/// The threads of rooms, derived from every event.
#[derive(Debug)]
pub struct ThreadIndex;

impl Derived for ThreadIndex {
    fn begin(&self, _: &RoomWriter) -> Result<Box<dyn DerivedWrite>> {
        Ok(Box::new(Notes::default()))
    }
}

/// Which threads the events of one write belong to.
#[derive(Debug, Default)]
struct Notes {
    /// Threads after what was noted so far, and where the last event of each comes to be if it is one of this write.
    threads: HashMap<OwnedEventId, (Thread, Option<Slot>)>,
}

impl DerivedWrite for Notes {
    /// Notes that the next event belongs to a thread. A thread does not begin in another thread.
    fn next(&mut self, writer: &mut RoomWriter, pdu: &Arc<Pdu>, slot: Slot) -> Result<()> {
        let Some(root) = root_of(pdu) else {
            return Ok(());
        };
        let is_root = writer
            .event(&root)?
            .is_some_and(|event| event.room_id == pdu.room_id && relates_to(&event).is_none());
        if !is_root {
            return Ok(());
        }
        let (thread, last) = match self.threads.entry(root.clone()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(entry) => {
                let key = (&*pdu.room_id, &*root);
                let stored = writer.rooms().store.get::<tables::Threads>(key)?;
                entry.insert((stored.unwrap_or_else(|| Thread::begins_with(pdu)), None))
            }
        };
        let known = thread.participants.contains(&pdu.sender);
        if !known && thread.participants.len() < THREAD_PARTICIPANTS_MAX {
            thread.participants.push(pdu.sender.clone());
        }
        let (old, before) = (thread.last, last.replace(slot));
        thread.count += 1;
        thread.last_event.clone_from(&pdu.event_id);
        let (mut thread, room) = (thread.clone(), pdu.room_id.clone());
        writer.add_row(move |batch, positions| {
            let old = before.map_or(old, |slot| positions.of(slot));
            batch.delete::<tables::ThreadOrder>((&room, old))?;
            thread.last = positions.of(slot);
            put(batch, &room, &root, &thread)
        });
        Ok(())
    }
}

impl Thread {
    /// A thread of which nothing is counted yet.
    fn begins_with(pdu: &Pdu) -> Self {
        Self {
            count: 0,
            last: Position::default(),
            last_event: pdu.event_id.clone(),
            participants: Vec::new(),
        }
    }
}

/// Takes an event that is redacted out of its thread.
pub(super) fn remove_redacted(writer: &mut RoomWriter, target: &Pdu) -> Result<()> {
    let Some(root) = root_of(target) else {
        return Ok(());
    };
    let store = writer.rooms().store.clone();
    let key = (&*target.room_id, &*root);
    let Some(mut thread) = store.get::<tables::Threads>(key)? else {
        return Ok(());
    };
    let mut last = None;
    for row in store.scan_back::<tables::Relations>(key) {
        let ((_, _, position), relation) = row?;
        if relation.rel_type == RelationType::Thread.to_string() && position != target.position {
            last = Some((position, relation.event_id));
            break;
        }
    }
    writer
        .batch()
        .delete::<tables::ThreadOrder>((&*target.room_id, thread.last))?;
    let Some((position, event)) = last else {
        return Ok(writer.batch().delete::<tables::Threads>(key)?);
    };
    thread.count = thread.count.saturating_sub(1);
    (thread.last, thread.last_event) = (position, event);
    Ok(put(writer.batch(), &target.room_id, &root, &thread)?)
}

fn put(
    batch: &mut Batch,
    room: &RoomId,
    root: &EventId,
    thread: &Thread,
) -> Result<(), StoreError> {
    batch.put::<tables::ThreadOrder>((room, thread.last), &root.to_owned())?;
    batch.put::<tables::Threads>((room, root), thread)
}

/// The roots of the threads that the user may read, the thread that was written to last first, and where the next page begins.
pub fn page(
    rooms: &Rooms,
    reader: &TimelineReader<'_>,
    participant: Option<&UserId>,
    from: Option<PaginationToken>,
    limit: usize,
) -> Result<(Vec<Arc<Pdu>>, Option<PaginationToken>)> {
    let room = reader.room();
    let from = from.map_or(Position::MAX, |token| token.0);
    let mut found = Vec::new();
    let mut next = PaginationToken(from);
    for row in rooms
        .store
        .scan_back_from::<tables::ThreadOrder>((room,), (room, from))
    {
        let ((_, position), id) = row?;
        if found.len() >= limit {
            return Ok((found, Some(next)));
        }
        next = PaginationToken(position.before());
        let Some(pdu) = rooms.event(&id)?.filter(|pdu| reader.shows(pdu)) else {
            continue;
        };
        if let Some(user) = participant
            && pdu.sender != user
        {
            let thread = rooms.store.get::<tables::Threads>((room, &*id))?;
            if !thread.is_some_and(|thread| thread.participants.iter().any(|one| one == user)) {
                continue;
            }
        }
        found.push(pdu);
    }
    Ok((found, None))
}
