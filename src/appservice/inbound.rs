//! What a transaction brings: pure, from the bytes of a body to the events that are worth a record.
//!
//! Promises: every event is read on its own, so a malformed one costs no other; bytes that are no UTF-8 are replaced; nothing that
//! one of our own users said is taken for something that somebody said to us.

use std::collections::HashMap;

use ruma::{OwnedEventId, OwnedRoomId, OwnedUserId, UserId};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::{Value, value::RawValue};

use crate::{
    encryption::EncryptionPayload,
    identity::Identity,
    matrix::{RoutedKind, START_EVENT_TYPE, WATCHED_STATE},
};

/// The longest event or room id, in bytes
/// ([spec](https://spec.matrix.org/v1.16/appendices/#opaque-identifiers)).
pub const ID_BYTES_MAX: usize = 255;

/// Why a body is no transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoTransaction {
    /// It is no JSON.
    #[error("the body is not JSON")]
    NotJson,
    /// It is JSON of another form.
    #[error("the body is not what the specification says: {0}")]
    BadJson(&'static str),
}

/// Why an event is left out: it is none.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct NoEvent(#[from] serde_json::Error);

/// What an event is to the bridge.
#[derive(Debug)]
pub enum Inbound {
    /// Something that has to be remembered.
    Admit(OwnedEventId, Box<RawValue>),
    /// The event that the bot sends at each start has come back.
    StartEcho(OwnedEventId),
    /// Nothing: our own echoes, and types that nobody routes. It costs no write.
    Nothing,
}

/// How somebody who is not ours is called in a room from now on; without a name, or no longer there, by nothing.
#[derive(Debug, PartialEq, Eq)]
pub struct NamedMember {
    /// Who.
    pub user: OwnedUserId,
    /// How.
    pub name: Option<String>,
}

/// What is noticed beside what has to be remembered: if it is lost, it is found at the next look.
#[derive(Debug, PartialEq, Eq)]
pub enum RoomHint {
    /// A member who is not ours.
    Member(NamedMember),
    /// Somebody who is not ours has changed state at which the bridge looks in rooms that it made.
    Room(OwnedRoomId),
}

/// What every event must have to be worth a record.
#[derive(Deserialize)]
struct Envelope {
    event_id: OwnedEventId,
    room_id: OwnedRoomId,
    sender: OwnedUserId,
    #[serde(rename = "type")]
    event_type: String,
    #[serde(default)]
    state_key: Option<String>,
    content: serde_json::Map<String, Value>,
    // Not needed here, but nothing may be there twice that is read later.
    #[serde(default, rename = "origin_server_ts")]
    _origin_server_ts: IgnoredAny,
    #[serde(default, rename = "redacts")]
    _redacts: IgnoredAny,
}

/// The events of a body, as leniently as it can be read: every event on its own, bytes that are no
/// UTF-8 replaced; and what it brings for encryption. Ephemeral data, under stable or unstable keys,
/// is accepted and not used.
pub fn events_of(body: &[u8]) -> Result<(Vec<Box<RawValue>>, EncryptionPayload), NoTransaction> {
    let text = String::from_utf8_lossy(body);
    let body: HashMap<String, &RawValue> =
        serde_json::from_str(&text).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => NoTransaction::BadJson("it is not an object"),
            _ => NoTransaction::NotJson,
        })?;
    let payload = EncryptionPayload::of(&body);
    let Some(events) = body.get("events") else {
        return Ok((Vec::new(), payload));
    };
    let events = serde_json::from_str(events.get())
        .map_err(|_| NoTransaction::BadJson("`events` is not a list"))?;
    Ok((events, payload))
}

/// The room of an event that changes who reads what is encrypted there; `None`: it changes nothing of that.
pub fn room_of_recipients(event: &RawValue) -> Option<OwnedRoomId> {
    #[derive(Deserialize)]
    struct State {
        room_id: OwnedRoomId,
        #[serde(rename = "type")]
        event_type: String,
    }
    let state: State = serde_json::from_str(event.get()).ok()?;
    let changes = [
        "m.room.member",
        "m.room.encryption",
        "m.room.history_visibility",
    ];
    changes
        .contains(&&*state.event_type)
        .then_some(state.room_id)
}

