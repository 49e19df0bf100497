//! The content of what the bridge says in a room.
//!
//! Messages, edits and reactions, made once and then frozen: a retry sends the same bytes. Promises: who is
//! mentioned is always said in so many words, also when it is nobody, so that no client and no
//! homeserver looks for names in the text; an edit never rings a phone; every content carries the
//! send id, so that the bridge knows its own sends when it meets them again.
//!
//! Specification: [relations][relations], [edits][edits], [mentions][mentions], [threads][threads].
//!
//! [relations]: https://spec.matrix.org/latest/client-server-api/#forming-relationships-between-events
//! [edits]: https://spec.matrix.org/latest/client-server-api/#event-replacements
//! [mentions]: https://spec.matrix.org/latest/client-server-api/#user-and-room-mentions
//! [threads]: https://spec.matrix.org/latest/client-server-api/#threading

use ruma::{
    EventId, OwnedEventId, OwnedUserId,
    events::{
        Mentions,
        reaction::ReactionEventContent,
        relation::{Annotation, Reply, Thread},
        room::message::{
            MessageType, NoticeMessageEventContent, Relation, ReplacementMetadata,
            RoomMessageEventContentWithoutRelation, TextMessageEventContent,
        },
    },
};
use serde::Serialize;
use serde_json::Value;

use super::render::Rendered;

/// The key of a content under which the bridge keeps its send id.
pub const SEND_ID_KEY: &str = "org.letta.send_id";

/// The key of the code that says what a notice of the bridge is about, such as `AGENT_GONE`.
pub const CODE_KEY: &str = "org.letta.code";

/// The most people that one message mentions. Who stands further back in the list is not told.
pub const MENTIONS_MAX: usize = 10;

/// What kind of message it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MsgKind {
    /// `m.text`: somebody speaks.
    Text,
    /// `m.notice`: a machine reports. No bot answers to it.
    Notice,
}

/// Where a message stands in its room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placement {
    /// In the main timeline.
    Room {
        /// The event that it answers.
        reply_to: Option<OwnedEventId>,
    },
    /// In a thread.
    Thread {
        /// The event that the thread began with.
        root: OwnedEventId,
        /// The event that it answers. Never only a fallback for clients without threads, which
        /// would be shown as an answer to something that it does not answer.
        reply_to: Option<OwnedEventId>,
    },
    /// In a thread, after its last event. Clients without threads show it as an answer to that one.
    InThread {
        /// The event that the thread began with.
        root: OwnedEventId,
        /// The event before it.
        last: OwnedEventId,
    },
}

impl Placement {
    fn into_relation(self) -> Option<Relation<RoomMessageEventContentWithoutRelation>> {
        match self {
            Self::Room { reply_to } => {
                reply_to.map(|event| Relation::Reply(Reply::with_event_id(event)))
            }
            Self::Thread {
                root,
                reply_to: Some(event),
            } => Some(Relation::Thread(Thread::reply(root, event))),
            Self::InThread { root, last } => Some(Relation::Thread(Thread::plain(root, last))),
            Self::Thread {
                root,
                reply_to: None,
            } => Some(Relation::Thread(Thread::without_fallback(root))),
        }
    }
}

/// The content of a new `m.room.message`.
///
/// `mentions` are told of it, at most [`MENTIONS_MAX`] of them. `send_id` comes back under
/// [`SEND_ID_KEY`].
pub fn message(
    rendered: Rendered,
    kind: MsgKind,
    placement: Placement,
    mentions: impl IntoIterator<Item = OwnedUserId>,
    send_id: &str,
) -> Value {
    let content = speak(rendered, kind, mentions).with_relation(placement.into_relation());
    to_raw_json(&content, send_id)
}

/// The content of an `m.room.message` that replaces the text of an earlier one.
///
/// `mentions` are all whom the new text mentions, at most [`MENTIONS_MAX`] of them. They are part
/// of the new content only: nobody is told again.
pub fn edit(
    original: &EventId,
    rendered: Rendered,
    kind: MsgKind,
    mentions: impl IntoIterator<Item = OwnedUserId>,
    send_id: &str,
) -> Value {
    let content = speak(rendered, kind, mentions);
    // Taking all of them for told leaves nobody to tell.
    let told = content.mentions.clone();
    let content = content.make_replacement(ReplacementMetadata::new(original.to_owned(), told));
    to_raw_json(&content, send_id)
}

/// The content of an `m.reaction` to an event.
///
/// Specification: <https://spec.matrix.org/latest/client-server-api/#event-annotations-and-reactions>
pub fn reaction(to: &EventId, key: &str, send_id: &str) -> Value {
    let content = ReactionEventContent::new(Annotation::new(to.to_owned(), key.to_owned()));
    to_raw_json(&content, send_id)
}

fn speak(
    rendered: Rendered,
    kind: MsgKind,
    mentions: impl IntoIterator<Item = OwnedUserId>,
) -> RoomMessageEventContentWithoutRelation {
    let Rendered { body, html } = rendered;
    let message = match (kind, html) {
        (MsgKind::Text, Some(html)) => MessageType::Text(TextMessageEventContent::html(body, html)),
        (MsgKind::Text, None) => MessageType::Text(TextMessageEventContent::plain(body)),
        (MsgKind::Notice, Some(html)) => {
            MessageType::Notice(NoticeMessageEventContent::html(body, html))
        }
        (MsgKind::Notice, None) => MessageType::Notice(NoticeMessageEventContent::plain(body)),
    };
    let mut content = RoomMessageEventContentWithoutRelation::new(message);
    content.mentions = Some(Mentions::with_user_ids(
        mentions.into_iter().take(MENTIONS_MAX),
    ));
    content
}

/// The same content with a code, see [`CODE_KEY`]; an edit has it in its new content, too.
#[must_use]
pub fn with_code(mut content: Value, code: &str) -> Value {
    if code.is_empty() {
        return content;
    }
    if let Some(new) = content
        .get_mut("m.new_content")
        .and_then(Value::as_object_mut)
    {
        new.insert(CODE_KEY.to_owned(), code.into());
    }
    if let Some(keys) = content.as_object_mut() {
        keys.insert(CODE_KEY.to_owned(), code.into());
    }
    content
}

fn to_raw_json(content: &impl Serialize, send_id: &str) -> Value {
    // Texts and ids always have a JSON form. `null` is a content that every homeserver refuses, so
    // even the impossible would be heard of.
    let mut content = serde_json::to_value(content).unwrap_or_default();
    if let Value::Object(keys) = &mut content {
        keys.insert(SEND_ID_KEY.to_owned(), send_id.into());
    }
    content
}

/// What people read of a content, and its code in braces if they do not read it.
#[cfg(test)]
pub(crate) fn body_and_code(content: &Value) -> String {
    let body = content["body"].as_str().unwrap_or_default();
    match content[CODE_KEY].as_str() {
        Some(code) if !body.contains(&format!("[{code}]")) => format!("{body} {{{code}}}"),
        _ => body.to_owned(),
    }
}

#[cfg(test)]
mod tests;
