//! Events that are sent later, unless somebody says otherwise: a client that disappears leaves its call without being asked to.
//!
//! They wait in the database, so a restart forgets none. Each is looked up again under the lock of its room and deleted in the same
//! commit that sends it: it is sent once or not at all.
//! Proposal: <https://github.com/matrix-org/matrix-spec-proposals/pull/4140>

use std::{sync::Arc, time::Duration};

use http::StatusCode;
use ruma::{
    MilliSecondsSinceUnixEpoch, RoomId, UserId, api::error::ErrorKind, events::TimelineEventType,
    uint,
};
use tasks::catch_panic;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{
    Draft, RoomWriter, Rooms, membership,
    record::{DelayedEvent, SendResult},
    send::Txn,
    writer::check_sizes,
};
use crate::{
    accounts::{
        moderation::{user_locked_error, user_suspended_error},
        new_token,
    },
    caller::Caller,
    clock,
    error::{Error, Result},
    limits::{DELAY_MAX, DELAYED_EVENTS_PER_USER},
    store::{Batch, tables},
};

/// How long to wait after the database could not be read.
const RETRY: Duration = Duration::from_secs(10);
/// How long to wait when nothing waits.
const IDLE: Duration = Duration::from_hours(1);

/// Wakes the task that sends what is due. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct DelayedEventWaker {
    changed: Arc<Notify>,
}

/// Lets the event wait, and gives the id by which it can be sent at once, restarted or cancelled.
///
/// # Errors
///
/// 403 if the caller is not in the room, 400 if the delay is too long or too many events wait.
pub async fn schedule(
    rooms: &Rooms,
    caller: &Caller,
    room: &RoomId,
    draft: Draft,
    delay_ms: u64,
    txn: Option<&Txn>,
) -> Result<String> {
    let user = &caller.user_id;
    if !rooms.is_joined(room, user)? {
        return Err(Error::forbidden("You are not in this room"));
    }
    if Duration::from_millis(delay_ms) > DELAY_MAX {
        let message = format!("An event can wait {} milliseconds", DELAY_MAX.as_millis());
        return Err(Error::bad_request(ErrorKind::Unknown, message));
    }
    check_sizes(&draft)?;
    if let Some(txn) = txn {
        txn.check()?;
    }
    // What others let wait is looked through before the room's writer is held, and whoever schedules in several rooms at once is
    // counted once.
    let _turn = rooms.accounts.user_locks.lock(user).await;
    let waiting = of_user(rooms, user)?.len();
    let mut writer = rooms.write(room).await?;
    let sender = caller.sender_key();
    let scope = txn.map(|txn| format!("delayed {}", txn.scope));
    let key = scope
        .as_deref()
        .zip(txn)
        .map(|(scope, txn)| (&**user, &*sender, scope, &*txn.id));
    if let Some(key) = key
        && let Some(SendResult { id: Some(id), .. }) = rooms.store.get::<tables::SendIds>(key)?
    {
        return Ok(id);
    }
    if waiting >= DELAYED_EVENTS_PER_USER {
        return Err(Error::refused(
            StatusCode::TOO_MANY_REQUESTS,
            ErrorKind::Unknown,
            format!("{DELAYED_EVENTS_PER_USER} events of yours wait already"),
        ));
    }
    let id = new_token();
    let event = DelayedEvent {
        user: user.clone(),
        room: room.to_owned(),
        kind: draft.kind,
        state_key: draft.state_key,
        content: draft.content,
        delay_ms,
        running_since: clock::now(),
    };
    if let Some(key) = key {
        writer
            .batch()
            .put::<tables::SendIds>(key, &SendResult::now(Some(&id)))?;
    }
    writer
        .batch()
        .put::<tables::DelayedEvents>((&*id,), &event)?;
    writer.commit().await?;
    rooms.delayed.changed.notify_one();
    Ok(id)
}

/// The events of a user that wait, by their ids.
pub fn of_user(rooms: &Rooms, user: &UserId) -> Result<Vec<(String, DelayedEvent)>> {
    let mut events = Vec::new();
    for row in rooms.store.scan::<tables::DelayedEvents>(()) {
        let ((id,), event) = row?;
        if event.user == user {
            events.push((id, event));
        }
    }
    Ok(events)
}

/// Deletes the events of a user that wait, in the batch that ends the account.
pub fn delete_of_user(rooms: &Rooms, batch: &mut Batch, user: &UserId) -> Result<()> {
    for (id, _) in of_user(rooms, user)? {
        batch.delete::<tables::DelayedEvents>((&*id,))?;
    }
    Ok(())
}

/// Sends the event at once.
pub async fn send_now(rooms: &Rooms, id: &str) -> Result<()> {
    let (writer, event) = hold(rooms, id).await?;
    finish(rooms, writer, id, event).await
}

