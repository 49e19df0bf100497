//! Receipts: who has read up to where, per room and thread.
//!
//! Each reader has one row per room, receipt type and thread; a newer receipt takes the older one's place, and none goes back in
//! the timeline. Private receipts are only for the reader. `m.fully_read` is account data of the room.
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#receipts>

use ruma::{
    EventId, OwnedEventId, OwnedUserId, RoomId, UserId,
    events::{
        AnySyncEphemeralRoomEvent,
        receipt::{Receipt as ReceiptContent, ReceiptEventContent, ReceiptThread, ReceiptType},
    },
    serde::Raw,
};
use serde_json::value::to_raw_value;

use super::{Rooms, mark_read};
use crate::{
    accounts::account_data,
    clock,
    error::{Error, Result},
    limits::RECEIPT_THREADS_PER_ROOM,
    store::{Batch, Store, records::sync::Receipt, tables},
    stream::{Change, Position, WakeTarget, Write},
};

/// The type of the marker that only the reader sees: how far everything was read.
pub const FULLY_READ: &str = "m.fully_read";

impl Receipt {
    /// Whether only the reader may know of it.
    pub fn is_private(&self) -> bool {
        self.receipt_type == ReceiptType::ReadPrivate.as_str()
    }
}

/// Where an event of this room is. 404 if it is not one.
fn place_in(rooms: &Rooms, room: &RoomId, event: &EventId) -> Result<Position> {
    match rooms.place_of(event)? {
        Some((of, position)) if of == room => Ok(position),
        _ => Err(Error::not_found("There is no such event in this room")),
    }
}

/// Says that the user has read up to the event. Does nothing if the user had read further before.
///
/// # Errors
///
/// 404 if there is no such event in the room, 400 `M_INVALID_PARAM` if there is no event that the thread could begin with.
pub async fn set(
    rooms: &Rooms,
    user: &UserId,
    room: &RoomId,
    receipt_type: ReceiptType,
    event: &EventId,
    thread: &ReceiptThread,
) -> Result<()> {
    let read = place_in(rooms, room, event)?;
    if let ReceiptThread::Thread(root) = thread {
        place_in(rooms, room, root)
            .map_err(|_| Error::invalid("thread_id is the id of an event in this room, or main"))?;
    }
    let in_thread = thread.as_str().unwrap_or_default();
    let key = (room, user, receipt_type.as_str(), in_thread);
    let mut write = rooms.stream.begin_write();
    if let Some(before) = rooms.store.get::<tables::ReceiptPlaces>(key)? {
        let last = rooms.store.get::<tables::Receipts>((room, before))?;
        if let Some((_, last)) = match last {
            Some(last) => rooms.place_of(&last.event_id)?,
            None => None,
        } && last >= read
        {
            return Ok(());
        }
        write.batch().delete::<tables::Receipts>((room, before))?;
    } else {
        forget_oldest(rooms, write.batch(), room, user, receipt_type.as_str())?;
    }
    let receipt = Receipt {
        user_id: user.to_owned(),
        receipt_type: receipt_type.to_string(),
        event_id: event.to_owned(),
        thread: thread.as_str().map(ToOwned::to_owned),
        time: clock::now(),
    };
    mark_read(write.batch(), rooms, user, room, thread, read)?;
    write.wake_after_commit([if receipt.is_private() {
        WakeTarget::User(user.to_owned())
    } else {
        WakeTarget::Room(room.to_owned())
    }]);
    put(&mut write, room, receipt);
    rooms.stream.commit(write).await?;
    Ok(())
}

/// Writes the receipt in its new place.
fn put(write: &mut Write, room: &RoomId, receipt: Receipt) {
    let slot = write.reserve_position();
    let room = room.to_owned();
    write.add_row(move |batch, positions| {
        let position = positions.of(slot);
        batch.put::<tables::Receipts>((&room, position), &receipt)?;
        let (user, kind) = (&receipt.user_id, receipt.receipt_type.as_str());
        let in_thread = receipt.thread.as_deref().unwrap_or_default();
        let key = (&*room, &**user, kind, in_thread);
        batch.put::<tables::ReceiptPlaces>(key, &position)?;
        let change = Change::Receipt(room.clone(), user.clone());
        batch.put::<tables::Changes>((position,), &change)
    });
}

