//! The state of a room: reading all of it or one event, and setting one.
//!
//! Paths without a state key, with and without a slash at the end, mean the empty one.
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#getting-events-for-a-room>

use ruma::{
    api::client::state::{
        get_state_event_for_key::{self, v3::StateEventFormat},
        get_state_events, send_state_event,
    },
    events::TimelineEventType,
};

use super::send_or_delay::{SendOrDelay, SendOutcome, delay_ms};
use crate::{
    error::{Error, Result},
    http::{Call, Routes},
    rooms::{self, Draft, delayed, present, send::send},
    services::AppState,
};

pub(super) fn routes(routes: Routes) -> Routes {
    let mut routes = routes.add(all).add(one).add(set);
    for path in [
        "/_matrix/client/r0/rooms/{room_id}/state/{event_type}",
        "/_matrix/client/r0/rooms/{room_id}/state/{event_type}/",
        "/_matrix/client/v3/rooms/{room_id}/state/{event_type}",
        "/_matrix/client/v3/rooms/{room_id}/state/{event_type}/",
    ] {
        routes = routes.add_path(path, &[""], one).add_path(path, &[""], set);
    }
    routes
}

async fn all(
    services: AppState,
    call: Call<get_state_events::v3::Request>,
) -> Result<get_state_events::v3::Response> {
    let rooms = &services.rooms;
    let state = rooms::readable_state(rooms, &call.caller.user_id, &call.body.room_id)?;
    let viewer = present::Viewer::from(&call.caller);
    let events = state.all()?;
    let events = events.iter().map(|pdu| present::state(rooms, pdu, &viewer));
    Ok(get_state_events::v3::Response::new(
        events.collect::<Result<_>>()?,
    ))
}

async fn one(
    services: AppState,
    call: Call<get_state_event_for_key::v3::Request>,
) -> Result<get_state_event_for_key::v3::Response> {
    let (body, rooms) = (&call.body, &services.rooms);
    let state = rooms::readable_state(rooms, &call.caller.user_id, &body.room_id)?;
    let pdu = state
        .get(&body.event_type, &body.state_key)?
        .ok_or_else(|| Error::not_found("The room has no such state"))?;
    let viewer = present::Viewer::from(&call.caller);
    let answer = match body.format {
        StateEventFormat::Event => present::state(rooms, &pdu, &viewer)?.into_json(),
        _ => pdu.content.clone(),
    };
    Ok(get_state_event_for_key::v3::Response::new(answer))
}

async fn set(
    services: AppState,
    call: Call<SendOrDelay<send_state_event::v3::Request>>,
) -> Result<SendOutcome> {
    rooms::check_not_suspended(&services.rooms, &call.caller)?;
    let body = call.body.request;
    let mut draft = Draft::message(
        call.caller.user_id.clone(),
        TimelineEventType::from(body.event_type.to_string()),
        body.body.into_json(),
    );
    draft.state_key = Some(body.state_key);
    draft.time = call.facts.massaged_time(&call.caller)?;
    let (caller, room) = (&call.caller, &body.room_id);
    if let Some(delay) = delay_ms(&call.facts)? {
        let id = delayed::schedule(&services.rooms, caller, room, draft, delay, None).await?;
        return Ok(SendOutcome::Delayed(id));
    }
    let event = send(&services.rooms, caller, room, draft, None).await?;
    Ok(SendOutcome::Sent(event, None))
}
