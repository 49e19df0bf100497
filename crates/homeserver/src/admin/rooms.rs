//! Commands about rooms.

use std::cmp::Reverse;

use ruma::{
    OwnedRoomId, RoomId, RoomOrAliasId,
    events::StateEventType,
    events::room::{name::RoomNameEventContent, topic::RoomTopicEventContent},
};

use super::{
    answer::{list, said},
    command::Rooms,
};
use crate::{
    error::{Error, Result as ServerResult},
    rooms::aliases,
    server::Server,
    store::tables,
};

mod alias;
mod directory;
mod end;

/// How many rooms a page has.
const PAGE: usize = 100;

pub(super) async fn run(server: &Server, command: Rooms, below: &str) -> Result<String, String> {
    match command {
        Rooms::List {
            page,
            exclude_disabled: _,
            exclude_banned,
            no_details,
        } => all(server, page.unwrap_or(1), exclude_banned, no_details),
        Rooms::Exists { room } => Ok(server.rooms.exists(&room).map_err(said)?.to_string()),
        Rooms::Info { room } => {
            let room = found(server, &room).await.map_err(said)?;
            info(server, &room).map_err(said)
        }
        Rooms::ListJoinedMembers {
            room,
            local_only: _,
        } => {
            let room = found(server, &room).await.map_err(said)?;
            members(server, &room).map_err(said)
        }
        Rooms::Alias(command) => alias::run(server, command).await,
        Rooms::Directory(command) => directory::run(server, command).await,
        Rooms::Moderation(command) => end::moderate(server, command, below).await,
        Rooms::Delete { room, force } => end::delete(server, &room, force).await,
        Rooms::PruneEmpty { force } => end::prune(server, force).await,
        Rooms::PurgeUser {
            user,
            regex,
            sole_member,
            dry_run,
        } => {
            let wanted = end::Wanted {
                whose: end::whose(server, &user, regex)?,
                sole_member,
            };
            end::purge(server, &wanted, dry_run).await
        }
    }
}

/// A room as lists show it.
struct Line {
    room: OwnedRoomId,
    members: usize,
    name: String,
}

impl Line {
    fn of(server: &Server, room: OwnedRoomId) -> ServerResult<Self> {
        let state = server.rooms.state(&room);
        let name = state.content::<RoomNameEventContent>(&StateEventType::RoomName, "")?;
        Ok(Self {
            name: name.map(|content| content.name).unwrap_or_default(),
            members: server.rooms.joined_members(&room)?.len(),
            room,
        })
    }
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            room,
            members,
            name,
        } = self;
        write!(f, "{room}\tMembers: {members}\tName: {name}")
    }
}

/// A page of rooms, the largest first.
fn page(server: &Server, rooms: Vec<OwnedRoomId>, page: usize) -> ServerResult<Vec<Line>> {
    let lines = rooms.into_iter().map(|room| Line::of(server, room));
    let mut lines = lines.collect::<ServerResult<Vec<_>>>()?;
    lines.sort_by_key(|line| Reverse(line.members));
    let skipped = page.saturating_sub(1).saturating_mul(PAGE);
    Ok(lines.into_iter().skip(skipped).take(PAGE).collect())
}

/// All rooms, or only those that are banned or not.
fn known(server: &Server, banned: Option<bool>) -> ServerResult<Vec<OwnedRoomId>> {
    let mut rooms = Vec::new();
    for row in server.store.scan::<tables::Rooms>(()) {
        let ((room,), record) = row?;
        if banned.is_none_or(|banned| banned == record.banned) {
            rooms.push(room);
        }
    }
    Ok(rooms)
}

fn all(
    server: &Server,
    number: usize,
    exclude_banned: bool,
    no_details: bool,
) -> Result<String, String> {
    let rooms = known(server, exclude_banned.then_some(false)).map_err(said)?;
    let lines = page(server, rooms, number).map_err(said)?;
    if lines.is_empty() {
        return Err("No more rooms.".to_owned());
    }
    Ok(table(
        &format!("Rooms ({}):", lines.len()),
        &lines,
        no_details,
    ))
}

fn table(heading: &str, lines: &[Line], no_details: bool) -> String {
    if no_details {
        return list(heading, lines.iter().map(|line| &line.room));
    }
    list(heading, lines)
}

fn info(server: &Server, room: &RoomId) -> ServerResult<String> {
    let record = server.rooms.record(room)?;
    let record = record.ok_or_else(|| Error::not_found("There is no such room"))?;
    let state = server.rooms.state(room);
    let topic = state.content::<RoomTopicEventContent>(&StateEventType::RoomTopic, "")?;
    let mut facts = vec![
        Line::of(server, room.to_owned())?.to_string(),
        format!("version: {}", record.version),
        format!("creator: {}", record.creator),
    ];
    facts.extend(topic.map(|content| format!("topic: {}", content.topic)));
    let names = aliases::of_room(server, room)?;
    facts.extend(names.iter().map(|alias| format!("alias: {alias}")));
    let rules = server.rooms.rules(room)?;
    let levels = state.power_levels(&rules)?;
    for member in server.rooms.joined_members(room)? {
        if levels.for_user(&member) >= levels.state_default {
            facts.push(format!("admin: {member}"));
        }
    }
    if record.banned {
        facts.push("banned".to_owned());
    }
    Ok(list("", facts).trim_start().to_owned())
}

fn members(server: &Server, room: &RoomId) -> ServerResult<String> {
    let mut members = Vec::new();
    for row in server.store.scan::<tables::Members>((room,)) {
        let ((_, user), member) = row?;
        if member.is_joined() {
            let name = member.display_name.unwrap_or_default();
            members.push(format!("{user} | {name}"));
        }
    }
    let heading = format!("{} Members in Room {room}:", members.len());
    Ok(list(&heading, members))
}

/// The room with this id or alias. 404 if there is none.
pub(super) async fn found(server: &Server, room: &RoomOrAliasId) -> ServerResult<OwnedRoomId> {
    let room = aliases::find(server, room).await?;
    if server.rooms.exists(&room)? {
        return Ok(room);
    }
    Err(Error::not_found("There is no such room"))
}
