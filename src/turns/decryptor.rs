//! Decrypts what is said in encrypted rooms, room by room, in order.
//!
//! An event whose room key has not come waits, and holds up none that come after it: keys can come late, and in another transaction.
//! After `NOTICE_AFTER` the room gets one notice; the event is answered all the same when its key comes. A decrypted event goes the way of
//! every event, from the inbox on. So does one that waits where encryption turns out to be unsupported, which is then said there.

use std::{sync::Arc, time::Duration};

use ruma::{OwnedRoomId, OwnedUserId, RoomId};
use serde_json::value::RawValue;
use tokio::sync::Notify;
use tracing::{debug, info, warn};

use super::{TurnContext, notice_texts};
use crate::{
    encryption::{DecryptError, RoomsToDecrypt, Support},
    journal::{AdmittedEvent, EncryptedEvent, JournalError, NoticeText, RoomKind, SendId},
    matrix::content::Placement,
    outbox::notice,
    time::Millis,
    workers::{Panic, Work, Workers},
};

/// After so long without a room key the room gets a notice.
const NOTICE_AFTER: Duration = Duration::from_secs(30);
/// After so long without a room key an event is given up.
const KEEP_FOR: Duration = Duration::from_hours(7 * 24);
/// The pause after our own keys could not be read.
const FAILED_PAUSE: Duration = Duration::from_secs(5);

/// See the module's documentation. Cheap to clone.
#[derive(Clone)]
pub struct Decryptor {
    inner: Arc<Inner>,
}

struct Inner {
    ctx: TurnContext,
    arrived: Arc<Notify>,
    workers: Workers<OwnedRoomId>,
}

impl Decryptor {
    /// `arrived` is told of decrypted events.
    pub fn new(ctx: TurnContext, arrived: Arc<Notify>) -> Self {
        let workers = Workers::new(ctx.tasks.clone());
        Self {
            inner: Arc::new(Inner {
                ctx,
                arrived,
                workers,
            }),
        }
    }

    /// Looks again at every room that is named, until the process is about to end.
    pub async fn serve(self, mut rooms: RoomsToDecrypt) {
        let tasks = self.inner.ctx.tasks.clone();
        loop {
            tokio::select! {
                room = rooms.recv() => match room {
                    Some(room) => self.wake(&room),
                    None => return tasks.closing().await,
                },
                () = tasks.closing() => return,
            }
        }
    }

    /// Looks after what an earlier process has left.
    pub fn resume(&self) -> Result<(), JournalError> {
        for room in self.inner.ctx.journal.rooms_with_encrypted_events()? {
            self.wake(&room);
        }
        Ok(())
    }

    /// Looks after a room in which something waits to be decrypted.
    pub fn wake(&self, room: &RoomId) {
        self.inner.workers.wake(room.to_owned(), self.clone());
    }

    /// A room is encrypted from now on: whoever of us is there gets a device that can be sent keys.
    pub fn ensure_devices(&self, room: &RoomId) {
        let (this, room) = (self.clone(), room.to_owned());
        self.inner.ctx.tasks.spawn(async move {
            let users = match this.users_in(&room) {
                Ok(users) => users,
                Err(error) => {
                    return warn!(room.id = %room, %error, "could not look who of us is in an encrypted room");
                }
            };
            for user in users {
                if let Err(error) = this.inner.ctx.encryption.ensure_device(&user).await {
                    warn!(room.id = %room, user.id = %user, error = &error as &dyn std::error::Error, "could not make a device for an encrypted room");
                }
            }
        });
    }

    /// Who of us is in a room, as far as the bridge knows; the agent whose room it is first.
    fn users_in(&self, room: &RoomId) -> Result<Vec<OwnedUserId>, JournalError> {
        let ctx = &self.inner.ctx;
        let Some(record) = ctx.journal.room(room)? else {
            return Ok(Vec::new());
        };
        let home = match &record.kind {
            RoomKind::Home { agent } => Some(agent),
            _ => None,
        };
        let agents = home.into_iter().chain(record.guests.keys());
        let mut users: Vec<OwnedUserId> = agents.map(|agent| ctx.identity.ghost(agent)).collect();
        if record.bot
            || matches!(
                record.kind,
                RoomKind::Management { .. } | RoomKind::Home { .. }
            )
        {
            users.push(ctx.identity.bot().to_owned());
        }
        Ok(users)
    }

