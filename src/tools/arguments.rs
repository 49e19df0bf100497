//! What the tools take, checked strictly: their JSON schemas are made from these types.

use ruma::{OwnedEventId, OwnedRoomId, OwnedRoomOrAliasId, OwnedUserId};
use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::ToolError;

/// The longest text that a tool takes, in bytes. A longer one would not fit an event twice, as an edit has to.
pub(super) const TEXT_BYTES_MAX: usize = 20_000;
/// The most users that a message mentions or a new room invites.
pub(super) const USERS_MAX: usize = 10;
/// The longest key of an action, in bytes.
const IDEMPOTENCY_KEY_BYTES_MAX: usize = 128;
/// The most messages that are read at once.
pub(super) const MESSAGES_MAX: u32 = 100;
const MESSAGES_DEFAULT: u32 = 20;

/// Reads the arguments of a call.
pub(super) fn read<T: DeserializeOwned>(arguments: Map<String, Value>) -> Result<T, ToolError> {
    serde_json::from_value(Value::Object(arguments))
        .map_err(|error| ToolError::Arguments(format!("the arguments do not fit: {error}")))
}

/// The JSON schema of arguments.
pub(super) fn schema<T: JsonSchema>() -> Map<String, Value> {
    let settings = SchemaSettings::draft2020_12().with(|it| it.inline_subschemas = true);
    let schema = SchemaGenerator::new(settings).into_root_schema_for::<T>();
    let mut schema = match schema.to_value() {
        Value::Object(schema) => schema,
        _ => Map::new(),
    };
    schema.remove("title");
    schema.remove("$schema");
    schema
}

/// A text that is not empty and fits an event.
pub(super) fn check_text(text: &str) -> Result<(), ToolError> {
    if text.trim().is_empty() {
        return Err(ToolError::Arguments("the text is empty".to_owned()));
    }
    if text.len() > TEXT_BYTES_MAX {
        return Err(ToolError::Arguments(format!(
            "the text has {} bytes, at most {TEXT_BYTES_MAX} are possible; send it in parts",
            text.len()
        )));
    }
    Ok(())
}

/// A key that is short enough, if there is one.
pub(super) fn check_idempotency_key(key: Option<&str>) -> Result<(), ToolError> {
    if key.is_some_and(|key| key.is_empty() || key.len() > IDEMPOTENCY_KEY_BYTES_MAX) {
        return Err(ToolError::Arguments(format!(
            "an idempotency_key has from 1 to {IDEMPOTENCY_KEY_BYTES_MAX} bytes"
        )));
    }
    Ok(())
}

/// No more users than [`USERS_MAX`].
pub(super) fn check_user_count(users: &[OwnedUserId]) -> Result<(), ToolError> {
    if users.len() > USERS_MAX {
        return Err(ToolError::Arguments(format!(
            "{} users are named, at most {USERS_MAX} are possible",
            users.len()
        )));
    }
    Ok(())
}

/// Of `matrix_send`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Send {
    /// The room, like `!abc:example.org`.
    #[schemars(with = "String")]
    pub(super) room_id: OwnedRoomId,
    /// What to say, in Markdown.
    pub(super) text: String,
    /// The first event of a thread, to say it there.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub(super) thread: Option<OwnedEventId>,
    /// Whom to alert, by full user id like `@alice:example.org`.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub(super) mention: Vec<OwnedUserId>,
    /// A word of your own for this one action: called again with the same word, within a day, it is not done twice.
    #[serde(default)]
    pub(super) idempotency_key: Option<String>,
}

/// Of `matrix_reply`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Reply {
    /// The room.
    #[schemars(with = "String")]
    pub(super) room_id: OwnedRoomId,
    /// The event to reply to.
    #[schemars(with = "String")]
    pub(super) event_id: OwnedEventId,
    /// What to say, in Markdown.
    pub(super) text: String,
    /// A word of your own for this one action: called again with the same word, within a day, it is not done twice.
    #[serde(default)]
    pub(super) idempotency_key: Option<String>,
}

/// Of `matrix_react`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct React {
    /// The room.
    #[schemars(with = "String")]
    pub(super) room_id: OwnedRoomId,
    /// The event to react to.
    #[schemars(with = "String")]
    pub(super) event_id: OwnedEventId,
    /// One emoji.
    pub(super) key: String,
    /// A word of your own for this one action: called again with the same word, within a day, it is not done twice.
    #[serde(default)]
    pub(super) idempotency_key: Option<String>,
}

/// Of `matrix_edit`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Edit {
    /// The room.
    #[schemars(with = "String")]
    pub(super) room_id: OwnedRoomId,
    /// The event to edit, one of yours.
    #[schemars(with = "String")]
    pub(super) event_id: OwnedEventId,
    /// The whole new text, in Markdown.
    pub(super) text: String,
    /// A word of your own for this one action: called again with the same word, within a day, it is not done twice.
    #[serde(default)]
    pub(super) idempotency_key: Option<String>,
}

/// Of `matrix_redact`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Redact {
    /// The room.
    #[schemars(with = "String")]
    pub(super) room_id: OwnedRoomId,
    /// The event to take back, one of yours.
    #[schemars(with = "String")]
    pub(super) event_id: OwnedEventId,
    /// Why.
    #[serde(default)]
    pub(super) reason: Option<String>,
    /// A word of your own for this one action: called again with the same word, within a day, it is not done twice.
    #[serde(default)]
    pub(super) idempotency_key: Option<String>,
}

/// Of `matrix_read`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Read {
    /// The room.
    #[schemars(with = "String")]
    pub(super) room_id: OwnedRoomId,
    /// How many messages, at most 100.
    #[serde(default = "messages_default")]
    #[schemars(range(min = 1, max = 100))]
    pub(super) limit: u32,
    /// Where an earlier page ended (`next`), to read what was said before it.
    #[serde(default)]
    pub(super) before: Option<String>,
}

fn messages_default() -> u32 {
    MESSAGES_DEFAULT
}

/// Of tools that take a room alone.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Room {
    /// The room.
    #[schemars(with = "String")]
    pub(super) room_id: OwnedRoomId,
}

/// Of `matrix_join`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Join {
    /// The room's id, or an alias like `#team:example.org`.
    #[schemars(with = "String")]
    pub(super) room: OwnedRoomOrAliasId,
}

/// Of `matrix_invite`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Invite {
    /// The room.
    #[schemars(with = "String")]
    pub(super) room_id: OwnedRoomId,
    /// Whom, by full user id.
    #[schemars(with = "String")]
    pub(super) user_id: OwnedUserId,
}

/// Of `matrix_create_room`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateRoom {
    /// Its name.
    pub(super) name: String,
    /// What it is about.
    #[serde(default)]
    pub(super) topic: Option<String>,
    /// Whom to invite, by full user id.
    #[serde(default)]
    #[schemars(with = "Vec<String>")]
    pub(super) invite: Vec<OwnedUserId>,
}

/// Of `matrix_set_topic`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SetTopic {
    /// The room.
    #[schemars(with = "String")]
    pub(super) room_id: OwnedRoomId,
    /// The new topic.
    pub(super) topic: String,
}

/// Of `list_agents`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ListAgents {
    /// Only those whose name contains this.
    #[serde(default)]
    pub(super) filter: Option<String>,
}

/// Of `matrix_rooms`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Rooms {
    /// Where an earlier list ended (`next`), to go on from there.
    #[serde(default)]
    pub(super) from: usize,
}
