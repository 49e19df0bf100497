//! The admin room: every person in it is an admin, and what an admin writes there as a command is done.
//!
//! Promise: a user of an application service is no admin and gives no command, wherever it is: what such a user says may be anybody's
//! words, like those of a language model. It is not let into the room either, for passwords and tokens are shown there.
//!
//! The server itself is in it as `@conduit`, the name that Tuwunel's admins know. The first person who makes an account is put into
//! the room; everybody else comes in by invitation.

use ruma::{
    OwnedRoomAliasId, OwnedRoomId, OwnedUserId, RoomAliasId, RoomVersionId, UserId,
    events::{StateEventType, TimelineEventType},
};
use serde_json::{Value, json, value::to_raw_value};

use crate::{
    accounts::record::Account,
    clock,
    error::{Error, Result},
    rooms::{Draft, RoomWriter, aliases},
    server::Server,
    store::tables,
};

mod answer;
mod appservices;
mod debug;
mod execute;
mod listen;
mod media;
mod members;
mod rooms;
mod running;
#[cfg(test)]
mod tests;
mod token;
mod users;

use homeserver_model::admin::command;

pub use execute::{execute, name_of};
pub(crate) use listen::start;
pub use members::{check_member, is_coming, is_of_appservice};

/// The local part of the server's own user.
const SERVER_LOCALPART: &str = "conduit";
/// The local part of the admin room's alias.
const ROOM_LOCALPART: &str = "admins";
/// Who made the server's own account: it is no person's.
const SERVER_ACCOUNT: &str = "the server itself";
/// The power of an admin in the room.
const ADMIN_POWER: u64 = 100;

/// The server's own user.
pub fn server_user(server: &Server) -> Result<OwnedUserId> {
    UserId::parse(format!("@{SERVER_LOCALPART}:{}", server.config.server_name))
        .map_err(|error| Error::Broken(format!("the server's own user: {error}")))
}

fn alias(server: &Server) -> Result<OwnedRoomAliasId> {
    RoomAliasId::parse(format!("#{ROOM_LOCALPART}:{}", server.config.server_name))
        .map_err(|error| Error::Broken(format!("the alias of the admin room: {error}")))
}

/// The admin room, if there is one.
pub fn room(server: &Server) -> Result<Option<OwnedRoomId>> {
    let record = server
        .store
        .get::<tables::Aliases>((&*alias(server)?,))?
        .filter(|record| server_user(server).is_ok_and(|user| user == record.creator));
    Ok(record.map(|record| record.room_id))
}

/// Whether the user is an admin: in the admin room, and a person or the server itself.
pub fn is_admin(server: &Server, user: &UserId) -> Result<bool> {
    let Some(room) = room(server)? else {
        return Ok(false);
    };
    Ok(server.rooms.is_joined(&room, user)? && !is_of_appservice(server, user)?)
}

/// Makes the admin room and the server's own account, if they are not there yet and are wanted.
async fn make_room(server: &Server) -> Result<()> {
    if !server.config.admin.create_admin_room || room(server)?.is_some() {
        return Ok(());
    }
    let user = server_user(server)?;
    let create = to_raw_value(&json!({ "room_version": RoomVersionId::V11 }))?;
    let created = server
        .rooms
        .create(RoomVersionId::V11, user.clone(), create);
    let mut writer = created.await?;
    let alias = alias(server)?;
    for (kind, key, content) in first_state(server, &user, &alias) {
        set(&mut writer, &user, kind, key, &content)?;
    }
    let room = writer.room_id().to_owned();
    aliases::put(writer.batch(), &alias, &room, &user)?;
    let account = Account {
        password: None,
        created: clock::now(),
        deactivated: false,
        guest: false,
        appservice: Some(SERVER_ACCOUNT.to_owned()),
        locked: false,
        suspended: false,
    };
    writer
        .batch()
        .put::<tables::Accounts>((&*user,), &account)?;
    writer.commit().await?;
    Ok(())
}

/// What the admin room begins with, in this order: type, state key, content.
fn first_state<'a>(
    server: &Server,
    user: &'a UserId,
    alias: &RoomAliasId,
) -> [(&'static str, &'a str, Value); 8] {
    let house = &server.config.server_name;
    let name = format!("{house} Admin Room");
    let topic = format!("Manage {house}: write !admin help");
    let power = json!({ "users": { (user.as_str()): ADMIN_POWER } });
    let history = json!({ "history_visibility": "shared" });
    let guests = json!({ "guest_access": "forbidden" });
    let join = json!({ "membership": "join" });
    [
        ("m.room.member", user.as_str(), join),
        ("m.room.power_levels", "", power),
        ("m.room.join_rules", "", json!({ "join_rule": "invite" })),
        ("m.room.history_visibility", "", history),
        ("m.room.guest_access", "", guests),
        ("m.room.name", "", json!({ "name": name })),
        ("m.room.topic", "", json!({ "topic": topic })),
        ("m.room.canonical_alias", "", json!({ "alias": alias })),
    ]
}

fn set(
    writer: &mut RoomWriter,
    sender: &UserId,
    kind: &str,
    key: &str,
    content: &Value,
) -> Result<()> {
    let draft = Draft::state(sender.to_owned(), &StateEventType::from(kind), key, content)?;
    writer.add(draft).map(drop)
}

/// Makes the first person who comes an admin, unless the configuration says otherwise.
pub async fn first_person(server: &Server, user: &UserId) -> Result<()> {
    if !server.config.admin.grant_admin_to_first_user {
        return Ok(());
    }
    make_admin(server, user).await
}

/// Puts somebody into the admin room, with the power to invite others, and greets them.
///
/// # Errors
///
/// 404 if there is no admin room, 403 if it is a user of an application service.
pub async fn make_admin(server: &Server, user: &UserId) -> Result<()> {
    let room = room(server)?.ok_or_else(|| Error::not_found("There is no admin room"))?;
    check_member(server, &room, user)?;
    let own = server_user(server)?;
    let mut writer = server.rooms.write(&room).await?;
    if !server.rooms.is_joined(&room, user)? {
        let (invite, join) = (
            json!({ "membership": "invite" }),
            json!({ "membership": "join" }),
        );
        set(&mut writer, &own, "m.room.member", user.as_str(), &invite)?;
        set(&mut writer, user, "m.room.member", user.as_str(), &join)?;
    }
    let levels = writer.state(&StateEventType::RoomPowerLevels, "")?;
    let mut levels: Value = match levels {
        Some(levels) => serde_json::from_str(levels.content.get())?,
        None => json!({}),
    };
    levels["users"][user.as_str()] = json!(ADMIN_POWER);
    set(&mut writer, &own, "m.room.power_levels", "", &levels)?;
    let text = format!(
        "Welcome to {}. Whoever is in this room is an admin. Write `!admin help` to see what can be done here.",
        server.config.server_name
    );
    let greeting = to_raw_value(&answer::content(&text))?;
    writer.add(Draft::message(
        own,
        TimelineEventType::RoomMessage,
        greeting,
    ))?;
    writer.commit().await?;
    tracing::info!(user.id = %user, "somebody is an admin now");
    Ok(())
}
