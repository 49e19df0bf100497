//! Shows that a ghost is typing for as long as a value lives.

use std::time::Duration;

use ruma::{OwnedRoomId, OwnedUserId};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::debug;

use crate::{
    matrix::{Homeserver, TYPING_TIMEOUT},
    workers::Tasks,
};

/// How long before a typing notice runs out it is renewed.
const RENEW_BEFORE: Duration = Duration::from_secs(10);

/// While this lives, the room sees the ghost typing.
#[must_use = "the ghost types for as long as this lives"]
pub(super) struct Typing {
    _until_dropped: DropGuard,
}

impl Typing {
    /// Begins to type.
    pub(super) fn start(
        homeserver: Homeserver,
        ghost: OwnedUserId,
        room: OwnedRoomId,
        tasks: &Tasks,
    ) -> Self {
        let over = CancellationToken::new();
        let guard = over.clone().drop_guard();
        tasks.spawn(async move {
            while !over.is_cancelled() {
                show(&homeserver, &ghost, &room, true).await;
                tokio::select! {
                    () = tokio::time::sleep(TYPING_TIMEOUT.saturating_sub(RENEW_BEFORE)) => {}
                    () = over.cancelled() => {}
                }
            }
            show(&homeserver, &ghost, &room, false).await;
        });
        Self {
            _until_dropped: guard,
        }
    }
}

async fn show(homeserver: &Homeserver, ghost: &OwnedUserId, room: &OwnedRoomId, typing: bool) {
    if let Err(error) = homeserver.set_typing(ghost, room, typing).await {
        debug!(room.id = %room, ghost = %ghost, %error, "could not send a typing notification");
    }
}