    /// Decrypts all that can be decrypted. Answers when to look again, if nothing comes before.
    async fn decrypt_all(&self, room: &RoomId) -> Result<Option<Duration>, JournalError> {
        let ctx = &self.inner.ctx;
        let support = ctx.encryption.support();
        if support == Support::Unknown {
            // As soon as it is known, the room is named again.
            return Ok(None);
        }
        let users = self.users_in(room)?;
        let mut next: Option<Duration> = None;
        for (number, waiting) in ctx.journal.encrypted_events(room)? {
            if support == Support::Unsupported {
                let event = waiting.event.event.clone();
                self.admit(room, number, &waiting, event)?;
                continue;
            }
            let event = &waiting.event.event;
            match ctx.encryption.decrypt(&users, room, event).await {
                Ok(event) => self.admit(room, number, &waiting, event)?,
                Err(DecryptError::NoKey(why)) => {
                    let pause = self.still_waits(room, number, waiting, &why).await?;
                    next = next.into_iter().chain(pause).min();
                }
                Err(DecryptError::Damaged(why)) => {
                    let id = waiting.event_id();
                    info!(event.id = ?id, room.id = %room, reason = why, "event given up: it cannot be decrypted");
                    let text = notice_texts::cannot_decrypt();
                    self.notify_room(room, &waiting, "damaged", &text).await?;
                    ctx.journal.finish_encrypted(room, number, None)?;
                }
                Err(DecryptError::Failed(why)) => {
                    warn!(room.id = %room, reason = why, "could not read the encryption keys; retrying");
                    next = Some(FAILED_PAUSE);
                    break;
                }
            }
        }
        Ok(next)
    }

    fn admit(
        &self,
        room: &RoomId,
        number: u64,
        waiting: &EncryptedEvent,
        event: Box<RawValue>,
    ) -> Result<(), JournalError> {
        let admitted = AdmittedEvent {
            event,
            admitted_at: waiting.event.admitted_at,
        };
        let journal = &self.inner.ctx.journal;
        journal.finish_encrypted(room, number, Some(&admitted))?;
        self.inner.arrived.notify_one();
        debug!(event.id = ?waiting.event_id(), room.id = %room, "encrypted event admitted");
        Ok(())
    }

    /// An event waits for its room key: the room gets its notice in time. Answers how long that is from now.
    async fn still_waits(
        &self,
        room: &RoomId,
        number: u64,
        waiting: EncryptedEvent,
        why: &str,
    ) -> Result<Option<Duration>, JournalError> {
        let journal = &self.inner.ctx.journal;
        let age = Millis::now().since(waiting.event.admitted_at);
        let id = waiting.event_id();
        if age > KEEP_FOR {
            warn!(event.id = ?id, room.id = %room, "event given up: its room key has not come");
            journal.finish_encrypted(room, number, None)?;
            return Ok(None);
        }
        if waiting.notified {
            return Ok(None);
        }
        if age < NOTICE_AFTER {
            return Ok(Some(NOTICE_AFTER.saturating_sub(age)));
        }
        info!(event.id = ?id, room.id = %room, reason = why, "event cannot be decrypted yet");
        let text = notice_texts::no_room_key();
        self.notify_room(room, &waiting, "no key", &text).await?;
        let notified = EncryptedEvent {
            notified: true,
            ..waiting
        };
        journal.update_encrypted(room, number, &notified)?;
        Ok(None)
    }

    async fn notify_room(
        &self,
        room: &RoomId,
        waiting: &EncryptedEvent,
        kind: &str,
        text: &NoticeText,
    ) -> Result<(), JournalError> {
        let sender = self.users_in(room)?.into_iter().next();
        let (Some(event), Some(sender)) = (waiting.event_id(), sender) else {
            return Ok(());
        };
        let once = SendId::of(&["cannot decrypt", kind, event.as_str()]);
        let placement = Placement::Room {
            reply_to: Some(event),
        };
        let item = notice(room, &sender, placement, text, once);
        self.inner.ctx.outbox.enqueue(&item).await
    }
}

impl Work<OwnedRoomId> for Decryptor {
    type Error = JournalError;

    async fn run(&self, room: &OwnedRoomId) -> Result<(), JournalError> {
        if let Some(pause) = self.decrypt_all(room).await? {
            let (this, room) = (self.clone(), room.clone());
            let tasks = self.inner.ctx.tasks.clone();
            self.inner.ctx.tasks.spawn(async move {
                tokio::select! {
                    () = tokio::time::sleep(pause) => this.wake(&room),
                    () = tasks.stopping() => {}
                }
            });
        }
        Ok(())
    }

    async fn set_aside(&self, room: &OwnedRoomId, panic: &Panic) -> Result<(), JournalError> {
        warn!(room.id = %room, %panic, "an encrypted event is set aside after repeated panics");
        let journal = &self.inner.ctx.journal;
        if let Some((number, _)) = journal.encrypted_events(room)?.first() {
            journal.finish_encrypted(room, *number, None)?;
        }
        Ok(())
    }
}
