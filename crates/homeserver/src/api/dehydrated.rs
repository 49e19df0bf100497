//! Dehydrated devices and what was sent to them.
//!
//! Spec: <https://github.com/matrix-org/matrix-spec-proposals/pull/3814>

use ruma::{
    api::client::dehydrated_device::{
        delete_dehydrated_device, get_dehydrated_device, get_events, put_dehydrated_device,
    },
    serde::Raw,
};

use crate::{
    error::{Error, Result},
    http::{Call, Routes},
    keys::{dehydrated, to_device},
    limits::DEHYDRATED_EVENTS_PER_ANSWER,
    services::AppState,
    stream::Position,
};

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add(get).add(put).add(delete).add(events)
}

async fn get(
    services: AppState,
    call: Call<get_dehydrated_device::unstable::Request>,
) -> Result<get_dehydrated_device::unstable::Response> {
    let device = dehydrated::get(&services.store, &call.caller.user_id)?;
    Ok(get_dehydrated_device::unstable::Response::new(
        device.device_id,
        Raw::from_json(device.device_data),
    ))
}

async fn put(
    services: AppState,
    call: Call<put_dehydrated_device::unstable::Request>,
) -> Result<put_dehydrated_device::unstable::Response> {
    dehydrated::set(&services.keys, &call.caller.user_id, &call.body).await?;
    Ok(put_dehydrated_device::unstable::Response::new(
        call.body.device_id,
    ))
}

async fn delete(
    services: AppState,
    call: Call<delete_dehydrated_device::unstable::Request>,
) -> Result<delete_dehydrated_device::unstable::Response> {
    let device = dehydrated::delete(&services.keys, &call.caller.user_id).await?;
    Ok(delete_dehydrated_device::unstable::Response::new(device))
}

/// The messages of the dehydrated device, page by page; a token acknowledges nothing, the device is deleted in the end.
async fn events(
    services: AppState,
    call: Call<get_events::unstable::Request>,
) -> Result<get_events::unstable::Response> {
    let (user, body) = (&call.caller.user_id, &call.body);
    if dehydrated::get(&services.store, user)?.device_id != body.device_id {
        return Err(Error::forbidden("This is not your dehydrated device"));
    }
    let after = match &body.next_batch {
        Some(token) => Position(
            token
                .parse()
                .map_err(|_| Error::invalid("next_batch is not one of ours"))?,
        ),
        None => Position::default(),
    };
    let up_to = services.stream.visible();
    let (store, device) = (&services.store, &body.device_id);
    let page = to_device::pending(
        store,
        user,
        device,
        after,
        up_to,
        DEHYDRATED_EVENTS_PER_ANSWER,
    )?;
    let page = page.messages;
    let last = page.last().map_or(after, |(position, _)| *position);
    let events = page.into_iter().map(|(_, event)| event).collect();
    let mut answer = get_events::unstable::Response::new(events);
    answer.next_batch = Some(last.to_string());
    Ok(answer)
}
