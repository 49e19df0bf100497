//! Turns: what people say to agents, and what agents answer.
//!
//! Each conversation has a queue in the journal and at most one turn in flight. A turn takes all
//! that its first sender has waiting at the head of its queue, so a burst is answered together. It survives any crash: what it answers
//! is written down before Letta is asked, Letta is asked under the event's own id, and what the
//! room hears goes through the outbox. A tool that needs a person's decision ends a segment of the
//! turn: the room is asked with an approval message, and the turn goes on when somebody has decided.
//! What a turn does is its [`TurnState`](crate::journal::TurnState): that file shows all states and transitions.
//!
//! ```text
//! inbox ── route ──┬─ Prompt ──> queue of the conversation ──> run ──> reply ──> say ──> outbox
//!                  ├─ Command, Reaction, Membership ──> room jobs of the room ──> decide
//!                  ├─ Edit, Redaction ──> what still waits is changed or withdrawn
//!                  └─ Ignore(why)
//! ```
//!
//! [`route`], [`reply`], `approval_message`, [`budget`] and [`messages`] are pure; `run` does the waiting. What a turn may ask of Letta is
//! bounded by its [`budget`]; a turn that gets no answer within it is set aside, see [`failed_prompts`].

mod approval;
mod approval_message;
mod attachment_debounce;
mod attachments;
mod bot_commands;
pub mod budget;
pub mod decide;
pub mod decryptor;
mod envelope;
mod external_decision;
mod external_turns;
pub mod failed_prompts;
pub mod inbox;
mod interruptible;
mod latest_messages;
mod log;
mod member_counts;
pub mod messages;
mod model_input;
mod model_tags;
mod non_text_message;
pub mod notice_texts;
mod open_stream;
mod orphaned_approvals;
mod pause_notice;
pub mod pauses;
mod prompt;
mod quote;
pub mod reaction_command;
mod reactions;
pub mod reply;
mod retry;
pub mod rights;
pub mod route;
mod run;
mod segment;
mod send_rights;
mod sender_rate_limit;
pub mod status;
mod status_message;
mod stop_requests;
mod streamed_message;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod timeline;
mod turn_view;
mod typing;
mod wait_notice;

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use letta_client::{AgentId, Backend};
use ruma::RoomId;
use tokio::{
    sync::{Semaphore, watch},
    time::Instant,
};
use tracing::error;

use self::{
    attachments::Attachments, external_turns::ExternalTurns, latest_messages::LatestMessages,
    member_counts::MemberCounts, pauses::Pauses, send_rights::SendRights,
    sender_rate_limit::SenderRateLimit, stop_requests::StopRequests,
};
use crate::{
    config,
    encryption::Encryption,
    identity::Identity,
    journal::{ConversationKey, Journal, JournalError, TurnId},
    matrix::Homeserver,
    outbox::Outbox,
    time::Millis,
    transcription::Transcriber,
    workers::{Panic, Tasks, Work, Workers},
};

/// The most turns that stream at once; more wait for a place.
const STREAMS_MAX: usize = 256;

/// What turns need from the rest of the bridge.
#[derive(Clone)]
pub struct TurnContext {
    /// The durable record.
    pub journal: Journal,
    /// What must be said.
    pub outbox: Outbox,
    /// The homeserver.
    pub homeserver: Homeserver,
    /// What encrypts for rooms, and opens what is said in them.
    pub encryption: Encryption,
    /// Letta.
    pub backend: Arc<dyn Backend>,
    /// Who is who.
    pub identity: Identity,
    /// Who may do what.
    pub permissions: config::Permissions,
    /// Counts how often Letta came back after it could not be reached.
    pub letta_reconnects: watch::Receiver<u64>,
    /// How turns are held here.
    pub config: config::Turns,
    /// Turns speech into text, if somebody does.
    pub transcriber: Option<Arc<Transcriber>>,
    /// When agents have to ask, where nothing else was chosen.
    pub mode: config::ToolPermissionMode,
    /// The tasks to belong to.
    pub tasks: Tasks,
}

/// See the module's documentation. Cheap to clone.
#[derive(Clone)]
pub struct Turns {
    inner: Arc<Inner>,
}

struct Inner {
    ctx: TurnContext,
    members: MemberCounts,
    attachments: Attachments,
    workers: Workers<ConversationKey>,
    streams: Semaphore,
    stops: StopRequests,
    pauses: Arc<Pauses>,
    send_rights: SendRights,
    latest_messages: LatestMessages,
    rate_limit: Mutex<SenderRateLimit>,
    /// Conversations in which only braked people wait, and when to look there again.
    timers: Mutex<HashMap<ConversationKey, Instant>>,
    /// The turns that this process has begun or taken up.
    started_turns: Mutex<HashSet<TurnId>>,
    external_turns: ExternalTurns,
    /// Counts the verdicts of people.
    decisions_made: watch::Sender<u64>,
}

impl Turns {
    /// Nothing runs yet. Call [`Turns::resume`] when the homeserver is ready.
    pub fn new(ctx: TurnContext) -> Result<Self, JournalError> {
        let members = MemberCounts::new(ctx.homeserver.clone(), ctx.identity.clone());
        let attachments = Attachments::new(ctx.homeserver.clone(), ctx.transcriber.clone());
        let workers = Workers::new(ctx.tasks.clone());
        let streams = Semaphore::new(STREAMS_MAX);
        let pauses = Arc::new(Pauses::load(ctx.journal.clone())?);
        Ok(Self {
            inner: Arc::new(Inner {
                ctx,
                members,
                attachments,
                workers,
                streams,
                stops: StopRequests::default(),
                pauses,
                send_rights: SendRights::default(),
                latest_messages: LatestMessages::default(),
                rate_limit: Mutex::default(),
                timers: Mutex::default(),
                started_turns: Mutex::default(),
                external_turns: ExternalTurns::default(),
                decisions_made: watch::Sender::default(),
            }),
        })
    }

