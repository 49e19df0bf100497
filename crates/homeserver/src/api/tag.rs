//! Tags of rooms.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#room-tagging>

use ruma::api::client::tag::{create_tag, delete_tag, get_tags};

use super::account_data::check_own_user;
use crate::{
    error::Result,
    http::{Call, Routes},
    services::AppState,
    sync::tags,
};

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add(get).add(create).add(delete)
}

async fn get(
    services: AppState,
    call: Call<get_tags::v3::Request>,
) -> Result<get_tags::v3::Response> {
    check_own_user(&call.caller, &call.body.user_id)?;
    let tags = tags::get(&services.sync, &call.body.user_id, &call.body.room_id)?;
    Ok(get_tags::v3::Response::new(tags))
}

async fn create(
    services: AppState,
    call: Call<create_tag::v3::Request>,
) -> Result<create_tag::v3::Response> {
    let request = call.body;
    check_own_user(&call.caller, &request.user_id)?;
    tags::change(&services.sync, &request.user_id, &request.room_id, |tags| {
        tags.insert(request.tag.into(), request.tag_info);
    })
    .await?;
    Ok(create_tag::v3::Response::new())
}

async fn delete(
    services: AppState,
    call: Call<delete_tag::v3::Request>,
) -> Result<delete_tag::v3::Response> {
    let request = call.body;
    check_own_user(&call.caller, &request.user_id)?;
    tags::change(&services.sync, &request.user_id, &request.room_id, |tags| {
        tags.remove(&request.tag.into());
    })
    .await?;
    Ok(delete_tag::v3::Response::new())
}
