//! What an agent says and reads.

use ruma::{EventId, OwnedEventId, RoomId};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{
    Caller, ToolContext, ToolError,
    arguments::{
        Edit, MESSAGES_MAX, React, Read, Redact, Reply, Send, USERS_MAX, check_text,
        check_user_count,
    },
};
use crate::{
    journal::SendId,
    matrix::{
        Actor,
        content::{self, MsgKind, Placement},
        render::render,
    },
    outbox::MESSAGE_TYPE,
};

/// The longest key of a reaction, in bytes: an emoji of several code points has less.
const KEY_BYTES_MAX: usize = 64;
/// How much of each message is given to the agent, in characters.
const BODY_CHARS_MAX: usize = 4_000;
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
    send_message(ctx, caller, &given.room_id, |send_id| {
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
    send_message(ctx, caller, &given.room_id, |send_id| {
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
    let send_id = new_send_id();
    let content = content::reaction(&given.event_id, key, send_id.as_str());
    send_event(
        ctx,
        caller,
        &given.room_id,
        REACTION_TYPE,
        &send_id,
        &content,
    )
    .await
}

pub(super) async fn edit(
    ctx: &ToolContext,
    caller: &Caller,
    given: Edit,
) -> Result<Value, ToolError> {
    check_text(&given.text)?;
    find_own(ctx, caller, &given.room_id, &given.event_id).await?;
    send_message(ctx, caller, &given.room_id, |send_id| {
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
    find_own(ctx, caller, &given.room_id, &given.event_id).await?;
    let send_id = new_send_id();
    let redacted = ctx.homeserver.redact(
        Actor::Ghost(&caller.ghost),
        (&given.room_id, &given.event_id),
        given.reason,
        &send_id,
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
            "event_id": event.event_id, "sender": event.sender, "time": event.origin_server_ts,
            "reaction": relation["key"], "to": relation["event_id"],
        }));
    }
    let new = &event.content["m.new_content"];
    let shown = if new.is_object() { new } else { &event.content };
    let body = shown["body"].as_str()?;
    let mut message = json!({
        "event_id": event.event_id, "sender": event.sender, "time": event.origin_server_ts,
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

/// The same, of its own.
async fn find_own(
    ctx: &ToolContext,
    caller: &Caller,
    room: &RoomId,
    event: &EventId,
) -> Result<(), ToolError> {
    let found = find_event(ctx, caller, room, event).await?;
    if found.sender == caller.ghost.as_str() {
        return Ok(());
    }
    Err(ToolError::NotOwnEvent {
        sender: found.sender,
    })
}

async fn send_message(
    ctx: &ToolContext,
    caller: &Caller,
    room: &RoomId,
    content: impl FnOnce(&str) -> Value,
) -> Result<Value, ToolError> {
    let send_id = new_send_id();
    let content = content(send_id.as_str());
    send_event(ctx, caller, room, MESSAGE_TYPE, &send_id, &content).await
}

async fn send_event(
    ctx: &ToolContext,
    caller: &Caller,
    room: &RoomId,
    event_type: &str,
    send_id: &SendId,
    content: &Value,
) -> Result<Value, ToolError> {
    // A `Value` has only text keys, so it can always be written.
    let content = serde_json::value::to_raw_value(content).unwrap_or_default();
    let actor = Actor::Ghost(&caller.ghost);
    // Again under the same id if the answer is lost, so it is there once.
    let sent = ctx
        .homeserver
        .send_with_retries(actor, room, event_type, send_id, content);
    let event_id = sent
        .await
        .map_err(|error| ToolError::from_matrix(error, room.as_str()))?;
    Ok(json!({ "event_id": event_id }))
}

fn new_send_id() -> SendId {
    SendId::of(&["tool", &rand::random::<u128>().to_string()])
}

const _: () = assert!(
    USERS_MAX <= content::MENTIONS_MAX,
    "all of them can be mentioned"
);
