//! Commands for whoever looks for a fault.

use ruma::{RoomId, events::StateEventType};

use super::{
    answer::{block, list},
    command::Debug,
    rooms::resolve_room,
};
use crate::{error::Error, services::Services, software::program, store::backup};

/// Where Linux says what a process takes.
const STATUS: &str = "/proc/self/status";
/// The lines of it that are about memory.
const MEMORY: [&str; 5] = ["VmPeak", "VmSize", "VmHWM", "VmRSS", "VmSwap"];

pub(super) async fn run(services: &Services, command: Debug) -> Result<String, String> {
    let error_text = |error: Error| error.to_string();
    match command {
        Debug::Ping { server: None } => Ok("Pong!".to_owned()),
        Debug::Ping {
            server: Some(server),
        } if server == services.config.server_name => {
            Ok("Pong! This is the server itself.".to_owned())
        }
        Debug::Ping {
            server: Some(server),
        } => Err(format!(
            "This server does not federate: it asks {server} nothing."
        )),
        Debug::GetPdu { event } => {
            let pdu = services.rooms.event(&event).map_err(error_text)?;
            let pdu = pdu.ok_or_else(|| "PDU not found locally.".to_owned())?;
            let object = pdu.object().map_err(error_text)?;
            serde_json::to_string_pretty(&object)
                .map(|json| format!("```json\n{json}\n```"))
                .map_err(|error| error.to_string())
        }
        Debug::GetRoomState {
            room,
            kind,
            state_key,
        } => {
            let room = resolve_room(services, &room).await.map_err(error_text)?;
            room_state(services, &room, kind, state_key.as_deref())
        }
        Debug::ChangeLogLevel { filter, reset } => {
            let filter = filter.filter(|_| !reset);
            program::set_log_filter(filter.as_deref())?;
            Ok(match filter {
                Some(filter) => format!("Successfully changed log level to {filter}"),
                None => "Successfully reset the log level to that of the configuration".to_owned(),
            })
        }
        Debug::MemoryStats { opts: _ } => memory(services),
        Debug::DatabaseStats { property, map } => {
            database(services, property.as_deref(), map.as_deref())
        }
    }
}

/// The state of a room as it is stored: all of it, that of one type, or one event.
fn room_state(
    services: &Services,
    room: &RoomId,
    kind: Option<String>,
    key: Option<&str>,
) -> Result<String, String> {
    let state = services.rooms.state(room);
    let kind = kind.map(StateEventType::from);
    let events = match (&kind, key) {
        (None, _) => state.all(),
        (Some(kind), None) => state.all_of(kind),
        (Some(kind), Some(key)) => state
            .get(kind, key)
            .map(|event| event.into_iter().collect()),
    };
    let events = events.map_err(|error| error.to_string())?;
    if events.is_empty() {
        return Err("The room has no such state.".to_owned());
    }
    let lines: Vec<_> = events.iter().map(|pdu| pdu.json.get()).collect();
    Ok(block(&lines.join("\n")))
}

fn memory(services: &Services) -> Result<String, String> {
    let tables = backup::memory(&services.store).map_err(|error| error.to_string())?;
    let mut lines = vec![format!("Tables of the database:\t{tables} B")];
    // Elsewhere than on Linux only the database says what it takes.
    let status = std::fs::read_to_string(STATUS).unwrap_or_default();
    let wanted = |line: &&str| MEMORY.iter().any(|name| line.starts_with(name));
    lines.extend(status.lines().filter(wanted).map(str::to_owned));
    Ok(list("Memory:", lines))
}

fn database(
    services: &Services,
    property: Option<&str>,
    table: Option<&str>,
) -> Result<String, String> {
    let found = services.store.statistics(property, table);
    let found = found.map_err(|error| error.to_string())?;
    if found.is_empty() {
        return Err("RocksDB has no such property, or the database no such table.".to_owned());
    }
    let lines = found
        .iter()
        .map(|(name, value)| format!("{name}:\n{}\n", value.trim_end()));
    Ok(block(&lines.collect::<String>()))
}
