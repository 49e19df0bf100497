//! What a user has not read yet, counted from the rows that the push rules wrote.
//!
//! Reading marks rows, and the room's writer takes old ones away now and then ([`trim`]). The last few stay, because the list of
//! notifications shows them; what is in a thread is read by reading the thread, or by a receipt that knows no threads. Where all
//! is read is remembered ([`ReadPositions`]): without that, every message walks over everything that was ever read and taken away.
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#receiving-notifications>,
//! <https://spec.matrix.org/v1.19/client-server-api/#threaded-read-receipts>

use std::collections::BTreeMap;

use quick_cache::sync::Cache;
use ruma::{
    OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, UserId, events::receipt::ReceiptThread,
};

use super::{RoomWriter, Rooms};
use crate::{
    error::Result,
    limits::NOTIFICATIONS_PER_ROOM,
    store::{Batch, tables},
    stream::Position,
};

/// How many of them stay for the list of notifications after they were read.
const READ_KEPT_PER_ROOM: usize = 20;
/// For how many users and rooms it is remembered where all is read.
const READ_REMEMBERED: usize = 10_000;

/// Up to where users have read rooms: nothing at or before that position is unread, in no thread.
#[derive(Debug)]
pub struct ReadPositions {
    known: Cache<(OwnedUserId, OwnedRoomId), Position>,
}

impl Default for ReadPositions {
    fn default() -> Self {
        Self {
            known: Cache::new(READ_REMEMBERED),
        }
    }
}

impl ReadPositions {
    fn up_to(&self, user: &UserId, room: &RoomId) -> Position {
        let key = (user.to_owned(), room.to_owned());
        self.known.get(&key).unwrap_or_default()
    }

    fn note(&self, user: &UserId, room: &RoomId, up_to: Position) {
        self.known.insert((user.to_owned(), room.to_owned()), up_to);
    }
}

/// How much of a room a user has not read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unread {
    /// What notifies in the main timeline.
    pub notify: u64,
    /// What mentions the user there.
    pub highlight: u64,
    /// The same for each thread that has any: what notifies, what mentions.
    pub threads: BTreeMap<OwnedEventId, (u64, u64)>,
}

impl Unread {
    /// What notifies and what mentions, threads included: what a client sees that knows no threads.
    pub fn total(&self) -> (u64, u64) {
        let start = (self.notify, self.highlight);
        self.threads
            .values()
            .fold(start, |(notify, highlight), thread| {
                (notify + thread.0, highlight + thread.1)
            })
    }
}

/// Counts what a user has not read in a room, of what happened up to `until`: as much as the answer shows that the count goes with.
pub fn unread(rooms: &Rooms, user: &UserId, room: &RoomId, until: Position) -> Result<Unread> {
    let mut unread = Unread::default();
    let read = rooms.read.up_to(user, room);
    let rows = rooms
        .store
        .scan_back_from::<tables::Notifications>((user, room), (user, room, until));
    for row in rows.take(NOTIFICATIONS_PER_ROOM) {
        let ((_, _, position), row) = row?;
        if position <= read {
            break;
        }
        if row.read {
            continue;
        }
        let counts = (u64::from(row.notify), u64::from(row.highlight));
        if let Some(root) = row.thread {
            let thread = unread.threads.entry(root).or_default();
            thread.0 += counts.0;
            thread.1 += counts.1;
        } else {
            unread.notify += counts.0;
            unread.highlight += counts.1;
        }
    }
    Ok(unread)
}

/// Marks as read what is at `up_to` or before it, in the thread that the receipt names.
pub fn mark_read(
    batch: &mut Batch,
    rooms: &Rooms,
    user: &UserId,
    room: &RoomId,
    thread: &ReceiptThread,
    up_to: Position,
) -> Result<()> {
    let read = rooms.read.up_to(user, room);
    // What is not visible yet may still get rows. What is marked here counts as read once it is written: the next walk sees that.
    let mut all_read = up_to.min(rooms.stream.visible());
    let rows = rooms
        .store
        .scan_back_from::<tables::Notifications>((user, room), (user, room, up_to));
    for row in rows {
        let ((_, _, position), mut row) = row?;
        if position <= read {
            break;
        }
        if row.read {
            continue;
        }
        all_read = all_read.min(position.before());
        if covers(thread, row.thread.as_ref()) {
            row.read = true;
            batch.put::<tables::Notifications>((user, room, position), &row)?;
        }
    }
    if all_read > read {
        rooms.read.note(user, room, all_read);
    }
    Ok(())
}

/// Takes away what is beyond the newest [`NOTIFICATIONS_PER_ROOM`], and of what was read all but the last few.
pub(crate) fn trim(writer: &mut RoomWriter, user: &UserId) -> Result<()> {
    let room = writer.room_id().to_owned();
    let store = writer.rooms().store.clone();
    let mut read = 0;
    let rows = store.scan_back::<tables::Notifications>((user, &*room));
    for (newer, row) in rows.enumerate() {
        let ((_, _, position), row) = row?;
        read += usize::from(row.read);
        if newer >= NOTIFICATIONS_PER_ROOM || (row.read && read > READ_KEPT_PER_ROOM) {
            let key = (user, &*room, position);
            writer.batch().delete::<tables::Notifications>(key)?;
        }
    }
    Ok(())
}

/// Whether a receipt for `thread` says something about an event in the thread with this root.
fn covers(thread: &ReceiptThread, root: Option<&OwnedEventId>) -> bool {
    match thread {
        ReceiptThread::Main => root.is_none(),
        // The root itself is in the main timeline; a receipt for a thread speaks of its replies.
        ReceiptThread::Thread(read) => root == Some(read),
        _ => true,
    }
}
