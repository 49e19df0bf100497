//! Commands about rooms.

use std::fmt::Write;

use ruma::{
    OwnedRoomId, RoomOrAliasId,
    events::{StateEventType, room::name::RoomNameEventContent},
};

use super::command::Rooms;
use crate::{
    error::{Error, Result as ServerResult},
    rooms::aliases,
    server::Server,
    store::tables,
};

pub(super) async fn run(server: &Server, command: Rooms) -> Result<String, String> {
    let said = |error: Error| error.to_string();
    match command {
        Rooms::List => list(server).map_err(said),
        Rooms::Exists { room } => Ok(server.rooms.exists(&room).map_err(said)?.to_string()),
        Rooms::Info { room } => {
            let room = found(server, &room).await.map_err(said)?;
            let version = server.rooms.record(&room).map_err(said)?;
            let version = version.map(|record| record.version.to_string());
            let line = line(server, &room).map_err(said)?;
            Ok(format!(
                "```\n{line}\nversion: {}\n```",
                version.unwrap_or_default()
            ))
        }
        Rooms::ListJoinedMembers { room } => {
            let room = found(server, &room).await.map_err(said)?;
            let mut text = String::new();
            let mut count = 0;
            for row in server.store.scan::<tables::Members>((&*room,)) {
                let ((_, user), member) = row.map_err(|error| error.to_string())?;
                if member.is_joined() {
                    count += 1;
                    let name = member.display_name.unwrap_or_default();
                    // Writing to a text does not fail.
                    _ = writeln!(text, "{user} | {name}");
                }
            }
            Ok(format!("{count} Members in Room {room}:\n```\n{text}```"))
        }
    }
}

fn list(server: &Server) -> ServerResult<String> {
    let (mut text, mut count) = (String::new(), 0);
    for key in server.store.scan::<tables::Rooms>(()).keys() {
        count += 1;
        text.push_str(&line(server, &key?.0)?);
        text.push('\n');
    }
    Ok(format!("Rooms ({count}):\n```\n{text}```"))
}

fn line(server: &Server, room: &OwnedRoomId) -> ServerResult<String> {
    let state = server.rooms.state(room);
    let name = state.content::<RoomNameEventContent>(&StateEventType::RoomName, "")?;
    let name = name.map(|content| content.name).unwrap_or_default();
    let mut members = 0;
    for row in server.store.scan::<tables::Members>((&**room,)) {
        members += usize::from(row?.1.is_joined());
    }
    Ok(format!("{room}\tMembers: {members}\tName: {name}"))
}

/// The room with this id or alias. 404 if there is none.
pub(super) async fn found(server: &Server, room: &RoomOrAliasId) -> ServerResult<OwnedRoomId> {
    let room = aliases::find(server, room).await?;
    if server.rooms.exists(&room)? {
        return Ok(room);
    }
    Err(Error::not_found("There is no such room"))
}
