//! Which kind of thing an event is: decided once, purely, for every event that was admitted.
//!
//! Promises: our own users and notices never start a turn, and never give a command or a decision; an
//! event that maps to no agent gets no agent's answer; only permissions by full user id or domain let
//! somebody talk, and who is blocked is not heard at all.

use letta_client::AgentId;
use ruma::{
    OwnedEventId, UserId,
    events::{
        Mentions,
        room::message::{MessageType, Relation, RoomMessageEventContent},
    },
};

pub use self::incoming_event::{EventContent, IncomingEvent};
use super::prompt;
use crate::{
    commands,
    config::{Level, Permissions},
    identity::Identity,
    journal::{Attachment, ConversationKey, RoomKind, RoomRecord},
    matrix::RoutedKind,
};

mod incoming_event;

/// What an event is to the bridge. Exactly one of these.
#[derive(Debug, PartialEq, Eq)]
pub enum Route {
    /// Something said to an agent.
    Prompt {
        /// Where it takes place.
        conversation: ConversationKey,
        /// The same place with further agents that are mentioned, in the order in which they are.
        also: Vec<ConversationKey>,
        /// What the agent shall read.
        text: String,
        /// What came with it.
        attachment: Option<Attachment>,
        /// What it replies to.
        reply_to: Option<OwnedEventId>,
    },
    /// Something said to the bot.
    Command,
    /// A reaction to a message, with a sign that means something.
    Reaction,
    /// A reaction to a message, with any other sign: what somebody thinks of it.
    Opinion {
        /// The message.
        on: OwnedEventId,
        /// The sign.
        key: String,
    },
    /// A new text for an earlier message.
    Edit {
        /// The earlier message.
        original: OwnedEventId,
        /// The new text.
        text: String,
        /// What came with it.
        attachment: Option<Attachment>,
    },
    /// An earlier message is taken back.
    Redaction {
        /// The earlier message.
        of: OwnedEventId,
    },
    /// Somebody of ours is invited, leaves or is thrown out.
    Membership,
    /// Who is in the room, or who may speak there, has changed.
    RoomState,
    /// The room is replaced by another one.
    Replaced,
    /// Nothing to do.
    Ignore(IgnoreReason),
}

impl Route {
    /// Which of these it is, for the log, which what people say must never enter.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Prompt { .. } => "prompt",
            Self::Command => "command",
            Self::Reaction => "reaction",
            Self::Opinion { .. } => "opinion",
            Self::Edit { .. } => "edit",
            Self::Redaction { .. } => "redaction",
            Self::Membership => "membership",
            Self::RoomState => "room state",
            Self::Replaced => "room replaced",
            Self::Ignore(_) => "ignore",
        }
    }

    /// Why it is ignored, if it is.
    pub fn ignore_reason(&self) -> Option<IgnoreReason> {
        match self {
            Self::Ignore(why) => Some(*why),
            _ => None,
        }
    }
}

/// Why an event is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum IgnoreReason {
    /// One of our own users sent it.
    Ours,
    /// A notice: the word of another program.
    Notice,
    /// It says nothing at all.
    Empty,
    /// Nobody here is spoken to.
    NotAddressed,
    /// The room is not known to us.
    UnknownRoom,
    /// The room was replaced, and we went on to the new one. A thread with an agent is told so once.
    RoomLeft,
    /// Its sender is blocked. The log says so once, and nobody else does.
    Blocked,
    /// It is encrypted and cannot be read. The room is told so once.
    Encrypted,
    /// It is of a type that means nothing to us.
    OtherType,
    /// Its content is not what its type says.
    Malformed,
}

impl IgnoreReason {
    /// The reason, for the log.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Ours => "sent by a user of this bridge",
            Self::Notice => "a notice, so sent by a program",
            Self::Empty => "the message has no text",
            Self::NotAddressed => "no agent is addressed",
            Self::UnknownRoom => "no agent is in the room",
            Self::RoomLeft => "the room was replaced and the agents are in the new one",
            Self::Blocked => "the sender is blocked by `permissions` and is not heard",
            Self::Encrypted => "the event is encrypted",
            Self::OtherType => "events of this type are not used",
            Self::Malformed => "the content does not match the event type",
        }
    }
}

/// What routing depends on beside the event and its room.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Who is who.
    pub identity: Identity,
    /// Who may do what.
    pub permissions: Permissions,
}

impl Rules {
    /// Whether somebody may not even talk to agents.
    pub fn is_user_blocked(&self, user: &UserId) -> bool {
        self.permissions.level(user) < Level::Talk
    }
}

