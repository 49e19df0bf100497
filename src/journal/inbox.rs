//! Admission: events become ours here, once each, and wait to be routed.

use std::sync::atomic::Ordering;

use ruma::{EventId, OwnedEventId, OwnedRoomId, RoomId};
use serde_json::value::RawValue;

use super::{
    Journal, JournalError, WriteGuard,
    key::{self, Key, first_number, last_number, texts},
    record::{AdmittedEvent, ConversationKey, QueuedPrompt, RoomJob},
};
use crate::time::Millis;

/// Names one waiting event of the inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InboxPosition(u64);

impl Journal {
    /// Takes events into the inbox, in order, leaving out those that were admitted before.
    /// Answers how many were new. They are ours after the next [`Journal::durable`].
    pub fn admit(
        &self,
        events: Vec<(OwnedEventId, Box<RawValue>)>,
        now: Millis,
    ) -> Result<usize, JournalError> {
        let limit = self.limits().inbox_events_max;
        // A homeserver that got no answer in time sends a transaction again while the first is
        // still being written; between them they must not admit an event twice.
        let _guard = self.write_lock();
        let mut batch = sled::Batch::default();
        let mut admitted = std::collections::HashSet::new();
        for (event_id, event) in events {
            let id_key = Key::new(key::EVENT_ID).text(event_id.as_str()).bytes();
            if self.db().contains_key(&id_key)? || !admitted.insert(event_id.clone()) {
                continue;
            }
            if self.inbox_len() + admitted.len() > limit {
                return Err(JournalError::Full {
                    what: "events waiting to be routed",
                    limit,
                });
            }
            let age_key = Key::new(key::EVENT_AGE)
                .number(now.0)
                .text(event_id.as_str())
                .bytes();
            let inbox_key = Key::new(key::INBOX).number(self.next_number()?).bytes();
            let value = super::encode(
                &AdmittedEvent {
                    event,
                    admitted_at: now,
                },
                "inbox",
            )?;
            batch.insert(id_key, &now.0.to_be_bytes());
            batch.insert(age_key, &[]);
            batch.insert(inbox_key, value);
        }
        self.db().apply_batch(batch)?;
        self.inner
            .inbox_len
            .fetch_add(admitted.len(), Ordering::Relaxed);
        self.inner
            .event_ids_len
            .fetch_add(admitted.len(), Ordering::Relaxed);
        Ok(admitted.len())
    }

    /// When an event was admitted, as long as that is remembered.
    pub fn admitted_at(&self, event_id: &EventId) -> Result<Option<Millis>, JournalError> {
        let key = Key::new(key::EVENT_ID).text(event_id.as_str()).bytes();
        let at = self.db().get(key)?;
        let at = at.and_then(|at| at.first_chunk().copied());
        Ok(at.map(|at| Millis(u64::from_be_bytes(at))))
    }

    /// When an event was admitted last, as long as that is remembered.
    pub fn last_admission(&self) -> Result<Option<Millis>, JournalError> {
        let Some(last) = self.db().scan_prefix([key::EVENT_AGE]).next_back() else {
            return Ok(None);
        };
        let (key, _) = last?;
        Ok(first_number(&key).map(Millis))
    }

    /// The oldest events that wait to be routed, at most `limit`.
    pub fn waiting_events(
        &self,
        limit: usize,
    ) -> Result<Vec<(InboxPosition, AdmittedEvent)>, JournalError> {
        self.waiting_events_after(None, limit)
    }

    /// The oldest events that wait to be routed and came after another, at most `limit`. What is
    /// admitted later comes later, so nothing appears before an event that was seen.
    pub fn waiting_events_after(
        &self,
        after: Option<InboxPosition>,
        limit: usize,
    ) -> Result<Vec<(InboxPosition, AdmittedEvent)>, JournalError> {
        let first = after.map_or(0, |InboxPosition(number)| number.saturating_add(1));
        let from = Key::new(key::INBOX).number(first).bytes();
        let end = Key::new(key::INBOX + 1).bytes();
        self.db()
            .range(from..end)
            .take(limit)
            .map(|entry| {
                let (key, value) = entry?;
                let event = super::decode(&value, "inbox")?;
                Ok((InboxPosition(last_number(&key)), event))
            })
            .collect()
    }

    /// The event needs nothing more.
    pub fn drop_event(&self, admission: InboxPosition) -> Result<(), JournalError> {
        self.leave_inbox(&self.write_lock(), admission, sled::Batch::default())
    }

    /// The event needs nothing more for now, and is forgotten: it is admitted again if it comes again.
    pub fn forget_event(
        &self,
        admission: InboxPosition,
        event_id: &EventId,
    ) -> Result<(), JournalError> {
        let write_lock = self.write_lock();
        let inbox_key = Key::new(key::INBOX).number(admission.0).bytes();
        if !self.db().contains_key(inbox_key)? {
            return Ok(());
        }
        let id_key = Key::new(key::EVENT_ID).text(event_id.as_str()).bytes();
        let mut batch = sled::Batch::default();
        if let Some(at) = self.db().get(&id_key)? {
            let at = at.first_chunk().copied().map(u64::from_be_bytes);
            let age_key = Key::new(key::EVENT_AGE)
                .number(at.unwrap_or_default())
                .text(event_id.as_str())
                .bytes();
            batch.remove(id_key);
            batch.remove(age_key);
            self.inner.event_ids_len.fetch_sub(1, Ordering::Relaxed);
        }
        self.leave_inbox(&write_lock, admission, batch)
    }

