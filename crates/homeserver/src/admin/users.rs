//! Commands about accounts.

use ruma::{
    EventId, OwnedDeviceId, OwnedUserId, RoomOrAliasId, UserId,
    events::room::member::MembershipState,
};

use super::{
    answer::{list, said},
    command::Users,
};
use crate::{
    accounts::{HashFor, create::Content, new_token},
    error::Result as ServerResult,
    rooms::{Draft, aliases, redact},
    server::Server,
};

mod many;
mod tags;

pub(super) async fn run(server: &Server, command: Users, below: &str) -> Result<String, String> {
    let user = |name: &str| named(server, name);
    match command {
        Users::CreateUser { name, password } => create(server, &name, password).await,
        Users::ResetPassword { name, password } => reset(server, &name, password).await,
        Users::Deactivate {
            no_leave_rooms,
            user,
        } => deactivate(server, &user, no_leave_rooms).await,
        Users::DeactivateAll {
            no_leave_rooms,
            force,
        } => many::deactivate(server, no_leave_rooms, force, below).await,
        Users::ListUsers => {
            let users = server.accounts.list().map_err(said)?;
            let heading = format!("Found {} local user account(s):", users.len());
            Ok(list(&heading, &users))
        }
        Users::LastActive { limit } => many::last_active(server, limit),
        Users::MakeUserAdmin { user: name } => make_admin(server, &user(&name)?).await,
        Users::ListJoinedRooms { user: name } => joined_rooms(server, &user(&name)?),
        Users::ForceJoinRoom { user, room } => {
            become_a(server, &user, &room, MembershipState::Join).await?;
            Ok(format!("{user} has been joined to {room}."))
        }
        Users::ForceLeaveRoom { user, room } => {
            become_a(server, &user, &room, MembershipState::Leave).await?;
            Ok(format!("{user} has left {room}."))
        }
        Users::DeleteDevice { user: name, device } => {
            delete_device(server, &user(&name)?, device).await
        }
        Users::PutRoomTag {
            user: name,
            room,
            tag,
        } => tags::put(server, &user(&name)?, &room, &tag).await,
        Users::DeleteRoomTag {
            user: name,
            room,
            tag,
        } => tags::delete(server, &user(&name)?, &room, &tag).await,
        Users::GetRoomTags { user: name, room } => tags::get(server, &user(&name)?, &room),
        Users::RedactEvent { event } => redact_event(server, &event).await,
    }
}

async fn deactivate(server: &Server, name: &str, stays: bool) -> Result<String, String> {
    let user = named(server, name)?;
    refuse_own(server, &user)?;
    end(server, &user, stays).await?;
    Ok(format!("User {user} has been deactivated"))
}

async fn make_admin(server: &Server, user: &UserId) -> Result<String, String> {
    server.accounts.active(user).map_err(said)?;
    super::make_admin(server, user).await.map_err(said)?;
    Ok(format!("{user} has been granted admin privileges."))
}

fn joined_rooms(server: &Server, user: &UserId) -> Result<String, String> {
    let rooms = server.rooms.joined_rooms(user).map_err(said)?;
    let heading = format!("Rooms {user} Joined ({}):", rooms.len());
    Ok(list(&heading, &rooms))
}

async fn delete_device(
    server: &Server,
    user: &UserId,
    device: OwnedDeviceId,
) -> Result<String, String> {
    if !server.accounts.has_device(user, &device).map_err(said)? {
        return Err(format!("{user} has no device {device}"));
    }
    let devices = [device];
    let deleted = server.accounts.delete_devices(server, user, &devices, None);
    deleted.await.map_err(said)?;
    Ok("Device deleted.".to_owned())
}

async fn redact_event(server: &Server, event: &EventId) -> Result<String, String> {
    let pdu = server.rooms.event(event).map_err(said)?;
    let pdu = pdu.ok_or_else(|| "Event does not exist in our database.".to_owned())?;
    let reason = "The administrator(s) have redacted this message.".to_owned();
    let draft = redact::draft(&pdu.sender, event.to_owned(), Some(reason)).map_err(said)?;
    write(server, &pdu.room_id, draft).await.map_err(said)?;
    Ok(format!("Successfully redacted {event}"))
}

/// Ends an account; `stays` says whether in its rooms it stays.
async fn end(server: &Server, user: &UserId, stays: bool) -> Result<(), String> {
    let accounts = &server.accounts;
    if stays {
        let ended = accounts.end(server, user, Content::Kept, None);
        return ended.await.map_err(said);
    }
    let ended = accounts.deactivate(server, user, Content::Kept, None);
    ended.await.map_err(said)
}

async fn create(server: &Server, name: &str, password: Option<String>) -> Result<String, String> {
    let localpart = named(server, name)?.localpart().to_owned();
    let password = password.unwrap_or_else(new_token);
    let created = server.accounts.create(server, &localpart, Some(&password));
    let user = created.await.map_err(said)?;
    Ok(format!(
        "Created user with user_id: {user} and password: `{password}`"
    ))
}

async fn reset(server: &Server, name: &str, password: Option<String>) -> Result<String, String> {
    let user = named(server, name)?;
    refuse_own(server, &user)?;
    let password = password.unwrap_or_else(new_token);
    let set = server
        .accounts
        .set_password(&user, &password, &HashFor::Admin, None)
        .await;
    set.map_err(|error| format!("Couldn't reset the password for user {user}: {error}"))?;
    Ok(format!(
        "Successfully reset the password for user {user}: `{password}`"
    ))
}

async fn become_a(
    server: &Server,
    user: &str,
    room: &RoomOrAliasId,
    membership: MembershipState,
) -> Result<(), String> {
    let user = named(server, user)?;
    let room = aliases::find(server, room).await.map_err(said)?;
    if super::is_coming(&membership) {
        super::check_member(server, &room, &user).map_err(said)?;
    }
    let content = serde_json::json!({ "membership": membership });
    let kind = ruma::events::StateEventType::RoomMember;
    let draft = Draft::state(user.clone(), &kind, user.as_str(), &content).map_err(said)?;
    write(server, &room, draft).await.map_err(said)
}

async fn write(server: &Server, room: &ruma::RoomId, draft: Draft) -> ServerResult<()> {
    let mut writer = server.rooms.write(room).await?;
    writer.add(draft)?;
    writer.commit().await.map(drop)
}

/// A user of this server by their whole id or their local part.
pub(super) fn named(server: &Server, name: &str) -> Result<OwnedUserId, String> {
    let user = UserId::parse_with_server_name(name.to_lowercase(), &server.config.server_name)
        .map_err(|error| format!("The supplied username is not a valid username: {error}"))?;
    if user.server_name() != server.config.server_name {
        return Err(format!("User {user} does not belong to our server."));
    }
    Ok(user)
}

fn refuse_own(server: &Server, user: &UserId) -> Result<(), String> {
    let own = super::server_user(server).map_err(said)?;
    if own == user {
        return Err("Not allowed for the server's own account.".to_owned());
    }
    Ok(())
}
