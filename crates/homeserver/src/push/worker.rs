//! One pusher's way through what notified its user: one notification after the other, again and later if the gateway does not
//! take it.
//!
//! What is to be told are the rows of notifications behind the position that the pusher has come to, which is on disk. Before each
//! attempt the pusher and the rows are looked up again: what was read or deleted meanwhile is not told. A gateway that was away for
//! long is told the newest only.

use std::{sync::Weak, time::Duration};

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use ruma::{OwnedRoomId, UInt, api::client::push::PusherKind};
use tasks::{PANICS_PER_ITEM_MAX, Tasks, catch_panic};
use tokio::{sync::mpsc, time::Instant};
use tokio_util::sync::CancellationToken;

use super::{
    gateway, gateway_payload,
    pushers::{Inner, Key},
    record::{Notification, PusherProgress},
};
use crate::limits::{GATEWAY_CATCH_UP_MAX, GATEWAY_RETRY_MAX, NOTIFICATION_AGE_MAX};
use crate::{clock, error::Result, store::tables, stream::Position};

/// How long a gateway that failed is left alone at first.
const RETRY_FIRST: Duration = Duration::from_millis(500);
/// How many notifications of a user are looked at, over all rooms.
const LOOKED_AT_MAX: usize = 10_000;

/// Why a pusher looks up.
#[derive(Clone, Copy, Debug)]
pub(super) enum Wake {
    /// There may be something to tell.
    News,
    /// Its gateway may be another one: it is asked at once.
    NewAddress,
}

/// What came of one look.
enum Step {
    /// Something was told, or is not to be told any more: there may be more.
    On,
    /// There is nothing to tell.
    Idle,
    /// The gateway did not take it.
    Refused(String),
    /// There is no such pusher any more, or nobody whom it is for.
    Gone,
}

/// Tells what there is to tell, until the pusher is gone or the server ends. `running` is busy from a request to a gateway until
/// its answer is noted, so that an end in between does not ring the phone twice.
pub(super) async fn serve(
    pushers: Weak<Inner>,
    key: Key,
    mut wakes: mpsc::Receiver<Wake>,
    running: Tasks,
    stopping: CancellationToken,
) {
    let (mut delays, mut panics) = (delays(), 0);
    while !stopping.is_cancelled() {
        let step = running
            .tracker()
            .track_future(catch_panic(step(&pushers, &key)));
        let delay = match step.await {
            Ok(Ok(Step::On)) => {
                (delays, panics) = (self::delays(), 0);
                continue;
            }
            Ok(Ok(Step::Idle)) => None,
            Ok(Ok(Step::Gone)) => return forget(&pushers, &key).await,
            Ok(Ok(Step::Refused(reason))) => {
                tracing::debug!(user.id = %key.0, app = key.1, reason, "push gateway refused a notification");
                delays.next()
            }
            Ok(Err(error)) => {
                tracing::error!(%error, "could not build a notification");
                delays.next()
            }
            Err(panic) => {
                panics += 1;
                tracing::error!(user.id = %key.0, app = key.1, %panic, panics, "making a push panicked");
                if panics >= PANICS_PER_ITEM_MAX {
                    panics = 0;
                    skip_waiting(&pushers, &key).await;
                }
                delays.next()
            }
        };
        let rested = stopping.run_until_cancelled(rest(&mut wakes, delay));
        if rested.await != Some(true) {
            return;
        }
    }
}

/// Lets the pusher go on behind everything that waits now: something of it cannot be told.
async fn skip_waiting(pushers: &Weak<Inner>, key: &Key) {
    let Some(inner) = pushers.upgrade() else {
        return;
    };
    let (store, mut batch) = (inner.store.clone(), inner.store.batch());
    let progress = PusherProgress::at(inner.rooms.stream.visible());
    drop(inner);
    let noted = match batch.put::<tables::PusherProgress>((&key.0, &key.1, &key.2), &progress) {
        Ok(()) => store.commit_unsynced(batch).await,
        Err(error) => Err(error),
    };
    if let Err(error) = noted {
        tracing::error!(user.id = %key.0, app = key.1, %error, "a pusher cannot skip what panics");
    }
}

fn delays() -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(RETRY_FIRST)
        .with_max_delay(GATEWAY_RETRY_MAX)
        .without_max_times()
        .with_jitter()
        .build()
}

/// Waits so long, or until there is news if there is nothing to wait for. Says whether the pusher is still wanted.
async fn rest(wakes: &mut mpsc::Receiver<Wake>, delay: Option<Duration>) -> bool {
    let Some(delay) = delay else {
        return wakes.recv().await.is_some();
    };
    let end = Instant::now() + delay;
    loop {
        match tokio::time::timeout_at(end, wakes.recv()).await {
            // News do not make a gateway well again.
            Ok(Some(Wake::News)) => {}
            Ok(Some(Wake::NewAddress)) | Err(_) => return true,
            Ok(None) => return false,
        }
    }
}

