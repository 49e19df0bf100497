//! Commands about rooms.

use std::cmp::Reverse;

use ruma::{
    OwnedRoomId, RoomId, RoomOrAliasId,
    events::StateEventType,
    events::room::{name::RoomNameEventContent, topic::RoomTopicEventContent},
};

use super::{
    answer::{block, error_text, list},
    command::{RoomInfo, Rooms},
};
use crate::{
    error::{Error, Result as ServerResult},
    rooms::aliases,
    services::Services,
    store::tables,
};

mod alias;
mod directory;
mod end;

/// How many rooms a page has.
const PAGE: usize = 100;

pub(super) async fn run(
    services: &Services,
    command: Rooms,
    below: &str,
) -> Result<String, String> {
    match command {
        Rooms::List {
            page,
            exclude_disabled: _,
            exclude_banned,
            no_details,
        } => all(services, page.unwrap_or(1), exclude_banned, no_details),
        Rooms::Exists { room } => Ok(services
            .rooms
            .exists(&room)
            .map_err(error_text)?
            .to_string()),
        Rooms::Info {
            room: Some(room), ..
        } => {
            let room = resolve_room(services, &room).await.map_err(error_text)?;
            info(services, &room).map_err(error_text)
        }
        Rooms::ListJoinedMembers { room, .. }
        | Rooms::Info {
            about: Some(RoomInfo::ListJoinedMembers { room, .. }),
            ..
        } => {
            let room = resolve_room(services, &room).await.map_err(error_text)?;
            members(services, &room).map_err(error_text)
        }
        Rooms::Info {
            about: Some(RoomInfo::ViewRoomTopic { room }),
            ..
        } => {
            let room = resolve_room(services, &room).await.map_err(error_text)?;
            topic(services, &room).map_err(error_text)
        }
        Rooms::Info { .. } => Err("Say which room.".to_owned()),
        Rooms::Alias(command) => alias::run(services, command).await,
        Rooms::Directory(command) => directory::run(services, command).await,
        Rooms::Moderation(command) => end::moderate(services, command, below).await,
        Rooms::Delete { room, force } => end::delete(services, &room, force).await,
        Rooms::PruneEmpty { force } => end::prune(services, force).await,
        Rooms::PurgeUser {
            user,
            regex,
            sole_member,
            dry_run,
        } => {
            let wanted = end::PurgeQuery {
                whose: end::parse_user_match(services, &user, regex)?,
                sole_member,
            };
            end::purge(services, &wanted, dry_run).await
        }
    }
}

/// A room as lists show it.
struct RoomRow {
    room: OwnedRoomId,
    members: usize,
    name: String,
}

impl RoomRow {
    fn of(services: &Services, room: OwnedRoomId) -> ServerResult<Self> {
        let state = services.rooms.state(&room);
        let name = state.content::<RoomNameEventContent>(&StateEventType::RoomName, "")?;
        Ok(Self {
            name: name.map(|content| content.name).unwrap_or_default(),
            members: services.rooms.joined_members(&room)?.len(),
            room,
        })
    }
}

impl std::fmt::Display for RoomRow {
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
fn page(services: &Services, rooms: Vec<OwnedRoomId>, page: usize) -> ServerResult<Vec<RoomRow>> {
    let lines = rooms.into_iter().map(|room| RoomRow::of(services, room));
    let mut lines = lines.collect::<ServerResult<Vec<_>>>()?;
    lines.sort_by_key(|line| Reverse(line.members));
    let skipped = page.saturating_sub(1).saturating_mul(PAGE);
    Ok(lines.into_iter().skip(skipped).take(PAGE).collect())
}

/// All rooms, or only those that are banned or not.
fn known(services: &Services, banned: Option<bool>) -> ServerResult<Vec<OwnedRoomId>> {
    let mut rooms = Vec::new();
    for row in services.store.scan::<tables::Rooms>(()) {
        let ((room,), record) = row?;
        if banned.is_none_or(|banned| banned == record.banned) {
            rooms.push(room);
        }
    }
    Ok(rooms)
}

fn all(
    services: &Services,
    number: usize,
    exclude_banned: bool,
    no_details: bool,
) -> Result<String, String> {
    let rooms = known(services, exclude_banned.then_some(false)).map_err(error_text)?;
    let lines = page(services, rooms, number).map_err(error_text)?;
    if lines.is_empty() {
        return Err("No more rooms.".to_owned());
    }
    Ok(table(
        &format!("Rooms ({}):", lines.len()),
        &lines,
        no_details,
    ))
}

fn table(heading: &str, lines: &[RoomRow], no_details: bool) -> String {
    if no_details {
        return list(heading, lines.iter().map(|line| &line.room));
    }
    list(heading, lines)
}

fn info(services: &Services, room: &RoomId) -> ServerResult<String> {
    let record = services.rooms.record(room)?;
    let record = record.ok_or_else(|| Error::not_found("There is no such room"))?;
    let state = services.rooms.state(room);
    let topic = state.content::<RoomTopicEventContent>(&StateEventType::RoomTopic, "")?;
    let mut facts = vec![
        RoomRow::of(services, room.to_owned())?.to_string(),
        format!("version: {}", record.version),
        format!("creator: {}", record.creator),
    ];
    facts.extend(topic.map(|content| format!("topic: {}", content.topic)));
    let names = aliases::of_room(&services.rooms, room)?;
    facts.extend(names.iter().map(|alias| format!("alias: {alias}")));
    let rules = services.rooms.rules(room)?;
    let levels = state.power_levels(&rules)?;
    for member in services.rooms.joined_members(room)? {
        if levels.for_user(&member) >= levels.state_default {
            facts.push(format!("admin: {member}"));
        }
    }
    if record.banned {
        facts.push("banned".to_owned());
    }
    Ok(list("", facts).trim_start().to_owned())
}

fn topic(services: &Services, room: &RoomId) -> ServerResult<String> {
    let state = services.rooms.state(room);
    let topic = state.content::<RoomTopicEventContent>(&StateEventType::RoomTopic, "")?;
    Ok(match topic {
        Some(content) => format!("Room topic:\n{}", block(&content.topic)),
        None => "Room does not have a room topic set.".to_owned(),
    })
}

fn members(services: &Services, room: &RoomId) -> ServerResult<String> {
    let mut members = Vec::new();
    for row in services.store.scan::<tables::Members>((room,)) {
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
pub(super) async fn resolve_room(
    services: &Services,
    room: &RoomOrAliasId,
) -> ServerResult<OwnedRoomId> {
    let room = aliases::resolve_room_or_alias(&services.rooms, room).await?;
    if services.rooms.exists(&room)? {
        return Ok(room);
    }
    Err(Error::not_found("There is no such room"))
}
