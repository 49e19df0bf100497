//! Where an agent is, and with whom.

use futures_util::{StreamExt as _, stream};
use ruma::{RoomId, events::StateEventType};
use serde_json::{Value, json};

use super::{
    Caller, ToolContext, ToolError,
    arguments::{CreateRoom, Invite, Join, Room, Rooms, SetTopic, check_user_count},
};
use crate::{
    journal::{RoomKind, RoomRecord},
    matrix::{Actor, AgentRoom},
};

/// The most rooms that are listed at once: each is asked for its name.
const ROOMS_MAX: usize = 30;
/// The most members that are listed.
const MEMBERS_MAX: usize = 500;
/// How many rooms are asked for their names at once.
const NAMES_AT_ONCE: usize = 8;
/// The longest name of a room, in characters.
const NAME_CHARS_MAX: usize = 200;
/// The longest topic of a room, in characters.
const TOPIC_CHARS_MAX: usize = 2_000;

pub(super) async fn list(
    ctx: &ToolContext,
    caller: &Caller,
    given: Rooms,
) -> Result<Value, ToolError> {
    let actor = Actor::Ghost(&caller.ghost);
    let joined = ctx.homeserver.joined_rooms(actor).await;
    let mut joined = joined.map_err(|error| ToolError::from_matrix(error, "the list"))?;
    // The same order every time, so that no room falls between two pages.
    joined.sort_unstable();
    let total = joined.len();
    let listed = joined.into_iter().skip(given.from).take(ROOMS_MAX);
    let rooms: Vec<Value> = stream::iter(listed)
        .map(|room| async move {
            let name = ctx
                .homeserver
                .state_content(actor, &room, StateEventType::RoomName, "");
            // A room without a name, or one that was left meanwhile, is listed without one.
            let name = name
                .await
                .ok()
                .flatten()
                .map(|content| content["name"].clone());
            json!({ "room_id": room, "name": name })
        })
        .buffered(NAMES_AT_ONCE)
        .collect()
        .await;
    let end = given.from.saturating_add(ROOMS_MAX);
    let next = (end < total).then_some(end);
    Ok(json!({ "rooms": rooms, "total": total, "next": next }))
}

pub(super) async fn info(
    ctx: &ToolContext,
    caller: &Caller,
    given: Room,
) -> Result<Value, ToolError> {
    let room = &given.room_id;
    // What the agent may not see is refused here.
    let members = named(ctx, caller, room).await?.len();
    let state = async |kind| {
        let actor = Actor::Ghost(&caller.ghost);
        let content = ctx.homeserver.state_content(actor, room, kind, "").await;
        let content = content.map_err(|error| ToolError::from_matrix(error, room.as_str()))?;
        Ok::<_, ToolError>(content.unwrap_or_default())
    };
    let is_encrypted = ctx
        .homeserver
        .is_encrypted(Actor::Ghost(&caller.ghost), room)
        .await;
    let is_encrypted =
        is_encrypted.map_err(|error| ToolError::from_matrix(error, room.as_str()))?;
    Ok(json!({
        "room_id": room,
        "name": state(StateEventType::RoomName).await?["name"],
        "topic": state(StateEventType::RoomTopic).await?["topic"],
        "alias": state(StateEventType::RoomCanonicalAlias).await?["alias"],
        "members": members,
        "encrypted": is_encrypted,
    }))
}

pub(super) async fn members(
    ctx: &ToolContext,
    caller: &Caller,
    given: Room,
) -> Result<Value, ToolError> {
    let mut members = named(ctx, caller, &given.room_id).await?;
    let total = members.len();
    members.truncate(MEMBERS_MAX);
    Ok(json!({ "members": members, "total": total }))
}

pub(super) async fn create(
    ctx: &ToolContext,
    caller: &Caller,
    given: CreateRoom,
) -> Result<Value, ToolError> {
    check_user_count(&given.invite)?;
    let topic = given.topic.as_deref().unwrap_or_default();
    check_chars("the name", &given.name, NAME_CHARS_MAX)?;
    check_chars("the topic", topic, TOPIC_CHARS_MAX)?;
    let room = AgentRoom {
        name: given.name,
        topic: given.topic,
        invite: given.invite,
    };
    // Between two, every word is meant for the other one.
    let is_direct = room.invite.len() == 1;
    let actor = Actor::Ghost(&caller.ghost);
    let made = ctx.homeserver.create_private_room(actor, room).await;
    let room = made.map_err(|error| ToolError::from_matrix(error, "the room"))?;
    record_joined(ctx, caller, &room, is_direct)?;
    Ok(json!({ "room_id": room }))
}

