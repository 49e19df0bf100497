//! Turns that others start: a schedule, or a person in Letta's own app. They appear in the room of
//! their conversation, and are told like any other.
//!
//! Promise: none is told twice. Its first words in the room are a notice under an id that is made
//! of the turn's own key, so a turn that is heard again after a restart is known by it.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use futures_util::StreamExt;
use letta_client::{Conversation, Destination, ExternalTurn, TurnStream};
use tracing::{debug, error, warn};

use super::{
    Inner, Turns, external_decision::LOOK_TIME_MAX, messages::MessageBuilder, notice_texts,
    segment::Failure,
};
use crate::{
    journal::{ApprovalDecision, ConversationKey, DecidedBy, JournalError, TurnId, TurnRecord},
    time::Millis,
    workers::catch_panic,
};

/// The most turns of others that wait in one conversation. Beyond it they are left out: Letta keeps
/// them, and nobody here has asked for them.
const WAITING_MAX: usize = 16;

/// Turns of others that wait to be told, and the streams of those that are.
#[derive(Default)]
pub(super) struct ExternalTurns {
    waiting: Mutex<HashMap<ConversationKey, VecDeque<(TurnId, ExternalTurn)>>>,
    streams: Mutex<HashMap<TurnId, TurnStream>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ExternalTurns {
    /// The stream of a turn, once: it cannot be told again.
    pub(super) fn take_stream(&self, turn: &TurnId) -> Option<TurnStream> {
        lock(&self.streams).remove(turn)
    }

    fn push(&self, place: &ConversationKey, id: TurnId, external: ExternalTurn) {
        let mut waiting = lock(&self.waiting);
        let here = waiting.entry(place.clone()).or_default();
        if here.len() >= WAITING_MAX {
            warn!(room.id = %place.room, turn.id = %id, "external turn queue full; dropping one");
            return;
        }
        if here.iter().all(|(known, _)| *known != id) {
            here.push_back((id, external));
        }
    }

    fn pop(&self, place: &ConversationKey) -> Option<(TurnId, ExternalTurn)> {
        let mut waiting = lock(&self.waiting);
        let here = waiting.get_mut(place)?;
        let next = here.pop_front();
        if here.is_empty() {
            waiting.remove(place);
        }
        next
    }
}

impl Turns {
    /// Listens for turns that others start, as long as the process lives.
    pub(super) fn follow_external_turns(&self) {
        let Some(mut external) = self.inner.ctx.backend.external_turns() else {
            return;
        };
        let (turns, watching) = (self.clone(), self.clone());
        let tasks = &self.inner.ctx.tasks;
        tasks.spawn(async move {
            if watching.inner.once_letta_answers().await.is_some()
                && let Err(failure) = watching.inner.watch_all_conversations().await
            {
                warn!(
                    error = &failure as &dyn std::error::Error,
                    "could not watch all conversations"
                );
            }
        });
        tasks.spawn_essential("external turns", async move {
            loop {
                let next = tokio::select! {
                    next = external.next() => next,
                    () = turns.inner.ctx.tasks.closing() => None,
                };
                let Some(heard) = next else { return };
                match catch_panic(turns.queue_external_turn(heard)).await {
                    Ok(Ok(())) => {}
                    Ok(Err(failure)) => warn!(
                        error = &failure as &dyn std::error::Error,
                        "an external turn is not shown"
                    ),
                    Err(panic) => {
                        error!(%panic, "an external turn is not shown: reading it panicked");
                    }
                }
            }
        });
    }

    async fn queue_external_turn(&self, external: ExternalTurn) -> Result<(), JournalError> {
        let Some(place) = self.inner.place_of(&external.at)? else {
            debug!(agent.id = %external.at.agent, "external turn belongs to no room");
            return Ok(());
        };
        let id = TurnId::named(&["overheard", place.agent.as_str(), &external.key]);
        let begun = self
            .inner
            .is_sent_or_queued(&place.room, &id.notice_id("elsewhere"))?;
        let heard = ExternalTurnRef {
            at: &external.at,
            key: &external.key,
            is_asked_anew: external.prompt.is_some(),
        };
        if begun || self.is_ours(&place, &heard).await? {
            return Ok(());
        }
        self.inner.external_turns.push(&place, id, external);
        self.wake(&place);
        Ok(())
    }

