//! What the bridge does to rooms: find, create, name, fill, leave.

use ruma::{
    EventId, OwnedEventId, OwnedRoomId, OwnedTransactionId, OwnedUserId, RoomAliasId, RoomId,
    ServerName, UserId,
    api::client::{
        alias::get_alias,
        membership::{get_member_events, invite_user, join_room_by_id, joined_members, leave_room},
        message::{get_message_events, send_message_event},
        receipt::create_receipt,
        room::get_room_event,
        state::{get_state_event_for_key, send_state_event},
        typing::create_typing_event,
    },
    events::{
        EmptyStateKey, StateEventContent, StateEventType,
        receipt::ReceiptThread,
        room::{member::MembershipState, name::RoomNameEventContent, topic::RoomTopicEventContent},
        space::child::SpaceChildEventContent,
    },
    serde::Raw,
};
use serde::Deserialize;
use serde_json::value::{RawValue, to_raw_value};

use super::client::{Actor, Homeserver, MatrixError};
use crate::{journal::SendId, matrix::content::SEND_ID_KEY, time::Millis};

/// How long a typing notice holds unless it is renewed.
pub const TYPING_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(30);
/// The type of the event that is sent at each start.
pub const START_EVENT_TYPE: &str = "org.letta.bridge.start";
/// How far back [`Homeserver::find_sent`] looks, in events.
const FIND_SENT_EVENTS_MAX: u32 = 100;