    /// Goes on with what an earlier process has left.
    pub fn resume(&self) -> Result<(), JournalError> {
        for conversation in self.inner.ctx.journal.busy_conversations()? {
            if let Some(turn) = self.inner.ctx.journal.open_turn(&conversation)? {
                // A redaction may have come before the homeserver had confirmed what it is about.
                self.watch_unconfirmed_redactions(&turn, self.inner.ctx.identity.bot());
            }
            self.wake(&conversation);
        }
        self.look_for_requests();
        self.follow_external_turns();
        Ok(())
    }

    /// Looks after a conversation in which something may wait.
    pub fn wake(&self, conversation: &ConversationKey) {
        self.inner.workers.wake(conversation.clone(), self.clone());
    }

    /// Looks after a conversation again later. Whatever comes in meanwhile wakes it sooner.
    fn wake_at(&self, conversation: &ConversationKey, then: Instant) {
        let is_new = {
            let mut timers = self.inner.timers();
            let is_new = timers.get(conversation).is_none_or(|known| then < *known);
            if is_new {
                timers.insert(conversation.clone(), then);
            }
            is_new
        };
        if !is_new {
            return;
        }
        let (turns, conversation) = (self.clone(), conversation.clone());
        self.inner.ctx.tasks.spawn(async move {
            tokio::select! {
                () = tokio::time::sleep_until(then) => {}
                () = turns.inner.ctx.tasks.closing() => return,
            }
            // An earlier one may have taken its place.
            let is_due = {
                let mut timers = turns.inner.timers();
                let is_due = timers.get(&conversation) == Some(&then);
                if is_due {
                    timers.remove(&conversation);
                }
                is_due
            };
            if is_due {
                turns.wake(&conversation);
            }
        });
    }

    /// Somebody has come into the room or gone, or who may do what there has changed.
    pub fn room_state_changed(&self, room: &RoomId) {
        self.inner.members.changed(room);
        self.inner.send_rights.changed(room);
    }

    /// Somebody, perhaps one of ours, may have said something.
    pub fn note_said(&self, event: &route::IncomingEvent, admitted_at: Millis) {
        self.inner.latest_messages.note(event, admitted_at);
    }

    /// The agents that are not asked for a while.
    pub fn pauses(&self) -> &Arc<Pauses> {
        &self.inner.pauses
    }

    /// Asks an agent that is paused again now. `false`: it is not paused.
    pub fn resume_agent(&self, agent: &AgentId) -> Result<bool, JournalError> {
        self.inner.pauses.resume(agent)
    }

    /// How many conversations have a turn in flight.
    pub fn in_flight(&self) -> usize {
        self.inner.workers.active_count()
    }
}

impl Inner {
    fn timers(&self) -> MutexGuard<'_, HashMap<ConversationKey, Instant>> {
        self.timers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Work<ConversationKey> for Turns {
    type Error = JournalError;

    async fn run(&self, conversation: &ConversationKey) -> Result<(), JournalError> {
        match self.inner.run_conversation(conversation).await {
            Ok(Some(then)) => self.wake_at(conversation, then),
            Ok(None) => {}
            Err(JournalError::Transition(fault)) => {
                // It would be the same another time.
                self.end_after_fault(conversation, &fault).await?;
                self.wake(conversation);
            }
            Err(failure) => return Err(failure),
        }
        Ok(())
    }

    /// Ends the turn that panicked; the next one goes on.
    async fn set_aside(
        &self,
        conversation: &ConversationKey,
        panic: &Panic,
    ) -> Result<(), JournalError> {
        self.end_after_fault(conversation, panic).await
    }
}

impl Turns {
    /// Ends the turn of a conversation that the bridge itself cannot go on with: its prompts are set aside.
    async fn end_after_fault(
        &self,
        conversation: &ConversationKey,
        fault: &(dyn fmt::Display + Sync),
    ) -> Result<(), JournalError> {
        let ctx = &self.inner.ctx;
        let Some(turn) = ctx.journal.open_turn(conversation)? else {
            return Ok(());
        };
        error!(
            turn.id = %turn.id, room.id = %conversation.room, agent.id = %conversation.agent,
            state = turn.state().name(), %fault, "turn set aside after a fault of the bridge"
        );
        let reason = notice_texts::turn_fault();
        let failed = self.inner.failed_record(&turn, &reason)?;
        let text = match &failed {
            Some(failed) => notice_texts::prompts_set_aside(&reason, failed.number),
            None => notice_texts::set_aside(),
        };
        let notice = self
            .inner
            .message_builder(&turn)
            .segment_notice(&turn, "set aside", &text);
        let waits = self.inner.abandoned_notice(&turn)?;
        let last: Vec<_> = waits.into_iter().chain([notice]).collect();
        match &failed {
            Some(failed) => ctx.journal.set_aside(&turn, failed, &last)?,
            None => ctx.journal.end_turn(&turn, &last)?,
        }
        ctx.journal.durable().await?;
        ctx.outbox.wake(&conversation.room);
        log::ended(&turn, "set aside", Some(&reason.code));
        Ok(())
    }
}
