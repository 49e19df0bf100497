//! Names of rooms: who may make one, and which room it names.
//!
//! Whether an alias is free is asked and written under the lock of this alias, so that two rooms never get the same. Whoever holds the
//! writer of a room takes it first, then the aliases, and holds these only while they are written.
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#room-aliases>

use http::StatusCode;
use ruma::{
    OwnedRoomAliasId, OwnedRoomId, RoomAliasId, RoomId, RoomOrAliasId, UserId,
    api::error::ErrorKind,
    events::{StateEventType, room::canonical_alias::RoomCanonicalAliasEventContent},
};

use super::{Draft, Rooms, admin_room, record::AliasRecord, unknown_room};
use crate::{
    caller::Caller,
    clock,
    error::{Error, Result},
    limits::{ALIAS_MAX_BYTES, ALIASES_PER_ROOM},
    locks::{KeyedGuard, KeyedLocks},
    store::{Batch, Exists, tables},
};

/// The aliases that somebody is changing. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Aliases {
    changing: KeyedLocks<OwnedRoomAliasId>,
}

impl Aliases {
    /// Waits until nobody else changes what these aliases lead to.
    pub async fn lock(
        &self,
        aliases: impl IntoIterator<Item = OwnedRoomAliasId>,
    ) -> KeyedGuard<OwnedRoomAliasId> {
        self.changing.lock(aliases).await
    }
}

/// The alias with this local part on this server.
///
/// # Errors
///
/// 400 `M_INVALID_PARAM` if it cannot be one.
pub fn local_alias(rooms: &Rooms, name: &str) -> Result<OwnedRoomAliasId> {
    let invalid = || Error::invalid(format!("{name:?} cannot be the name of a room"));
    if name.is_empty() || name.contains([':', '\0']) || name.contains(char::is_whitespace) {
        return Err(invalid());
    }
    RoomAliasId::parse(format!("#{name}:{}", rooms.server_name)).map_err(|_| invalid())
}

/// Refuses an alias that the caller may not make. Only under its lock does this stay true.
///
/// # Errors
///
/// 400 `M_EXCLUSIVE` if an application service has it for itself, 403 if nobody may have it, `taken` if it names a room.
pub fn check_free(
    rooms: &Rooms,
    caller: &Caller,
    alias: &RoomAliasId,
    taken: StatusCode,
) -> Result<()> {
    if alias.server_name() != rooms.server_name || alias.as_str().len() > ALIAS_MAX_BYTES {
        return Err(Error::invalid("This cannot be an alias of this server"));
    }
    check_namespace(rooms, caller, alias)?;
    if rooms.config.forbidden_alias_names.is_match(alias.alias()) {
        return Err(Error::forbidden("Nobody may use this alias here"));
    }
    if rooms.store.contains::<tables::Aliases>((alias,))? {
        return Err(Error::refused(
            taken,
            ErrorKind::RoomInUse,
            "There is a room with this alias already",
        ));
    }
    // Whoever had it while there is no admin room would be taken for it.
    if *alias == admin_room::alias(&rooms.server_name)?
        && caller.user_id != admin_room::server_user(&rooms.server_name)?
    {
        return Err(Error::forbidden("This alias is that of the admin room"));
    }
    Ok(())
}

/// Refuses one alias more than a room can have.
///
/// # Errors
///
/// 413 `M_TOO_LARGE`.
pub fn check_count(rooms: &Rooms, room: &RoomId) -> Result<()> {
    let aliases = rooms.store.scan::<tables::RoomAliases>((room,)).keys();
    if aliases.take(ALIASES_PER_ROOM).count() < ALIASES_PER_ROOM {
        return Ok(());
    }
    Err(Error::too_large(format!(
        "Too many aliases (max {ALIASES_PER_ROOM} per room): delete some first"
    )))
}

/// Refuses an alias that an application service has for itself.
fn check_namespace(rooms: &Rooms, caller: &Caller, alias: &RoomAliasId) -> Result<()> {
    let except = caller.appservice.as_deref();
    if rooms.appservices.is_exclusive_alias(alias, except) {
        return Err(Error::bad_request(
            ErrorKind::Exclusive,
            "An application service has this alias for itself",
        ));
    }
    Ok(())
}

/// Writes the alias into the batch.
pub fn put(batch: &mut Batch, alias: &RoomAliasId, room: &RoomId, creator: &UserId) -> Result<()> {
    let record = AliasRecord {
        room_id: room.to_owned(),
        creator: creator.to_owned(),
        created: clock::now(),
    };
    batch.put::<tables::Aliases>((alias,), &record)?;
    batch.put::<tables::RoomAliases>((room, alias), &Exists {})?;
    Ok(())
}

