//! Events that wait. Proposal: <https://github.com/matrix-org/matrix-spec-proposals/pull/4140>

use std::time::Duration;

use ruma::{
    api::client::delayed_events::{
        DelayedEventData, get_all_delayed_events, get_delayed_event, send_delayed_event,
        update_delayed_event::{UpdateAction, unstable_v1, unstable_v2},
    },
    serde::Raw,
};

use crate::{
    error::{Error, Result},
    http::{Call, Routes},
    rooms::{self, Draft, delayed, record::DelayedEvent, send::Txn},
    services::{AppState, Services},
};

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .add(schedule)
        .add(list)
        .add(get)
        .add(update)
        .add(update_by_path)
}

async fn schedule(
    services: AppState,
    call: Call<send_delayed_event::unstable::Request>,
) -> Result<send_delayed_event::unstable::Response> {
    rooms::check_not_suspended(&services.rooms, &call.caller)?;
    let body = call.body;
    let txn = Txn {
        scope: format!("send {} {}", body.room_id, body.event_type),
        id: body.txn_id.to_string(),
    };
    let user = call.caller.user_id.clone();
    let mut draft = Draft::message(user, body.event_type, body.content.into_json());
    draft.state_key = body.state_key;
    let delay = u64::try_from(body.delay.as_millis()).unwrap_or(u64::MAX);
    let (caller, room) = (&call.caller, &body.room_id);
    let id = delayed::schedule(&services.rooms, caller, room, draft, delay, Some(&txn)).await?;
    Ok(send_delayed_event::unstable::Response::new(id))
}

async fn list(
    services: AppState,
    call: Call<get_all_delayed_events::unstable::Request>,
) -> Result<get_all_delayed_events::unstable::Response> {
    let events = delayed::of_user(&services.rooms, &call.caller.user_id)?;
    Ok(get_all_delayed_events::unstable::Response::new(
        events.into_iter().map(shown).collect(),
    ))
}

async fn get(
    services: AppState,
    call: Call<get_delayed_event::unstable::Request>,
) -> Result<get_delayed_event::unstable::Response> {
    let events = delayed::of_user(&services.rooms, &call.caller.user_id)?;
    let event = events.into_iter().find(|(id, _)| *id == call.body.delay_id);
    let event = event.ok_or_else(|| Error::not_found("No event of yours waits with this id"))?;
    Ok(get_delayed_event::unstable::Response::new(shown(event)))
}

fn shown((id, event): (String, DelayedEvent)) -> DelayedEventData {
    DelayedEventData::new(
        id,
        event.room,
        event.kind,
        event.state_key,
        Raw::from_json(event.content),
        Duration::from_millis(event.delay_ms),
        event.running_since,
    )
}

async fn update(
    services: AppState,
    call: Call<unstable_v1::Request>,
) -> Result<unstable_v1::Response> {
    act(&services, &call.body.delay_id, &call.body.action).await?;
    Ok(unstable_v1::Response::new())
}

/// Needs no token: who knows the id may do it, even a client that cannot log in any more.
async fn update_by_path(
    services: AppState,
    call: Call<unstable_v2::Request>,
) -> Result<unstable_v2::Response> {
    // An unknown action is a path that there is not.
    if matches!(
        call.body.action,
        UpdateAction::Restart | UpdateAction::Send | UpdateAction::Cancel
    ) {
        act(&services, &call.body.delay_id, &call.body.action).await?;
        return Ok(unstable_v2::Response::new());
    }
    Err(Error::unrecognized())
}

async fn act(services: &Services, id: &str, action: &UpdateAction) -> Result<()> {
    match action {
        UpdateAction::Restart => delayed::restart(&services.rooms, id).await,
        UpdateAction::Send => delayed::send_now(&services.rooms, id).await,
        UpdateAction::Cancel => delayed::cancel(&services.rooms, id).await,
        _ => Err(Error::invalid(
            "An event that waits is sent, restarted or cancelled",
        )),
    }
}