/// Decides what an event is. `room` is what the journal knows of its room, `replied` the agent whose message it replies to.
pub fn route(
    event: &IncomingEvent,
    room: Option<&RoomRecord>,
    rules: &Rules,
    replied: Option<&AgentId>,
) -> Route {
    // Nobody of us is there yet: what is said meanwhile is taken in when the room has been followed.
    let room = room.filter(|room| room.predecessor.is_none());
    let state_key = event.state_key.as_deref();
    let Some(kind) = RoutedKind::of(&event.event_type, state_key) else {
        return Route::Ignore(IgnoreReason::OtherType);
    };
    match kind {
        // The homeserver has checked who may change the state of a room: it is a fact, whoever has done it.
        RoutedKind::Member => match state_key.and_then(|user| <&UserId>::try_from(user).ok()) {
            Some(user) if rules.identity.is_ours(user) => membership(event, user, rules),
            _ => Route::RoomState,
        },
        RoutedKind::PowerLevels => Route::RoomState,
        RoutedKind::Tombstone => Route::Replaced,
        _ if rules.identity.is_ours(&event.sender) => Route::Ignore(IgnoreReason::Ours),
        // What is taken back is never said: that is safe, whoever does it.
        RoutedKind::Redaction => redaction(event),
        _ if rules.is_user_blocked(&event.sender) => Route::Ignore(IgnoreReason::Blocked),
        RoutedKind::Message
        | RoutedKind::Sticker
        | RoutedKind::PollStart
        | RoutedKind::UnstablePollStart
        | RoutedKind::BeaconInfo
        | RoutedKind::UnstableBeaconInfo => message(event, room, rules, replied),
        RoutedKind::Encrypted | RoutedKind::Encryption => Route::Ignore(match room {
            Some(_) => IgnoreReason::Encrypted,
            None => IgnoreReason::UnknownRoom,
        }),
        RoutedKind::Reaction => reaction(event, room),
    }
}

/// Something became of one of ours. Whom the bot invites it looks after itself; agents invite each other by their tools.
fn membership(event: &IncomingEvent, user: &UserId, rules: &Rules) -> Route {
    let is_invitation =
        matches!(&event.content, EventContent::Member(member) if member.membership == "invite");
    let are_agents = rules.identity.are_agents(&event.sender, user);
    if is_invitation && rules.identity.is_ours(&event.sender) && !are_agents {
        return Route::Ignore(IgnoreReason::Ours);
    }
    if is_invitation && !are_agents && rules.is_user_blocked(&event.sender) {
        return Route::Ignore(IgnoreReason::Blocked);
    }
    Route::Membership
}

fn message(
    event: &IncomingEvent,
    room: Option<&RoomRecord>,
    rules: &Rules,
    replied: Option<&AgentId>,
) -> Route {
    let Some(content) = event.message() else {
        return Route::Ignore(IgnoreReason::Malformed);
    };
    match &content.msgtype {
        MessageType::Notice(_) | MessageType::ServerNotice(_) => {
            return Route::Ignore(IgnoreReason::Notice);
        }
        // Two clients that get to know each other; nothing that a person says.
        MessageType::VerificationRequest(_) => return Route::Ignore(IgnoreReason::OtherType),
        _ => {}
    }
    let Some(room) = room else {
        return Route::Ignore(IgnoreReason::UnknownRoom);
    };
    if let Some(Relation::Replacement(replacement)) = &content.relates_to {
        let text = prompt::text_of(&replacement.new_content.msgtype);
        if text.trim().is_empty() {
            return Route::Ignore(IgnoreReason::Empty);
        }
        return Route::Edit {
            original: replacement.event_id.clone(),
            text,
            attachment: event.attachment.clone(),
        };
    }
    let management = matches!(&room.kind, RoomKind::Management { user } if *user == event.sender);
    let prefixed =
        matches!(&content.msgtype, MessageType::Text(text) if commands::has_prefix(&text.body));
    let is_typed = event.event_type == RoutedKind::Message.event_type();
    if (management && is_typed) || prefixed {
        return Route::Command;
    }
    let text = prompt::text_of(&content.msgtype);
    if text.trim().is_empty() {
        return Route::Ignore(IgnoreReason::Empty);
    }
    let agents = addressees(content, room, rules, replied);
    let thread = event.thread();
    let mut conversations = agents.into_iter().map(|agent| ConversationKey {
        agent,
        room: event.room_id.clone(),
        thread: thread.cloned(),
    });
    match conversations.next() {
        Some(conversation) => Route::Prompt {
            text,
            conversation,
            also: conversations.collect(),
            attachment: event.attachment.clone(),
            reply_to: prompt::replied_to_id(content),
        },
        None if room.successor().is_some() => Route::Ignore(IgnoreReason::RoomLeft),
        None => Route::Ignore(IgnoreReason::NotAddressed),
    }
}

