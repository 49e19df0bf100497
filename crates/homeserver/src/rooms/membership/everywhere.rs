//! What is changed for many at once: somebody's new name or end in all rooms, and guests who have to leave one.

use ruma::{
    RoomId, UserId,
    events::{StateEventType, room::member::MembershipState},
};
use serde_json::{Map, Value, value::to_raw_value};

use super::{MembershipUpdate, profile_of, restricted::guests_may_join, set_membership};
use crate::{
    error::Result,
    rooms::{Draft, Rooms},
};

/// Tells all rooms of the user what the profile says now. A room that refuses keeps the old one.
pub async fn update_profiles(rooms: &Rooms, user: &UserId) -> Result<()> {
    let profile = profile_of(rooms, user)?;
    for room in rooms.joined_rooms(user)? {
        if let Err(error) = update_profile(rooms, user, &room, &profile).await {
            tracing::warn!(room.id = %room, user.id = %user, %error, "could not update a member's profile in a room");
        }
    }
    Ok(())
}

async fn update_profile(
    rooms: &Rooms,
    user: &UserId,
    room: &RoomId,
    profile: &Map<String, Value>,
) -> Result<()> {
    let mut writer = rooms.write(room).await?;
    let kind = StateEventType::RoomMember;
    let Some(member) = writer.state(&kind, user.as_str())? else {
        return Ok(());
    };
    let Some(before) = member.content_as::<Map<String, Value>>() else {
        return Ok(());
    };
    // The user may have left while other rooms were told.
    if before.get("membership").and_then(Value::as_str) != Some(MembershipState::Join.as_str()) {
        return Ok(());
    }
    let mut content = before.clone();
    for name in [
        "displayname",
        "avatar_url",
        "join_authorised_via_users_server",
        "reason",
    ] {
        content.remove(name);
    }
    content.extend(profile.clone());
    if content == before {
        return Ok(());
    }
    let content = to_raw_value(&content)?;
    writer.add(Draft::new_raw_state(
        user.to_owned(),
        &kind,
        user.as_str(),
        content,
    ))?;
    writer.commit().await?;
    Ok(())
}

/// Leaves every room and refuses every invite, because the account ends.
pub async fn leave_all_rooms(rooms: &Rooms, user: &UserId) -> Result<()> {
    for (room, member) in rooms.memberships(user)? {
        if matches!(
            member.membership,
            MembershipState::Leave | MembershipState::Ban
        ) {
            continue;
        }
        let leave = MembershipUpdate::new(rooms, user, MembershipState::Leave)?;
        if let Err(error) = set_membership(rooms, user, &room, leave).await {
            tracing::warn!(room.id = %room, user.id = %user, %error, "could not leave a room");
        }
    }
    Ok(())
}

/// Lets all guests leave a room that wants none any more.
///
/// Spec: <https://spec.matrix.org/v1.19/client-server-api/#server-behaviour-13>
pub async fn remove_guests(rooms: &Rooms, room: &RoomId) -> Result<()> {
    if guests_may_join(rooms, room)? {
        return Ok(());
    }
    for user in rooms.joined_members(room)? {
        let account = rooms.accounts.get(&user)?;
        if !account.is_some_and(|account| account.guest) {
            continue;
        }
        let leave = MembershipUpdate::new(rooms, &user, MembershipState::Leave)?;
        if let Err(error) = set_membership(rooms, &user, room, leave).await {
            tracing::warn!(room.id = %room, user.id = %user, %error, "could not remove a guest from a room");
        }
    }
    Ok(())
}
