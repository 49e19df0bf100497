//! What leads to an upgraded room: its aliases, its place in the list of public rooms, the spaces that it is in.

use ruma::{
    OwnedRoomAliasId, RoomId,
    events::{StateEventType, space::child::SpaceChildEventContent},
};
use serde_json::json;

use super::attempt;
use crate::{
    caller::Caller,
    error::Result,
    rooms::{Draft, RoomWriter, Rooms},
    store::{Exists, tables},
};

/// Gives the new room these aliases, which the caller has locked, and the place in the list that the old one had.
pub(super) fn move_aliases(
    rooms: &Rooms,
    caller: &Caller,
    old: &mut RoomWriter,
    (names, new): (&[OwnedRoomAliasId], &RoomId),
) -> Result<()> {
    let room = old.room_id().to_owned();
    for alias in names {
        // Somebody may have moved or removed it before it was locked.
        let record = rooms.store.get::<tables::Aliases>((&**alias,))?;
        let Some(mut record) = record.filter(|record| record.room_id == room) else {
            continue;
        };
        record.room_id = new.to_owned();
        let batch = old.batch();
        batch.put::<tables::Aliases>((&**alias,), &record)?;
        batch.delete::<tables::RoomAliases>((&*room, &**alias))?;
        batch.put::<tables::RoomAliases>((new, &**alias), &Exists {})?;
    }
    for key in rooms.store.scan::<tables::PublicRooms>(()).keys() {
        let (network, listed) = key?;
        if listed == room {
            let batch = old.batch();
            batch.delete::<tables::PublicRooms>((&*network, &*room))?;
            batch.put::<tables::PublicRooms>((&*network, new), &Exists {})?;
        }
    }
    let kind = StateEventType::RoomCanonicalAlias;
    if old.state(&kind, "")?.is_some() {
        let sender = caller.user_id.clone();
        attempt(old.add(Draft::state(sender, &kind, "", &json!({}))?))?;
    }
    Ok(())
}

/// Puts the new room where the old one was in those of the caller's spaces that the caller may change.
pub(super) async fn update_spaces(
    rooms: &Rooms,
    caller: &Caller,
    old: &RoomId,
    new: &RoomId,
) -> Result<()> {
    let kind = StateEventType::SpaceChild;
    for space in rooms.joined_rooms(&caller.user_id)? {
        let mut writer = rooms.write(&space).await?;
        let Some(child) = writer.state(&kind, old.as_str())? else {
            continue;
        };
        // Without `via` it was taken out of the space before.
        if child.content_as::<SpaceChildEventContent>().is_none() {
            continue;
        }
        let sender = caller.user_id.clone();
        let content = child.content.clone();
        let added = writer.add(Draft::new_raw_state(
            sender.clone(),
            &kind,
            new.as_str(),
            content,
        ));
        if added.is_ok() {
            attempt(writer.add(Draft::state(sender, &kind, old.as_str(), &json!({}))?))?;
            writer.commit().await?;
        }
    }
    Ok(())
}
