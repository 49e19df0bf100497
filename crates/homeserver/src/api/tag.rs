//! Tags of rooms, which are account data of the type `m.tag`.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#room-tagging>

use ruma::{
    RoomId, UserId,
    api::client::tag::{create_tag, delete_tag, get_tags},
    events::tag::{TagEventContent, Tags},
};
use serde_json::value::to_raw_value;

use super::account_data::own;
use crate::{
    error::Result,
    http::{Call, Routes},
    server::Server,
    sync::account_data,
};

/// The type of the account data that tags are in.
const TAG: &str = "m.tag";

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add(get).add(create).add(delete)
}

fn load(server: &Server, user: &UserId, room: &RoomId) -> Result<Tags> {
    let stored = account_data::get(&server.store, user, Some(room), TAG)?;
    Ok(stored
        .and_then(|datum| serde_json::from_str::<TagEventContent>(datum.content.get()).ok())
        .map(|content| content.tags)
        .unwrap_or_default())
}

async fn change(
    server: &Server,
    user: &UserId,
    room: &RoomId,
    change: impl FnOnce(&mut Tags),
) -> Result<()> {
    let _turn = server.serial.of(user).await;
    let mut tags = load(server, user, room)?;
    change(&mut tags);
    let content = to_raw_value(&TagEventContent::new(tags))?;
    let (store, stream) = (&server.store, &server.stream);
    account_data::set(store, stream, user, Some(room), TAG, content).await?;
    Ok(())
}

async fn get(server: Server, call: Call<get_tags::v3::Request>) -> Result<get_tags::v3::Response> {
    own(&call.caller, &call.body.user_id)?;
    let tags = load(&server, &call.body.user_id, &call.body.room_id)?;
    Ok(get_tags::v3::Response::new(tags))
}

async fn create(
    server: Server,
    call: Call<create_tag::v3::Request>,
) -> Result<create_tag::v3::Response> {
    let request = call.body;
    own(&call.caller, &request.user_id)?;
    change(&server, &request.user_id, &request.room_id, |tags| {
        tags.insert(request.tag.into(), request.tag_info);
    })
    .await?;
    Ok(create_tag::v3::Response::new())
}

async fn delete(
    server: Server,
    call: Call<delete_tag::v3::Request>,
) -> Result<delete_tag::v3::Response> {
    let request = call.body;
    own(&call.caller, &request.user_id)?;
    change(&server, &request.user_id, &request.room_id, |tags| {
        tags.remove(&request.tag.into());
    })
    .await?;
    Ok(delete_tag::v3::Response::new())
}
