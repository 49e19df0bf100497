//! Conversations: what waits in them, and the one turn that runs.

use std::collections::BTreeSet;

use letta_client::{Conversation, ConversationId};
use ruma::{EventId, OwnedUserId, RoomId, UserId};

use super::{
    Journal, JournalError, OutboxItem,
    key::{self, Key},
    record::{Attachment, AttachmentKind, ConversationKey, QueuedPrompt, TurnId, TurnRecord},
};
use crate::time::Millis;

/// The most prompts that one turn answers together.
pub(super) const PROMPTS_PER_TURN_MAX: usize = 20;
/// The most bytes of prompts that one turn answers together; one prompt is taken whatever its size.
pub(super) const PROMPT_BYTES_PER_TURN_MAX: usize = 64 * 1024;

/// The most pictures that one turn shows. Together they fit into what one request to a model may hold.
pub(super) const PICTURES_PER_TURN_MAX: usize = 5;
/// The most voice messages that one turn takes: each is turned into text before the agent is asked.
pub(super) const AUDIO_PER_TURN_MAX: usize = 3;

/// One part in so many of a conversation's queue is kept for people who have less than that in it.
const KEPT_FOR_OTHERS: usize = 10;

impl Journal {
    /// What waits in a conversation, oldest first.
    pub fn queued_prompts(
        &self,
        conversation: &ConversationKey,
    ) -> Result<Vec<QueuedPrompt>, JournalError> {
        let prefix = Key::new(key::QUEUE).conversation(conversation).bytes();
        self.scan(&prefix, "prompt")
            .map(|entry| entry.map(|(_, prompt)| prompt))
            .collect()
    }

    /// What each person has said first of what waits in a conversation, oldest first.
    pub fn first_of_each_sender(
        &self,
        conversation: &ConversationKey,
    ) -> Result<Vec<QueuedPrompt>, JournalError> {
        let mut senders = BTreeSet::new();
        let mut prompts = self.queued_prompts(conversation)?;
        prompts.retain(|prompt| senders.insert(prompt.sender.clone()));
        Ok(prompts)
    }

    /// Whether a conversation's queue takes one more prompt of this person. The last part of it is kept for people who have
    /// little in it, so that one who fills it keeps nobody else out.
    pub fn has_place_for(
        &self,
        conversation: &ConversationKey,
        sender: &UserId,
    ) -> Result<bool, JournalError> {
        let limit = self.limits().queued_prompts_max;
        let kept = limit / KEPT_FOR_OTHERS;
        let waiting = self.queued_prompts(conversation)?;
        let own = waiting.iter().filter(|prompt| prompt.sender == sender);
        let limit = if own.count() < kept.max(1) {
            limit
        } else {
            limit - kept
        };
        Ok(waiting.len() < limit)
    }

    /// The turn that runs in a conversation.
    pub fn open_turn(
        &self,
        conversation: &ConversationKey,
    ) -> Result<Option<TurnRecord>, JournalError> {
        self.get(&turn_key(conversation), "turn")
    }

    /// Begins a turn with what waits in the conversation, whoever has said it. See [`Journal::begin_turn_without`].
    pub fn begin_turn(
        &self,
        conversation: &ConversationKey,
        now: Millis,
    ) -> Result<Option<TurnRecord>, JournalError> {
        self.begin_turn_without(conversation, &BTreeSet::new(), now)
    }

    /// Begins a turn with what waits in the conversation, in one commit: the oldest prompt and those of the same person right
    /// after it. Who sets a turn going decides about its tools, so no turn is that of two people. Prompts of `held` people stay
    /// where they are, and those of others overtake them. `None`: nothing else waits, or a turn runs already.
    pub fn begin_turn_without(
        &self,
        conversation: &ConversationKey,
        held: &BTreeSet<OwnedUserId>,
        now: Millis,
    ) -> Result<Option<TurnRecord>, JournalError> {
        let prefix = Key::new(key::QUEUE).conversation(conversation).bytes();
        // What is replaced or withdrawn meanwhile must not be asked as it was.
        let _guard = self.write_lock();
        if self.open_turn(conversation)?.is_some() {
            return Ok(None);
        }
        let mut batch = sled::Batch::default();
        let mut prompts: Vec<QueuedPrompt> = Vec::new();
        let (mut bytes, mut pictures, mut audio) = (0, 0, 0);
        for entry in self.scan::<QueuedPrompt>(&prefix, "prompt") {
            let (key, prompt) = entry?;
            if held.contains(&prompt.sender) {
                continue;
            }
            bytes += prompt.text.len() + prompt.file_bytes();
            match prompt.attachment.as_ref().map(|one| one.kind) {
                Some(AttachmentKind::Picture) => pictures += 1,
                Some(AttachmentKind::Audio) => audio += 1,
                Some(AttachmentKind::File) | None => {}
            }
            let of_another = prompts
                .first()
                .is_some_and(|first| first.sender != prompt.sender);
            let is_full = prompts.len() >= PROMPTS_PER_TURN_MAX
                || bytes > PROMPT_BYTES_PER_TURN_MAX
                || pictures > PICTURES_PER_TURN_MAX
                || audio > AUDIO_PER_TURN_MAX;
            if of_another || (!prompts.is_empty() && is_full) {
                break;
            }
            batch.remove(key);
            prompts.push(prompt);
        }
        let Some(first) = prompts.first() else {
            return Ok(None);
        };
        let id = TurnId::of_prompt(first, &conversation.agent);
        let mut turn = TurnRecord::new(id, conversation.clone(), prompts, now);
        turn.reactions = self.take_reactions(conversation, &mut batch)?;
        batch.insert(turn_key(conversation), super::encode(&turn, "turn")?);
        self.db().apply_batch(batch)?;
        Ok(Some(turn))
    }

