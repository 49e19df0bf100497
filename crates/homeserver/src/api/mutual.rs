//! The rooms that the caller shares with somebody else.
//!
//! Spec: <https://github.com/matrix-org/matrix-spec-proposals/pull/2666>

use ruma::api::client::membership::get_mutual_rooms;

use crate::{
    error::{Error, Result},
    http::{Call, Routes},
    server::Server,
};

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add(mutual_rooms)
}

async fn mutual_rooms(
    server: Server,
    call: Call<get_mutual_rooms::unstable::Request>,
) -> Result<get_mutual_rooms::unstable::Response> {
    let other = &call.body.user_id;
    if *other == call.caller.user_id {
        return Err(Error::invalid("You are in all of your own rooms"));
    }
    let mut shared = Vec::new();
    for room in server.rooms.joined_rooms(&call.caller.user_id)? {
        if server.rooms.is_joined(&room, other)? {
            shared.push(room);
        }
    }
    Ok(get_mutual_rooms::unstable::Response::new(shared))
}
