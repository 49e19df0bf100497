//! Messages to the device, kept until the client says with `since` that it has them.
//!
//! Spec: <https://github.com/matrix-org/matrix-spec-proposals/pull/3885>

use ruma::api::client::sync::sync_events::v5::response;

use super::Answer;
use crate::{
    error::{Error, Result},
    keys::to_device,
    limits::SLIDING_TO_DEVICE_MAX,
    stream::Position,
    sync::SyncContext,
    sync::sliding::sync_request::SyncRequest,
};

/// How many messages are sent at once where the client does not say.
const MESSAGES_DEFAULT: usize = 100;
/// The position up to which the client has its messages.
fn since(sync_request: &SyncRequest) -> Result<Option<Position>> {
    let since = sync_request.extensions.to_device.since.as_deref();
    let parsed = since.map(|since| since.parse().map(Position)).transpose();
    parsed.map_err(|_| Error::invalid("the since of to_device is a next_batch of to_device"))
}

/// Forgets the messages that the client has.
pub(in crate::sync::sliding) async fn acknowledge(
    ctx: &SyncContext,
    sync_request: &SyncRequest,
) -> Result<()> {
    let is_on = sync_request.extensions.to_device.enabled == Some(true);
    let (true, Some(since), Some(device)) =
        (is_on, since(sync_request)?, &sync_request.viewer.device_id)
    else {
        return Ok(());
    };
    let mut batch = ctx.store.batch();
    to_device::delete_up_to(&ctx.store, &mut batch, sync_request.user(), device, since)?;
    if !batch.is_empty() {
        ctx.store.commit(batch).await?;
    }
    Ok(())
}

pub(super) fn fill(answer: &mut Answer<'_>) -> Result<bool> {
    let Some(device) = &answer.sync_request.viewer.device_id else {
        return Ok(false);
    };
    let asked = &answer.sync_request.extensions.to_device;
    let limit = asked.limit.map_or(MESSAGES_DEFAULT, |limit| {
        usize::try_from(limit).map_or(SLIDING_TO_DEVICE_MAX, |limit| {
            limit.clamp(1, SLIDING_TO_DEVICE_MAX)
        })
    });
    let (store, now) = (&answer.ctx.store, answer.next.position);
    let after = since(answer.sync_request)?.unwrap_or_default();
    let pending = to_device::pending(store, answer.sync_request.user(), device, after, now, limit)?;
    // A client that comes from the future keeps its place.
    let last = pending.stopped_at().unwrap_or_else(|| now.max(after));
    let mut response = response::ToDevice::default();
    response.next_batch = last.to_string();
    let messages = pending.messages.into_iter();
    response.events = messages.map(|(_, message)| message).collect();
    let has_changes = !response.events.is_empty();
    answer.extensions.to_device = Some(response);
    Ok(has_changes)
}