/// The room that an alias names. The application service whose alias it would be is asked, if it names none yet.
///
/// # Errors
///
/// 404 `M_NOT_FOUND` if it names none.
pub async fn resolve_alias(rooms: &Rooms, alias: &RoomAliasId) -> Result<OwnedRoomId> {
    if let Some(record) = rooms.store.get::<tables::Aliases>((alias,))? {
        return Ok(record.room_id);
    }
    let unknown = || Error::not_found(format!("No room has the alias {alias}"));
    // The application service makes the room before it answers, or only says that it would.
    if rooms.appservices.query_alias(alias).await {
        let record = rooms.store.get::<tables::Aliases>((alias,))?;
        return Ok(record.ok_or_else(unknown)?.room_id);
    }
    Err(unknown())
}

/// The room that is meant.
///
/// # Errors
///
/// 404 if there is no such room or alias.
pub async fn resolve_room_or_alias(rooms: &Rooms, name: &RoomOrAliasId) -> Result<OwnedRoomId> {
    let room = match <&RoomId>::try_from(name) {
        Ok(room) => room.to_owned(),
        Err(alias) => resolve_alias(rooms, alias).await?,
    };
    if rooms.exists(&room)? {
        Ok(room)
    } else {
        Err(unknown_room())
    }
}

/// All aliases of a room.
pub fn of_room(rooms: &Rooms, room: &RoomId) -> Result<Vec<OwnedRoomAliasId>> {
    let rows = rooms.store.scan::<tables::RoomAliases>((room,));
    rows.keys().map(|key| Ok(key?.1)).collect()
}

/// Makes an alias lead to another room or to none, whoever made it. Only under its lock.
///
/// # Errors
///
/// If the database fails.
pub async fn replace(
    rooms: &Rooms,
    alias: &RoomAliasId,
    before: Option<&AliasRecord>,
    room: Option<&RoomId>,
) -> Result<()> {
    let mut batch = rooms.store.batch();
    if let Some(before) = before {
        batch.delete::<tables::Aliases>((alias,))?;
        batch.delete::<tables::RoomAliases>((&*before.room_id, alias))?;
    }
    if let Some(room) = room {
        put(
            &mut batch,
            alias,
            room,
            &admin_room::server_user(&rooms.server_name)?,
        )?;
    }
    Ok(rooms.store.commit(batch).await?)
}

/// Removes an alias, and takes it out of what the room calls itself.
///
/// # Errors
///
/// 404 if there is no such alias, 403 if the caller neither made it nor may name the room.
pub async fn remove(rooms: &Rooms, caller: &Caller, alias: &RoomAliasId) -> Result<()> {
    let unknown = || Error::not_found(format!("No room has the alias {alias}"));
    let stored = || rooms.store.get::<tables::Aliases>((alias,));
    let room = stored()?.ok_or_else(unknown)?.room_id;
    check_namespace(rooms, caller, alias)?;
    let mut writer = rooms.write(&room).await?;
    let _alone = rooms.aliases.lock([alias.to_owned()]).await;
    // It may have been moved or removed meanwhile.
    let record = stored()?.filter(|record| record.room_id == room);
    let record = record.ok_or_else(unknown)?;
    let levels = rooms.state(&record.room_id).power_levels(writer.rules())?;
    let kind = StateEventType::RoomCanonicalAlias;
    let may_name = rooms.is_joined(&record.room_id, &caller.user_id)?
        && levels.user_can_send_state(&caller.user_id, kind.clone());
    if record.creator != caller.user_id && !may_name {
        return Err(Error::forbidden("This alias was made by somebody else"));
    }
    writer.batch().delete::<tables::Aliases>((alias,))?;
    writer
        .batch()
        .delete::<tables::RoomAliases>((&*record.room_id, alias))?;
    let content = writer
        .state(&kind, "")?
        .and_then(|pdu| pdu.content_as::<RoomCanonicalAliasEventContent>());
    if let Some(content) = content.and_then(|content| without(content, alias))
        && may_name
    {
        writer.add(Draft::state(caller.user_id.clone(), &kind, "", &content)?)?;
    }
    writer.commit().await?;
    Ok(())
}

/// The same without this alias; nothing if it is not in there.
fn without(
    mut content: RoomCanonicalAliasEventContent,
    alias: &RoomAliasId,
) -> Option<RoomCanonicalAliasEventContent> {
    let before = content.alt_aliases.len();
    content.alt_aliases.retain(|other| other != alias);
    let main = content.alias.as_deref() == Some(alias);
    if main {
        content.alias = None;
    }
    (main || content.alt_aliases.len() < before).then_some(content)
}
