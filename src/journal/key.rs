//! How records are named on disk.
//!
//! A key is one byte for the kind, then the parts. Texts are preceded by their length (two bytes,
//! big-endian), so that no text can run into the next part; numbers are eight bytes, big-endian, so
//! that they sort.

use letta_client::AgentId;
use ruma::{EventId, RoomId};

use super::record::ConversationKey;

/// The one record that says how the others are written.
pub(super) const FORMAT: &[u8] = b"!format";
/// `event id -> when it was admitted`, and the `AgentMessage` that it is, if it is one.
pub(super) const EVENT_ID: u8 = b'e';
/// `when, event id -> ()`: the same in order of age, to forget the oldest.
pub(super) const EVENT_AGE: u8 = b'g';
/// `number -> AdmittedEvent`: admitted, not yet routed.
pub(super) const INBOX: u8 = b'i';
/// `room, number -> RoomJob`: commands, invitations and the like, in order.
pub(super) const ROOM_JOB: u8 = b'j';
/// `conversation, number -> QueuedPrompt`.
pub(super) const QUEUE: u8 = b'q';
/// `conversation -> TurnRecord`: at most one turn runs in a conversation.
pub(super) const TURN: u8 = b't';
/// `conversation -> Letta's conversation id`.
pub(super) const CONVERSATION: u8 = b'c';
/// `room, number -> OutboxItem`.
pub(super) const OUTBOX: u8 = b'o';
/// `send id -> Sent`.
pub(super) const SENT: u8 = b's';
/// `agent id -> AgentRecord`.
pub(super) const AGENT: u8 = b'a';
/// `room id -> RoomRecord`.
pub(super) const ROOM: u8 = b'r';
/// `room id -> RoomSettings`.
pub(super) const CHOICES: u8 = b'h';
/// `agent id -> AllowedTools`.
pub(super) const ALLOWED: u8 = b'l';
/// `number -> FailedRecord`.
pub(super) const FAILED: u8 = b'f';
/// `agent id -> PauseRecord`.
pub(super) const PAUSE: u8 = b'p';
/// `room, agent id -> why its ghost cannot speak there`.
pub(super) const SILENCED: u8 = b'x';
/// `turn id -> ()`: turns whose answer was redacted while it grew.
pub(super) const REDACTED: u8 = b'd';
/// `hash of a token -> ToolTokenRecord`.
pub(super) const TOOL_TOKEN: u8 = b'k';
/// `user, name of the row -> a row of encryption keys`, sealed by whoever wrote it.
pub(super) const KEY_ROW: u8 = b'y';
/// `user -> DeviceRecord`.
pub(super) const DEVICE: u8 = b'v';
/// `user, number -> PushedChanges`: what the homeserver has pushed for a device.
pub(super) const PUSHED_CHANGES: u8 = b'n';
/// `room, number -> EncryptedEvent`: events that wait for their key.
pub(super) const UNDECRYPTED: u8 = b'w';
/// `conversation -> [ReactionRecord]`: reactions that wait for its next turn.
pub(super) const REACTIONS: u8 = b'b';
/// The last number that was given to something that was set aside.
pub(super) const LAST_FAILED: &[u8] = b"!failed";
/// The space.
pub(super) const SPACE: &[u8] = b"!space";

/// Builds a key.
pub(super) struct Key(Vec<u8>);

impl Key {
    pub(super) fn new(kind: u8) -> Self {
        Self(vec![kind])
    }

    pub(super) fn text(mut self, text: &str) -> Self {
        // Matrix and Letta ids are at most 255 bytes; a longer text could not be an id.
        let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
        self.0.extend(length.to_be_bytes());
        self.0.extend(&text.as_bytes()[..usize::from(length)]);
        self
    }

    pub(super) fn number(mut self, number: u64) -> Self {
        self.0.extend(number.to_be_bytes());
        self
    }

    pub(super) fn conversation(self, key: &ConversationKey) -> Self {
        self.text(key.agent.as_str())
            .text(key.room.as_str())
            .text(key.thread.as_ref().map_or("", |root| root.as_str()))
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn bytes(self) -> Vec<u8> {
        self.0
    }
}

/// The texts of a key, in order.
pub(super) fn texts(key: &[u8]) -> impl Iterator<Item = &str> {
    let mut rest = key.get(1..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (length, tail) = rest.split_first_chunk::<2>()?;
        let (text, tail) = tail.split_at_checked(u16::from_be_bytes(*length).into())?;
        rest = tail;
        std::str::from_utf8(text).ok()
    })
}

/// The conversation that a key names first.
pub(super) fn conversation(key: &[u8]) -> Option<ConversationKey> {
    let mut texts = texts(key);
    Some(ConversationKey {
        agent: AgentId::parse(texts.next()?).ok()?,
        room: RoomId::parse(texts.next()?).ok()?,
        thread: match texts.next()? {
            "" => None,
            root => Some(EventId::parse(root).ok()?),
        },
    })
}

/// The number that a key begins with.
pub(super) fn first_number(key: &[u8]) -> Option<u64> {
    let bytes = key.get(1..)?.first_chunk()?;
    Some(u64::from_be_bytes(*bytes))
}

/// The number at the end of a key.
pub(super) fn last_number(key: &[u8]) -> u64 {
    key.last_chunk()
        .map_or(0, |bytes| u64::from_be_bytes(*bytes))
}
