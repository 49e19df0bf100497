//! Opens what is said in encrypted rooms, room by room, in order.
//!
//! An event whose key has not come waits, and holds up none that come after it: keys can come late, and in another transaction. After
//! `TELL_AFTER` the room is told once; the event is answered all the same when its key comes. What was opened goes the way of every
//! event, from the inbox on.

use std::{sync::Arc, time::Duration};

use ruma::{OwnedRoomId, OwnedUserId, RoomId};
use tokio::sync::Notify;
use tracing::{debug, info, warn};

use super::{TurnContext, notice_texts};
use crate::{
    encryption::{RoomsWithKeys, Unreadable},
    journal::{AdmittedEvent, EncryptedEvent, JournalError, RoomKind, SendId},
    matrix::content::Placement,
    outbox::notice,
    time::Millis,
    turns::route::IncomingEvent,
    workers::{Panic, Work, Workers},
};

/// After so long without its key an event is told of.
const TELL_AFTER: Duration = Duration::from_secs(30);
/// After so long an event is given up.
const KEEP_FOR: Duration = Duration::from_hours(7 * 24);
/// How long to wait when our own keys could not be read.
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
    /// `arrived` is told of events that were opened.
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

    /// Looks again at every room for which a key has come, until the process is about to end.
    pub async fn serve(self, mut rooms: RoomsWithKeys) {
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

    /// Looks after a room in which something waits to be opened.
    pub fn wake(&self, room: &RoomId) {
        self.inner.workers.wake(room.to_owned(), self.clone());
    }

    /// A room is encrypted from now on: whoever of us is there gets ready to be sent keys.
    pub fn prepare(&self, room: &RoomId) {
        let (this, room) = (self.clone(), room.to_owned());
        self.inner.ctx.tasks.spawn(async move {
            let users = match this.users_in(&room) {
                Ok(users) => users,
                Err(error) => {
                    return warn!(room.id = %room, %error, "cannot tell who of us is in an encrypted room");
                }
            };
            for user in users {
                if let Err(error) = this.inner.ctx.encryption.prepare(&user).await {
                    warn!(room.id = %room, user.id = %user, error = &error as &dyn std::error::Error, "cannot make a device for an encrypted room");
                }
            }
        });
    }

    /// Who of us is in a room, as far as the bridge knows; who is at home there first.
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

    /// Opens all that can be opened. Answers when something has to be told, if nothing comes before.
    async fn open_all(&self, room: &RoomId) -> Result<Option<Duration>, JournalError> {
        let ctx = &self.inner.ctx;
        let users = self.users_in(room)?;
        let mut next: Option<Duration> = None;
        for (number, waiting) in ctx.journal.encrypted_events(room)? {
            let opened = ctx
                .encryption
                .open(&users, room, &waiting.event.event)
                .await;
            match opened {
                Ok(event) => self.admit(room, number, &waiting, event)?,
                Err(Unreadable::NoKey(why)) => {
                    let left = self.still_waits(room, number, waiting, &why).await?;
                    next = next.into_iter().chain(left).min();
                }
                Err(Unreadable::Damaged(why)) => {
                    info!(room.id = %room, reason = why, "event cannot be decrypted; it is given up");
                    ctx.journal.finish_encrypted(room, number, None)?;
                    self.tell(room, &waiting, "damaged").await?;
                }
                Err(Unreadable::Failed(why)) => {
                    warn!(room.id = %room, reason = why, "the encryption keys cannot be read; trying again");
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
        event: Box<serde_json::value::RawValue>,
    ) -> Result<(), JournalError> {
        let journal = &self.inner.ctx.journal;
        let opened = AdmittedEvent {
            event,
            admitted_at: waiting.event.admitted_at,
        };
        journal.finish_encrypted(room, number, Some(&opened))?;
        self.inner.arrived.notify_one();
        debug!(room.id = %room, "event decrypted");
        Ok(())
    }

    /// An event waits for its key: the room is told of it in time. Answers how long that is from now.
    async fn still_waits(
        &self,
        room: &RoomId,
        number: u64,
        waiting: EncryptedEvent,
        why: &str,
    ) -> Result<Option<Duration>, JournalError> {
        let journal = &self.inner.ctx.journal;
        let age = Millis::now().since(waiting.event.admitted_at);
        if age > KEEP_FOR {
            journal.finish_encrypted(room, number, None)?;
            return Ok(None);
        }
        if waiting.told {
            return Ok(None);
        }
        if age < TELL_AFTER {
            return Ok(Some(TELL_AFTER.saturating_sub(age)));
        }
        info!(room.id = %room, reason = why, "event cannot be decrypted yet");
        self.tell(room, &waiting, "no key").await?;
        let told = EncryptedEvent {
            told: true,
            ..waiting
        };
        journal.update_encrypted(room, number, &told)?;
        Ok(None)
    }

    async fn tell(
        &self,
        room: &RoomId,
        waiting: &EncryptedEvent,
        kind: &str,
    ) -> Result<(), JournalError> {
        let Ok(event) = serde_json::from_str::<IncomingEvent>(waiting.event.event.get()) else {
            return Ok(());
        };
        let Some(sender) = self.users_in(room)?.into_iter().next() else {
            return Ok(());
        };
        let once = SendId::of(&["cannot decrypt", kind, event.event_id.as_str()]);
        let text = notice_texts::cannot_decrypt();
        let placement = Placement::Room {
            reply_to: Some(event.event_id),
        };
        let item = notice(room, &sender, placement, &text, once);
        self.inner.ctx.outbox.enqueue(&item).await
    }
}

impl Work<OwnedRoomId> for Decryptor {
    type Error = JournalError;

    async fn run(&self, room: &OwnedRoomId) -> Result<(), JournalError> {
        if let Some(pause) = self.open_all(room).await? {
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
