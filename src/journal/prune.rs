//! Forgetting what is old: event ids, and which of our messages became which event.

use std::{collections::HashSet, sync::atomic::Ordering};

use super::{Journal, JournalError, key, outbox::Sent};
use crate::time::Millis;

/// The most records that one call removes, so that it never holds anybody up.
const REMOVED_PER_CALL_MAX: usize = 10_000;

impl Journal {
    /// Forgets what is older than the limits allow. Answers how many records went; call again
    /// while that is not zero.
    pub fn prune(&self, now: Millis) -> Result<usize, JournalError> {
        Ok(self.prune_event_ids(now)? + self.prune_sent(now)?)
    }

    fn prune_event_ids(&self, now: Millis) -> Result<usize, JournalError> {
        let oldest = now.minus(self.limits().keep_events);
        let excess = self
            .inner
            .event_ids_len
            .load(Ordering::Relaxed)
            .saturating_sub(self.limits().event_ids_max);
        let mut batch = sled::Batch::default();
        let mut removed = 0;
        for key in self
            .db()
            .scan_prefix([key::EVENT_AGE])
            .keys()
            .take(REMOVED_PER_CALL_MAX)
        {
            let key = key?;
            let Some((at, id)) = key[1..].split_first_chunk::<8>() else {
                continue;
            };
            if u64::from_be_bytes(*at) >= oldest.0 && removed >= excess {
                break;
            }
            batch.remove([&[key::EVENT_ID], id].concat());
            batch.remove(key);
            removed += 1;
        }
        self.db().apply_batch(batch)?;
        self.inner
            .event_ids_len
            .fetch_sub(removed, Ordering::Relaxed);
        Ok(removed)
    }

    /// A send id is needed as long as the same message may be said again: while its turn runs, and
    /// until the event or the room job that it answers is done, which is moments later. So those of
    /// running turns are kept whatever their age and number, and of the others the newest.
    fn prune_sent(&self, now: Millis) -> Result<usize, JournalError> {
        let running = self.running_send_ids();
        let mut ages = Vec::new();
        for entry in self.scan::<Sent>(&[key::SENT], "sent") {
            ages.push(entry?.1.at);
        }
        let mut oldest = now.minus(self.limits().keep_events);
        let excess = ages.len().saturating_sub(self.limits().sent_max);
        if excess > 0 {
            // What was said in the same millisecond goes together.
            let (_, last, _) = ages.select_nth_unstable(excess - 1);
            oldest = oldest.max(Millis(last.0 + 1));
        }
        let mut batch = sled::Batch::default();
        let mut removed = 0;
        for entry in self.scan::<Sent>(&[key::SENT], "sent") {
            let (key, sent) = entry?;
            let id = key::texts(&key).next().unwrap_or_default();
            if sent.at < oldest && !running.contains(id) {
                batch.remove(key);
                removed += 1;
            }
            if removed == REMOVED_PER_CALL_MAX {
                break;
            }
        }
        self.db().apply_batch(batch)?;
        Ok(removed)
    }

    /// The send ids that running turns may look for.
    fn running_send_ids(&self) -> HashSet<String> {
        self.scan::<super::TurnRecord>(&[key::TURN], "turn")
            .filter_map(Result::ok)
            .flat_map(|(_, turn)| {
                let parts = (0..=turn.segment()).map(|number| turn.id.segment(number).part(0));
                let status = turn.segment_id().status();
                let waiting = turn.segment_id().notice_id("waiting");
                let approval_message = turn
                    .state()
                    .approval()
                    .map(|approval| approval.approval_message.clone());
                let all = parts.chain(approval_message).chain([status, waiting]);
                all.collect::<Vec<_>>()
            })
            .map(|id| id.as_str().to_owned())
            .collect()
    }

    #[cfg(test)]
    pub(super) fn remembers(&self, event_id: &ruma::EventId) -> Result<bool, JournalError> {
        Ok(self
            .db()
            .contains_key(key::Key::new(key::EVENT_ID).text(event_id.as_str()).bytes())?)
    }
}