impl Homeserver {
    /// The room behind an alias. Only the homeserver's `404` means that there is none.
    pub async fn find_room(&self, alias: &RoomAliasId) -> Result<Option<OwnedRoomId>, MatrixError> {
        match self
            .call(Actor::Bot, get_alias::v3::Request::new(alias.to_owned()))
            .await
        {
            Ok(found) => Ok(Some(found.room_id)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Invites somebody. Whether they are in the room already is the caller's to know.
    pub async fn invite(&self, room: &RoomId, user: &UserId) -> Result<(), MatrixError> {
        self.invite_as(Actor::Bot, room, user).await
    }

    /// Invites somebody as `actor`.
    pub async fn invite_as(
        &self,
        actor: Actor<'_>,
        room: &RoomId,
        user: &UserId,
    ) -> Result<(), MatrixError> {
        let recipient = invite_user::v3::InvitationRecipient::UserId(
            invite_user::v3::InviteUserId::new(user.to_owned()),
        );
        self.call(
            actor,
            invite_user::v3::Request::new(room.to_owned(), recipient),
        )
        .await?;
        Ok(())
    }

    /// Joins a room; fine if joined already.
    pub async fn join(&self, actor: Actor<'_>, room: &RoomId) -> Result<(), MatrixError> {
        self.call(actor, join_room_by_id::v3::Request::new(room.to_owned()))
            .await?;
        Ok(())
    }

    /// Leaves a room, or refuses an invitation to it, with a reason that clients can show.
    pub async fn leave(
        &self,
        actor: Actor<'_>,
        room: &RoomId,
        reason: Option<String>,
    ) -> Result<(), MatrixError> {
        let mut request = leave_room::v3::Request::new(room.to_owned());
        request.reason = reason;
        self.call(actor, request).await?;
        Ok(())
    }

    /// Who is in a room.
    pub async fn joined_members(
        &self,
        actor: Actor<'_>,
        room: &RoomId,
    ) -> Result<Vec<OwnedUserId>, MatrixError> {
        let members = self
            .call(actor, joined_members::v3::Request::new(room.to_owned()))
            .await?;
        Ok(members.joined.into_keys().collect())
    }

    /// Who is in a room, or is invited if `invited`.
    pub async fn members(
        &self,
        actor: Actor<'_>,
        room: &RoomId,
        invited: bool,
    ) -> Result<Vec<OwnedUserId>, MatrixError> {
        let request = get_member_events::v3::Request::new(room.to_owned());
        let events = self.call(actor, request).await?.chunk;
        let members = events.iter().filter_map(|event| event.deserialize().ok());
        let wanted = members.filter(|member| match member.membership() {
            MembershipState::Join => true,
            MembershipState::Invite => invited,
            _ => false,
        });
        Ok(wanted.map(|member| member.state_key().clone()).collect())
    }

    /// Who is in a room, and what they are called there.
    pub async fn names_in(
        &self,
        actor: Actor<'_>,
        room: &RoomId,
    ) -> Result<Vec<(OwnedUserId, Option<String>)>, MatrixError> {
        let members = self
            .call(actor, joined_members::v3::Request::new(room.to_owned()))
            .await?;
        let named = members.joined.into_iter();
        Ok(named
            .map(|(user, member)| (user, member.display_name))
            .collect())
    }

    /// The name of a room as its state has it.
    pub async fn room_name(&self, room: &RoomId) -> Result<Option<String>, MatrixError> {
        let request = get_state_event_for_key::v3::Request::new(
            room.to_owned(),
            StateEventType::RoomName,
            String::new(),
        );
        match self.call(Actor::Bot, request).await {
            Ok(content) => Ok(content
                .into_content()
                .deserialize_as_unchecked::<RoomNameEventContent>()
                .ok()
                .map(|content| content.name)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The topic of a room as its state has it.
    pub async fn room_topic(&self, room: &RoomId) -> Result<Option<String>, MatrixError> {
        let content = self
            .state_content(Actor::Bot, room, StateEventType::RoomTopic, "")
            .await?;
        let topic = content.and_then(|content| Some(content.get("topic")?.as_str()?.to_owned()));
        Ok(topic.filter(|topic| !topic.is_empty()))
    }

    /// Names a room.
    pub async fn set_room_name(&self, room: &RoomId, name: &str) -> Result<(), MatrixError> {
        let content = RoomNameEventContent::new(name.to_owned());
        self.set_state(Actor::Bot, room, &content).await
    }

    /// Gives a room its topic; an empty one for none.
    pub async fn set_room_topic(
        &self,
        actor: Actor<'_>,
        room: &RoomId,
        topic: &str,
    ) -> Result<(), MatrixError> {
        let content = RoomTopicEventContent::new(topic.to_owned());
        self.set_state(actor, room, &content).await
    }

    /// Sends state that has no key.
    pub(super) async fn set_state<C>(
        &self,
        actor: Actor<'_>,
        room: &RoomId,
        content: &C,
    ) -> Result<(), MatrixError>
    where
        C: StateEventContent<StateKey = EmptyStateKey>,
    {
        let request = send_state_event::v3::Request::new(room.to_owned(), &EmptyStateKey, content)
            .map_err(unwritable)?;
        self.call(actor, request).await?;
        Ok(())
    }

    /// Lists a room in a space, or with `listed: false` takes it off the list.
    pub async fn set_space_child(
        &self,
        space: &RoomId,
        room: &RoomId,
        domain: &ServerName,
        listed: bool,
    ) -> Result<(), MatrixError> {
        let mut content = SpaceChildEventContent::new(vec![domain.to_owned()]);
        if !listed {
            // A child without servers to go through is no child (m.space.child in the spec).
            content.via.clear();
        }
        let mut request = send_state_event::v3::Request::new(space.to_owned(), room, &content)
            .map_err(unwritable)?;
        if !listed {
            request.body =
                Raw::from_json(RawValue::from_string("{}".to_owned()).map_err(unwritable)?);
        }
        self.call(Actor::Bot, request).await?;
        Ok(())
    }

    /// Sends a message event once; with the same `send_id` again it is the same event.
    pub async fn send(
        &self,
        actor: Actor<'_>,
        room: &RoomId,
        event_type: &str,
        send_id: &SendId,
        content: Box<RawValue>,
    ) -> Result<OwnedEventId, MatrixError> {
        let request = message_request(room, event_type, send_id, content);
        Ok(self.call_once(actor, request).await?.event_id)
    }

    /// The same, again with backoff while that may help.
    pub async fn send_with_retries(
        &self,
        actor: Actor<'_>,
        room: &RoomId,
        event_type: &str,
        send_id: &SendId,
        content: Box<RawValue>,
    ) -> Result<OwnedEventId, MatrixError> {
        let request = message_request(room, event_type, send_id, content);
        Ok(self.call(actor, request).await?.event_id)
    }

    /// Looks among the room's newest events for one of `sender`'s that carries `send_id`.
    ///
    /// A homeserver remembers send ids for a while only, and some only in memory; this asks the
    /// room itself.
    pub async fn find_sent(
        &self,
        actor: Actor<'_>,
        room: &RoomId,
        sender: &UserId,
        event_type: &str,
        send_id: &SendId,
    ) -> Result<Option<OwnedEventId>, MatrixError> {
        let mut request = get_message_events::v3::Request::backward(room.to_owned());
        request.limit = FIND_SENT_EVENTS_MAX.into();
        request.filter.senders = Some(vec![sender.to_owned()]);
        request.filter.types = Some(vec![event_type.to_owned()]);
        let page = self.call(actor, request).await?;
        Ok(page.chunk.iter().find_map(|event| {
            let event: SentEvent = serde_json::from_str(event.json().get()).ok()?;
            (event.content.get(SEND_ID_KEY)?.as_str()? == send_id.as_str())
                .then_some(event.event_id)
        }))
    }

    /// Sends the event of this start to a room, as state so that no client shows it. Its content differs at each start: a
    /// homeserver may take unchanged state for no event at all.
    pub async fn send_start_state(
        &self,
        room: &RoomId,
        started_at: Millis,
    ) -> Result<OwnedEventId, MatrixError> {
        let content = serde_json::json!({ "started_at": started_at.0 });
        let content = to_raw_value(&content).map_err(unwritable)?;
        let request = send_state_event::v3::Request::new_raw(
            room.to_owned(),
            START_EVENT_TYPE.into(),
            String::new(),
            Raw::from_json(content),
        );
        Ok(self.call(Actor::Bot, request).await?.event_id)
    }

    /// One event of a room.
    pub async fn event(
        &self,
        actor: Actor<'_>,
        room: &RoomId,
        event: &EventId,
    ) -> Result<Box<RawValue>, MatrixError> {
        let request = get_room_event::v3::Request::new(room.to_owned(), event.to_owned());
        Ok(self.call(actor, request).await?.event.into_json())
    }

    /// The events of a room before `from` (at first none: the newest), newest first, and where the page before them ends.
    pub async fn events_before(
        &self,
        actor: Actor<'_>,
        room: &RoomId,
        from: Option<String>,
        limit: u32,
    ) -> Result<(Vec<Box<RawValue>>, Option<String>), MatrixError> {
        let mut request = get_message_events::v3::Request::backward(room.to_owned());
        request.limit = limit.into();
        request.from = from;
        let page = self.call(actor, request).await?;
        let events = page.chunk.into_iter().map(Raw::into_json).collect();
        Ok((events, page.end))
    }

    /// The newest events of a room, oldest first.
    pub async fn newest_events(
        &self,
        actor: Actor<'_>,
        room: &RoomId,
        limit: u32,
    ) -> Result<Vec<Box<RawValue>>, MatrixError> {
        let (mut events, _) = self.events_before(actor, room, None, limit).await?;
        events.reverse();
        Ok(events)
    }

    /// Tells the room that `actor` has read up to an event. Tried once: a newer one replaces it.
    pub async fn mark_read(
        &self,
        actor: Actor<'_>,
        room: &RoomId,
        event: &EventId,
        thread: Option<&EventId>,
    ) -> Result<(), MatrixError> {
        let mut request = create_receipt::v3::Request::new(
            room.to_owned(),
            create_receipt::v3::ReceiptType::Read,
            event.to_owned(),
        );
        request.thread = match thread {
            Some(first) => ReceiptThread::Thread(first.to_owned()),
            None => ReceiptThread::Main,
        };
        self.call_once(actor, request).await?;
        Ok(())
    }

    /// Shows or hides that a ghost is typing. Tried once: it is renewed anyway.
    pub async fn set_typing(
        &self,
        ghost: &UserId,
        room: &RoomId,
        typing: bool,
    ) -> Result<(), MatrixError> {
        use create_typing_event::v3::{Request, Typing, TypingInfo};
        let typing = if typing {
            Typing::Yes(TypingInfo::new(TYPING_TIMEOUT))
        } else {
            Typing::No
        };
        let request = Request::new(ghost.to_owned(), room.to_owned(), typing);
        self.call_once(Actor::Ghost(ghost), request).await?;
        Ok(())
    }
}

fn message_request(
    room: &RoomId,
    event_type: &str,
    send_id: &SendId,
    content: Box<RawValue>,
) -> send_message_event::v3::Request {
    send_message_event::v3::Request::new_raw(
        room.to_owned(),
        OwnedTransactionId::from(send_id.as_str()),
        event_type.into(),
        Raw::from_json(content),
    )
}

#[derive(Deserialize)]
struct SentEvent {
    event_id: OwnedEventId,
    content: serde_json::Map<String, serde_json::Value>,
}

pub(super) fn unwritable(error: impl std::fmt::Display) -> MatrixError {
    MatrixError::Request(error.to_string())
}
