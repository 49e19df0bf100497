//! The admin room: every person in it is an admin, and what an admin writes there as a command is done.
//!
//! Promise: a user of an application service is no admin and gives no command, wherever it is: what such a user says may be anybody's
//! words, like those of a language model. It is not let into the room either, for passwords and tokens are shown there.
//!
//! The server itself is in it as `@conduit`, the name that Tuwunel's admins know. The first person who makes an account is put into
//! the room; everybody else comes in by invitation.

use ruma::{RoomAliasId, RoomVersionId, UserId};
use serde_json::{Value, json, value::to_raw_value};

use crate::{
    accounts::{profile, record::Account},
    clock,
    error::Result,
    rooms::{
        admin_room::{
            self, ADMIN_POWER, alias, check_member, is_admin, is_join_invite_or_knock,
            is_of_appservice, server_user,
        },
        aliases,
    },
    services::Services,
    store::tables,
};

mod answer;
mod appservices;
mod command_listener;
mod debug;
mod execute;
mod media;
mod members;
mod rooms;
mod running;
#[cfg(test)]
mod tests;
mod token;
mod users;

use homeserver_model::admin::command;

pub(crate) use command_listener::start;
pub use execute::{execute, name_of};

/// Who made the server's own account: it is no person's.
const SERVER_ACCOUNT: &str = "the server itself";

/// What the server's own account is called in the admin room.
const SERVER_DISPLAY_NAME: &str = "Homeserver";

/// Makes the admin room and the server's own account, if they are not there yet and are wanted, and gives it a name.
async fn make_room(services: &Services) -> Result<()> {
    make_missing_room(services).await?;
    let user = server_user(&services.config.server_name)?;
    let is_there = services.accounts.exists(&user)?;
    if is_there && profile::display_name(&services.store, &user)?.is_none() {
        let named = services
            .operations
            .set_display_name(&user, SERVER_DISPLAY_NAME);
        named.await?;
    }
    Ok(())
}

async fn make_missing_room(services: &Services) -> Result<()> {
    if !services.config.admin.create_admin_room || admin_room::room(&services.rooms)?.is_some() {
        return Ok(());
    }
    let user = server_user(&services.config.server_name)?;
    let create = to_raw_value(&json!({ "room_version": RoomVersionId::V11 }))?;
    let created = services
        .rooms
        .create(RoomVersionId::V11, user.clone(), create);
    let mut writer = created.await?;
    let alias = alias(&services.config.server_name)?;
    for (kind, key, content) in first_state(services, &user, &alias) {
        writer.add_state(&user, kind, key, &content)?;
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
    services: &Services,
    user: &'a UserId,
    alias: &RoomAliasId,
) -> [(&'static str, &'a str, Value); 8] {
    let house = &services.config.server_name;
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