/// Whom a message speaks to: the agents that it mentions, in this order; else the agent whose message it replies to, if that is still
/// here; else the agent whose room it is; else the only one who is here in a direct chat.
fn addressees(
    content: &RoomMessageEventContent,
    room: &RoomRecord,
    rules: &Rules,
    replied: Option<&AgentId>,
) -> Vec<AgentId> {
    let home = match &room.kind {
        RoomKind::Home { agent } => Some(agent),
        _ => None,
    };
    let is_mentioned = |agent: &&AgentId| mentions(content, &rules.identity.ghost(agent));
    let guests: Vec<_> = room.guests.keys().filter(is_mentioned).collect();
    if !guests.is_empty() {
        let home = home.filter(is_mentioned);
        let mut all: Vec<AgentId> = home.into_iter().chain(guests).cloned().collect();
        all.sort_by_key(|agent| place_in(content, &rules.identity.ghost(agent)));
        all.dedup();
        return all;
    }
    let is_here = |agent: &&AgentId| home == Some(*agent) || room.guests.contains_key(*agent);
    let is_home_mentioned = home.as_ref().is_some_and(is_mentioned);
    if let Some(replied) = replied.filter(|agent| !is_home_mentioned && is_here(agent)) {
        return vec![replied.clone()];
    }
    let direct = room
        .guests
        .iter()
        .find(|(_, direct)| **direct)
        .map(|(agent, _)| agent);
    home.or(direct).cloned().into_iter().collect()
}

/// Where a message names a user first.
fn place_in(content: &RoomMessageEventContent, user: &UserId) -> usize {
    let html = formatted(content).and_then(|html| html.find(user.as_str()));
    html.or_else(|| content.body().find(user.as_str()))
        .unwrap_or(usize::MAX)
}

/// The HTML of a message.
fn formatted(content: &RoomMessageEventContent) -> Option<&str> {
    let formatted = match &content.msgtype {
        MessageType::Text(text) => text.formatted.as_ref(),
        MessageType::Emote(emote) => emote.formatted.as_ref(),
        _ => None,
    };
    formatted.map(|formatted| formatted.body.as_str())
}

/// By [intentional mentions], or for clients without them by the full user id in the text or by a link to the user, which is what a
/// client makes of a name that is chosen from its list.
///
/// [intentional mentions]: https://spec.matrix.org/v1.16/client-server-api/#user-and-room-mentions
fn mentions(content: &RoomMessageEventContent, user: &UserId) -> bool {
    match &content.mentions {
        Some(Mentions { user_ids, .. }) => user_ids.contains(user),
        None => {
            names(content.body(), user)
                || formatted(content).is_some_and(|html| links_to(html, user))
        }
    }
}

/// Whether HTML has a link to this user.
fn links_to(html: &str, user: &UserId) -> bool {
    let target = user.matrix_to_uri().to_string();
    let encoded = target.replace("/#/@", "/#/%40");
    [target, encoded].iter().any(|target| {
        html.match_indices(target.as_str())
            .any(|(start, link)| html[start + link.len()..].starts_with(['"', '\'', '?', '/']))
    })
}

/// Whether a text holds this user id, and not only the beginning of a longer one.
fn names(text: &str, user: &UserId) -> bool {
    let goes_on = |after: &str| {
        let mut after = after.chars();
        match after.next() {
            Some('.' | ':' | '-') => after
                .next()
                .is_some_and(|next| next.is_ascii_alphanumeric()),
            Some(next) => next.is_ascii_alphanumeric(),
            None => false,
        }
    };
    text.match_indices(user.as_str())
        .any(|(start, id)| !goes_on(&text[start + id.len()..]))
}

fn reaction(event: &IncomingEvent, room: Option<&RoomRecord>) -> Route {
    if room.is_none() {
        return Route::Ignore(IgnoreReason::UnknownRoom);
    }
    match &event.content {
        EventContent::Reaction {
            command: Some(_), ..
        } => Route::Reaction,
        EventContent::Reaction { on, key, .. } => Route::Opinion {
            on: on.clone(),
            key: key.clone(),
        },
        _ => Route::Ignore(IgnoreReason::OtherType),
    }
}

fn redaction(event: &IncomingEvent) -> Route {
    match &event.content {
        EventContent::Redaction { of } => Route::Redaction { of: of.clone() },
        _ => Route::Ignore(IgnoreReason::Malformed),
    }
}

#[cfg(test)]
mod tests;
