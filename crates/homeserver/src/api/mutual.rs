//! The rooms that the caller shares with somebody else.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1mutual_rooms>; before it was specified, it was
//! <https://github.com/matrix-org/matrix-spec-proposals/pull/2666>.

use ruma::{
    OwnedRoomId, UInt, UserId,
    api::client::membership::get_mutual_rooms::{unstable, v1},
};

use crate::{
    caller::Caller,
    error::{Error, Result},
    http::{Call, Routes},
    services::{AppState, Services},
};

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add(specified).add(proposed)
}

async fn specified(services: AppState, call: Call<v1::Request>) -> Result<v1::Response> {
    if call.body.from.is_some() {
        return Err(Error::invalid("All rooms are in the first answer"));
    }
    let shared = shared(&services, &call.caller, &call.body.user_id)?;
    let count = UInt::try_from(shared.len()).unwrap_or(UInt::MAX);
    Ok(v1::Response::new(count, shared))
}

async fn proposed(services: AppState, call: Call<unstable::Request>) -> Result<unstable::Response> {
    let shared = shared(&services, &call.caller, &call.body.user_id)?;
    Ok(unstable::Response::new(shared))
}

fn shared(services: &Services, caller: &Caller, other: &UserId) -> Result<Vec<OwnedRoomId>> {
    if *other == caller.user_id {
        return Err(Error::invalid("You are in all of your own rooms"));
    }
    let mut shared = Vec::new();
    for room in services.rooms.joined_rooms(&caller.user_id)? {
        if services.rooms.is_joined(&room, other)? {
            shared.push(room);
        }
    }
    Ok(shared)
}
