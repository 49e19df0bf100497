//! Account data: what a client keeps with the server for its user, globally or for a room.
//!
//! Every piece has one row in [`tables::AccountDataChanges`], at the position where it last changed.
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#client-config>

use ruma::{
    RoomId, UserId,
    events::{
        AnyGlobalAccountDataEvent, AnyRoomAccountDataEvent, push_rules::PushRulesEventContent,
    },
    push::Ruleset,
    serde::Raw,
};
use serde_json::value::{RawValue, to_raw_value};

use crate::{
    error::{Error, Result},
    limits::{ACCOUNT_DATA_MAX_BYTES, ACCOUNT_DATA_TYPES_MAX, ROOM_ACCOUNT_DATA_MAX_BYTES},
    store::{Store, records::sync::AccountDatum, tables},
    stream::{Change, Position, Stream, WakeTarget, Write},
};

/// The type of the push rules.
pub const PUSH_RULES: &str = "m.push_rules";

/// A piece of account data that changed.
#[derive(Clone, Debug)]
pub struct AccountDataChange {
    /// The room that it is for; empty for global account data.
    pub room: String,
    /// Its type.
    pub kind: String,
    /// Its content, and where it changed.
    pub datum: AccountDatum,
}

impl AccountDataChange {
    /// As clients see it, if it is global.
    pub fn global_event(&self) -> Result<Raw<AnyGlobalAccountDataEvent>> {
        event(&self.kind, &self.datum.content).map(Raw::from_json)
    }

    /// As clients see it, if it is for a room.
    pub fn room_event(&self) -> Result<Raw<AnyRoomAccountDataEvent>> {
        event(&self.kind, &self.datum.content).map(Raw::from_json)
    }
}

/// An event that has only a type and a content.
pub(crate) fn event(kind: &str, content: &RawValue) -> Result<Box<RawValue>> {
    #[derive(serde::Serialize)]
    struct Event<'a> {
        #[serde(rename = "type")]
        kind: &'a str,
        content: &'a RawValue,
    }
    Ok(to_raw_value(&Event { kind, content })?)
}

fn room_part(room: Option<&RoomId>) -> &str {
    room.map_or("", RoomId::as_str)
}

/// What is stored under this type.
pub fn get(
    store: &Store,
    user: &UserId,
    room: Option<&RoomId>,
    kind: &str,
) -> Result<Option<AccountDatum>> {
    let datum = stored(store, user, room, kind)?;
    Ok(datum.filter(|datum| !datum.deleted))
}

fn stored(
    store: &Store,
    user: &UserId,
    room: Option<&RoomId>,
    kind: &str,
) -> Result<Option<AccountDatum>> {
    Ok(store.get::<tables::AccountData>((user, room_part(room), kind))?)
}

/// Refuses what would make the account data of a user too large, and data for rooms that the user never was in.
///
/// # Errors
///
/// 403 `M_FORBIDDEN`, 413 `M_TOO_LARGE`.
pub fn check(
    store: &Store,
    user: &UserId,
    room: Option<&RoomId>,
    kind: &str,
    content: &RawValue,
) -> Result<()> {
    if let Some(room) = room
        && !store.contains::<tables::Members>((room, user))?
    {
        return Err(Error::forbidden("You never were in this room"));
    }
    let (mut types, mut others, mut before) = (0, 0, 0);
    for row in store.scan::<tables::AccountData>((user, room_part(room))) {
        let ((_, _, other), datum) = row?;
        let size = datum.content.get().len();
        if other == kind {
            before = size;
        } else {
            (types, others) = (types + 1, others + size);
        }
    }
    let size = content.get().len();
    if before == 0 && types >= ACCOUNT_DATA_TYPES_MAX {
        return Err(Error::too_large(format!(
            "There can be {ACCOUNT_DATA_TYPES_MAX} types of account data, and as many for each room"
        )));
    }
    let most = room.map_or(ACCOUNT_DATA_MAX_BYTES, |_| ROOM_ACCOUNT_DATA_MAX_BYTES);
    if size > before && others + size > most {
        return Err(Error::too_large(format!(
            "All account data together can have {ACCOUNT_DATA_MAX_BYTES} bytes, and {ROOM_ACCOUNT_DATA_MAX_BYTES} for each room"
        )));
    }
    Ok(())
}

