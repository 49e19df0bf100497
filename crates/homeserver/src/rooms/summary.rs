//! What somebody is told of a room without being in it.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1room_summaryroomidoralias>

use ruma::{
    OwnedMxcUri, RoomId, UInt, UserId,
    events::{
        StateEventType,
        room::{
            avatar::RoomAvatarEventContent,
            canonical_alias::RoomCanonicalAliasEventContent,
            create::RoomCreateEventContent,
            encryption::RoomEncryptionEventContent,
            guest_access::{GuestAccess, RoomGuestAccessEventContent},
            history_visibility::{HistoryVisibility, RoomHistoryVisibilityEventContent},
            join_rules::{JoinRule, RoomJoinRulesEventContent},
            member::MembershipState,
            name::RoomNameEventContent,
            topic::RoomTopicEventContent,
        },
    },
    room::{JoinRuleSummary, RoomSummary, RoomType},
};

use super::{RoomState, Rooms, membership::meets_join_rule, unknown_room};
use crate::error::Result;

/// The summary of a room. Says nothing about who may see it.
pub fn summarize(rooms: &Rooms, room: &RoomId) -> Result<RoomSummary> {
    let record = rooms.record(room)?.ok_or_else(unknown_room)?;
    let state = rooms.state(room);
    let members = rooms.joined_members(room)?.len();
    let guests: Option<RoomGuestAccessEventContent> =
        state.content(&StateEventType::RoomGuestAccess, "")?;
    let mut summary = RoomSummary::new(
        room.to_owned(),
        JoinRuleSummary::from(join_rule(&state)?),
        guests.is_some_and(|content| content.guest_access == GuestAccess::CanJoin),
        UInt::try_from(members).unwrap_or(UInt::MAX),
        is_world_readable(&state)?,
    );
    let name: Option<RoomNameEventContent> = state.content(&StateEventType::RoomName, "")?;
    summary.name = name
        .map(|content| content.name)
        .filter(|name| !name.is_empty());
    let topic: Option<RoomTopicEventContent> = state.content(&StateEventType::RoomTopic, "")?;
    summary.topic = topic
        .map(|content| content.topic)
        .filter(|topic| !topic.is_empty());
    summary.avatar_url = avatar(&state)?;
    let alias: Option<RoomCanonicalAliasEventContent> =
        state.content(&StateEventType::RoomCanonicalAlias, "")?;
    summary.canonical_alias = alias.and_then(|content| content.alias);
    summary.room_type = room_type(&state)?;
    let encryption: Option<RoomEncryptionEventContent> =
        state.content(&StateEventType::RoomEncryption, "")?;
    summary.encryption = encryption.map(|content| content.algorithm);
    summary.room_version = Some(record.version);
    Ok(summary)
}

/// Whether the user may know that the room is there: who is in it or invited, and everybody if it is open to more.
pub fn may_know(rooms: &Rooms, user: Option<&UserId>, room: &RoomId) -> Result<bool> {
    if let Some(user) = user {
        let member = rooms.membership(room, user)?;
        let member = member.map(|member| member.membership);
        if matches!(
            member,
            Some(MembershipState::Join | MembershipState::Invite | MembershipState::Knock)
        ) {
            return Ok(true);
        }
    }
    let state = rooms.state(room);
    if is_world_readable(&state)? {
        return Ok(true);
    }
    match (join_rule(&state)?, user) {
        (JoinRule::Public | JoinRule::Knock | JoinRule::KnockRestricted(_), _) => Ok(true),
        (rule, Some(user)) => meets_join_rule(rooms, user, &rule),
        (_, None) => Ok(false),
    }
}

/// What kind of room it is.
pub fn room_type(state: &RoomState) -> Result<Option<RoomType>> {
    let create: Option<RoomCreateEventContent> = state.content(&StateEventType::RoomCreate, "")?;
    Ok(create.and_then(|content| content.room_type))
}

fn join_rule(state: &RoomState) -> Result<JoinRule> {
    let content: Option<RoomJoinRulesEventContent> =
        state.content(&StateEventType::RoomJoinRules, "")?;
    Ok(content.map_or(JoinRule::Invite, |content| content.join_rule))
}

fn is_world_readable(state: &RoomState) -> Result<bool> {
    let content: Option<RoomHistoryVisibilityEventContent> =
        state.content(&StateEventType::RoomHistoryVisibility, "")?;
    Ok(content
        .is_some_and(|content| content.history_visibility == HistoryVisibility::WorldReadable))
}

fn avatar(state: &RoomState) -> Result<Option<OwnedMxcUri>> {
    let content: Option<RoomAvatarEventContent> = state.content(&StateEventType::RoomAvatar, "")?;
    Ok(content.and_then(|content| content.url))
}