    /// Writes down how far a turn has come.
    pub fn update_turn(&self, turn: &TurnRecord) -> Result<(), JournalError> {
        self.put(&turn_key(&turn.key), turn, "turn")
    }

    /// Ends a turn: its last words enter the outbox and it is forgotten, in one commit.
    /// What waits in the outbox or has arrived already does not enter it again.
    pub fn end_turn(&self, turn: &TurnRecord, last: &[OutboxItem]) -> Result<(), JournalError> {
        let _guard = self.write_lock();
        let batch = self.end_batch(turn, last)?;
        self.db().apply_batch(batch)?;
        Ok(())
    }

    /// What ends a turn.
    pub(super) fn end_batch(
        &self,
        turn: &TurnRecord,
        last: &[OutboxItem],
    ) -> Result<sled::Batch, JournalError> {
        let mut batch = self.outbox_batch(&self.unsent(last)?)?;
        batch.remove(turn_key(&turn.key));
        self.forget_redactions(&turn.id, &mut batch)?;
        Ok(batch)
    }

    /// Ends a segment of a turn: its last words enter the outbox and the turn is written down as it
    /// goes on, in one commit.
    pub fn end_segment(&self, next: &TurnRecord, last: &[OutboxItem]) -> Result<(), JournalError> {
        let _guard = self.write_lock();
        let mut batch = self.outbox_batch(&self.unsent(last)?)?;
        batch.insert(turn_key(&next.key), super::encode(next, "turn")?);
        self.db().apply_batch(batch)?;
        Ok(())
    }

    /// Those that neither wait in the outbox nor have arrived.
    fn unsent(&self, items: &[OutboxItem]) -> Result<Vec<OutboxItem>, JournalError> {
        let mut unsent = Vec::new();
        for item in items {
            let arrived = matches!(self.event_of(&item.send_id)?, Some(Some(_)));
            if !arrived && !self.is_waiting(&item.room, &item.send_id)? {
                unsent.push(item.clone());
            }
        }
        Ok(unsent)
    }

    /// Conversations in which something waits or runs.
    pub fn busy_conversations(&self) -> Result<Vec<ConversationKey>, JournalError> {
        let mut keys = BTreeSet::new();
        for entry in self.scan::<TurnRecord>(&[key::TURN], "turn") {
            keys.insert(entry?.1.key);
        }
        for key in self.db().scan_prefix([key::QUEUE]).keys() {
            keys.extend(key::conversation(&key?));
        }
        Ok(keys.into_iter().collect())
    }

    /// Replaces what a prompt says that still waits. `false`: it does not wait (any more).
    pub fn replace_queued(
        &self,
        event_id: &EventId,
        sender: &UserId,
        text: &str,
        attachment: Option<&Attachment>,
    ) -> Result<bool, JournalError> {
        let _guard = self.write_lock();
        let mut is_waiting = false;
        for entry in self.scan::<QueuedPrompt>(&[key::QUEUE], "prompt") {
            let (key, prompt) = entry?;
            if prompt.event_id == event_id && prompt.sender == sender {
                let edited = QueuedPrompt {
                    text: text.to_owned(),
                    attachment: attachment.cloned(),
                    ..prompt
                };
                self.put(&key, &edited, "prompt")?;
                is_waiting = true;
            }
        }
        Ok(is_waiting)
    }

    /// Takes back a prompt that still waits. `false`: it does not wait (any more).
    pub fn withdraw_queued(&self, room: &RoomId, event_id: &EventId) -> Result<bool, JournalError> {
        let _guard = self.write_lock();
        let mut was_waiting = false;
        for entry in self.scan::<QueuedPrompt>(&[key::QUEUE], "prompt") {
            let (key, prompt) = entry?;
            let is_here = key::conversation(&key).is_some_and(|place| place.room == room);
            if is_here && prompt.event_id == event_id {
                self.db().remove(key)?;
                was_waiting = true;
            }
        }
        Ok(was_waiting)
    }

    /// Letta's conversation for a place in Matrix.
    pub fn conversation(
        &self,
        key: &ConversationKey,
    ) -> Result<Option<Conversation>, JournalError> {
        let id: Option<Option<ConversationId>> =
            self.get(&conversation_key(key), "conversation")?;
        Ok(id.map(|id| id.map_or(Conversation::Default, Conversation::Own)))
    }

    /// Remembers Letta's conversation for a place in Matrix.
    pub fn set_conversation(
        &self,
        key: &ConversationKey,
        conversation: &Conversation,
    ) -> Result<(), JournalError> {
        let id = match conversation {
            Conversation::Default => None,
            Conversation::Own(id) => Some(id),
        };
        self.put(&conversation_key(key), &id, "conversation")
    }

    /// Forgets Letta's conversation for a place in Matrix, because Letta no longer has it.
    pub fn forget_conversation(&self, key: &ConversationKey) -> Result<(), JournalError> {
        self.db().remove(conversation_key(key))?;
        Ok(())
    }
}

pub(super) fn turn_key(conversation: &ConversationKey) -> Vec<u8> {
    Key::new(key::TURN).conversation(conversation).bytes()
}

pub(super) fn conversation_key(conversation: &ConversationKey) -> Vec<u8> {
    Key::new(key::CONVERSATION)
        .conversation(conversation)
        .bytes()
}
