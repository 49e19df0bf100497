//! Commands that end rooms: ban them, delete them, one or many.

use regex::Regex;
use ruma::{OwnedRoomId, OwnedRoomOrAliasId, OwnedUserId, RoomId, UserId};

use super::{RoomRow, known, resolve_room, table};
use crate::{
    admin::{
        answer::{code_block, error_text, list},
        command::Moderation,
        users::parse_user,
    },
    error::Result as ServerResult,
    operations::end_room::{self, AfterDeletion},
    rooms::admin_room,
    services::Services,
};

/// Refuses to end the room that ends rooms.
fn not_admin_room(services: &Services, room: &RoomId, what: &str) -> Result<(), String> {
    match admin_room::room(&services.rooms).map_err(error_text)? {
        Some(own) if own == room => Err(format!("{what} the admin room.")),
        _ => Ok(()),
    }
}

fn trace(force: bool) -> AfterDeletion {
    if force {
        AfterDeletion::Nothing
    } else {
        AfterDeletion::KeepMemberships
    }
}

pub(super) async fn delete(
    services: &Services,
    room: &RoomId,
    force: bool,
) -> Result<String, String> {
    not_admin_room(services, room, "Cannot delete")?;
    end_room::delete(&services.rooms, room, trace(force))
        .await
        .map_err(error_text)?;
    Ok("Successfully deleted the room from our database.".to_owned())
}

pub(super) async fn prune(services: &Services, force: bool) -> Result<String, String> {
    let mut count = 0;
    for room in known(services, None).map_err(error_text)? {
        if is_empty(services, &room).map_err(error_text)? {
            end_room::delete(&services.rooms, &room, trace(force))
                .await
                .map_err(error_text)?;
            count += 1;
        }
    }
    Ok(format!(
        "Successfully deleted {count} rooms from our database."
    ))
}

fn is_empty(services: &Services, room: &RoomId) -> ServerResult<bool> {
    for row in services
        .store
        .scan::<crate::store::tables::Members>((room,))
    {
        let (_, member) = row?;
        if member.is_joined() || member.is_invited() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whose rooms are deleted.
pub(super) enum UserMatch {
    Of(OwnedUserId),
    Matching(Regex),
}

impl UserMatch {
    fn is(&self, user: &UserId) -> bool {
        match self {
            Self::Of(one) => one == user,
            Self::Matching(regex) => regex.is_match(user.as_str()),
        }
    }
}

pub(super) fn parse_user_match(
    services: &Services,
    user: &str,
    regex: bool,
) -> Result<UserMatch, String> {
    if regex {
        let regex = Regex::new(user).map_err(|error| error.to_string())?;
        return Ok(UserMatch::Matching(regex));
    }
    parse_user(services, user).map(UserMatch::Of)
}

/// Which rooms are deleted.
pub(super) struct PurgeQuery {
    pub(super) whose: UserMatch,
    pub(super) sole_member: bool,
}

pub(super) async fn purge(
    services: &Services,
    wanted: &PurgeQuery,
    dry_run: bool,
) -> Result<String, String> {
    let own = admin_room::room(&services.rooms).map_err(error_text)?;
    let mut rooms: Vec<OwnedRoomId> = Vec::new();
    for room in known(services, None).map_err(error_text)? {
        let members = services.rooms.joined_members(&room).map_err(error_text)?;
        let theirs = members.iter().any(|member| wanted.whose.is(member));
        if theirs && (!wanted.sole_member || members.len() == 1) && own.as_ref() != Some(&room) {
            rooms.push(room);
        }
    }
    if dry_run {
        return Ok(list(&format!("Would delete {} rooms:", rooms.len()), rooms));
    }
    for room in &rooms {
        end_room::delete(&services.rooms, room, AfterDeletion::KeepMemberships)
            .await
            .map_err(error_text)?;
    }
    Ok(format!(
        "Successfully deleted {} rooms from our database.",
        rooms.len()
    ))
}

pub(super) async fn moderate(
    services: &Services,
    command: Moderation,
    below: &str,
) -> Result<String, String> {
    match command {
        Moderation::BanRoom { room } => {
            ban(services, &room).await?;
            Ok("Room banned and removed all our local users.".to_owned())
        }
        Moderation::BanListOfRooms => ban_list(services, below).await,
        Moderation::UnbanRoom { room } => {
            let room = resolve_room(services, &room).await.map_err(error_text)?;
            end_room::set_banned(&services.rooms, &room, false)
                .await
                .map_err(error_text)?;
            Ok("Room unbanned".to_owned())
        }
        Moderation::ListBannedRooms { no_details } => {
            let rooms = known(services, Some(true)).map_err(error_text)?;
            if rooms.is_empty() {
                return Err("No rooms are banned.".to_owned());
            }
            let lines = rooms.into_iter().map(|room| RoomRow::of(services, room));
            let lines = lines
                .collect::<ServerResult<Vec<_>>>()
                .map_err(error_text)?;
            let heading = format!("Rooms Banned ({}):", lines.len());
            Ok(table(&heading, &lines, no_details))
        }
    }
}

async fn ban(services: &Services, room: &OwnedRoomOrAliasId) -> Result<(), String> {
    let room = resolve_room(services, room).await.map_err(error_text)?;
    not_admin_room(services, &room, "Not allowed to ban")?;
    end_room::set_banned(&services.rooms, &room, true)
        .await
        .map_err(error_text)
}

async fn ban_list(services: &Services, below: &str) -> Result<String, String> {
    let (mut count, mut failed) = (0, Vec::new());
    for line in code_block(below)? {
        let banned = match OwnedRoomOrAliasId::try_from(line.trim()) {
            Ok(room) => ban(services, &room).await,
            Err(error) => Err(error.to_string()),
        };
        match banned {
            Ok(()) => count += 1,
            Err(reason) => failed.push(format!("- {line}: {reason}\n")),
        }
    }
    Ok(format!(
        "Finished bulk room ban, banned {count} total rooms and evicted all users.\n{}",
        failed.concat()
    ))
}
