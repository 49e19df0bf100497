//! Commands about the names of rooms.

use std::fmt::Write;

use ruma::{OwnedRoomAliasId, RoomAliasId};

use crate::{
    admin::{answer::error_text, command::Alias, server_user},
    rooms::{admin_room, aliases, record::AliasRecord},
    services::Services,
    store::tables,
};

pub(super) async fn run(services: &Services, command: Alias) -> Result<String, String> {
    match command {
        Alias::Set { force, room, alias } => {
            let alias = parsed(services, &alias)?;
            if !services.rooms.exists(&room).map_err(error_text)? {
                return Err(format!("There is no room {room}."));
            }
            let _alone = services.rooms.aliases.lock([alias.clone()]).await;
            let before = leads_to(services, &alias)?;
            if let Some(before) = &before
                && !force
            {
                let id = &before.room_id;
                return Err(format!(
                    "Refusing to overwrite in use alias for {id}, use -f or --force to overwrite"
                ));
            }
            aliases::replace(&services.rooms, &alias, before.as_ref(), Some(&room))
                .await
                .map_err(error_text)?;
            Ok(match before {
                Some(before) => {
                    format!("Successfully overwrote alias (formerly {})", before.room_id)
                }
                None => "Successfully set alias".to_owned(),
            })
        }
        Alias::Remove { alias } => {
            let alias = parsed(services, &alias)?;
            let _alone = services.rooms.aliases.lock([alias.clone()]).await;
            let before = leads_to(services, &alias)?.ok_or_else(unused)?;
            if alias.alias() == admin_room::ROOM_LOCALPART
                && server_user(&services.config.server_name).is_ok_and(|own| own == before.creator)
            {
                return Err("The admin room is found by this alias.".to_owned());
            }
            aliases::replace(&services.rooms, &alias, Some(&before), None)
                .await
                .map_err(error_text)?;
            Ok(format!("Removed alias from {}", before.room_id))
        }
        Alias::Which { alias } => {
            let record = leads_to(services, &parsed(services, &alias)?)?.ok_or_else(unused)?;
            Ok(format!("Alias resolves to {}", record.room_id))
        }
        Alias::List { room: Some(room) } => {
            let names = aliases::of_room(&services.rooms, &room).map_err(error_text)?;
            let lines: Vec<_> = names.iter().map(|alias| format!("- {alias}\n")).collect();
            Ok(format!("Aliases for {room}:\n{}", lines.concat()))
        }
        Alias::List { room: None } => {
            let mut text = String::from("Aliases:\n");
            for row in services.store.scan::<tables::Aliases>(()) {
                let ((alias,), record) = row.map_err(|error| error.to_string())?;
                // Writing to a text does not fail.
                _ = writeln!(text, "- `{}` -> {alias}", record.room_id);
            }
            Ok(text)
        }
    }
}

/// The alias with this local part; who gives all of it means the same.
fn parsed(services: &Services, name: &str) -> Result<OwnedRoomAliasId, String> {
    let own = services.config.server_name.as_str();
    let local = name.strip_prefix('#').unwrap_or(name);
    let local = local
        .strip_suffix(own)
        .and_then(|local| local.strip_suffix(':'))
        .unwrap_or(local);
    aliases::local_alias(&services.rooms, local)
        .map_err(|error| format!("Failed to parse alias: {error}"))
}

fn leads_to(services: &Services, alias: &RoomAliasId) -> Result<Option<AliasRecord>, String> {
    let record = services.store.get::<tables::Aliases>((alias,));
    record.map_err(|error| error.to_string())
}

fn unused() -> String {
    "Alias isn't in use.".to_owned()
}
