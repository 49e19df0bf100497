//! Commands about the list of public rooms.

use ruma::{OwnedRoomOrAliasId, RoomAliasId, directory::RoomNetwork};

use super::resolve_room;
use crate::{
    admin::{
        answer::{error_text, list},
        command::Directory,
    },
    rooms::directory,
    services::Services,
};

/// The server's own list, among those of networks.
const OWN: &str = "";

pub(super) async fn run(services: &Services, command: Directory) -> Result<String, String> {
    match command {
        Directory::Publish { room, force } => {
            set(services, &room, true).await?;
            Ok(match <&RoomAliasId>::try_from(&*room) {
                Ok(alias) if !force => format!("Room published as {alias}"),
                _ => "Room published".to_owned(),
            })
        }
        Directory::Unpublish { room } => {
            set(services, &room, false).await?;
            Ok("Room unpublished".to_owned())
        }
        Directory::List { page } => {
            let number = page.unwrap_or(1);
            let rooms =
                directory::published(&services.rooms, &RoomNetwork::Matrix).map_err(error_text)?;
            let lines =
                super::page(services, rooms.into_iter().collect(), number).map_err(error_text)?;
            if lines.is_empty() {
                return Ok("No rooms are published.".to_owned());
            }
            let lines = lines.iter().map(|line| {
                let (room, members, name) = (&line.room, line.members, &line.name);
                format!("{room} | Members: {members} | Name: {name}")
            });
            Ok(list(&format!("Rooms (page {number}):"), lines))
        }
    }
}

async fn set(services: &Services, room: &OwnedRoomOrAliasId, public: bool) -> Result<(), String> {
    let room = resolve_room(services, room).await.map_err(error_text)?;
    directory::publish(&services.rooms, OWN, &room, public)
        .await
        .map_err(error_text)
}