/// Lets the event wait for its whole delay again.
pub async fn restart(rooms: &Rooms, id: &str) -> Result<()> {
    let (mut writer, mut event) = hold(rooms, id).await?;
    event.running_since = clock::now();
    writer.batch().put::<tables::DelayedEvents>((id,), &event)?;
    writer.commit().await?;
    rooms.delayed.changed.notify_one();
    Ok(())
}

/// Sends the event never.
pub async fn cancel(rooms: &Rooms, id: &str) -> Result<()> {
    let (mut writer, _) = hold(rooms, id).await?;
    writer.batch().delete::<tables::DelayedEvents>((id,))?;
    writer.commit().await?;
    Ok(())
}

/// The event as it is while nobody else writes to its room.
async fn hold(rooms: &Rooms, id: &str) -> Result<(RoomWriter, DelayedEvent)> {
    let unknown = || Error::not_found("No event waits with this id");
    let event = rooms.store.get::<tables::DelayedEvents>((id,))?;
    let writer = rooms.write(&event.ok_or_else(unknown)?.room).await?;
    let event = rooms.store.get::<tables::DelayedEvents>((id,))?;
    Ok((writer, event.ok_or_else(unknown)?))
}

/// Sends the event and forgets that it waited; one that the room refuses is forgotten, too.
async fn finish(
    rooms: &Rooms,
    mut writer: RoomWriter,
    id: &str,
    event: DelayedEvent,
) -> Result<()> {
    let allowed = may_send(rooms, &event.user)?;
    let about_guests = event.kind == TimelineEventType::RoomGuestAccess;
    let mut draft = Draft::message(event.user, event.kind, event.content);
    draft.state_key = event.state_key;
    let added = allowed.and_then(|()| writer.add(draft).map(|_| ()));
    let refused = match added {
        Ok(()) => None,
        Err(error @ Error::Refused(_)) => Some(error),
        Err(error) => return Err(error),
    };
    writer.batch().delete::<tables::DelayedEvents>((id,))?;
    writer.commit().await?;
    if about_guests {
        membership::remove_guests(rooms, &event.room).await?;
    }
    refused.map_or(Ok(()), Err)
}

/// Whether the account is still one that sends something. An application service's own user may have none.
fn may_send(rooms: &Rooms, user: &UserId) -> Result<Result<()>> {
    Ok(match rooms.accounts.get(user)? {
        Some(account) if account.deactivated => Err(Error::forbidden("This account has ended")),
        Some(account) if account.locked => Err(user_locked_error()),
        Some(account) if account.suspended => Err(user_suspended_error()),
        _ => Ok(()),
    })
}

fn due(event: &DelayedEvent) -> u64 {
    u64::from(event.running_since.0).saturating_add(event.delay_ms)
}

/// Sends what is due, until the server stops.
pub async fn run(rooms: Rooms, stopping: CancellationToken) {
    loop {
        let wait = send_due(&rooms).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "could not read delayed events; retrying");
            RETRY
        });
        tokio::select! {
            () = stopping.cancelled() => return,
            () = rooms.delayed.changed.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}

/// Sends what is due now, and says how long nothing is.
async fn send_due(rooms: &Rooms) -> Result<Duration> {
    let mut wait = IDLE;
    let rows = rooms.store.scan::<tables::DelayedEvents>(());
    let rows: Vec<_> = rows.collect::<Result<_, _>>()?;
    for ((id,), event) in rows {
        let left = left(&event);
        if left > Duration::ZERO {
            wait = wait.min(left);
            continue;
        }
        let sent = match catch_panic(send_if_due(rooms, &id)).await {
            Ok(sent) => sent,
            Err(panic) => {
                tracing::error!(room.id = %event.room, %panic, "a delayed event is not sent: sending it panicked");
                let mut batch = rooms.store.batch();
                batch.delete::<tables::DelayedEvents>((&id,))?;
                rooms.store.commit(batch).await?;
                continue;
            }
        };
        match sent {
            Ok(()) => {}
            Err(Error::Refused(refusal)) => {
                tracing::info!(room.id = %event.room, reason = refusal.message, "delayed event was refused");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(wait)
}

async fn send_if_due(rooms: &Rooms, id: &str) -> Result<()> {
    let (writer, event) = hold(rooms, id).await?;
    // It may have been restarted while its room was busy.
    if left(&event) > Duration::ZERO {
        return Ok(());
    }
    finish(rooms, writer, id, event).await
}

fn left(event: &DelayedEvent) -> Duration {
    let MilliSecondsSinceUnixEpoch(now) = clock::now();
    Duration::from_millis(due(event).saturating_sub(u64::from(now.max(uint!(0)))))
}
