//! Commands about the tags that rooms have for somebody.

use ruma::{RoomId, UserId, events::tag::TagInfo};

use crate::{
    admin::answer::{block, error_text},
    services::Services,
    sync::tags,
};

pub(super) async fn put(
    services: &Services,
    user: &UserId,
    room: &RoomId,
    tag: &str,
) -> Result<String, String> {
    let changed = tags::change(&services.sync, user, room, |tags| {
        tags.insert(tag.into(), TagInfo::new());
    });
    changed.await.map_err(error_text)?;
    Ok(format!(
        "Successfully updated room account data for {user} and room {room} with tag {tag}"
    ))
}

pub(super) async fn delete(
    services: &Services,
    user: &UserId,
    room: &RoomId,
    tag: &str,
) -> Result<String, String> {
    let changed = tags::change(&services.sync, user, room, |tags| {
        tags.remove(&tag.into());
    });
    changed.await.map_err(error_text)?;
    Ok(format!(
        "Successfully updated room account data for {user} and room {room}, deleting room tag {tag}"
    ))
}

pub(super) fn get(services: &Services, user: &UserId, room: &RoomId) -> Result<String, String> {
    let tags = tags::get(&services.sync, user, room).map_err(error_text)?;
    let json = serde_json::to_string_pretty(&tags).map_err(|error| error.to_string())?;
    Ok(block(&json))
}
