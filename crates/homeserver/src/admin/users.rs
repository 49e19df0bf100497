//! Commands about accounts.

use ruma::{
    EventId, OwnedDeviceId, OwnedUserId, RoomOrAliasId, UserId,
    events::room::member::MembershipState,
};

use super::{
    answer::{error_text, list},
    command::Users,
};
use crate::{
    accounts::{HashRequester, new_token},
    error::Result as ServerResult,
    operations::deactivate::SentContent,
    rooms::{Draft, aliases, redact},
    services::Services,
};

mod many;
mod power;
mod profile;
mod tags;

pub(super) async fn run(
    services: &Services,
    command: Users,
    below: &str,
) -> Result<String, String> {
    let user = |name: &str| parse_user(services, name);
    match command {
        Users::CreateUser { name, password } => create(services, &name, password).await,
        Users::ResetPassword { name, password } => reset(services, &name, password).await,
        Users::Deactivate {
            no_leave_rooms,
            user,
        } => deactivate(services, &user, no_leave_rooms).await,
        Users::DeactivateAll {
            no_leave_rooms,
            force,
        } => many::deactivate(services, no_leave_rooms, force, below).await,
        Users::ListUsers => {
            let users = services.accounts.list().map_err(error_text)?;
            let heading = format!("Found {} local user account(s):", users.len());
            Ok(list(&heading, &users))
        }
        Users::LastActive { limit } => many::last_active(services, limit),
        Users::MakeUserAdmin { user: name } => make_admin(services, &user(&name)?).await,
        Users::ListJoinedRooms { user: name } => joined_rooms(services, &user(&name)?),
        Users::ForceJoinRoom { user, room } => {
            become_a(services, &user, &room, MembershipState::Join).await?;
            Ok(format!("{user} has been joined to {room}."))
        }
        Users::ForceLeaveRoom { user, room } => {
            become_a(services, &user, &room, MembershipState::Leave).await?;
            Ok(format!("{user} has left {room}."))
        }
        Users::RejectInvites { user: name, reason } => {
            profile::reject_invites(services, &user(&name)?, reason).await
        }
        Users::ForceDemote { user: name, room } => {
            power::demote(services, &user(&name)?, &room).await
        }
        Users::ForcePromote { user: name, room } => {
            power::promote(services, &user(&name)?, &room).await
        }
        Users::SetProfileKey {
            user: name,
            key,
            value,
            clear,
        } => {
            let user = user(&name)?;
            if clear {
                return profile::clear(services, &user, &key).await;
            }
            profile::set(services, &user, &key, &value).await
        }
        Users::DeleteDevice { user: name, device } => {
            delete_device(services, &user(&name)?, device).await
        }
        Users::PutRoomTag {
            user: name,
            room,
            tag,
        } => tags::put(services, &user(&name)?, &room, &tag).await,
        Users::DeleteRoomTag {
            user: name,
            room,
            tag,
        } => tags::delete(services, &user(&name)?, &room, &tag).await,
        Users::GetRoomTags { user: name, room } => tags::get(services, &user(&name)?, &room),
        Users::RedactEvent { event } => redact_event(services, &event).await,
    }
}

async fn deactivate(services: &Services, name: &str, stays: bool) -> Result<String, String> {
    let user = parse_user(services, name)?;
    refuse_own(services, &user)?;
    end(services, &user, stays).await?;
    Ok(format!("User {user} has been deactivated"))
}

async fn make_admin(services: &Services, user: &UserId) -> Result<String, String> {
    services.accounts.active_account(user).map_err(error_text)?;
    services
        .operations
        .make_admin(user)
        .await
        .map_err(error_text)?;
    Ok(format!("{user} has been granted admin privileges."))
}

fn joined_rooms(services: &Services, user: &UserId) -> Result<String, String> {
    let rooms = services.rooms.joined_rooms(user).map_err(error_text)?;
    let heading = format!("Rooms {user} Joined ({}):", rooms.len());
    Ok(list(&heading, &rooms))
}

