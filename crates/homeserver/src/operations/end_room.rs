//! The end of rooms, which only an admin brings about: banned, where nobody comes in any more, or deleted with all their events.
//!
//! Everybody leaves first, so that clients see an end like any other. The rows go piece by piece, and that of the room itself goes
//! last: a room whose end was cut short is still there to be ended again.

use ruma::{OwnedUserId, RoomId, events::room::member::MembershipState};

use crate::{
    blocking,
    error::{Error, Result},
    rooms::{
        EVENTS_PER_WRITE, Rooms, aliases, membership::MembershipUpdate, record::Membership,
        unknown_room,
    },
    store::{Batch, StoreError, tables},
};

/// How much is deleted in one write, in bytes.
const PIECE_BYTES: usize = 1 << 20;

/// What is left of a room that is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterDeletion {
    /// That its people have left it, so that their clients learn of it whenever they come back.
    KeepMemberships,
    /// Nothing.
    Nothing,
}

/// Bans a room, and empties it; or lets people in again.
///
/// # Errors
///
/// 404 if there is no such room.
pub async fn set_banned(rooms: &Rooms, room: &RoomId, banned: bool) -> Result<()> {
    let writer = rooms.write(room).await?;
    let mut record = writer.record().clone();
    record.banned = banned;
    rooms.store.put::<tables::Rooms>((room,), &record).await?;
    drop(writer);
    if banned {
        clear(rooms, room, "This room was banned by an admin").await?;
    }
    Ok(())
}

/// Deletes a room.
///
/// # Errors
///
/// 404 if there is no such room.
pub async fn delete(rooms: &Rooms, room: &RoomId, trace: AfterDeletion) -> Result<()> {
    clear(rooms, room, "Room Deleted").await?;
    // Nobody writes while it goes.
    let writer = rooms.write(room).await?;
    let (rooms, id) = (rooms.clone(), room.to_owned());
    let erasing = blocking::run(move || erase(&rooms, &id, trace));
    erasing.await.map_err(|_| StoreError::Lost)??;
    drop(writer);
    Ok(())
}

/// Lets everybody leave, frees the names of the room, and takes it out of all lists.
async fn clear(rooms: &Rooms, room: &RoomId, reason: &str) -> Result<()> {
    if !rooms.exists(room)? {
        return Err(unknown_room());
    }
    let mut writer = rooms.write(room).await?;
    for (user, member) in members(rooms, room)? {
        if matches!(
            member.membership,
            MembershipState::Leave | MembershipState::Ban
        ) {
            continue;
        }
        let mut leave = MembershipUpdate::new(rooms, &user, MembershipState::Leave)?;
        leave.reason = Some(reason.to_owned());
        // The rules let everybody leave; if they do not, the room goes all the same.
        if let Err(error) = writer.add(leave.draft(&user)?) {
            tracing::warn!(room.id = %room, user.id = %user, %error, "could not remove a member from a room being deleted");
        }
        if writer.added().len() >= EVENTS_PER_WRITE {
            writer.commit().await?;
            writer = rooms.write(room).await?;
        }
    }
    for alias in aliases::of_room(rooms, room)? {
        writer.batch().delete::<tables::Aliases>((&*alias,))?;
        writer
            .batch()
            .delete::<tables::RoomAliases>((room, &*alias))?;
    }
    for key in rooms.store.scan::<tables::PublicRooms>(()).keys() {
        let (network, published) = key?;
        if published == room {
            writer
                .batch()
                .delete::<tables::PublicRooms>((&network, room))?;
        }
    }
    writer.commit().await?;
    Ok(())
}

fn members(rooms: &Rooms, room: &RoomId) -> Result<Vec<(OwnedUserId, Membership)>> {
    let rows = rooms.store.scan::<tables::Members>((room,));
    rows.map(|row| {
        row.map(|((_, user), member)| (user, member))
            .map_err(Error::from)
    })
    .collect()
}

/// Deletes all rows of the room. Blocks.
fn erase(rooms: &Rooms, room: &RoomId, trace: AfterDeletion) -> Result<()> {
    let store = &rooms.store;
    for (user, _) in members(rooms, room)? {
        let mut batch = store.batch();
        batch.delete_all::<tables::Notifications>((&*user, room))?;
        if trace == AfterDeletion::Nothing {
            batch.delete::<tables::Memberships>((&*user, room))?;
            batch.delete::<tables::ForgottenRooms>((&*user, room))?;
            batch.delete_all::<tables::AccountData>((&*user, room.as_str()))?;
        }
        store.commit_blocking(batch)?;
    }
    let mut batch = store.batch();
    batch.delete_all::<tables::State>((room,))?;
    batch.delete_all::<tables::CurrentState>((room,))?;
    batch.delete_all::<tables::Relations>((room,))?;
    batch.delete_all::<tables::Aggregates>((room,))?;
    batch.delete_all::<tables::Threads>((room,))?;
    batch.delete_all::<tables::ThreadOrder>((room,))?;
    batch.delete_all::<tables::Receipts>((room,))?;
    batch.delete_all::<tables::ReceiptPlaces>((room,))?;
    store.commit_blocking(batch)?;
    erase_events(rooms, room)?;
    let mut batch = store.batch();
    batch.delete_all::<tables::Members>((room,))?;
    batch.delete::<tables::Rooms>((room,))?;
    store.commit_blocking(batch)?;
    Ok(())
}

fn erase_events(rooms: &Rooms, room: &RoomId) -> Result<()> {
    let store = &rooms.store;
    let mut batch = store.batch();
    for row in store.scan::<tables::Timeline>((room,)) {
        let ((_, position), stored) = row?;
        batch.delete::<tables::Timeline>((room, position))?;
        batch.delete::<tables::Events>((&*stored.id,))?;
        rooms.evict_event(&stored.id);
        write_if_full(rooms, &mut batch)?;
    }
    for key in store.scan::<tables::Words>((room,)).keys() {
        let (_, word, position) = key?;
        batch.delete::<tables::Words>((room, &word, position))?;
        write_if_full(rooms, &mut batch)?;
    }
    Ok(store.commit_blocking(batch)?)
}

fn write_if_full(rooms: &Rooms, batch: &mut Batch) -> Result<()> {
    if batch.size_in_bytes() < PIECE_BYTES {
        return Ok(());
    }
    let full = std::mem::replace(batch, rooms.store.batch());
    Ok(rooms.store.commit_blocking(full)?)
}
