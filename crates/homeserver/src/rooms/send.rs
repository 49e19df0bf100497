//! Sending an event into a room, once for each request that a client means as one.
//!
//! What a transaction id made is written with the event itself, and looked up again under the room's lock: a request that is sent
//! again, at the same time or after a restart, answers with the event that it made the first time.
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#transaction-identifiers>

use std::sync::Arc;

use ruma::{
    OwnedEventId, RoomAliasId, RoomId, UserId,
    api::error::ErrorKind,
    events::{
        StateEventType, TimelineEventType,
        room::{canonical_alias::RoomCanonicalAliasEventContent, member::RoomMemberEventContent},
    },
};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use super::{
    Draft, Pdu, RoomWriter, Rooms, admin_room, membership,
    record::{SendId, SendResult},
};
use crate::{
    caller::Caller,
    error::{Error, Result},
    limits::TRANSACTION_ID_MAX_BYTES,
    store::tables,
    stream::Position,
};

/// A transaction id, and what it counts for.
#[derive(Clone, Debug)]
pub struct Txn {
    /// The endpoint and the room: the same id elsewhere is another one.
    pub scope: String,
    /// The id.
    pub id: String,
}

impl Txn {
    /// Refuses an id that is longer than the specification allows.
    ///
    /// # Errors
    ///
    /// 400 `M_INVALID_PARAM`.
    pub fn check(&self) -> Result<()> {
        if self.id.len() <= TRANSACTION_ID_MAX_BYTES {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "Transaction id too long (max {TRANSACTION_ID_MAX_BYTES} bytes)"
        )))
    }
}

/// What a message reacts to.
#[derive(Deserialize)]
struct Annotation {
    #[serde(rename = "m.relates_to")]
    relates_to: AnnotationTarget,
}

#[derive(Deserialize)]
struct AnnotationTarget {
    rel_type: String,
    event_id: OwnedEventId,
    key: String,
}

/// Sends the event, and gives its id; the id of the one that is there already if it was sent before, or if nothing changes.
///
/// # Errors
///
/// 404 if there is no such room, 403 if the room's rules refuse the event, 400 if its content is not allowed.
pub async fn send(
    rooms: &Rooms,
    caller: &Caller,
    room: &RoomId,
    mut draft: Draft,
    txn: Option<Txn>,
) -> Result<OwnedEventId> {
    if let Some(txn) = &txn {
        txn.check()?;
    }
    if let Some(sent) = sent(rooms, caller, txn.as_ref())? {
        return Ok(sent);
    }
    check(rooms, &draft)?;
    // There can be many reactions: those that are there already are read before the room's writer is held.
    let looked = check_annotation(rooms, room, &draft, Position::default())?;
    let mut writer = rooms.write(room).await?;
    if let Some(sent) = sent(rooms, caller, txn.as_ref())? {
        return Ok(sent);
    }
    let about_guests = draft.kind == TimelineEventType::RoomGuestAccess;
    if let Some(same) = unchanged(&writer, &draft)? {
        drop(writer);
        if about_guests {
            membership::remove_guests(rooms, room).await?;
        }
        return Ok(same.event_id.clone());
    }
    check_annotation(rooms, room, &draft, looked)?;
    check_in_room(rooms, &writer, &draft)?;
    if let Some(txn) = &txn {
        draft.send_id = Some(SendId {
            device: caller.device_id.clone(),
            id: txn.id.clone(),
        });
    }
    let event_id = writer.add(draft)?.event_id.clone();
    if let Some(txn) = &txn {
        let sender = caller.sender_key();
        let key = (&*caller.user_id, &*sender, &*txn.scope, &*txn.id);
        writer
            .batch()
            .put::<tables::SendIds>(key, &SendResult::now(Some(event_id.as_str())))?;
    }
    writer.commit().await?;
    if about_guests {
        membership::remove_guests(rooms, room).await?;
    }
    Ok(event_id)
}

/// What this request made when it came before.
fn sent(rooms: &Rooms, caller: &Caller, txn: Option<&Txn>) -> Result<Option<OwnedEventId>> {
    let Some(txn) = txn else { return Ok(None) };
    let sender = caller.sender_key();
    let key = (&*caller.user_id, &*sender, &*txn.scope, &*txn.id);
    let made = rooms.store.get::<tables::SendIds>(key)?;
    Ok(made
        .and_then(|made| made.id)
        .and_then(|id| id.try_into().ok()))
}