async fn delete_device(
    services: &Services,
    user: &UserId,
    device: OwnedDeviceId,
) -> Result<String, String> {
    if !services
        .accounts
        .has_device(user, &device)
        .map_err(error_text)?
    {
        return Err(format!("{user} has no device {device}"));
    }
    let devices = [device];
    let deleted = services.operations.delete_devices(user, &devices, None);
    deleted.await.map_err(error_text)?;
    Ok("Device deleted.".to_owned())
}

async fn redact_event(services: &Services, event: &EventId) -> Result<String, String> {
    let pdu = services.rooms.event(event).map_err(error_text)?;
    let pdu = pdu.ok_or_else(|| "Event does not exist in our database.".to_owned())?;
    let reason = "The administrator(s) have redacted this message.".to_owned();
    let draft = redact::draft(&pdu.sender, event.to_owned(), Some(reason)).map_err(error_text)?;
    write(services, &pdu.room_id, draft)
        .await
        .map_err(error_text)?;
    Ok(format!("Successfully redacted {event}"))
}

/// Ends an account; `stays` says whether in its rooms it stays.
async fn end(services: &Services, user: &UserId, stays: bool) -> Result<(), String> {
    if stays {
        let ended = services
            .operations
            .end_account(user, SentContent::Kept, None);
        return ended.await.map_err(error_text);
    }
    let ended = services
        .operations
        .deactivate(user, SentContent::Kept, None);
    ended.await.map_err(error_text)
}

async fn create(
    services: &Services,
    name: &str,
    password: Option<String>,
) -> Result<String, String> {
    let user = parse_user(services, name)?;
    if let Some(owner) = services.appservices.exclusive_owner(&user) {
        return Err(format!(
            "The application service {} has {user} for itself: choose another name, or let the application service make the user.",
            owner.id()
        ));
    }
    let localpart = user.localpart().to_owned();
    let password = password.unwrap_or_else(new_token);
    let created = services
        .operations
        .create_account(&localpart, Some(&password));
    let user = created.await.map_err(error_text)?;
    Ok(format!(
        "Created user with user_id: {user} and password: `{password}`"
    ))
}

async fn reset(
    services: &Services,
    name: &str,
    password: Option<String>,
) -> Result<String, String> {
    let user = parse_user(services, name)?;
    refuse_own(services, &user)?;
    let password = password.unwrap_or_else(new_token);
    let set = services
        .accounts
        .set_password(&user, &password, &HashRequester::Admin, None)
        .await;
    set.map_err(|error| format!("Couldn't reset the password for user {user}: {error}"))?;
    Ok(format!(
        "Successfully reset the password for user {user}: `{password}`"
    ))
}

async fn become_a(
    services: &Services,
    user: &str,
    room: &RoomOrAliasId,
    membership: MembershipState,
) -> Result<(), String> {
    let user = parse_user(services, user)?;
    let room = aliases::resolve_room_or_alias(&services.rooms, room)
        .await
        .map_err(error_text)?;
    if super::is_join_invite_or_knock(&membership) {
        super::check_member(&services.rooms, &room, &user).map_err(error_text)?;
    }
    let content = serde_json::json!({ "membership": membership });
    let kind = ruma::events::StateEventType::RoomMember;
    let draft = Draft::state(user.clone(), &kind, user.as_str(), &content).map_err(error_text)?;
    write(services, &room, draft).await.map_err(error_text)
}

async fn write(services: &Services, room: &ruma::RoomId, draft: Draft) -> ServerResult<()> {
    let mut writer = services.rooms.write(room).await?;
    writer.add(draft)?;
    writer.commit().await.map(drop)
}

/// A user of this server by their whole id or their local part.
pub(super) fn parse_user(services: &Services, name: &str) -> Result<OwnedUserId, String> {
    let user = UserId::parse_with_server_name(name.to_lowercase(), &services.config.server_name)
        .map_err(|error| format!("The supplied username is not a valid username: {error}"))?;
    if user.server_name() != services.config.server_name {
        return Err(format!("User {user} does not belong to our server."));
    }
    Ok(user)
}

fn refuse_own(services: &Services, user: &UserId) -> Result<(), String> {
    let own = super::server_user(&services.config.server_name).map_err(error_text)?;
    if own == user {
        return Err("Not allowed for the server's own account.".to_owned());
    }
    Ok(())
}
