//! Sliding sync: a client says which part of its room list it looks at, and gets that first.
//!
//! A `Connection` remembers what a client was told of each room, so that a room is sent when it has news for this
//! client and never else: an answer that says nothing new is given only when the client's patience is over. What was told is a
//! `Snapshot`; a request names the one that it builds on, and an answer that got lost is made again from
//! the same. Spec: <https://github.com/matrix-org/matrix-spec-proposals/pull/4186>

use std::time::Duration;

use homeserver_model::sliding::{
    filter, list, required,
    sync_request::{self, SyncRequest},
};
use ruma::{
    DeviceId, UserId,
    api::{
        client::sync::sync_events::v5::{Request, Response},
        error::ErrorKind,
    },
};
use system::connections::Connection;
use tokio::time::Instant;

use crate::{
    caller::Caller,
    error::{Error, Result},
    sync::SyncContext,
};

mod connection;
mod draft;
mod extensions;
mod room;
mod room_info;
mod timeline;
mod user_rooms;

use connection::{ConnectionKey, Connections};
use draft::ResponseDraft;
use room_info::RoomInfoCache;

/// What sliding sync keeps in memory. A restart forgets it, and clients begin anew.
#[derive(Debug, Default)]
pub struct SlidingSync {
    connections: Connections,
    facts: RoomInfoCache,
}

impl SlidingSync {
    /// Forgets what a device was told, because it is gone.
    pub fn forget(&self, user: &UserId, device: &DeviceId) {
        self.connections.end_device(user, device);
    }
}

/// Answers one request: at once if there is news for this connection, else when there is, or when the client does not want to
/// wait any longer.
///
/// # Errors
///
/// 400 `M_UNKNOWN_POS` if the connection does not know the position any more: the client begins anew.
pub async fn answer(
    ctx: &SyncContext,
    caller: &Caller,
    request: Request,
    bytes: &[u8],
    connection: Option<&Connection>,
) -> Result<Response> {
    let name = sync_request::connection_name(&request)?;
    let key = ConnectionKey::new(&caller.user_id, &caller.sender_key(), &name);
    let connections = &ctx.sliding.connections;
    let base = connections
        .base(&key, request.pos.as_deref())
        .ok_or_else(unknown_pos)?;
    ctx.presence
        .synced(&caller.user_id, &request.set_presence)?;
    let deadline = Instant::now() + patience(ctx, &request);
    let sync_request = SyncRequest::new(caller.into(), request, bytes)?;
    extensions::to_device::acknowledge(ctx, &sync_request).await?;

    let mut watcher = ctx.stream.watch(&caller.user_id);
    loop {
        let now = ctx.stream.visible();
        let device = caller.device_id.as_deref();
        ctx.pending_sends.answered(&caller.user_id, device).await;
        let draft = ResponseDraft::read(ctx, &sync_request, &base, now).await?;
        ctx.accounts
            .check_still_logged_in(&caller.user_id, device)?;
        let left = deadline.saturating_duration_since(Instant::now());
        let waits = async {
            let user = &caller.user_id;
            let wait = watcher.wait(left);
            let waiting = ctx.waiting_syncs.wait(user, device, connection, wait);
            waiting.await == Some(true)
        };
        if draft.has_changes || left.is_zero() || !waits.await {
            let mut response = draft.response;
            response.pos = connections.store_response(&key, &base, draft.next);
            return Ok(response);
        }
    }
}

/// How long the client waits for news. Never longer than it says: clients that were woken by a push wait for a second, and then
/// hang up.
fn patience(ctx: &SyncContext, request: &Request) -> Duration {
    match (&request.pos, request.timeout) {
        // The first answer of a connection tells the client how things are, even if nothing is.
        (None, _) | (_, None) => Duration::ZERO,
        (Some(_), Some(asked)) => asked.min(ctx.config.client_sync_timeout_max),
    }
}

fn unknown_pos() -> Error {
    Error::bad_request(
        ErrorKind::UnknownPos,
        "This connection does not know this position any more: begin anew",
    )
}

#[cfg(test)]
mod tests;