/// Makes room for a receipt in one thread more: beyond their largest number, the oldest receipt goes.
fn forget_oldest(
    rooms: &Rooms,
    batch: &mut Batch,
    room: &RoomId,
    user: &UserId,
    receipt_type: &str,
) -> Result<()> {
    let mut threads = Vec::new();
    for row in rooms
        .store
        .scan::<tables::ReceiptPlaces>((room, user, receipt_type))
    {
        let ((_, _, _, thread), position) = row?;
        // Those of the whole room and of its main timeline always stay.
        if thread.starts_with('$') {
            threads.push((position, thread));
        }
    }
    threads.sort_unstable();
    let beyond = (threads.len() + 1).saturating_sub(RECEIPT_THREADS_PER_ROOM);
    for (position, thread) in threads.into_iter().take(beyond) {
        batch.delete::<tables::Receipts>((room, position))?;
        batch.delete::<tables::ReceiptPlaces>((room, user, receipt_type, &*thread))?;
    }
    Ok(())
}

/// Says that the user has read everything up to the event. Does nothing if the user had before.
pub async fn set_fully_read(
    rooms: &Rooms,
    user: &UserId,
    room: &RoomId,
    event: &EventId,
) -> Result<()> {
    #[derive(serde::Serialize, serde::Deserialize)]
    struct FullyRead {
        event_id: OwnedEventId,
    }
    let read = place_in(rooms, room, event)?;
    let before = account_data::get(&rooms.store, user, Some(room), FULLY_READ)?
        .and_then(|datum| serde_json::from_str::<FullyRead>(datum.content.get()).ok());
    if let Some(before) = before
        && let Some((_, last)) = rooms.place_of(&before.event_id)?
        && last >= read
    {
        return Ok(());
    }
    let event_id = event.to_owned();
    let content = to_raw_value(&FullyRead { event_id })?;
    let (store, stream) = (&rooms.store, &rooms.stream);
    account_data::set(store, stream, user, Some(room), FULLY_READ, content).await?;
    Ok(())
}

/// The receipts of a room that came after `since` and not after `until`, as far as `viewer` may see them.
pub fn since(
    store: &Store,
    room: &RoomId,
    viewer: &UserId,
    since: Position,
    until: Position,
) -> Result<Vec<Receipt>> {
    let mut receipts = Vec::new();
    for row in store.scan_from::<tables::Receipts>((room,), (room, since.next())) {
        let ((_, position), receipt) = row?;
        if position > until {
            break;
        }
        if !receipt.is_private() || receipt.user_id == viewer {
            receipts.push(receipt);
        }
    }
    Ok(receipts)
}

/// Receipts as the content of one `m.receipt` event.
pub fn content(receipts: Vec<Receipt>) -> ReceiptEventContent {
    let mut content = ReceiptEventContent(std::collections::BTreeMap::new());
    for receipt in receipts {
        let mut told = ReceiptContent::new(receipt.time);
        told.thread = ReceiptThread::try_from(receipt.thread).unwrap_or_default();
        let readers: &mut std::collections::BTreeMap<OwnedUserId, ReceiptContent> = content
            .entry(receipt.event_id)
            .or_default()
            .entry(ReceiptType::from(receipt.receipt_type))
            .or_default();
        // One reader has one receipt for an event there; the one for the whole room says the most.
        let replaces = readers
            .get(&receipt.user_id)
            .is_none_or(|known| known.thread != ReceiptThread::Unthreaded);
        if replaces {
            readers.insert(receipt.user_id, told);
        }
    }
    content
}

/// Receipts as the event that clients get; nothing if there are none.
pub fn event(receipts: Vec<Receipt>) -> Result<Option<Raw<AnySyncEphemeralRoomEvent>>> {
    if receipts.is_empty() {
        return Ok(None);
    }
    let content = to_raw_value(&content(receipts))?;
    account_data::event("m.receipt", &content).map(|event| Some(Raw::from_json(event)))
}
