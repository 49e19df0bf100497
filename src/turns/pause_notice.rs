//! Tells everybody who waits for a paused agent that it is paused, once for each pause and person.
//!
//! The notice of a turn (see `wait_notice`) is for those whose prompts the turn answers. Prompts that wait behind it belong to others, and a
//! pause that begins anew, because an admin had the agent asked again in vain, is an edit of that notice that nobody is alerted to.

use std::collections::BTreeSet;

use super::{Inner, Turns, notice_texts};
use crate::{
    journal::{ConversationKey, JournalError, PauseRecord, QueuedPrompt, SendId, TurnRecord},
    matrix::content::Placement,
    outbox::notice,
    time::Millis,
};

/// How often a prompt's sender is told of pauses that follow each other, in milliseconds: an hour.
const NOTICE_EVERY_MS: u64 = 60 * 60 * 1_000;

impl Turns {
    /// Tells who has asked a paused agent, behind the turn of others, that it is paused.
    pub(super) async fn tell_of_pause(
        &self,
        key: &ConversationKey,
        prompt: &QueuedPrompt,
    ) -> Result<(), JournalError> {
        let Some(pause) = self.inner.pauses.find(&key.agent) else {
            return Ok(());
        };
        let journal = &self.inner.ctx.journal;
        let queued = journal.queued_prompts(key)?;
        let is_told = queued
            .iter()
            .any(|earlier| earlier.sender == prompt.sender && earlier.event_id != prompt.event_id);
        if is_told {
            return Ok(());
        }
        match journal.open_turn(key)? {
            Some(turn) if !turn.is_asked_by(&prompt.sender) => {
                self.inner.tell_of_pause(key, &pause, prompt).await
            }
            // The turn that answers it tells.
            _ => Ok(()),
        }
    }
}

impl Inner {
    /// The agent of a turn is paused: tells the senders of the prompts behind the turn, and those of the turn if they were told of
    /// an earlier pause. `told`: since when the pause is of which the turn's notice told last.
    pub(super) async fn tell_queue_of_pause(
        &self,
        turn: &TurnRecord,
        told: Option<Millis>,
        pause: &PauseRecord,
    ) -> Result<(), JournalError> {
        let is_anew = told.is_some_and(|since| since != pause.since);
        let queued = self.ctx.journal.queued_prompts(&turn.key)?;
        let waiting = queued
            .iter()
            .filter(|prompt| !turn.is_asked_by(&prompt.sender));
        let own = turn.prompts.iter().filter(|_| is_anew);
        let mut senders = BTreeSet::new();
        for prompt in own.chain(waiting) {
            if senders.insert(&prompt.sender) {
                self.tell_of_pause(&turn.key, pause, prompt).await?;
            }
        }
        Ok(())
    }

    /// Tells the sender of a prompt that the agent is paused; once in [`NOTICE_EVERY_MS`] for each prompt, whatever ends the pause and
    /// begins a new one, and again after an admin has had the agent asked.
    async fn tell_of_pause(
        &self,
        key: &ConversationKey,
        pause: &PauseRecord,
        prompt: &QueuedPrompt,
    ) -> Result<(), JournalError> {
        let send_id = SendId::of(&[
            "pause",
            key.agent.as_str(),
            prompt.event_id.as_str(),
            &(pause.since.0 / NOTICE_EVERY_MS).to_string(),
            &self.pauses.resumes().to_string(),
        ]);
        let reply_to = Some(prompt.event_id.clone());
        let placement = match &key.thread {
            Some(root) => Placement::Thread {
                root: root.clone(),
                reply_to,
            },
            None => Placement::Room { reply_to },
        };
        let text = notice_texts::paused(pause, Millis::now());
        let ghost = self.ctx.identity.ghost(&key.agent);
        let item = notice(&key.room, &ghost, placement, &text, send_id);
        self.ctx.outbox.enqueue(&item).await
    }
}
