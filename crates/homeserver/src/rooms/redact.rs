//! Taking events back: a redaction strips the event that it names, in the database and for everybody.
//!
//! Since room version 3 the authorization rules let every redaction pass; whether it counts is for the server to decide, and here
//! a redaction that does not count is not let in at all. Spec: <https://spec.matrix.org/v1.19/client-server-api/#redactions>

use ruma::{
    OwnedEventId, UserId,
    canonical_json::redact,
    events::{
        TimelineEventType,
        room::{member::RoomMemberEventContent, power_levels::RoomPowerLevels},
    },
};
use serde_json::{Map, Value, value::to_raw_value};

use super::{Draft, Pdu, RoomWriter};
use crate::{
    error::{Error, Result},
    store::tables,
};

/// A redaction of this event.
pub fn draft(sender: &UserId, target: OwnedEventId, reason: Option<String>) -> Result<Draft> {
    let mut content = Map::new();
    content.insert("redacts".into(), target.as_str().into());
    if let Some(reason) = reason {
        content.insert("reason".into(), reason.into());
    }
    let mut draft = Draft::message(
        sender.to_owned(),
        TimelineEventType::RoomRedaction,
        to_raw_value(&content)?,
    );
    draft.redacts = Some(target);
    Ok(draft)
}

/// Strips the event that this redaction names.
///
/// # Errors
///
/// 404 if there is no such event in the room, 403 if its sender may not take it back.
pub(super) fn apply(writer: &mut RoomWriter, redaction: &Pdu) -> Result<()> {
    let unknown = || Error::not_found("There is no such event in this room");
    let target = redaction
        .redacts
        .as_ref()
        .ok_or_else(|| Error::bad_json("A redaction says in redacts which event it takes back"))?;
    let target = writer
        .rooms()
        .event(target)?
        .filter(|target| target.room_id == redaction.room_id)
        .ok_or_else(unknown)?;
    if target.kind == TimelineEventType::RoomCreate {
        return Err(Error::forbidden("The beginning of a room stays"));
    }
    if target.sender != redaction.sender
        && !power_levels(writer)?.user_can_redact_event_of_other(&redaction.sender)
    {
        return Err(Error::forbidden(
            "You may not take back what others sent in this room",
        ));
    }
    if target.redacted_by.is_some() {
        return Ok(());
    }
    let object = redact(target.object()?, &writer.rules().redaction, None)
        .map_err(|error| Error::Broken(format!("an event of our own: {error}")))?;
    let mut stored = target.to_stored();
    stored.pdu = to_raw_value(&object)?;
    stored.redacted_by = Some(redaction.event_id.clone());
    let stripped = Pdu::from_stored(stored, &target.room_id, target.position)?;
    unname(writer, &stripped)?;
    unrelate(writer, &target)?;
    super::threads::remove_redacted(writer, &target)?;
    super::search::remove_redacted(writer, &target)?;
    writer.rewrite(stripped)
}

fn power_levels(writer: &RoomWriter) -> Result<RoomPowerLevels> {
    let state = writer.rooms().state(writer.room_id());
    state.power_levels(writer.rules())
}

/// The name in a member event is gone from the list of members, too.
fn unname(writer: &mut RoomWriter, stripped: &Pdu) -> Result<()> {
    let (room, user) = match &stripped.state_key {
        Some(key) if stripped.kind == TimelineEventType::RoomMember => {
            (&stripped.room_id, UserId::parse(key))
        }
        _ => return Ok(()),
    };
    let Ok(user) = user else { return Ok(()) };
    let Some(mut member) = writer.rooms().membership(room, &user)? else {
        return Ok(());
    };
    if member.event_id == stripped.event_id {
        member.display_name = stripped
            .content_as::<RoomMemberEventContent>()
            .and_then(|content| content.displayname);
        writer
            .batch()
            .put::<tables::Members>((room, &user), &member)?;
    }
    Ok(())
}

/// What is taken back relates to nothing any more.
fn unrelate(writer: &mut RoomWriter, target: &Pdu) -> Result<()> {
    let content: Option<Value> = target.content_as();
    let parent = content
        .as_ref()
        .and_then(|content| content["m.relates_to"]["event_id"].as_str())
        .and_then(|id| OwnedEventId::try_from(id).ok());
    if let Some(parent) = parent {
        let key = (&*target.room_id, &*parent, target.position);
        writer.batch().delete::<tables::Relations>(key)?;
    }
    Ok(())
}
