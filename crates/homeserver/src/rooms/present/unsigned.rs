//! What an event says that was not signed: it depends on who looks, and when.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#definition-clientevent_unsigneddata>

use std::sync::Arc;

use ruma::{
    EventId, OwnedUserId,
    events::{
        AnyTimelineEvent, relation::BundledMessageLikeRelations, room::member::MembershipState,
    },
    serde::Raw,
};
use serde::Serialize;
use serde_json::value::RawValue;

use super::{Pdu, Room, Rooms, Viewer, bundle, show};
use crate::{clock, error::Result, rooms::erased::redacted_copy};

/// The `unsigned` of an event.
#[derive(Default, Serialize)]
pub(super) struct Unsigned<'a> {
    age: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    membership: Option<MembershipState>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prev_content: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    prev_sender: Option<OwnedUserId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    redacted_because: Option<Raw<AnyTimelineEvent>>,
    #[serde(rename = "m.relations", skip_serializing_if = "Option::is_none")]
    relations: Option<BundledMessageLikeRelations<Raw<AnyTimelineEvent>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    replaces_state: Option<&'a EventId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transaction_id: Option<&'a str>,
}

impl<'a> Unsigned<'a> {
    /// Everything except what other events add.
    pub(super) fn of(rooms: &Rooms, pdu: &'a Pdu, viewer: &Viewer) -> Result<Self> {
        let before = match &pdu.replaces {
            Some(replaced) => rooms.event(replaced)?,
            None => None,
        };
        let hidden = match &before {
            Some(before) => redacted_copy(rooms, &viewer.user_id, before)?,
            None => None,
        };
        let before = hidden.map(Arc::new).or(before);
        let redaction = match &pdu.redacted_by {
            Some(redaction) => rooms.event(redaction)?,
            None => None,
        };
        Ok(Self {
            membership: Some(membership(rooms, pdu, viewer)?),
            prev_content: before.as_ref().map(|before| before.content.clone()),
            prev_sender: before.map(|before| before.sender.clone()),
            // A redaction that was redacted itself does not explain that again.
            redacted_because: redaction
                .map(|pdu| show(&pdu, Room::Named, Unsigned::of_event(&pdu, viewer)))
                .transpose()?,
            replaces_state: pdu.replaces.as_deref(),
            ..Self::of_event(pdu, viewer)
        })
    }

    /// What the event itself says.
    fn of_event(pdu: &'a Pdu, viewer: &Viewer) -> Self {
        let age = i64::from(clock::now().get()) - i64::from(pdu.origin_server_ts.get());
        Self {
            age,
            transaction_id: transaction_id(pdu, viewer),
            ..Self::default()
        }
    }

    /// Adds what other events add.
    pub(super) fn with_bundle(mut self, rooms: &Rooms, pdu: &Pdu, viewer: &Viewer) -> Result<Self> {
        let bundle = bundle::of(rooms, pdu, viewer)?;
        self.relations = Some(bundle).filter(|bundle| !bundle.is_empty());
        Ok(self)
    }

    /// Adds the edit of the event, if it has one.
    pub(super) fn with_edit(mut self, rooms: &Rooms, pdu: &Pdu, viewer: &Viewer) -> Result<Self> {
        let mut bundle = BundledMessageLikeRelations::new();
        bundle.replace = bundle::edit(rooms, pdu, viewer)?.map(Box::new);
        self.relations = Some(bundle).filter(|bundle| !bundle.is_empty());
        Ok(self)
    }
}

/// The transaction id, for the device that sent the event and for no other.
fn transaction_id<'a>(pdu: &'a Pdu, viewer: &Viewer) -> Option<&'a str> {
    let send_id = pdu.send_id.as_ref()?;
    let same = pdu.sender == viewer.user_id && send_id.device == viewer.device_id;
    same.then_some(send_id.id.as_str())
}

/// What the viewer was in the room right after the event.
fn membership(rooms: &Rooms, pdu: &Pdu, viewer: &Viewer) -> Result<MembershipState> {
    let Some(now) = rooms.membership(&pdu.room_id, &viewer.user_id)? else {
        return Ok(MembershipState::Leave);
    };
    if now.position <= pdu.position {
        return Ok(now.membership);
    }
    let then = rooms.state_at(&pdu.room_id, pdu.position);
    let then = then.member(&viewer.user_id)?;
    Ok(then
        .and_then(|pdu| pdu.content_as::<Member>())
        .map_or(MembershipState::Leave, |member| member.membership))
}

/// The part of a member event that counts here.
#[derive(serde::Deserialize)]
struct Member {
    membership: MembershipState,
}
