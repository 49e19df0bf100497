//! Reactions of people to agents' messages, kept for each conversation until its next turn takes them along.

use std::collections::HashSet;

use ruma::{EventId, OwnedEventId, OwnedUserId, RoomId};
use serde::{Deserialize, Serialize};

use super::{
    Journal, JournalError,
    key::{self, Key},
    record::ConversationKey,
};

/// The most reactions that wait in one conversation; the oldest go first.
pub(super) const REACTIONS_WAITING_MAX: usize = 20;
/// The most conversations in which reactions wait; in another one they are not kept.
const REACTED_CONVERSATIONS_MAX: usize = 10_000;

/// A reaction to an agent's message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReactionRecord {
    /// The reaction.
    pub event_id: OwnedEventId,
    /// Who reacted.
    pub sender: OwnedUserId,
    /// With what.
    pub key: String,
    /// The message.
    pub on: OwnedEventId,
}

impl Journal {
    /// The reactions that wait in a conversation, oldest first.
    pub fn reactions(
        &self,
        conversation: &ConversationKey,
    ) -> Result<Vec<ReactionRecord>, JournalError> {
        let waiting = self.get(&reactions_key(conversation), "reactions")?;
        Ok(waiting.unwrap_or_default())
    }

    /// Keeps a reaction for the next turn of a conversation, once.
    pub fn keep_reaction(
        &self,
        conversation: &ConversationKey,
        reaction: &ReactionRecord,
    ) -> Result<(), JournalError> {
        let _guard = self.write_lock();
        let mut waiting = self.reactions(conversation)?;
        if waiting.is_empty() {
            let conversations = self.db().scan_prefix([key::REACTIONS]).keys();
            if conversations.take(REACTED_CONVERSATIONS_MAX).count() == REACTED_CONVERSATIONS_MAX {
                return Ok(());
            }
        }
        waiting.retain(|one| one.event_id != reaction.event_id);
        waiting.push(reaction.clone());
        let excess = waiting.len().saturating_sub(REACTIONS_WAITING_MAX);
        waiting.drain(..excess);
        self.put(&reactions_key(conversation), &waiting, "reactions")
    }

    /// Takes back reactions in a room that still wait: `event_id` is one of them, or the message that they are to.
    pub fn withdraw_reactions(
        &self,
        room: &RoomId,
        event_id: &EventId,
    ) -> Result<(), JournalError> {
        let _guard = self.write_lock();
        for key in self.db().scan_prefix([key::REACTIONS]).keys() {
            let key = key?;
            if key::conversation(&key).is_none_or(|place| place.room != room) {
                continue;
            }
            let waiting: Vec<ReactionRecord> = self.get(&key, "reactions")?.unwrap_or_default();
            let is_redacted = |one: &ReactionRecord| one.event_id == event_id || one.on == event_id;
            let left: Vec<_> = waiting.iter().filter(|one| !is_redacted(one)).collect();
            if left.is_empty() {
                self.db().remove(key)?;
            } else if left.len() < waiting.len() {
                self.put(&key, &left, "reactions")?;
            }
        }
        Ok(())
    }

    /// Takes what waits in a conversation out of it.
    pub(super) fn take_reactions(
        &self,
        conversation: &ConversationKey,
        batch: &mut sled::Batch,
    ) -> Result<Vec<ReactionRecord>, JournalError> {
        let mut waiting = self.reactions(conversation)?;
        // Whoever reacts twice with the same has had it redacted in between.
        let mut seen = HashSet::new();
        waiting.retain(|one| seen.insert((one.sender.clone(), one.key.clone(), one.on.clone())));
        batch.remove(reactions_key(conversation));
        Ok(waiting)
    }
}

fn reactions_key(conversation: &ConversationKey) -> Vec<u8> {
    Key::new(key::REACTIONS).conversation(conversation).bytes()
}
