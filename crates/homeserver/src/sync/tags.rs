//! Tags of rooms, which are account data of the type `m.tag`.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#room-tagging>

use ruma::{
    RoomId, UserId,
    events::tag::{TagEventContent, Tags},
};
use serde_json::value::to_raw_value;

use crate::{
    accounts::account_data,
    error::{Error, Result},
    limits::{TAG_NAME_MAX_BYTES, TAGS_PER_ROOM},
    sync::SyncContext,
};

/// The type of the account data that tags are in.
const TAG: &str = "m.tag";

/// The tags that a room has for a user.
pub fn get(ctx: &SyncContext, user: &UserId, room: &RoomId) -> Result<Tags> {
    let stored = account_data::get(&ctx.store, user, Some(room), TAG)?;
    Ok(stored
        .and_then(|datum| serde_json::from_str::<TagEventContent>(datum.content.get()).ok())
        .map(|content| content.tags)
        .unwrap_or_default())
}

/// Changes them; one change of a user after the other.
pub async fn change(
    ctx: &SyncContext,
    user: &UserId,
    room: &RoomId,
    change: impl FnOnce(&mut Tags),
) -> Result<()> {
    let _turn = ctx.accounts.user_locks.lock(user).await;
    let mut tags = get(ctx, user, room)?;
    change(&mut tags);
    if tags.len() > TAGS_PER_ROOM
        || tags
            .keys()
            .any(|name| name.as_ref().len() > TAG_NAME_MAX_BYTES)
    {
        return Err(Error::too_large(format!(
            "Too many tags or name too long (max {TAGS_PER_ROOM} per room, {TAG_NAME_MAX_BYTES} bytes)"
        )));
    }
    let content = to_raw_value(&TagEventContent::new(tags))?;
    account_data::check(&ctx.store, user, Some(room), TAG, &content)?;
    let (store, stream) = (&ctx.store, &ctx.stream);
    account_data::set(store, stream, user, Some(room), TAG, content).await?;
    Ok(())
}