/// The state event that says the same already.
fn unchanged(writer: &RoomWriter, draft: &Draft) -> Result<Option<Arc<Pdu>>> {
    let Some(key) = &draft.state_key else {
        return Ok(None);
    };
    let kind = StateEventType::from(draft.kind.to_string());
    let now = writer.state(&kind, key)?;
    Ok(now.filter(|now| now.sender == draft.sender && is_same_json(&now.content, &draft.content)))
}

/// Whether two contents are the same JSON.
pub(super) fn is_same_json(one: &RawValue, other: &RawValue) -> bool {
    let read = |json: &RawValue| serde_json::from_str::<Value>(json.get()).ok();
    read(one) == read(other)
}

/// What this server does not take, in whichever room.
fn check(rooms: &Rooms, draft: &Draft) -> Result<()> {
    let encrypts = matches!(
        draft.kind,
        TimelineEventType::RoomEncryption | TimelineEventType::RoomEncrypted
    );
    if encrypts && !rooms.config.allow_encryption {
        return Err(Error::forbidden(
            "Encryption is switched off on this server",
        ));
    }
    Ok(())
}

/// What depends on the room besides its rules.
fn check_in_room(rooms: &Rooms, writer: &RoomWriter, draft: &Draft) -> Result<()> {
    match draft.kind {
        TimelineEventType::RoomCanonicalAlias => check_aliases(rooms, writer, &draft.content),
        TimelineEventType::RoomMember => check_member(rooms, writer, draft),
        _ => Ok(()),
    }
}

/// A membership that is set like any other state is held to the same as one that is asked for.
fn check_member(rooms: &Rooms, writer: &RoomWriter, draft: &Draft) -> Result<()> {
    let content: Option<RoomMemberEventContent> = serde_json::from_str(draft.content.get()).ok();
    let user = draft.state_key.as_deref().map(<&UserId>::try_from);
    match (content, user) {
        (Some(content), Some(Ok(user)))
            if admin_room::is_join_invite_or_knock(&content.membership) =>
        {
            admin_room::check_member(rooms, writer.room_id(), user)
        }
        _ => Ok(()),
    }
}

/// Nobody reacts twice with the same key. Looks at what came after a position, and says up to where it has looked.
fn check_annotation(
    rooms: &Rooms,
    room: &RoomId,
    draft: &Draft,
    after: Position,
) -> Result<Position> {
    let mut looked = after;
    if draft.kind != TimelineEventType::Reaction {
        return Ok(looked);
    }
    let Ok(Annotation { relates_to }) = serde_json::from_str(draft.content.get()) else {
        return Ok(looked);
    };
    if relates_to.rel_type != "m.annotation" {
        return Ok(looked);
    }
    let event = &*relates_to.event_id;
    let rows = rooms
        .store
        .scan_from::<tables::Relations>((room, event), (room, event, after.next()));
    for row in rows {
        let ((_, _, position), other) = row?;
        looked = position;
        if other.rel_type == "m.annotation"
            && other.sender == draft.sender
            && other.event_type == draft.kind.to_string()
            && other.key.as_deref() == Some(&*relates_to.key)
        {
            return Err(Error::bad_request(
                ErrorKind::DuplicateAnnotation,
                "You reacted with this already",
            ));
        }
    }
    Ok(looked)
}

/// Every alias that was not there before has to name this room.
fn check_aliases(rooms: &Rooms, writer: &RoomWriter, content: &RawValue) -> Result<()> {
    let invalid = |error| Error::invalid(format!("this is no list of aliases: {error}"));
    let content: RoomCanonicalAliasEventContent =
        serde_json::from_str(content.get()).map_err(invalid)?;
    let before = writer
        .state(&StateEventType::RoomCanonicalAlias, "")?
        .and_then(|pdu| pdu.content_as::<RoomCanonicalAliasEventContent>())
        .unwrap_or_default();
    let known = |alias: &RoomAliasId| {
        before.alias.as_deref() == Some(alias)
            || before.alt_aliases.iter().any(|other| other == alias)
    };
    for alias in content.alias.iter().chain(&content.alt_aliases) {
        if known(alias) {
            continue;
        }
        let record = rooms.store.get::<tables::Aliases>((&**alias,))?;
        if record.is_none_or(|record| record.room_id != writer.room_id()) {
            return Err(Error::bad_request(
                ErrorKind::BadAlias,
                format!("{alias} does not name this room"),
            ));
        }
    }
    Ok(())
}
