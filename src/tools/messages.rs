//! What an agent says and reads.

use ruma::{EventId, OwnedEventId, RoomId};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{
    Caller, ToolContext, ToolError,
    arguments::{
        Edit, MESSAGES_MAX, React, Read, Redact, Reply, Send, USERS_MAX, check_idempotency_key,
        check_text, check_user_count,
    },
};
use crate::{
    encryption::Support,
    journal::{OutboxItem, SendId},
    matrix::{
        Actor,
        content::{self, MsgKind, Placement, SEND_ID_KEY},
        render::render,
    },
    outbox::MESSAGE_TYPE,
    time::Millis,
};

/// The longest key of a reaction, in bytes: an emoji of several code points has less.
const KEY_BYTES_MAX: usize = 64;
/// How much of each message is given to the agent, in characters.
const BODY_CHARS_MAX: usize = 4_000;
/// What the send ids of tools end with.
const SEND_KIND: &str = "tool";
/// The type of a reaction.
const REACTION_TYPE: &str = "m.reaction";

pub(super) async fn send(
    ctx: &ToolContext,
    caller: &Caller,
    given: Send,
) -> Result<Value, ToolError> {
    check_text(&given.text)?;
    check_user_count(&given.mention)?;
    let placement = match given.thread {
        Some(root) => Placement::InThread {
            last: root.clone(),
            root,
        },
        None => Placement::Room { reply_to: None },
    };
    let action = Action::new(caller, "send", &given.room_id, given.idempotency_key)?;
    send_message(ctx, &action, |send_id| {
        content::message(
            render(&given.text),
            MsgKind::Text,
            placement,
            given.mention,
            send_id,
        )
    })
    .await
}

pub(super) async fn reply(
    ctx: &ToolContext,
    caller: &Caller,
    given: Reply,
) -> Result<Value, ToolError> {
    check_text(&given.text)?;
    let event = find_event(ctx, caller, &given.room_id, &given.event_id).await?;
    let reply_to = Some(given.event_id);
    let placement = match event.thread() {
        Some(root) => Placement::Thread { root, reply_to },
        None => Placement::Room { reply_to },
    };
    let to = ruma::UserId::parse(event.sender).ok();
    let action = Action::new(caller, "reply", &given.room_id, given.idempotency_key)?;
    send_message(ctx, &action, |send_id| {
        content::message(render(&given.text), MsgKind::Text, placement, to, send_id)
    })
    .await
}

pub(super) async fn react(
    ctx: &ToolContext,
    caller: &Caller,
    given: React,
) -> Result<Value, ToolError> {
    let key = given.key.trim();
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        return Err(ToolError::Arguments(
            "the key has to be one emoji".to_owned(),
        ));
    }
    find_event(ctx, caller, &given.room_id, &given.event_id).await?;
    let action = Action::new(caller, "react", &given.room_id, given.idempotency_key)?;
    let content = content::reaction(&given.event_id, key, action.send_id.as_str());
    send_event(ctx, &action, REACTION_TYPE, &content).await
}

pub(super) async fn edit(
    ctx: &ToolContext,
    caller: &Caller,
    given: Edit,
) -> Result<Value, ToolError> {
    check_text(&given.text)?;
    find_sent_by_tool(ctx, caller, &given.room_id, &given.event_id).await?;
    let action = Action::new(caller, "edit", &given.room_id, given.idempotency_key)?;
    send_message(ctx, &action, |send_id| {
        content::edit(
            &given.event_id,
            render(&given.text),
            MsgKind::Text,
            [],
            send_id,
        )
    })
    .await
}

pub(super) async fn redact(
    ctx: &ToolContext,
    caller: &Caller,
    given: Redact,
) -> Result<Value, ToolError> {
    find_sent_by_tool(ctx, caller, &given.room_id, &given.event_id).await?;
    let action = Action::new(caller, "redact", &given.room_id, given.idempotency_key)?;
    let redacted = ctx.homeserver.redact(
        Actor::Ghost(&caller.ghost),
        (&given.room_id, &given.event_id),
        given.reason,
        &action.send_id,
    );
    redacted
        .await
        .map_err(|error| ToolError::from_matrix(error, given.event_id.as_str()))?;
    Ok(json!({ "redacted": given.event_id }))
}

