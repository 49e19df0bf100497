//! Spaces. Spec: <https://spec.matrix.org/v1.19/client-server-api/#spaces>

use ruma::api::client::space::get_hierarchy;

use crate::{
    error::Result,
    http::{Call, Routes},
    rooms::hierarchy::{Query, page},
    services::AppState,
};

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add(hierarchy)
}

async fn hierarchy(
    services: AppState,
    call: Call<get_hierarchy::v1::Request>,
) -> Result<get_hierarchy::v1::Response> {
    let body = call.body;
    let query = Query {
        from: body.from,
        limit: body.limit.map(u64::from),
        max_depth: body.max_depth.map(u64::from),
        suggested_only: body.suggested_only,
    };
    let user = &call.caller.user_id;
    let (rooms, next) = page(&services.rooms, user, &body.room_id, &query)?;
    let mut response = get_hierarchy::v1::Response::new();
    response.rooms = rooms;
    response.next_batch = next;
    Ok(response)
}
