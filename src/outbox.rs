//! Says what the journal's outbox holds, room by room, in order, until the homeserver has answered.
//!
//! A message is said once: it is frozen before it is first sent, always goes out under the same
//! send id, and where an earlier attempt may have arrived unheard (a crash, a broken connection),
//! the room is asked first whether it has the message.

mod notice;
mod refused;

use std::sync::Arc;

use ruma::{OwnedEventId, OwnedRoomId, RoomId};
use tokio::sync::watch;
use tracing::{error, warn};

pub use self::notice::{MESSAGE_TYPE, markdown_notices, notice};
use self::refused::Refused;
use crate::{
    encryption::Encryption,
    identity::Identity,
    journal::{Journal, JournalError, OutboxItem, SendId},
    matrix::{Actor, Homeserver, MatrixError, backoff},
    time::Millis,
    workers::{Panic, Tasks, Work, Workers},
};

/// See the module's documentation. Cheap to clone.
#[derive(Clone)]
pub struct Outbox {
    inner: Arc<Inner>,
}

struct Inner {
    journal: Journal,
    homeserver: Homeserver,
    encryption: Encryption,
    identity: Identity,
    workers: Workers<OwnedRoomId>,
    tasks: Tasks,
    /// Messages with a smaller number were written by an earlier process, which may have sent them.
    born: u64,
    said: watch::Sender<u64>,
    refused: Refused,
}

