//! An event, read once: what routing decides by, what a room job carries out and what the conversation is shown of it are this value.
//!
//! An event is read where it is routed and, since the journal keeps it as it came, once more by the worker of its room job.

use ruma::{
    OwnedEventId, OwnedRoomId, OwnedUserId,
    events::{
        reaction::ReactionEventContent,
        relation::Thread,
        room::message::{Relation, RoomMessageEventContent},
    },
};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use serde_json::value::RawValue;

use crate::{
    journal::Attachment,
    matrix::{RoutedKind, Tombstone},
    turns::{
        attachments::attachment_of, non_text_message, prompt, reaction_command::ReactionCommand,
    },
};

/// An event as far as the bridge needs it. Everything else stays in the raw text.
#[derive(Debug, Deserialize)]
#[serde(from = "RawEvent")]
pub struct IncomingEvent {
    /// Its id.
    pub event_id: OwnedEventId,
    /// Its room.
    pub room_id: OwnedRoomId,
    /// Who sent it.
    pub sender: OwnedUserId,
    /// Its type.
    pub event_type: String,
    /// For state: its key.
    pub state_key: Option<String>,
    /// When its homeserver says it was sent, in milliseconds.
    pub origin_server_ts: u64,
    /// Its content.
    pub content: EventContent,
    /// What came with it, as an edit has it if it is one.
    pub attachment: Option<Attachment>,
}

/// What an event holds, by its kind.
#[derive(Debug)]
pub enum EventContent {
    /// A message, or what is described as one, see `non_text_message`; without the quoted text that older clients put before a reply.
    Message(Box<RoomMessageEventContent>),
    /// A reaction.
    Reaction {
        /// What it means, if it means something to the bridge.
        command: Option<ReactionCommand>,
        /// The sign.
        key: String,
        /// The event that it is put under.
        on: OwnedEventId,
    },
    /// What became of somebody in a room.
    Member(Membership),
    /// An event is taken back.
    Redaction {
        /// The event.
        of: OwnedEventId,
    },
    /// The room is replaced.
    Tombstone(Tombstone),
    /// It cannot be read, or is not used. Where it belongs may be known.
    Unread(PlaintextRelation),
}

/// What became of somebody in a room.
#[derive(Debug, Deserialize)]
pub struct Membership {
    /// `invite`, `join`, `leave`, …
    pub membership: String,
    /// Whether an invitation is to a direct chat.
    #[serde(default, deserialize_with = "or_default")]
    pub is_direct: bool,
}

/// To which event a message relates that cannot be read: an encrypted one says so in plain text.
#[derive(Debug, Default, Deserialize)]
pub struct PlaintextRelation {
    /// How.
    #[serde(default)]
    pub rel_type: Option<String>,
    /// To which.
    #[serde(default)]
    pub event_id: Option<OwnedEventId>,
}

#[derive(Deserialize)]
struct RawEvent {
    event_id: OwnedEventId,
    room_id: OwnedRoomId,
    sender: OwnedUserId,
    #[serde(rename = "type")]
    event_type: String,
    #[serde(default)]
    state_key: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    origin_server_ts: u64,
    /// What a redaction redacts, as older room versions say it.
    #[serde(default, deserialize_with = "or_default")]
    redacts: Option<OwnedEventId>,
    content: Box<RawValue>,
}

/// A value that counts as absent if it is of another type than it should be: what stands beside a message must not cost the message.
fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned + Default,
{
    // Not looked into yet: a number may be one that Rust cannot hold.
    let value = Box::<RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(value.get()).unwrap_or_default())
}

impl From<RawEvent> for IncomingEvent {
    fn from(raw: RawEvent) -> Self {
        let kind = RoutedKind::of(&raw.event_type, raw.state_key.as_deref());
        let content = kind.and_then(|kind| EventContent::read(kind, &raw));
        let attachment = match &content {
            Some(EventContent::Message(message)) => {
                let is_edit = matches!(message.relates_to, Some(Relation::Replacement(_)));
                attachment_of(&raw.event_type, raw.content.get(), is_edit)
            }
            _ => None,
        };
        Self {
            attachment,
            content: content.unwrap_or_else(|| {
                let relation = kind.filter(|kind| kind.is_message());
                EventContent::Unread(relation.map(|_| relation_in(&raw)).unwrap_or_default())
            }),
            event_id: raw.event_id,
            room_id: raw.room_id,
            sender: raw.sender,
            event_type: raw.event_type,
            state_key: raw.state_key,
            origin_server_ts: raw.origin_server_ts,
        }
    }
}

impl EventContent {
    /// `None`: it is not what its type says, or it is not used.
    fn read(kind: RoutedKind, raw: &RawEvent) -> Option<Self> {
        let json = raw.content.get();
        match kind {
            RoutedKind::Message => {
                let content: RoomMessageEventContent = serde_json::from_str(json).ok()?;
                Some(Self::message(content))
            }
            RoutedKind::Sticker
            | RoutedKind::PollStart
            | RoutedKind::UnstablePollStart
            | RoutedKind::BeaconInfo
            | RoutedKind::UnstableBeaconInfo => {
                non_text_message::as_message(&raw.event_type, json).map(Self::message)
            }
            RoutedKind::Reaction => {
                let content: ReactionEventContent = serde_json::from_str(json).ok()?;
                let key = content.relates_to.key;
                let command = ReactionCommand::of(&key);
                let on = content.relates_to.event_id;
                Some(Self::Reaction { command, key, on })
            }
            RoutedKind::Redaction => {
                #[derive(Deserialize)]
                struct Content {
                    redacts: OwnedEventId,
                }
                let of = match &raw.redacts {
                    Some(of) => of.clone(),
                    None => serde_json::from_str::<Content>(json).ok()?.redacts,
                };
                Some(Self::Redaction { of })
            }
            RoutedKind::Member => serde_json::from_str(json).ok().map(Self::Member),
            RoutedKind::Tombstone => serde_json::from_str(json).ok().map(Self::Tombstone),
            RoutedKind::Encrypted | RoutedKind::Encryption | RoutedKind::PowerLevels => None,
        }
    }

    fn message(mut content: RoomMessageEventContent) -> Self {
        prompt::remove_reply_fallback(&mut content);
        Self::Message(Box::new(content))
    }
}

fn relation_in(raw: &RawEvent) -> PlaintextRelation {
    #[derive(Deserialize)]
    struct Content {
        #[serde(rename = "m.relates_to", default)]
        relates_to: PlaintextRelation,
    }
    let content = serde_json::from_str::<Content>(raw.content.get());
    content
        .map(|content| content.relates_to)
        .unwrap_or_default()
}

impl IncomingEvent {
    /// The message that it is, if it is one.
    pub fn message(&self) -> Option<&RoomMessageEventContent> {
        match &self.content {
            EventContent::Message(content) => Some(content),
            _ => None,
        }
    }

    /// The thread that it stands in.
    pub fn thread(&self) -> Option<&OwnedEventId> {
        match &self.message()?.relates_to {
            Some(Relation::Thread(Thread { event_id, .. })) => Some(event_id),
            _ => None,
        }
    }
}