    /// The event is a prompt: it moves to its conversation's queue. Refused with
    /// [`JournalError::Full`] if too many wait there already.
    pub fn move_to_prompt_queue(
        &self,
        admission: InboxPosition,
        conversation: &ConversationKey,
        prompt: &QueuedPrompt,
    ) -> Result<(), JournalError> {
        self.move_to_prompt_queues(admission, std::slice::from_ref(conversation), prompt)
    }

    /// The same for several conversations at once: all of them or none.
    pub fn move_to_prompt_queues(
        &self,
        admission: InboxPosition,
        conversations: &[ConversationKey],
        prompt: &QueuedPrompt,
    ) -> Result<(), JournalError> {
        let limit = self.limits().queued_prompts_max;
        let write_lock = self.write_lock();
        let mut batch = sled::Batch::default();
        for conversation in conversations {
            if !self.has_place_for(conversation, &prompt.sender)? {
                return Err(JournalError::Full {
                    what: "waiting prompts of a conversation",
                    limit,
                });
            }
            batch.insert(
                Key::new(key::QUEUE)
                    .conversation(conversation)
                    .number(admission.0)
                    .bytes(),
                super::encode(prompt, "prompt")?,
            );
        }
        self.leave_inbox(&write_lock, admission, batch)
    }

    /// The event asks for something to be done in a room: it moves to that room's room jobs. Refused
    /// with [`JournalError::Full`] if too many wait there already.
    pub fn queue_room_job(
        &self,
        admission: InboxPosition,
        room: &RoomId,
        job: &RoomJob,
    ) -> Result<(), JournalError> {
        let limit = self.limits().room_jobs_max;
        let prefix = Key::new(key::ROOM_JOB).text(room.as_str());
        let write_lock = self.write_lock();
        if self.db().scan_prefix(prefix.as_bytes()).count() >= limit {
            return Err(JournalError::Full {
                what: "room jobs waiting in a room",
                limit,
            });
        }
        let mut batch = sled::Batch::default();
        batch.insert(
            prefix.number(admission.0).bytes(),
            super::encode(job, "room job")?,
        );
        self.leave_inbox(&write_lock, admission, batch)
    }

    /// The oldest room job of a room.
    pub fn next_room_job(
        &self,
        room: &RoomId,
    ) -> Result<Option<(InboxPosition, RoomJob)>, JournalError> {
        let prefix = Key::new(key::ROOM_JOB).text(room.as_str()).bytes();
        self.scan::<RoomJob>(&prefix, "room job")
            .next()
            .map(|entry| entry.map(|(key, job)| (InboxPosition(last_number(&key)), job)))
            .transpose()
    }

    /// The room job is done.
    pub fn finish_room_job(&self, room: &RoomId, job: InboxPosition) -> Result<(), JournalError> {
        let key = Key::new(key::ROOM_JOB)
            .text(room.as_str())
            .number(job.0)
            .bytes();
        self.db().remove(key)?;
        Ok(())
    }

    /// Rooms that have room jobs.
    pub fn rooms_with_jobs(&self) -> Result<Vec<OwnedRoomId>, JournalError> {
        self.rooms_with_rows(key::ROOM_JOB)
    }

    /// The rooms that keys of a kind begin with, each once.
    pub(super) fn rooms_with_rows(&self, kind: u8) -> Result<Vec<OwnedRoomId>, JournalError> {
        let mut rooms: Vec<OwnedRoomId> = Vec::new();
        for key in self.db().scan_prefix([kind]).keys() {
            let key = key?;
            let Some(room) = texts(&key).next() else {
                continue;
            };
            // Keys of one room are neighbors.
            if rooms.last().is_none_or(|last| last != room) {
                rooms.extend(RoomId::parse(room).ok());
            }
        }
        Ok(rooms)
    }

    /// The event moves from the inbox to where `batch` puts it, unless it has left before.
    pub(super) fn leave_inbox(
        &self,
        _guard: &WriteGuard<'_>,
        admission: InboxPosition,
        mut batch: sled::Batch,
    ) -> Result<(), JournalError> {
        let key = Key::new(key::INBOX).number(admission.0).bytes();
        if !self.db().contains_key(&key)? {
            return Ok(());
        }
        batch.remove(key);
        self.db().apply_batch(batch)?;
        self.inner.inbox_len.fetch_sub(1, Ordering::Relaxed);
        Ok(())
    }

    /// An event that was admitted before enters the inbox once more, in the commit that takes it from where it waited.
    pub(super) fn enter_inbox(
        &self,
        _guard: &WriteGuard<'_>,
        event: &AdmittedEvent,
        mut batch: sled::Batch,
    ) -> Result<(), JournalError> {
        let key = Key::new(key::INBOX).number(self.next_number()?).bytes();
        batch.insert(key, super::encode(event, "inbox")?);
        self.db().apply_batch(batch)?;
        self.inner.inbox_len.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}
