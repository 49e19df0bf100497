//! Whether a user of ours can say something in a room, as far as the room's state tells.
//!
//! Specification: [power levels][power], [tombstones][tombstone].
//!
//! [power]: https://spec.matrix.org/latest/client-server-api/#mroompower_levels
//! [tombstone]: https://spec.matrix.org/latest/client-server-api/#mroomtombstone

use ruma::{RoomId, UserId, api::client::state::get_state_event_for_key, events::StateEventType};
use serde_json::Value;

use super::client::{Actor, Homeserver, MatrixError};

/// The power of who creates a room of a version in which creators stand above all.
const CREATOR_POWER: i64 = i64::MAX;

/// Why a user cannot say anything in a room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CannotSend {
    /// The user is not in the room.
    NotInRoom,
    /// The user is banned.
    Banned,
    /// The user's power level is too low for messages.
    Muted {
        /// The user's power level.
        power: i64,
        /// What a message needs.
        needed: i64,
    },
    /// The room was closed in favor of another one.
    Closed {
        /// The other room's id, as the tombstone has it.
        successor: String,
    },
}

impl Homeserver {
    /// Why `user` cannot send messages of type `event_type` to a room; `None`: nothing is known to be in the way. `bot`: the
    /// bot is in the room too, and looks where the user may not.
    pub async fn why_cannot_send(
        &self,
        user: &UserId,
        room: &RoomId,
        event_type: &str,
        bot: bool,
    ) -> Result<Option<CannotSend>, MatrixError> {
        let own = Actor::Ghost(user);
        let (member, powers, tombstone) = tokio::join!(
            self.state_content(own, room, StateEventType::RoomMember, user.as_str()),
            self.state_content(own, room, StateEventType::RoomPowerLevels, ""),
            self.state_content(own, room, StateEventType::RoomTombstone, ""),
        );
        let member = match member {
            Err(failure) if failure.is_forbidden() => {
                return self.absence_of(user, room, bot).await;
            }
            member => member?,
        };
        if let Some(absence) = absence(member.as_ref()) {
            return Ok(Some(absence));
        }
        let successor = tombstone?
            .and_then(|content| Some(content.get("replacement_room")?.as_str()?.to_owned()));
        if let Some(successor) = successor {
            return Ok(Some(CannotSend::Closed { successor }));
        }
        let powers = powers?.unwrap_or_default();
        let needed = needed(&powers, event_type);
        let power = power_of(&powers, user);
        if power >= needed || self.creator_power(user, room).await? >= needed {
            return Ok(None);
        }
        Ok(Some(CannotSend::Muted { power, needed }))
    }

    /// What keeps a user out who may not look into the room.
    async fn absence_of(
        &self,
        user: &UserId,
        room: &RoomId,
        bot: bool,
    ) -> Result<Option<CannotSend>, MatrixError> {
        if !bot {
            return Ok(Some(CannotSend::NotInRoom));
        }
        let seen = self
            .state_content(Actor::Bot, room, StateEventType::RoomMember, user.as_str())
            .await;
        match seen {
            Ok(member) => Ok(absence(member.as_ref())),
            Err(failure) if failure.is_forbidden() => Ok(Some(CannotSend::NotInRoom)),
            Err(failure) => Err(failure),
        }
    }

    /// The power that a user has by having made the room; the lowest if it has none by that.
    async fn creator_power(&self, user: &UserId, room: &RoomId) -> Result<i64, MatrixError> {
        let create = self
            .state_content(Actor::Ghost(user), room, StateEventType::RoomCreate, "")
            .await?
            .unwrap_or_default();
        // Room versions before 12 give creators power in the power levels, where it was looked for.
        let version = create["room_version"]
            .as_str()
            .and_then(|version| version.parse::<u32>().ok());
        let further = create["additional_creators"].as_array();
        let is_creator =
            further.is_some_and(|all| all.iter().any(|one| one.as_str() == Some(user.as_str())));
        Ok(
            if is_creator && version.is_some_and(|version| version >= 12) {
                CREATOR_POWER
            } else {
                i64::MIN
            },
        )
    }

    /// The content of a state event; `None` if the room has none.
    pub async fn state_content(
        &self,
        actor: Actor<'_>,
        room: &RoomId,
        event_type: StateEventType,
        state_key: &str,
    ) -> Result<Option<Value>, MatrixError> {
        let request = get_state_event_for_key::v3::Request::new(
            room.to_owned(),
            event_type,
            state_key.to_owned(),
        );
        match self.call(actor, request).await {
            Ok(found) => Ok(found.into_content().deserialize_as_unchecked().ok()),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// What keeps a user with this membership out; `None` if it is in the room or can come in, or that cannot be told.
fn absence(member: Option<&Value>) -> Option<CannotSend> {
    match member.map(|content| content["membership"].as_str()) {
        None | Some(Some("leave" | "knock")) => Some(CannotSend::NotInRoom),
        Some(Some("ban")) => Some(CannotSend::Banned),
        Some(_) => None,
    }
}

/// The power level that a message needs.
fn needed(powers: &Value, event_type: &str) -> i64 {
    let named = integer(&powers["events"][event_type]);
    named
        .or_else(|| integer(&powers["events_default"]))
        .unwrap_or(0)
}

pub(super) fn power_of(powers: &Value, user: &UserId) -> i64 {
    let named = integer(&powers["users"][user.as_str()]);
    named
        .or_else(|| integer(&powers["users_default"]))
        .unwrap_or(0)
}

/// A power level: a number, or in old rooms a text that is one.
pub(super) fn integer(value: &Value) -> Option<i64> {
    value
        .as_i64()
        .or_else(|| value.as_str()?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use ruma::user_id;
    use serde_json::json;

    use super::*;

    #[test]
    fn power_levels_are_read_in_every_form() {
        let ghost = user_id!("@agent_1:x");
        for (powers, expected) in [
            (json!({}), (0, 0)),
            (json!({"events_default": 50}), (0, 50)),
            (
                json!({"events_default": "50", "users": {"@agent_1:x": "60"}}),
                (60, 50),
            ),
            (
                json!({"users_default": 5, "events": {"m.room.message": 7}, "events_default": 50}),
                (5, 7),
            ),
            (json!({"users": {"@agent_1:x": -1}}), (-1, 0)),
            (json!({"users": "nonsense", "events": []}), (0, 0)),
        ] {
            let seen = (power_of(&powers, ghost), needed(&powers, "m.room.message"));
            assert_eq!(seen, expected, "{powers}");
        }
    }

    #[test]
    fn only_who_is_known_to_be_out_is_out() {
        let seen = |membership: &str| absence(Some(&json!({ "membership": membership })));
        assert_eq!(seen("join"), None);
        assert_eq!(seen("leave"), Some(CannotSend::NotInRoom));
        assert_eq!(seen("invite"), None, "it joins when it speaks");
        assert_eq!(seen("ban"), Some(CannotSend::Banned));
        assert_eq!(absence(Some(&json!({}))), None);
        assert_eq!(absence(None), Some(CannotSend::NotInRoom));
    }
}
