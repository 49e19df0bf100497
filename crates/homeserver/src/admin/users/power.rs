//! Commands about the power that somebody has in a room.

use ruma::{
    OwnedUserId, RoomId, RoomOrAliasId, UserId,
    events::{StateEventType, room::power_levels::UserPowerLevel},
};
use serde_json::{Map, Value, json, value::to_raw_value};

use crate::{
    admin::{answer::error_text, rooms::resolve_room},
    error::Result as ServerResult,
    rooms::{Draft, admin_room::ADMIN_POWER},
    services::Services,
};

/// Gives somebody as much power as the most powerful member has who may give it.
pub(super) async fn promote(
    services: &Services,
    user: &UserId,
    room: &RoomOrAliasId,
) -> Result<String, String> {
    let room = resolve_room(services, room).await.map_err(error_text)?;
    let levels = services
        .rooms
        .rules(&room)
        .and_then(|rules| services.rooms.state(&room).power_levels(&rules));
    let levels = levels.map_err(error_text)?;
    let members = services.rooms.joined_members(&room).map_err(error_text)?;
    let able = members
        .into_iter()
        .filter(|member| levels.user_can_change_user_power_level(member, user));
    let giver: Option<OwnedUserId> = able.max_by_key(|member| levels.for_user(member));
    let giver =
        giver.ok_or_else(|| "No privileged user exists in room, cannot promote.".to_owned())?;
    let level = match levels.for_user(&giver) {
        UserPowerLevel::Int(level) => i64::from(level),
        // A creator has more than any number: who is no creator gets what the defaults call an admin.
        _ => i64::try_from(ADMIN_POWER).unwrap_or(i64::MAX),
    };
    let change = |users: &mut Map<String, Value>| {
        users.insert(user.to_string(), level.into());
    };
    change_users(services, &room, &giver, change)
        .await
        .map_err(error_text)?;
    Ok(format!(
        "User {giver} promoted {user} to {level} power level in {room}"
    ))
}

/// Lets somebody give up what they have above others.
pub(super) async fn demote(
    services: &Services,
    user: &UserId,
    room: &RoomOrAliasId,
) -> Result<String, String> {
    let room = resolve_room(services, room).await.map_err(error_text)?;
    let change = |users: &mut Map<String, Value>| {
        users.remove(user.as_str());
    };
    change_users(services, &room, user, change)
        .await
        .map_err(|error| {
            format!("User is not allowed to modify their own power levels in the room: {error}")
        })?;
    Ok(format!(
        "User {user} demoted themselves to the room default power level in {room}"
    ))
}

/// Changes the users of the power levels; everything else in them stays as it is.
async fn change_users(
    services: &Services,
    room: &RoomId,
    sender: &UserId,
    change: impl FnOnce(&mut Map<String, Value>),
) -> ServerResult<()> {
    let mut writer = services.rooms.write(room).await?;
    let kind = StateEventType::RoomPowerLevels;
    let mut levels: Map<String, Value> = match writer.state(&kind, "")? {
        Some(levels) => serde_json::from_str(levels.content.get())?,
        None => Map::new(),
    };
    if let Value::Object(users) = levels.entry("users").or_insert_with(|| json!({})) {
        change(users);
    }
    let content = to_raw_value(&levels)?;
    writer.add(Draft::new_raw_state(sender.to_owned(), &kind, "", content))?;
    writer.commit().await.map(drop)
}
