//! Single events: by their id, with what is around them, and by their time.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#getting-events-for-a-room>

use std::sync::Arc;

use ruma::{
    EventId, RoomId,
    api::{
        Direction,
        client::{
            context::get_context,
            room::{get_event_by_timestamp, get_room_event},
        },
    },
    events::TimelineEventType,
};

use super::messages::{lazy_members, timeline};
use crate::{
    error::{Error, Result},
    http::{Call, Routes},
    rooms::{
        self, Pdu, RoomState, filter,
        pagination::{self, PageRequest, PaginationToken, TimelineReader},
        present::{self, Viewer},
    },
    services::{AppState, Services},
};

/// How many events are around one if the request does not say.
const CONTEXT_DEFAULT_EVENTS: usize = 10;

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add(event).add(context).add(by_time)
}

/// The event, if the reader may see it. 404 says nothing about whether it exists.
pub(super) fn visible_event(
    services: &Services,
    reader: &TimelineReader<'_>,
    room: &RoomId,
    event: &EventId,
) -> Result<Arc<Pdu>> {
    services
        .rooms
        .event(event)?
        .filter(|pdu| pdu.room_id == room && reader.may_see(pdu))
        .ok_or_else(no_such_event)
}

fn no_such_event() -> Error {
    Error::not_found("There is no such event, or you may not read it")
}

async fn event(
    services: AppState,
    call: Call<get_room_event::v3::Request>,
) -> Result<get_room_event::v3::Response> {
    let room = &call.body.room_id;
    // Of a room that the caller never was in, it is not even said whether there is such an event.
    let reader = TimelineReader::new(&services.rooms, &call.caller.user_id, room);
    let reader = reader.map_err(|error| match error {
        Error::Refused(_) => no_such_event(),
        error => error,
    })?;
    let pdu = visible_event(&services, &reader, room, &call.body.event_id)?;
    let shown = present::timeline(&services.rooms, &pdu, &Viewer::from(&call.caller))?;
    Ok(get_room_event::v3::Response::new(shown))
}

async fn context(
    services: AppState,
    call: Call<get_context::v3::Request>,
) -> Result<get_context::v3::Response> {
    let (body, rooms) = (&call.body, &services.rooms);
    let viewer = Viewer::from(&call.caller);
    let reader = TimelineReader::new(rooms, &viewer.user_id, &body.room_id)?;
    let pdu = visible_event(&services, &reader, &body.room_id, &body.event_id)?;
    let limit = pagination::page_limit(Some(body.limit), CONTEXT_DEFAULT_EVENTS);
    let mut asked = PageRequest {
        direction: Direction::Backward,
        from: Some(PaginationToken(pdu.position.before())),
        to: None,
        limit: limit / 2,
        filter: &body.filter,
    };
    let before = reader.page(&asked)?;
    asked.direction = Direction::Forward;
    asked.from = Some(PaginationToken(pdu.position));
    asked.limit = limit - limit / 2;
    let after = reader.page(&asked)?;

    let last = after.events.last().unwrap_or(&pdu).clone();
    let first = before.events.last().unwrap_or(&pdu);
    let mut response = get_context::v3::Response::new();
    response.start = Some(PaginationToken(first.position.before()).to_string());
    response.end = Some(PaginationToken(last.position).to_string());
    response.events_before = timeline(&services, &before.events, &viewer)?;
    response.events_after = timeline(&services, &after.events, &viewer)?;
    response.event = Some(present::timeline(rooms, &pdu, &viewer)?);
    let shown = before.events.iter().chain(&after.events).chain([&pdu]);
    // Who has left sees no newer state, whatever event may be seen.
    let state =
        rooms::readable_state(rooms, &viewer.user_id, &body.room_id)?.not_after(last.position);
    response.state = state_around(body, &state, shown)?
        .iter()
        .map(|pdu| present::state(rooms, pdu, &viewer))
        .collect::<Result<_>>()?;
    Ok(response)
}

/// The state that is shown around an event; of the members only those who sent something, if the client says that this is enough.
fn state_around<'a>(
    asked: &get_context::v3::Request,
    state_then: &RoomState,
    shown: impl Iterator<Item = &'a Arc<Pdu>>,
) -> Result<Vec<Arc<Pdu>>> {
    let mut state = state_then.all()?;
    if !asked.filter.lazy_load_options.is_disabled() {
        state.retain(|pdu| pdu.kind != TimelineEventType::RoomMember);
        state.extend(lazy_members(state_then, shown)?);
    }
    state.retain(|pdu| filter::matches(&asked.filter, pdu));
    Ok(state)
}

async fn by_time(
    services: AppState,
    call: Call<get_event_by_timestamp::v1::Request>,
) -> Result<get_event_by_timestamp::v1::Response> {
    let body = &call.body;
    let reader = TimelineReader::new(&services.rooms, &call.caller.user_id, &body.room_id)?;
    let pdu = reader
        .closest(body.dir, body.ts)?
        .ok_or_else(|| Error::not_found("There is no event on that side of that time"))?;
    Ok(get_event_by_timestamp::v1::Response::new(
        pdu.event_id.clone(),
        pdu.origin_server_ts,
    ))
}