    /// Whether a turn is our own. Letta has begun it anew after it was killed: what it asks anew is
    /// found as soon as a person has decided. Or somebody has decided outside of Matrix what it
    /// waits for: it goes on.
    async fn is_ours(
        &self,
        place: &ConversationKey,
        heard: &ExternalTurnRef<'_>,
    ) -> Result<bool, JournalError> {
        let Some(turn) = self.inner.own_turn_of_key(place, heard.key)? else {
            return Ok(false);
        };
        let goes_on = heard.key.contains('~') && !heard.is_asked_anew;
        if let (Some(approval), Ok(run), true) = (turn.waits_for(), heard.key.parse(), goes_on) {
            let waits = self.inner.ctx.backend.pending_approval(heard.at);
            let waits = tokio::time::timeout(LOOK_TIME_MAX, waits);
            let Some(Ok(waits)) = self.inner.unless_ending(waits).await else {
                return Ok(true);
            };
            if waits.is_ok_and(|waits| waits.is_none_or(|request| request.id != approval.request)) {
                let decision = ApprovalDecision {
                    approve: false,
                    reason: None,
                    by: DecidedBy::External(run),
                };
                self.record_decision(&turn, &decision)?;
            }
        }
        Ok(true)
    }
}

/// What is looked at of a turn that is heard.
struct ExternalTurnRef<'a> {
    at: &'a Destination,
    key: &'a str,
    /// Letta puts the prompts in once more.
    is_asked_anew: bool,
}

impl Inner {
    async fn watch_all_conversations(&self) -> Result<(), JournalError> {
        for place in self.places()? {
            let Some(destination) = self.known_destination(&place)? else {
                continue;
            };
            tokio::select! {
                watched = self.watch(&place, &destination) => match watched {
                    Ok(()) => {}
                    Err(Failure::Journal(failure)) => return Err(failure),
                    Err(failure) => debug!(
                        room.id = %place.room, error = &failure as &dyn std::error::Error,
                        "could not watch a conversation; it is watched from its next message on"
                    ),
                },
                () = self.ctx.tasks.closing() => return Ok(()),
            }
        }
        Ok(())
    }

    /// Listens to a conversation from now on.
    pub(super) async fn watch(
        &self,
        place: &ConversationKey,
        destination: &Destination,
    ) -> Result<(), Failure> {
        let policy = self.tool_policy(place)?;
        Ok(self.ctx.backend.watch(destination, policy).await?)
    }

    /// The turn of ours that runs in this place, if its prompts are what this key is made of.
    fn own_turn_of_key(
        &self,
        place: &ConversationKey,
        key: &str,
    ) -> Result<Option<TurnRecord>, JournalError> {
        let first = key.split('~').next().unwrap_or_default();
        let turn = self.ctx.journal.open_turn(place)?;
        Ok(turn.filter(|turn| {
            let mut prompts = turn.prompts.iter();
            prompts.any(|prompt| turn.key_of(prompt) == first)
        }))
    }

    /// Where a conversation of Letta takes place; an agent's default one that no room knows, in its
    /// own.
    fn place_of(&self, at: &Destination) -> Result<Option<ConversationKey>, JournalError> {
        let places = self.places()?;
        let mut home = None;
        for place in places.into_iter().filter(|place| place.agent == at.agent) {
            if self.known_destination(&place)?.as_ref() == Some(at) {
                return Ok(Some(place));
            }
            if self.is_home(&place)? && at.conversation == Conversation::Default {
                home = Some(place);
            }
        }
        Ok(home)
    }

    /// Begins the next turn of somebody else in a conversation: the room hears what it is about.
    pub(super) async fn begin_external_turn(
        &self,
        place: &ConversationKey,
    ) -> Result<Option<TurnRecord>, JournalError> {
        let Some((id, external)) = self.external_turns.pop(place) else {
            return Ok(None);
        };
        let turn = TurnRecord::external(id.clone(), place.clone(), Millis::now());
        let builder = MessageBuilder {
            ghost: self.ctx.identity.ghost(&place.agent),
            mentions: Vec::new(),
            replies: true,
            mark: String::new(),
        };
        let text = notice_texts::external_turn_started(external.prompt.as_deref());
        let notice = builder.segment_notice(&turn, "elsewhere", &text);
        let journal = &self.ctx.journal;
        journal.end_segment(&turn, std::slice::from_ref(&notice))?;
        lock(&self.external_turns.streams).insert(id, external.turn);
        journal.durable().await?;
        self.ctx.outbox.wake(&place.room);
        Ok(Some(turn))
    }
}

#[cfg(test)]
mod tests;