pub(super) async fn read(
    ctx: &ToolContext,
    caller: &Caller,
    given: Read,
) -> Result<Value, ToolError> {
    if !(1..=MESSAGES_MAX).contains(&given.limit) {
        return Err(ToolError::Arguments(format!(
            "limit has to be from 1 to {MESSAGES_MAX}"
        )));
    }
    let actor = Actor::Ghost(&caller.ghost);
    let page = ctx
        .homeserver
        .events_before(actor, &given.room_id, given.before, given.limit);
    let (events, next) = page
        .await
        .map_err(|error| ToolError::from_matrix(error, given.room_id.as_str()))?;
    let messages: Vec<Value> = events.iter().rev().filter_map(|it| message(it)).collect();
    Ok(json!({ "messages": messages, "next": next }))
}

/// A message as the agent reads it; nothing if it is none.
fn message(event: &RawValue) -> Option<Value> {
    let event: TimelineEvent = serde_json::from_str(event.get()).ok()?;
    if !matches!(
        event.event_type.as_str(),
        MESSAGE_TYPE | "m.sticker" | REACTION_TYPE
    ) {
        return None;
    }
    let relation = event.relation();
    if event.event_type == REACTION_TYPE {
        return Some(json!({
            "event_id": event.event_id, "sender": event.sender, "time": event.time(),
            "reaction": relation["key"], "to": relation["event_id"],
        }));
    }
    let new = &event.content["m.new_content"];
    let shown = if new.is_object() { new } else { &event.content };
    let body = shown["body"].as_str()?;
    let mut message = json!({
        "event_id": event.event_id, "sender": event.sender, "time": event.time(),
        "text": body.chars().take(BODY_CHARS_MAX).collect::<String>(),
    });
    let optional_fields = [
        (
            "edits",
            &relation["event_id"],
            relation["rel_type"] == "m.replace",
        ),
        (
            "thread",
            &relation["event_id"],
            relation["rel_type"] == "m.thread",
        ),
        ("reply_to", &relation["m.in_reply_to"]["event_id"], true),
        ("url", &shown["url"], true),
    ];
    for (name, value, holds) in optional_fields {
        if holds && value.is_string() {
            message[name] = value.clone();
        }
    }
    Some(message)
}

/// An event as far as tools look at it.
#[derive(Deserialize)]
pub(super) struct TimelineEvent {
    event_id: OwnedEventId,
    pub(super) sender: String,
    #[serde(rename = "type")]
    event_type: String,
    #[serde(default)]
    origin_server_ts: Value,
    #[serde(default)]
    content: Value,
}

impl TimelineEvent {
    fn relation(&self) -> &Value {
        &self.content["m.relates_to"]
    }

    fn time(&self) -> Option<String> {
        let time = self.origin_server_ts.as_u64()?;
        Some(Millis(time).to_rfc3339())
    }

    fn thread(&self) -> Option<OwnedEventId> {
        let relation = self.relation();
        if relation["rel_type"] != "m.thread" {
            return None;
        }
        EventId::parse(relation["event_id"].as_str()?).ok()
    }
}

/// An event that the agent may see.
async fn find_event(
    ctx: &ToolContext,
    caller: &Caller,
    room: &RoomId,
    event: &EventId,
) -> Result<TimelineEvent, ToolError> {
    let found = ctx
        .homeserver
        .event(Actor::Ghost(&caller.ghost), room, event)
        .await
        .map_err(|error| ToolError::from_matrix(error, event.as_str()))?;
    serde_json::from_str(found.get()).map_err(|_| ToolError::NotFound {
        what: event.to_string(),
    })
}