/// What an event is to us, and what is noticed of it.
///
/// # Errors
///
/// If it is none: it lacks what every event has, or its ids are too long.
pub fn read(
    identity: &Identity,
    event: Box<RawValue>,
) -> Result<(Inbound, Option<RoomHint>), NoEvent> {
    let envelope = envelope_of(&event)?;
    let ours = |user: &UserId| identity.is_ours(user);
    if envelope.event_type == START_EVENT_TYPE && ours(&envelope.sender) {
        return Ok((Inbound::StartEcho(envelope.event_id), None));
    }
    let is_watched = WATCHED_STATE.contains(&&*envelope.event_type)
        && envelope.state_key.is_some()
        && !ours(&envelope.sender);
    let mut noticed = is_watched.then(|| RoomHint::Room(envelope.room_id.clone()));
    let kind = RoutedKind::of(&envelope.event_type, envelope.state_key.as_deref());
    let wanted = match kind {
        Some(RoutedKind::Member) => {
            let about = envelope
                .state_key
                .as_deref()
                .and_then(|user| <&UserId>::try_from(user).ok());
            let about_us = about.is_some_and(ours);
            let is_invitation =
                envelope.content.get("membership").and_then(Value::as_str) == Some("invite");
            let of_agents = about.is_some_and(|user| identity.are_agents(&envelope.sender, user));
            let user = envelope.state_key.as_deref().map(OwnedUserId::try_from);
            if let (false, Some(Ok(user))) = (about_us, user) {
                let name = envelope.content.get("displayname").and_then(Value::as_str);
                let name = name.map(str::to_owned);
                noticed = Some(RoomHint::Member(NamedMember { user, name }));
            }
            // Our own comings and goings are our own doing, unless somebody else did it: an agent that invites another one, too.
            !(about_us && ours(&envelope.sender)) || (is_invitation && of_agents)
        }
        Some(_) => !ours(&envelope.sender),
        None => false,
    };
    let inbound = if wanted {
        Inbound::Admit(envelope.event_id, event)
    } else {
        Inbound::Nothing
    };
    Ok((inbound, noticed))
}

fn envelope_of(event: &RawValue) -> Result<Envelope, serde_json::Error> {
    // An array could be read as an envelope too.
    if !event.get().starts_with('{') {
        return Err(serde::de::Error::custom("it is not an object"));
    }
    let envelope: Envelope = serde_json::from_str(event.get())?;
    let (event_id, room_id) = (envelope.event_id.as_str(), envelope.room_id.as_str());
    if event_id.len() > ID_BYTES_MAX || room_id.len() > ID_BYTES_MAX {
        return Err(serde::de::Error::custom("its id or its room's is too long"));
    }
    Ok(envelope)
}

#[cfg(test)]
mod tests {
    use ruma::server_name;

    use super::*;

    fn identity() -> Identity {
        let template = "agent_{id}".parse().unwrap();
        let server = server_name!("house.test");
        Identity::new(server, template, "letta", "letta_agents").unwrap()
    }

    #[test]
    fn state_that_others_change_in_rooms_of_ours_is_noticed() {
        for (event_type, state_key, sender, noticed) in [
            ("m.room.power_levels", Some(""), "@ann:b.c", true),
            ("m.space.child", Some("!room:b.c"), "@ann:b.c", true),
            ("m.room.canonical_alias", Some(""), "@ann:b.c", true),
            (
                "m.room.canonical_alias",
                Some(""),
                "@letta:house.test",
                false,
            ),
            (
                "m.space.child",
                Some("!room:b.c"),
                "@agent_1:house.test",
                false,
            ),
            ("m.room.power_levels", None, "@ann:b.c", false),
            ("m.room.name", Some(""), "@ann:b.c", false),
            ("m.room.message", None, "@ann:b.c", false),
        ] {
            let event = serde_json::json!({
                "event_id": "$a", "room_id": "!a:b.c", "sender": sender, "type": event_type,
                "state_key": state_key, "content": {},
            });
            let event = serde_json::value::to_raw_value(&event).unwrap();
            let (_, seen) = read(&identity(), event).unwrap();
            let room = OwnedRoomId::try_from("!a:b.c").unwrap();
            assert_eq!(
                seen,
                noticed.then_some(RoomHint::Room(room)),
                "{event_type}"
            );
        }
    }

    #[test]
    fn event_with_a_field_twice_is_none() {
        let identity = identity();
        for (field, value) in [
            ("origin_server_ts", "1"),
            ("redacts", "\"$b\""),
            ("type", "\"m.reaction\""),
            ("content", "{}"),
        ] {
            let event = |more: &str| {
                let text = format!(
                    "{{\"event_id\":\"$a\",\"room_id\":\"!a:b.c\",\"sender\":\"@ann:b.c\",\"type\":\"m.room.message\",\
                     \"origin_server_ts\":1,\"redacts\":\"$b\",\"content\":{{}}{more}}}"
                );
                read(&identity, RawValue::from_string(text).unwrap())
            };
            assert!(matches!(event(""), Ok((Inbound::Admit(..), None))));
            assert!(event(&format!(",\"{field}\":{value}")).is_err(), "{field}");
        }
    }
}