async fn step(pushers: &Weak<Inner>, key: &Key) -> Result<Step> {
    // Nothing of the server is held while the gateway thinks: it may end meanwhile.
    let next = match pushers.upgrade() {
        Some(inner) => next(&inner, key)?,
        None => return Ok(Step::Gone),
    };
    let progress = match next {
        Next::Gone => return Ok(Step::Gone),
        Next::Nothing => return Ok(Step::Idle),
        Next::Pass(progress) => progress,
        Next::Tell(request, progress) => match gateway::send(*request).await {
            Ok(answer) if answer.rejects(&key.2) => return Ok(Step::Gone),
            Ok(_) => progress,
            Err(reason) => return Ok(Step::Refused(reason)),
        },
    };
    let Some(inner) = pushers.upgrade() else {
        return Ok(Step::Gone);
    };
    let (store, mut batch) = (inner.store.clone(), inner.store.batch());
    drop(inner);
    // Deleted while the gateway thought: then there is nothing to remember.
    if !store.contains::<tables::Pushers>((&key.0, &key.1, &key.2))? {
        return Ok(Step::Gone);
    }
    batch.put::<tables::PusherProgress>((&key.0, &key.1, &key.2), &progress)?;
    // A loss of power rings the phone once more; that costs less than a sync for each push.
    store.commit_unsynced(batch).await?;
    Ok(Step::On)
}

/// What is to be done next.
enum Next {
    /// This is sent, and then the pusher has come so far.
    Tell(Box<gateway::Call>, PusherProgress),
    /// The pusher has come so far; there was nothing to send.
    Pass(PusherProgress),
    Nothing,
    Gone,
}

fn next(inner: &Inner, key: &Key) -> Result<Next> {
    let Some(pusher) = inner.pusher(key)? else {
        return Ok(Next::Gone);
    };
    let PusherKind::Http(data) = pusher.kind else {
        return Ok(Next::Nothing);
    };
    // Who is locked out learns nothing until that ends.
    let account = inner.store.get::<tables::Accounts>((&key.0,))?;
    if account.is_some_and(|account| account.locked) {
        return Ok(Next::Nothing);
    }
    let place = (&key.0, &key.1, &key.2);
    let visible = inner.rooms.stream.visible();
    let Some(progress) = inner.store.get::<tables::PusherProgress>(place)? else {
        return Ok(Next::Pass(PusherProgress::at(visible)));
    };
    let (unread, waiting) = waiting(inner, key, progress.told, visible)?;
    let (notification, reached) = match waiting {
        Some((room, told, row)) => {
            let event = gateway_payload::event(inner, key, &data, &room, &row)?;
            let reached = PusherProgress { told, ..progress };
            let Some(event) = event else {
                return Ok(Next::Pass(reached));
            };
            (event, reached)
        }
        None if progress.badge == Some(unread) || gateway_payload::counts_itself(&data) => {
            return Ok(Next::Nothing);
        }
        None => (gateway_payload::badge(key, &data), progress),
    };
    let is_news = notification.event_id.is_some() || progress.badge.is_some();
    let progress = PusherProgress {
        badge: Some(unread),
        ..reached
    };
    // What the phone shows at first, it has found out itself.
    if !is_news {
        return Ok(Next::Pass(progress));
    }
    let mut notification = notification;
    if !gateway_payload::counts_itself(&data) {
        gateway_payload::count(&mut notification, unread);
    }
    Ok(
        match gateway::request(&inner.http, &data.url, notification) {
            Ok(request) => Next::Tell(Box::new(request), progress),
            Err(reason) => {
                tracing::debug!(user.id = %key.0, reason, "push gateway address is forbidden");
                Next::Pass(progress)
            }
        },
    )
}

type Waiting = (OwnedRoomId, Position, Notification);

/// How much the user has not read, and the first of it that the pusher has still to tell.
fn waiting(
    inner: &Inner,
    key: &Key,
    told: Position,
    visible: Position,
) -> Result<(UInt, Option<Waiting>)> {
    let (mut unread, mut waiting) = (0_u32, Vec::new());
    for row in inner
        .store
        .scan::<tables::Notifications>((&key.0,))
        .take(LOOKED_AT_MAX)
    {
        let ((_, room, position), row) = row?;
        if row.notify && !row.read {
            unread += 1;
            if position > told && position <= visible && is_recent(&row) {
                waiting.push((room, position, row));
            }
        }
    }
    waiting.sort_unstable_by_key(|(_, position, _)| *position);
    let skipped = waiting.len().saturating_sub(GATEWAY_CATCH_UP_MAX);
    Ok((unread.into(), waiting.into_iter().nth(skipped)))
}

fn is_recent(row: &Notification) -> bool {
    clock::elapsed_since(row.time) <= NOTIFICATION_AGE_MAX
}

/// Deletes a pusher that its gateway or its device does not know any more.
async fn forget(pushers: &Weak<Inner>, key: &Key) {
    let Some(inner) = pushers.upgrade() else {
        return;
    };
    let (store, mut batch) = (inner.store.clone(), inner.store.batch());
    let deleted = inner.delete(&mut batch, key);
    drop(inner);
    let deleted = match deleted {
        Ok(()) => store.commit(batch).await.map_err(Into::into),
        Err(error) => Err(error),
    };
    if let Err(error) = deleted {
        tracing::error!(%error, "could not delete a rejected pusher");
    }
}
