//! What was said while the bridge was down: makes sure that the homeserver passes it on.
//!
//! Tuwunel up to 1.8.2 keeps its queue for an application service until the next event for it; a ping does not count. So the bot
//! sends an event of its own at each start, see [`START_EVENT_TYPE`], whose echo brings everything before it. Where even that does
//! not come back, the rooms themselves are read: admission leaves out what was admitted before.

use std::time::Duration;

use ruma::{OwnedEventId, OwnedRoomId, RoomId};
use serde::Deserialize;
use tracing::{debug, info, warn};

use crate::{
    appservice::AppserviceState,
    journal::{JournalError, RoomKind, RoomRecord, SendId},
    matrix::{Actor, Homeserver, MatrixError, START_EVENT_TYPE},
    time::Millis,
    turns::messages::to_raw_json,
    workers::Tasks,
};

/// How long the echo of the start event may take.
const ECHO_WAIT: Duration = Duration::from_secs(10);
/// How many events of a room are read at once.
const PAGE_EVENTS: u32 = 100;
/// How many pages of a room are read at most.
const PAGES_MAX: usize = 10;
/// How far the clocks of homeserver and bridge may be apart, in milliseconds.
const CLOCK_SKEW_MS: u64 = 60_000;

/// Why missed events could not be read.
#[derive(Debug, thiserror::Error)]
enum BacklogError {
    #[error("could not read or write the journal")]
    Journal(#[from] JournalError),
    #[error("could not read a room or send an event")]
    Matrix(#[from] MatrixError),
}

/// The few fields of an event that tell whether it was missed.
#[derive(Deserialize)]
struct Stamp {
    event_id: OwnedEventId,
    origin_server_ts: u64,
}

/// Brings the homeserver's queue to move, or reads what is in it. `last` is when the last event was admitted before this start.
/// Runs once, beside everything else.
pub(super) async fn catch_up(
    homeserver: Homeserver,
    appservice: AppserviceState,
    last: Millis,
    tasks: Tasks,
) {
    let outcome = tokio::select! {
        outcome = release_or_read(&homeserver, &appservice, last) => outcome,
        () = tasks.closing() => return,
    };
    if let Err(failure) = outcome {
        warn!(
            error = &failure as &dyn std::error::Error,
            "could not catch up; events that came while the bridge was down may come late"
        );
    }
}

async fn release_or_read(
    homeserver: &Homeserver,
    appservice: &AppserviceState,
    last: Millis,
) -> Result<(), BacklogError> {
    let rooms = appservice.journal.rooms()?;
    let space = appservice.journal.space()?.map(|space| space.room);
    let Some(event) = send_start_event(homeserver, appservice, space.as_deref(), &rooms).await?
    else {
        return Ok(());
    };
    let echo = tokio::time::timeout(ECHO_WAIT, appservice.start_echo.received(&event));
    if echo.await.is_ok() {
        debug!(event.id = %event, "the homeserver passes on events");
        return Ok(());
    }
    warn!(
        event.id = %event, rooms = rooms.len(),
        "the homeserver does not pass on events, not even our own; reading the rooms"
    );
    let mut missed = 0;
    for (room, record) in &rooms {
        match read_room(homeserver, appservice, (room, record), last).await {
            Ok(new) => missed += new,
            Err(BacklogError::Matrix(failure)) => {
                warn!(room.id = %room, error = &failure as &dyn std::error::Error, "could not read a room");
            }
            Err(failure) => return Err(failure),
        }
    }
    info!(missed, "read what was said while the bridge was down");
    Ok(())
}

/// Sends the event of this start: as state to the space, else as a message that no client shows to the first room that takes it.
async fn send_start_event(
    homeserver: &Homeserver,
    appservice: &AppserviceState,
    space: Option<&RoomId>,
    rooms: &[(OwnedRoomId, RoomRecord)],
) -> Result<Option<OwnedEventId>, BacklogError> {
    let now = Millis::now();
    if let Some(space) = space {
        match homeserver.send_start_state(space, now).await {
            Ok(event) => return Ok(Some(event)),
            Err(failure) if failure.is_permanent() => debug!(
                room.id = %space, error = &failure as &dyn std::error::Error,
                "could not send the start event to the space"
            ),
            Err(failure) => return Err(failure.into()),
        }
    }
    for (room, record) in rooms {
        let ghost = ghost_in(appservice, record);
        let actor = ghost.as_deref().map_or(Actor::Bot, Actor::Ghost);
        let send_id = SendId::of(&["start", room.as_str(), &now.0.to_string()]);
        let content = to_raw_json(&serde_json::json!({ "started_at": now.0 }));
        match homeserver
            .send(actor, room, START_EVENT_TYPE, &send_id, content)
            .await
        {
            Ok(event) => return Ok(Some(event)),
            Err(failure) if failure.is_permanent() => {}
            Err(failure) => return Err(failure.into()),
        }
    }
    Ok(None)
}

/// Admits what a room has that came after the last admitted event. Answers how much that was.
async fn read_room(
    homeserver: &Homeserver,
    appservice: &AppserviceState,
    (room, record): (&RoomId, &RoomRecord),
    last: Millis,
) -> Result<usize, BacklogError> {
    let ghost = ghost_in(appservice, record);
    let actor = ghost.as_deref().map_or(Actor::Bot, Actor::Ghost);
    let (mut missed, mut from) = (Vec::new(), None);
    'pages: for _ in 0..PAGES_MAX {
        let (events, next) = homeserver
            .events_before(actor, room, from, PAGE_EVENTS)
            .await?;
        for event in events {
            let Ok(stamp) = serde_json::from_str::<Stamp>(event.get()) else {
                continue;
            };
            let is_old = stamp.origin_server_ts.saturating_add(CLOCK_SKEW_MS) < last.0;
            match appservice.journal.admitted_at(&stamp.event_id)? {
                None if !is_old => missed.push(event),
                // It came meanwhile; what was missed may lie before it.
                Some(at) if at > last => {}
                _ => break 'pages,
            }
        }
        from = match next {
            Some(next) => Some(next),
            None => break,
        };
    }
    missed.reverse();
    Ok(appservice.admit(missed).await?)
}

/// The ghost that is in a room; `None` where the bot is.
fn ghost_in(appservice: &AppserviceState, record: &RoomRecord) -> Option<ruma::OwnedUserId> {
    let agent = match (&record.kind, record.guests.keys().next()) {
        _ if record.bot => return None,
        (RoomKind::Home { agent }, _) | (_, Some(agent)) => agent,
        _ => return None,
    };
    Some(appservice.identity.ghost(agent))
}