impl Outbox {
    /// An outbox over the journal's. Call [`Outbox::resume`] when the homeserver is ready.
    pub fn new(
        journal: Journal,
        homeserver: Homeserver,
        encryption: Encryption,
        identity: Identity,
        tasks: Tasks,
    ) -> Result<Self, JournalError> {
        let born = journal.next_number()?;
        let workers = Workers::new(tasks.clone());
        let (said, _) = watch::channel(0);
        let inner = Inner {
            journal,
            homeserver,
            encryption,
            identity,
            workers,
            tasks,
            born,
            said,
            refused: Refused::default(),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// Goes on with what an earlier process has left.
    pub fn resume(&self) -> Result<(), JournalError> {
        for room in self.inner.journal.rooms_with_outbox_items()? {
            self.wake(&room);
        }
        Ok(())
    }

    /// Writes a message down for good and sends it soon. Nothing happens if it was said before.
    pub async fn enqueue(&self, item: &OutboxItem) -> Result<(), JournalError> {
        if self.inner.journal.enqueue(item)? {
            self.inner.journal.durable().await?;
            self.wake(&item.room);
        }
        Ok(())
    }

    /// Looks after a room whose outbox may hold something new.
    pub fn wake(&self, room: &RoomId) {
        self.inner.workers.wake(room.to_owned(), self.clone());
    }

    /// The event that a message became, as soon as the homeserver has answered; `None` if it was
    /// refused for good, or if the process is about to end.
    pub async fn event_of(&self, send_id: &SendId) -> Result<Option<OwnedEventId>, JournalError> {
        let mut said = self.inner.said.subscribe();
        loop {
            if let Some(event) = self.inner.journal.event_of(send_id)? {
                return Ok(event);
            }
            tokio::select! {
                changed = said.changed() => if changed.is_err() { return Ok(None) },
                () = self.inner.tasks.stopping() => return Ok(None),
            }
        }
    }

    /// How many rooms wait for something to be said.
    pub fn rooms_waiting(&self) -> usize {
        self.inner.workers.active_count()
    }

    /// Says the room's first message. `false`: there is none, or the process is about to end.
    async fn deliver_next(&self, room: &RoomId) -> Result<bool, JournalError> {
        let journal = &self.inner.journal;
        let Some((number, item)) = journal.next_outbox_item(room)? else {
            return Ok(false);
        };
        let Some(ready) = self.encrypt(number, &item).await? else {
            return Ok(false);
        };
        let may_have_arrived = number < self.inner.born;
        let outcome = match ready {
            Ok(ready) => match self.deliver(&ready, may_have_arrived).await {
                Some(outcome) => outcome,
                None => return Ok(false),
            },
            Err(failure) => Err(failure),
        };
        let notice = self
            .inner
            .refused
            .note(&item, &outcome, self.inner.identity.bot());
        let event_id = outcome
            .inspect_err(|failure| {
                error!(
                    room.id = %room, send.id = %item.send_id, sender = %item.sender,
                    error = failure as &dyn std::error::Error,
                    "could not send event: refused permanently, dropped"
                );
            })
            .ok();
        if let Some(notice) = notice
            && journal.room(room)?.is_some_and(|record| record.bot)
            && let Err(failure) = journal.enqueue(&notice)
        {
            warn!(room.id = %room, error = &failure as &dyn std::error::Error, "could not report a refused event to its room");
        }
        journal.mark_sent(number, &item, event_id, Millis::now())?;
        self.inner.said.send_modify(|count| *count += 1);
        journal.durable().await?;
        Ok(true)
    }

    /// The message as it is sent: encrypted where its room is, and then on disk in that form before anybody sees it. A refusal is for ever.
    /// `None`: the process is about to end.
    async fn encrypt(
        &self,
        number: u64,
        item: &OutboxItem,
    ) -> Result<Option<Result<OutboxItem, MatrixError>>, JournalError> {
        let mut rejoined = false;
        let mut attempt = 0;
        loop {
            let failure = match self.inner.encryption.encrypt(item.clone()).await {
                Ok(ready) => {
                    if ready.event_type != item.event_type {
                        self.inner.journal.replace_outbox_item(number, &ready)?;
                        self.inner.journal.durable().await?;
                    }
                    return Ok(Some(Ok(ready)));
                }
                Err(failure) => failure,
            };
            if failure.is_permanent() {
                if rejoined || !failure.is_forbidden() {
                    return Ok(Some(Err(failure)));
                }
                // Who is not in the room is not told whether it is encrypted.
                rejoined = true;
                if self
                    .inner
                    .homeserver
                    .join(self.actor(item), &item.room)
                    .await
                    .is_ok()
                {
                    continue;
                }
                return Ok(Some(Err(failure)));
            }
            attempt += 1;
            if attempt == 1 {
                warn!(
                    room.id = %item.room, send.id = %item.send_id, error = &failure as &dyn std::error::Error,
                    "could not encrypt event; retrying"
                );
            }
            tokio::select! {
                () = tokio::time::sleep(backoff(attempt, &failure)) => {}
                () = self.inner.tasks.stopping() => return Ok(None),
            }
        }
    }

    /// Sends until there is an answer. `None`: the process is about to end.
    async fn deliver(
        &self,
        item: &OutboxItem,
        mut may_have_arrived: bool,
    ) -> Option<Result<OwnedEventId, MatrixError>> {
        let actor = self.actor(item);
        let mut rejoined = false;
        let mut attempt = 0;
        loop {
            let failure = match self.try_once(actor, item, may_have_arrived).await {
                Ok(event_id) => return Some(Ok(event_id)),
                Err(failure) => failure,
            };
            let failure = if failure.is_forbidden() && !rejoined {
                match self.inner.homeserver.join(actor, &item.room).await {
                    Err(failure) if !failure.is_permanent() => failure,
                    // If it may not come in either, the next attempt says so.
                    Ok(()) | Err(_) => {
                        rejoined = true;
                        continue;
                    }
                }
            } else {
                failure
            };
            if failure.is_permanent() {
                return Some(Err(failure));
            }
            may_have_arrived |= failure.is_ambiguous();
            attempt += 1;
            if attempt == 1 {
                warn!(
                    room.id = %item.room, error = &failure as &dyn std::error::Error,
                    "could not send event; retrying until the homeserver answers"
                );
            }
            tokio::select! {
                () = tokio::time::sleep(backoff(attempt, &failure)) => {}
                () = self.inner.tasks.stopping() => return None,
            }
        }
    }

    async fn try_once(
        &self,
        actor: Actor<'_>,
        item: &OutboxItem,
        may_have_arrived: bool,
    ) -> Result<OwnedEventId, MatrixError> {
        let homeserver = &self.inner.homeserver;
        if may_have_arrived {
            match homeserver
                .find_sent(
                    actor,
                    &item.room,
                    &item.sender,
                    &item.event_type,
                    &item.send_id,
                )
                .await
            {
                Ok(Some(event_id)) => return Ok(event_id),
                Err(failure) if !failure.is_permanent() => return Err(failure),
                // Who may not read the room has not written to it either.
                Ok(None) | Err(_) => {}
            }
        }
        homeserver
            .send(
                actor,
                &item.room,
                &item.event_type,
                &item.send_id,
                item.content.clone(),
            )
            .await
    }

    fn actor<'a>(&self, item: &'a OutboxItem) -> Actor<'a> {
        if item.sender == self.inner.identity.bot() {
            Actor::Bot
        } else {
            Actor::Ghost(&item.sender)
        }
    }
}

impl Work<OwnedRoomId> for Outbox {
    type Error = JournalError;

    async fn run(&self, room: &OwnedRoomId) -> Result<(), JournalError> {
        while self.deliver_next(room).await? {}
        Ok(())
    }

    async fn set_aside(&self, room: &OwnedRoomId, panic: &Panic) -> Result<(), JournalError> {
        let journal = &self.inner.journal;
        let Some((number, item)) = journal.next_outbox_item(room)? else {
            return Ok(());
        };
        error!(
            room.id = %room, send.id = %item.send_id, sender = %item.sender, %panic,
            "message set aside after repeated panics; it is not sent"
        );
        journal.mark_sent(number, &item, None, Millis::now())?;
        self.inner.said.send_modify(|count| *count += 1);
        journal.durable().await
    }
}

#[cfg(test)]
mod tests;
