//! What a user has not read yet, counted from the rows that [`super::evaluate()`] wrote.
//!
//! Reading takes rows away. The last few stay, marked as read, because the list of notifications shows them; what is in a thread
//! is read by reading the thread, or by a receipt that knows no threads.
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#receiving-notifications>,
//! <https://spec.matrix.org/v1.19/client-server-api/#threaded-read-receipts>

use std::collections::BTreeMap;

use ruma::{OwnedEventId, RoomId, UserId, events::receipt::ReceiptThread};

use crate::{
    error::Result,
    store::{Batch, Store, tables},
    stream::Position,
};

/// How many notifications of one room are kept for one user, and so the largest count. Clients show "99+" long before.
pub(super) const NOTIFICATIONS_PER_ROOM: usize = 500;
/// How many of them stay for the list of notifications after they were read.
const READ_KEPT_PER_ROOM: usize = 20;

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

/// Counts what a user has not read in a room.
pub fn unread(store: &Store, user: &UserId, room: &RoomId) -> Result<Unread> {
    let mut unread = Unread::default();
    let rows = store.scan_back::<tables::Notifications>((user, room));
    for row in rows.take(NOTIFICATIONS_PER_ROOM) {
        let (_, row) = row?;
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
    store: &Store,
    user: &UserId,
    room: &RoomId,
    thread: &ReceiptThread,
    up_to: Position,
) -> Result<()> {
    let rows = store.scan_back_from::<tables::Notifications>((user, room), (user, room, up_to));
    let mut kept = 0;
    for row in rows {
        let ((_, _, position), mut row) = row?;
        if !row.read && !covers(thread, row.thread.as_ref()) {
            continue;
        }
        kept += 1;
        if kept > READ_KEPT_PER_ROOM {
            batch.delete::<tables::Notifications>((user, room, position))?;
        } else if !row.read {
            row.read = true;
            batch.put::<tables::Notifications>((user, room, position), &row)?;
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
