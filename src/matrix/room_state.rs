//! The state of rooms of ours that others may have changed, as far as the bridge looks at it: who may join, who may turn on encryption,
//! which rooms a space lists.

use std::collections::BTreeSet;

use ruma::{
    OwnedRoomId, RoomAliasId, RoomId, RoomVersionId, UserId,
    api::client::{
        alias::create_alias,
        state::{get_state_events, send_state_event},
    },
    events::{
        StateEventType,
        room::join_rules::{AllowRule, JoinRule, Restricted, RoomJoinRulesEventContent},
    },
    room_version_rules::RoomVersionRules,
    serde::Raw,
};
use serde::Deserialize;
use serde_json::{Value, json, value::to_raw_value};

use super::{
    client::{Actor, Homeserver, MatrixError},
    rooms::unwritable,
    send_rights::{integer, power_of},
};

/// Turns on encryption.
pub(super) const ENCRYPTION: &str = "m.room.encryption";
/// The power of the bot in rooms that it makes, in versions in which makers are not above all levels: above the admins'.
pub(super) const BOT_POWER: i64 = 101;
/// The power that turns on encryption where makers of rooms are above all levels: above the admins', and what the specification takes
/// for what only makers may do.
pub(super) const CREATORS_ONLY_POWER: i64 = 150;
/// Types of state in rooms of ours at which the bridge looks again when others have changed them. Whoever changes the canonical alias may
/// have removed the alias from the directory before, which sends no event of its own.
pub const WATCHED_STATE: [&str; 3] = [
    "m.room.power_levels",
    "m.room.canonical_alias",
    "m.space.child",
];

/// A piece of state, which may be a room that a space lists.
#[derive(Deserialize)]
struct Child {
    #[serde(rename = "type")]
    event_type: String,
    #[serde(default)]
    state_key: String,
    content: Value,
}

impl Homeserver {
    /// Who may join a room.
    pub async fn join_rule(&self, room: &RoomId) -> Result<Option<JoinRule>, MatrixError> {
        let content = self
            .state_content(Actor::Bot, room, StateEventType::RoomJoinRules, "")
            .await?;
        Ok(content.and_then(|content| serde_json::from_value(content).ok()))
    }

    /// Lets the members of a space join a room.
    pub async fn set_restricted_join_rule(
        &self,
        room: &RoomId,
        space: &RoomId,
    ) -> Result<(), MatrixError> {
        let rule = RoomJoinRulesEventContent::new(restricted_to(space));
        self.set_state(Actor::Bot, room, &rule).await
    }

    /// Whether a room of this id has a version in which rooms can be open to a space.
    pub async fn can_be_restricted(&self, room: &RoomId) -> Result<bool, MatrixError> {
        let create = self
            .state_content(Actor::Bot, room, StateEventType::RoomCreate, "")
            .await?;
        let version = create.and_then(|create| {
            let version = create.get("room_version")?.as_str()?;
            RoomVersionId::try_from(version).ok()
        });
        Ok(version.is_some_and(|version| supports_restricted_join(version.rules().as_ref())))
    }

    /// Whether messages in a room are encrypted.
    pub async fn is_encrypted(&self, actor: Actor<'_>, room: &RoomId) -> Result<bool, MatrixError> {
        let content = self
            .state_content(actor, room, StateEventType::RoomEncryption, "")
            .await?;
        Ok(content.is_some_and(|content| content.get("algorithm").is_some()))
    }

    /// Keeps everybody but the bot from turning on encryption in a room, as far as the bot's power goes. Answers whether there was
    /// anything to do.
    pub async fn restrict_encryption_power(
        &self,
        bot: &UserId,
        room: &RoomId,
        may_repair: impl FnOnce() -> bool,
    ) -> Result<bool, MatrixError> {
        let levels = self
            .state_content(Actor::Bot, room, StateEventType::RoomPowerLevels, "")
            .await?;
        let Some(levels) = levels.and_then(|levels| with_encryption_restricted(&levels, bot))
        else {
            return Ok(false);
        };
        if !may_repair() {
            return Ok(false);
        }
        // As it was but for one number: what ruma does not know of it stays.
        let request = send_state_event::v3::Request::new_raw(
            room.to_owned(),
            StateEventType::RoomPowerLevels,
            String::new(),
            Raw::from_json(to_raw_value(&levels).map_err(unwritable)?),
        );
        self.call(Actor::Bot, request).await?;
        Ok(true)
    }

