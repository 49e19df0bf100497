//! Who read up to where: the latest receipts of a room the first time, then those that came since.
//!
//! Spec: <https://github.com/matrix-org/matrix-spec-proposals/pull/3960>

use std::collections::BTreeMap;

use ruma::{
    OwnedEventId, OwnedUserId, RoomId,
    events::receipt::{
        Receipt, ReceiptEventContent, ReceiptThread, ReceiptType, SyncReceiptEvent,
    },
    serde::Raw,
};

use super::Answer;
use crate::{error::Result, store::tables, stream::Position, sync::record};

/// How many receipts of a room are sent at once, the latest first.
const RECEIPTS_MAX: usize = 500;

pub(super) fn fill(answer: &mut Answer<'_>) -> Result<bool> {
    let now = answer.next.position;
    let asked = &answer.ask.extensions.receipts;
    for room in answer.rooms(asked.lists.as_ref(), asked.rooms.as_ref()) {
        if !answer.seen.is_joined(&room) {
            continue;
        }
        let after = answer.base.besides.receipts.get(&room).copied();
        let receipts = between(answer, &room, after.unwrap_or_default(), now)?;
        answer.next.besides.receipts.insert(room.clone(), now);
        if let Some(event) = receipts {
            answer.extensions.receipts.rooms.insert(room, event);
        }
    }
    Ok(!answer.extensions.receipts.is_empty())
}

/// The receipts that came after `after`, up to and with `now`, as one event; nothing if there are none.
fn between(
    answer: &Answer<'_>,
    room: &RoomId,
    after: Position,
    now: Position,
) -> Result<Option<Raw<SyncReceiptEvent>>> {
    let mut content = ReceiptEventContent(BTreeMap::new());
    let rows = answer
        .server
        .store
        .scan_back_from::<tables::Receipts>((room,), (room, now));
    for row in rows.take(RECEIPTS_MAX) {
        let ((_, position), receipt) = row?;
        if position <= after {
            break;
        }
        let kind = ReceiptType::from(receipt.receipt_type.as_str());
        // What somebody reads in private is nobody else's business.
        if kind == ReceiptType::ReadPrivate && receipt.user_id != *answer.ask.user() {
            continue;
        }
        let (event, user, shown) = show(receipt);
        let readers = content.entry(event).or_default().entry(kind).or_default();
        // Newer ones come first and stay.
        readers.entry(user).or_insert(shown);
    }
    if content.is_empty() {
        return Ok(None);
    }
    Ok(Some(Raw::new(&SyncReceiptEvent { content })?))
}

fn show(receipt: record::Receipt) -> (OwnedEventId, OwnedUserId, Receipt) {
    let mut shown = Receipt::new(receipt.time);
    shown.thread = match receipt.thread.as_deref() {
        None => ReceiptThread::Unthreaded,
        Some("main") => ReceiptThread::Main,
        Some(root) => OwnedEventId::try_from(root)
            .map_or(ReceiptThread::Unthreaded, ReceiptThread::Thread),
    };
    (receipt.event_id, receipt.user_id, shown)
}
