//! The power levels that a room begins with.

use ruma::api::client::room::create_room::v3::RoomPreset;
use serde_json::{Map, Value, json};

use super::Plan;
use crate::error::{Error, Result};

/// The level of who makes a room, where makers are not above all levels.
const MAKER: i64 = 100;
/// The level that only the makers of a room reach, where they are above all levels.
const ABOVE_ADMINS: i64 = 150;

impl Plan {
    /// The defaults, then what the configuration, then what the client says: whole keys take the place of whole keys.
    pub(super) fn power_levels(&self) -> Result<Value> {
        let mut levels = self.default_levels();
        if let Some(ours) = &self.rooms.config.default_power_level_content_override {
            levels.extend(ours.clone());
        }
        if let Some(theirs) = &self.request.power_level_content_override {
            let theirs: Map<String, Value> =
                serde_json::from_str(theirs.json().get()).map_err(|error| {
                    Error::bad_json(format!("power_level_content_override: {error}"))
                })?;
            levels.extend(theirs);
        }
        Ok(Value::Object(levels))
    }

    fn default_levels(&self) -> Map<String, Value> {
        let creators_above = self.rules.authorization.explicitly_privilege_room_creators;
        let tombstone = if creators_above { ABOVE_ADMINS } else { MAKER };
        let mut users = Map::new();
        if !creators_above {
            users.insert(self.caller.user_id.to_string(), MAKER.into());
            if self.preset == RoomPreset::TrustedPrivateChat {
                for user in &self.request.invite {
                    users.insert(user.to_string(), MAKER.into());
                }
            }
        }
        let levels = json!({
            "users": users,
            "users_default": 0,
            "events": {
                "m.room.name": 50,
                "m.room.avatar": 50,
                "m.room.canonical_alias": 50,
                "m.room.power_levels": 100,
                "m.room.history_visibility": 100,
                "m.room.encryption": 100,
                "m.room.server_acl": 100,
                "m.room.tombstone": tombstone,
            },
            "events_default": 0,
            "state_default": 50,
            "ban": 50,
            "kick": 50,
            "redact": 50,
            "invite": if self.preset == RoomPreset::PublicChat { 50 } else { 0 },
            "historical": 100,
            "notifications": { "room": 50 },
        });
        match levels {
            Value::Object(levels) => levels,
            _ => Map::new(),
        }
    }
}
