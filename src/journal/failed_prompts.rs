//! Prompts that were set aside: what got no answer is kept until somebody tries it again or takes it back.

use ruma::{EventId, RoomId};

use super::{
    Journal, JournalError, OutboxItem,
    key::{self, Key},
    record::{FailedRecord, QueuedPrompt, TurnRecord},
};

impl Journal {
    /// A number for something that will be set aside: no other has had it.
    pub fn next_failed_number(&self) -> Result<u64, JournalError> {
        let _guard = self.write_lock();
        let last: Option<u64> = self.get(key::LAST_FAILED, "number")?;
        let number = last.unwrap_or(0) + 1;
        self.put(key::LAST_FAILED, &number, "number")?;
        Ok(number)
    }

    /// Ends a turn whose prompts get no answer: they are set aside, and what the room hears of that enters the outbox, in one
    /// commit. Beyond the limit the oldest of what was set aside is forgotten.
    pub fn set_aside(
        &self,
        turn: &TurnRecord,
        failed: &FailedRecord,
        last: &[OutboxItem],
    ) -> Result<(), JournalError> {
        let _guard = self.write_lock();
        let mut batch = self.end_batch(turn, last)?;
        let keys = self.db().scan_prefix([key::FAILED]).keys();
        let known: Vec<sled::IVec> = keys.collect::<Result<_, _>>()?;
        let excess = (known.len() + 1).saturating_sub(self.limits().failed_max);
        for oldest in known.into_iter().take(excess) {
            batch.remove(oldest);
        }
        batch.insert(failed_key(failed.number), super::encode(failed, "failed")?);
        self.db().apply_batch(batch)?;
        Ok(())
    }

    /// What was set aside, oldest first.
    pub fn failed_prompts(&self) -> Result<Vec<FailedRecord>, JournalError> {
        self.scan(&[key::FAILED], "failed")
            .map(|entry| entry.map(|(_, failed)| failed))
            .collect()
    }

    /// Puts what was set aside into its conversation's queue again, in one commit. `None`: nothing has this number (any more).
    /// Refused with [`JournalError::Full`] if too many prompts wait there.
    pub fn retry_failed(&self, number: u64) -> Result<Option<FailedRecord>, JournalError> {
        let _guard = self.write_lock();
        let Some(failed) = self.get::<FailedRecord>(&failed_key(number), "failed")? else {
            return Ok(None);
        };
        let limit = self.limits().queued_prompts_max;
        if self.queued_prompts(&failed.key)?.len() + failed.prompts.len() > limit {
            return Err(JournalError::Full {
                what: "waiting prompts of a conversation",
                limit,
            });
        }
        let mut batch = sled::Batch::default();
        for prompt in &failed.prompts {
            let again = QueuedPrompt {
                retries: prompt.retries + 1,
                ..prompt.clone()
            };
            let key = Key::new(key::QUEUE)
                .conversation(&failed.key)
                .number(self.next_number()?);
            batch.insert(key.bytes(), super::encode(&again, "prompt")?);
        }
        batch.remove(failed_key(number));
        self.db().apply_batch(batch)?;
        Ok(Some(failed))
    }

    /// Takes a prompt out of what was set aside, because its event was redacted.
    pub fn withdraw_failed(&self, room: &RoomId, event_id: &EventId) -> Result<(), JournalError> {
        let _guard = self.write_lock();
        for mut failed in self.failed_prompts()? {
            let before = failed.prompts.len();
            failed.prompts.retain(|prompt| prompt.event_id != event_id);
            if failed.key.room != room || failed.prompts.len() == before {
                continue;
            }
            if failed.prompts.is_empty() {
                self.db().remove(failed_key(failed.number))?;
            } else {
                self.put(&failed_key(failed.number), &failed, "failed")?;
            }
        }
        Ok(())
    }
}

fn failed_key(number: u64) -> Vec<u8> {
    Key::new(key::FAILED).number(number).bytes()
}