    /// The rooms that a space lists.
    pub async fn space_children(
        &self,
        space: &RoomId,
    ) -> Result<BTreeSet<OwnedRoomId>, MatrixError> {
        let request = get_state_events::v3::Request::new(space.to_owned());
        let state = self.call(Actor::Bot, request).await?.room_state;
        let children = state.iter().filter_map(|event| {
            let child: Child = serde_json::from_str(event.json().get()).ok()?;
            let via = child.content.get("via").and_then(Value::as_array);
            let is_listed = child.event_type == "m.space.child"
                && via.is_some_and(|servers| !servers.is_empty());
            is_listed.then(|| OwnedRoomId::try_from(child.state_key).ok())?
        });
        Ok(children.collect())
    }

    /// Has an alias of ours lead to a room. `false`: it leads somewhere already.
    pub async fn add_alias(&self, alias: &RoomAliasId, room: &RoomId) -> Result<bool, MatrixError> {
        let request = create_alias::v3::Request::new(alias.to_owned(), room.to_owned());
        match self.call(Actor::Bot, request).await {
            Ok(_) => Ok(true),
            Err(MatrixError::Refused(error)) if error.status_code == http::StatusCode::CONFLICT => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}

/// Whether rooms of a version can be open to the members of another room. Versions that are not known are newer ones.
pub(super) fn supports_restricted_join(rules: Option<&RoomVersionRules>) -> bool {
    rules.is_none_or(|rules| rules.authorization.restricted_join_rule)
}

/// The join rule of a room that the members of a space can join.
pub fn restricted_to(space: &RoomId) -> JoinRule {
    let allowed = AllowRule::room_membership(space.to_owned());
    JoinRule::Restricted(Restricted::new(vec![allowed]))
}

/// The power levels with which nobody below the bot turns on encryption; `None` if nobody does as it is, or the bot may not change
/// them.
fn with_encryption_restricted(levels: &Value, bot: &UserId) -> Option<Value> {
    let own = power_of(levels, bot);
    let needed = |event_type: &str| {
        let named = integer(&levels["events"][event_type]);
        named
            .or_else(|| integer(&levels["state_default"]))
            .unwrap_or(50)
    };
    if needed(ENCRYPTION) >= own || needed("m.room.power_levels") > own {
        return None;
    }
    let mut levels = levels.clone();
    let events = levels
        .as_object_mut()?
        .entry("events")
        .or_insert_with(|| json!({}));
    events
        .as_object_mut()?
        .insert(ENCRYPTION.into(), own.into());
    Some(levels)
}

#[cfg(test)]
mod tests {
    use ruma::user_id;

    use super::*;

    #[test]
    fn encryption_needs_as_much_power_as_the_bot_has() {
        let bot = user_id!("@letta:x");
        for (levels, expected) in [
            // As new rooms are made, and as old ones were.
            (
                json!({"users": {"@letta:x": 101}, "events": {"m.room.encryption": 101}}),
                None,
            ),
            (json!({"users": {"@letta:x": 100}}), Some(100)),
            (
                json!({"users": {"@letta:x": 100}, "events": {"m.room.encryption": "50"}}),
                Some(100),
            ),
            (
                json!({"users": {"@letta:x": 100}, "state_default": 100}),
                None,
            ),
            // Where the bot may not change anything, and where nothing can be read.
            (
                json!({"users": {"@letta:x": 60}, "events": {"m.room.power_levels": 100}}),
                None,
            ),
            (json!({"users": {"@letta:x": 0}}), None),
            (json!({"users": {"@letta:x": 100}, "events": []}), None),
            (json!([]), None),
        ] {
            let changed = with_encryption_restricted(&levels, bot);
            let level = changed.as_ref().map(|it| it["events"][ENCRYPTION].clone());
            assert_eq!(level, expected.map(Value::from), "{levels}");
        }
    }
}