pub(super) async fn invite(
    ctx: &ToolContext,
    caller: &Caller,
    given: Invite,
) -> Result<Value, ToolError> {
    let (actor, room) = (Actor::Ghost(&caller.ghost), &given.room_id);
    let invited = ctx.homeserver.invite_as(actor, room, &given.user_id).await;
    invited.map_err(|error| ToolError::from_matrix(error, room.as_str()))?;
    Ok(json!({ "invited": given.user_id }))
}

pub(super) async fn join(
    ctx: &ToolContext,
    caller: &Caller,
    given: Join,
) -> Result<Value, ToolError> {
    let actor = Actor::Ghost(&caller.ghost);
    let joined = ctx.homeserver.join_any(actor, &given.room).await;
    let room = joined.map_err(|error| ToolError::from_matrix(error, given.room.as_str()))?;
    record_joined(ctx, caller, &room, false)?;
    Ok(json!({ "room_id": room }))
}

/// Writes down that the agent is in a room, so that people are heard there.
fn record_joined(
    ctx: &ToolContext,
    caller: &Caller,
    room: &RoomId,
    is_direct: bool,
) -> Result<(), ToolError> {
    let known = ctx.journal.room(room)?;
    let mut record = known.unwrap_or(RoomRecord::new(RoomKind::Other));
    if matches!(&record.kind, RoomKind::Home { agent } if *agent == caller.agent) {
        return Ok(());
    }
    record
        .guests
        .entry(caller.agent.clone())
        .or_insert(is_direct);
    Ok(ctx.journal.set_room(room, &record)?)
}

pub(super) async fn leave(
    ctx: &ToolContext,
    caller: &Caller,
    given: Room,
) -> Result<Value, ToolError> {
    let room = given.room_id;
    let own = ctx.agents.registry.find(&caller.agent);
    if own.is_some_and(|own| own.room.as_ref() == Some(&room)) {
        return Err(ToolError::Arguments(
            "this is your own room, in which people find you; you cannot leave it".to_owned(),
        ));
    }
    let left = ctx
        .homeserver
        .leave(Actor::Ghost(&caller.ghost), &room, None);
    left.await
        .map_err(|error| ToolError::from_matrix(error, room.as_str()))?;
    if let Some(mut record) = ctx.journal.room(&room)? {
        record.guests.remove(&caller.agent);
        ctx.journal.set_room(&room, &record)?;
    }
    Ok(json!({ "left": room }))
}

pub(super) async fn set_topic(
    ctx: &ToolContext,
    caller: &Caller,
    given: SetTopic,
) -> Result<Value, ToolError> {
    check_chars("the topic", &given.topic, TOPIC_CHARS_MAX)?;
    let (actor, room) = (Actor::Ghost(&caller.ghost), &given.room_id);
    let changed = ctx
        .homeserver
        .set_room_topic(actor, room, &given.topic)
        .await;
    changed.map_err(|error| ToolError::from_matrix(error, room.as_str()))?;
    Ok(json!({}))
}

pub(super) async fn typing(
    ctx: &ToolContext,
    caller: &Caller,
    given: Room,
) -> Result<Value, ToolError> {
    let shown = ctx
        .homeserver
        .set_typing(&caller.ghost, &given.room_id, true);
    shown
        .await
        .map_err(|error| ToolError::from_matrix(error, given.room_id.as_str()))?;
    Ok(json!({}))
}

fn check_chars(what: &str, text: &str, max: usize) -> Result<(), ToolError> {
    if text.chars().count() <= max {
        return Ok(());
    }
    Err(ToolError::Arguments(format!(
        "{what} has more than {max} characters"
    )))
}

/// Who is in a room, with the names that they have there.
async fn named(ctx: &ToolContext, caller: &Caller, room: &RoomId) -> Result<Vec<Value>, ToolError> {
    let members = ctx
        .homeserver
        .names_in(Actor::Ghost(&caller.ghost), room)
        .await;
    let members = members.map_err(|error| ToolError::from_matrix(error, room.as_str()))?;
    let shown = |(user, name)| json!({ "user_id": user, "display_name": name });
    Ok(members.into_iter().map(shown).collect())
}