/// Checks that this agent has sent the event by a tool. What a turn shows, approval messages above all, belongs to the turn.
async fn find_sent_by_tool(
    ctx: &ToolContext,
    caller: &Caller,
    room: &RoomId,
    event: &EventId,
) -> Result<(), ToolError> {
    let found = find_event(ctx, caller, room, event).await?;
    if found.sender != caller.ghost.as_str() {
        return Err(ToolError::NotOwnEvent {
            sender: found.sender,
        });
    }
    let send_id = found.content[SEND_ID_KEY].as_str();
    if !send_id.is_some_and(|id| id.ends_with(&format!(".{SEND_KIND}"))) {
        return Err(ToolError::NotSentByTool);
    }
    Ok(())
}

/// Something that an agent sends to a room, and under which id.
struct Action<'a> {
    caller: &'a Caller,
    room: &'a RoomId,
    send_id: SendId,
    /// Whether it may have been sent by an earlier call.
    may_be_repeated: bool,
}

impl<'a> Action<'a> {
    fn new(
        caller: &'a Caller,
        tool: &str,
        room: &'a RoomId,
        key: Option<String>,
    ) -> Result<Self, ToolError> {
        check_idempotency_key(key.as_deref())?;
        let may_be_repeated = key.is_some();
        // A key of the agent's never meets a made-up one: that is of another kind.
        let (kind, key) = match key {
            Some(key) => ("key", key),
            None => ("call", rand::random::<u128>().to_string()),
        };
        let agent = caller.agent.as_str();
        let send_id = SendId::of(&["tool", agent, tool, room.as_str(), kind, &key]);
        Ok(Self {
            caller,
            room,
            send_id: send_id.derived(SEND_KIND),
            may_be_repeated,
        })
    }
}

async fn send_message(
    ctx: &ToolContext,
    action: &Action<'_>,
    content: impl FnOnce(&str) -> Value,
) -> Result<Value, ToolError> {
    let (actor, room) = (Actor::Ghost(&action.caller.ghost), action.room);
    let is_encrypted = ctx.homeserver.is_encrypted(actor, room).await;
    let is_encrypted =
        is_encrypted.map_err(|error| ToolError::from_matrix(error, room.as_str()))?;
    if is_encrypted && ctx.encryption.support() == Support::Unsupported {
        return Err(ToolError::Encrypted {
            room: room.to_owned(),
        });
    }
    let content = content(action.send_id.as_str());
    send_event(ctx, action, MESSAGE_TYPE, &content).await
}

async fn send_event(
    ctx: &ToolContext,
    action: &Action<'_>,
    event_type: &str,
    content: &Value,
) -> Result<Value, ToolError> {
    let Action {
        caller,
        room,
        send_id,
        may_be_repeated,
    } = action;
    let (homeserver, actor) = (&ctx.homeserver, Actor::Ghost(&caller.ghost));
    let refused = |error| ToolError::from_matrix(error, room.as_str());
    // A `Value` has only text keys, so it can always be written.
    let content = serde_json::value::to_raw_value(content).unwrap_or_default();
    let item = OutboxItem {
        room: (*room).to_owned(),
        sender: caller.ghost.clone(),
        event_type: event_type.to_owned(),
        send_id: send_id.clone(),
        content,
    };
    let item = ctx.encryption.encrypt(item).await.map_err(refused)?;
    // Homeservers forget send ids; the room does not.
    if *may_be_repeated {
        let sent = homeserver.find_sent(actor, room, &caller.ghost, &item.event_type, send_id);
        if let Some(event_id) = sent.await.map_err(refused)? {
            return Ok(json!({ "event_id": event_id, "repeated": true }));
        }
    }
    // Again under the same id if the answer is lost, so it is there once.
    let sent = homeserver.send_with_retries(actor, room, &item.event_type, send_id, item.content);
    let event_id = sent.await.map_err(refused)?;
    Ok(json!({ "event_id": event_id }))
}

const _: () = assert!(
    USERS_MAX <= content::MENTIONS_MAX,
    "all of them can be mentioned"
);