/// What is stored under this type, or what holds as long as nothing is: push rules exist for everybody.
pub fn get_or_default(
    store: &Store,
    user: &UserId,
    room: Option<&RoomId>,
    kind: &str,
) -> Result<Option<AccountDatum>> {
    match get(store, user, room, kind)? {
        None if room.is_none() && kind == PUSH_RULES => default_push_rules(user).map(Some),
        found => Ok(found),
    }
}

fn default_push_rules(user: &UserId) -> Result<AccountDatum> {
    let content = PushRulesEventContent::new(Ruleset::server_default(user));
    Ok(AccountDatum {
        position: Position::default(),
        content: to_raw_value(&content)?,
        deleted: false,
    })
}

/// Sets one piece together with the other changes of the write.
pub fn put(
    write: &mut Write,
    store: &Store,
    user: &UserId,
    room: Option<&RoomId>,
    kind: &str,
    content: Box<RawValue>,
) -> Result<()> {
    replace(write, store, user, (room, kind), (content, false))
}

/// Deletes one piece, and tells all devices of the user with an empty object, which is not told to those that come later.
/// Proposal: <https://github.com/matrix-org/matrix-spec-proposals/pull/3391>
///
/// # Errors
///
/// 404 if there is none.
pub async fn delete(
    store: &Store,
    stream: &Stream,
    user: &UserId,
    room: Option<&RoomId>,
    kind: &str,
) -> Result<Position> {
    get(store, user, room, kind)?
        .ok_or_else(|| Error::not_found("There is no account data of this type"))?;
    let mut write = stream.begin_write();
    let nothing = RawValue::from_string("{}".to_owned())?;
    replace(&mut write, store, user, (room, kind), (nothing, true))?;
    Ok(stream.commit(write).await?)
}

fn replace(
    write: &mut Write,
    store: &Store,
    user: &UserId,
    (room, kind): (Option<&RoomId>, &str),
    (content, deleted): (Box<RawValue>, bool),
) -> Result<()> {
    if let Some(before) = stored(store, user, room, kind)? {
        let key = (user, before.position);
        write.batch().delete::<tables::AccountDataChanges>(key)?;
    }
    write.wake_after_commit([WakeTarget::User(user.to_owned())]);
    let slot = write.reserve_position();
    let what = (room_part(room).to_owned(), kind.to_owned());
    let change = Change::AccountData(user.to_owned());
    let user = user.to_owned();
    write.add_row(move |batch, positions| {
        let position = positions.of(slot);
        let datum = AccountDatum {
            position,
            content,
            deleted,
        };
        batch.put::<tables::AccountData>((&user, &what.0, &what.1), &datum)?;
        batch.put::<tables::AccountDataChanges>((&user, position), &what)?;
        batch.put::<tables::Changes>((position,), &change)
    });
    Ok(())
}

/// Sets one piece, and tells all devices of the user.
pub async fn set(
    store: &Store,
    stream: &Stream,
    user: &UserId,
    room: Option<&RoomId>,
    kind: &str,
    content: Box<RawValue>,
) -> Result<Position> {
    let mut write = stream.begin_write();
    put(&mut write, store, user, room, kind, content)?;
    Ok(stream.commit(write).await?)
}

/// All account data of the user: the global one, or that of a room.
pub fn all(store: &Store, user: &UserId, room: Option<&RoomId>) -> Result<Vec<AccountDataChange>> {
    let mut all = Vec::new();
    for row in store.scan::<tables::AccountData>((user, room_part(room))) {
        let ((_, room, kind), datum) = row?;
        if datum.deleted {
            continue;
        }
        all.push(AccountDataChange { room, kind, datum });
    }
    if room.is_none() && !all.iter().any(|changed| changed.kind == PUSH_RULES) {
        all.push(AccountDataChange {
            room: String::new(),
            kind: PUSH_RULES.to_owned(),
            datum: default_push_rules(user)?,
        });
    }
    Ok(all)
}

/// What changed after `since` and not after `until`, global and in rooms.
pub fn changed(
    store: &Store,
    user: &UserId,
    since: Position,
    until: Position,
) -> Result<Vec<AccountDataChange>> {
    let mut changed = Vec::new();
    let from = (user, since.next());
    for row in store.scan_from::<tables::AccountDataChanges>((user,), from) {
        let ((_, position), (room, kind)) = row?;
        if position > until {
            break;
        }
        // What changed again meanwhile comes with its newer row.
        let datum = store.get::<tables::AccountData>((user, &room, &kind))?;
        if let Some(datum) = datum.filter(|datum| datum.position == position) {
            changed.push(AccountDataChange { room, kind, datum });
        }
    }
    Ok(changed)
}
