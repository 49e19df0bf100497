//! Empties the inbox: routes each admitted event, in order, and hands it on.
//!
//! Nothing here waits for the network, so one slow room never holds up another, and a room that can
//! take no more (its outbox or its room jobs are full) holds up itself alone, see `pass`. An event
//! leaves the inbox in the same commit that puts it where it goes; after a crash it is routed again,
//! to the same place. What must be said about an event is written down before it leaves.

mod agent_messages;
mod ignored;
mod notices;
mod pass;
mod successor;

use std::{collections::HashMap, sync::Arc, time::Duration};

use ruma::{EventId, OwnedEventId, OwnedRoomId};
use tokio::sync::{Notify, Semaphore};
use tracing::{debug, error, info, warn};

use self::{ignored::IgnoredEvents, pass::InboxPass};
use super::{
    TurnContext, Turns,
    decryptor::Decryptor,
    notice_texts,
    route::{IgnoreReason, IncomingEvent, Route, Rules, route},
};
use crate::{
    encryption::{ENCRYPTED_TYPE, Support},
    journal::{
        AdmittedEvent, Attachment, ConversationKey, InboxPosition, JournalError, QueuedPrompt,
        RoomJob, SendId,
    },
    matrix::Actor,
    workers::{Panic, catch_panic},
};

/// How many events are taken from the inbox at once.
const EVENTS_AT_ONCE: usize = 256;
/// The most read receipts under way at once; beyond it they are left out.
const RECEIPTS_MAX: usize = 32;
/// How long to rest when the journal fails.
const JOURNAL_FAILED_PAUSE: Duration = Duration::from_secs(5);

/// Where events of a room go that ask for something to be done there.
pub trait WakeRoomJobs: Send + Sync {
    /// A room has a room job.
    fn wake(&self, room: OwnedRoomId);
}

/// See the module's documentation.
pub struct Inbox {
    ctx: TurnContext,
    turns: Turns,
    jobs: Arc<dyn WakeRoomJobs>,
    rules: Rules,
    arrived: Arc<Notify>,
    receipts: Arc<Semaphore>,
    decryptor: Decryptor,
    ignored: IgnoredEvents,
}

impl Inbox {
    /// An inbox over the journal's; `arrived` tells of new events.
    pub fn new(
        ctx: TurnContext,
        turns: Turns,
        jobs: Arc<dyn WakeRoomJobs>,
        rules: Rules,
        arrived: Arc<Notify>,
    ) -> Self {
        let receipts = Arc::new(Semaphore::new(RECEIPTS_MAX));
        let decryptor = Decryptor::new(ctx.clone(), Arc::clone(&arrived));
        Self {
            ctx,
            turns,
            jobs,
            rules,
            arrived,
            receipts,
            decryptor,
            ignored: IgnoredEvents::default(),
        }
    }

    /// What opens the events that wait for their key.
    pub fn decryptor(&self) -> &Decryptor {
        &self.decryptor
    }

    /// Routes until the process is about to end.
    pub async fn serve(self) {
        let tasks = self.ctx.tasks.clone();
        let mut pass = InboxPass::default();
        while !tasks.is_closing() {
            match self.drain(&mut pass).await {
                Ok(()) => tokio::select! {
                    () = self.arrived.notified() => {}
                    () = pass.over() => pass = pass.another(),
                    () = tasks.closing() => {}
                },
                Err(failure) => {
                    error!(
                        error = &failure as &dyn std::error::Error,
                        "the inbox failed"
                    );
                    tokio::select! {
                        () = tokio::time::sleep(JOURNAL_FAILED_PAUSE) => {}
                        () = tasks.closing() => {}
                    }
                    pass = pass.another();
                }
            }
        }
    }

    /// Routes all that has come since the round has looked last.
    async fn drain(&self, pass: &mut InboxPass) -> Result<(), JournalError> {
        let journal = &self.ctx.journal;
        loop {
            let events = journal.waiting_events_after(pass.after(), EVENTS_AT_ONCE)?;
            let Some(&(last, _)) = events.last() else {
                return Ok(());
            };
            let mut read = HashMap::new();
            for (admission, admitted, event) in self.parse(events)? {
                if pass.holds(&event.room_id) {
                    continue;
                }
                match catch_panic(self.route_event(admission, &admitted, &event)).await {
                    Ok(Ok(Some((conversation, event)))) => _ = read.insert(conversation, event),
                    Ok(Ok(None)) => {}
                    Ok(Err(full @ JournalError::Full { .. })) => pass.hold(event.room_id, &full),
                    Ok(Err(failure)) => return Err(failure),
                    Err(panic) => self.set_aside(admission, &event, &panic).await?,
                }
            }
            pass.reached(last);
            for (conversation, event) in read {
                self.mark_read(conversation, event);
            }
        }
    }

    /// Reads events. What was said in all of them is known before the first one is answered.
    fn parse(
        &self,
        events: Vec<(InboxPosition, AdmittedEvent)>,
    ) -> Result<Vec<(InboxPosition, AdmittedEvent, IncomingEvent)>, JournalError> {
        let mut parsed = Vec::with_capacity(events.len());
        for (admission, admitted) in events {
            match serde_json::from_str::<IncomingEvent>(admitted.event.get()) {
                Ok(event) => {
                    self.turns.note_said(&event, admitted.admitted_at);
                    parsed.push((admission, admitted, event));
                }
                Err(error) => {
                    warn!(%error, "could not parse an admitted event; it is dropped");
                    self.ctx.journal.drop_event(admission)?;
                }
            }
        }
        Ok(parsed)
    }

    /// Drops an event whose routing panicked. Routing is pure, so it would panic again; the room is told.
    async fn set_aside(
        &self,
        admission: InboxPosition,
        event: &IncomingEvent,
        panic: &Panic,
    ) -> Result<(), JournalError> {
        error!(
            event.id = %event.event_id, room.id = %event.room_id, %panic,
            "event set aside: routing it panicked"
        );
        let once = SendId::of(&["set aside", event.event_id.as_str()]);
        self.send_notice(event, &notice_texts::set_aside(), once)
            .await?;
        self.ctx.journal.drop_event(admission)
    }

    /// Routes one event. Answers what was read, if it was read by an agent. It stays where it is if
    /// its room can take no more ([`JournalError::Full`]).
    async fn route_event(
        &self,
        admission: InboxPosition,
        admitted: &AdmittedEvent,
        event: &IncomingEvent,
    ) -> Result<Option<(ConversationKey, OwnedEventId)>, JournalError> {
        let journal = &self.ctx.journal;
        let room = journal.room(&event.room_id)?;
        let replied = self.replied_agent(event)?;
        let route = route(event, room.as_ref(), &self.rules, replied.as_ref());
        if let Some(why) = route.ignore_reason() {
            self.ignored.log(event, why);
        } else {
            debug!(
                event.id = %event.event_id, room.id = %event.room_id, kind = route.kind(),
                "event routed"
            );
        }
        if matches!(
            route,
            Route::RoomState | Route::Membership | Route::Replaced
        ) {
            self.turns.room_state_changed(&event.room_id);
        }
        match route {
            route @ Route::Prompt { .. } => {
                return self.queue_routed(admission, admitted, event, route).await;
            }
            Route::Command | Route::Reaction | Route::Membership | Route::Replaced => {
                let job = RoomJob {
                    event: admitted.event.clone(),
                    admitted_at: admitted.admitted_at,
                };
                journal.queue_room_job(admission, &event.room_id, &job)?;
                self.jobs.wake(event.room_id.clone());
                return Ok(None);
            }
            Route::Edit {
                original,
                text,
                attachment,
            } => {
                self.edited(event, &original, &text, attachment.as_ref())
                    .await?;
            }
            Route::Opinion { on, key } => self.keep_reaction(event, &on, &key)?,
            Route::Redaction { of } => self.redacted(event, &of).await?,
            Route::Ignore(IgnoreReason::UnknownRoom) => {
                // Who comes into the room, or follows it to its replacement, looks for what was said before.
                journal.forget_event(admission, &event.event_id)?;
                return Ok(None);
            }
            Route::Ignore(IgnoreReason::Encrypted)
                if self.ctx.encryption.support() != Support::Unsupported =>
            {
                self.queue_encrypted(admission, admitted, event)?;
                return Ok(None);
            }
            Route::Ignore(IgnoreReason::Encrypted) => {
                let once = SendId::of(&["encrypted", event.room_id.as_str()]);
                let room = journal.room(&event.room_id)?;
                let has_one_agent = room.is_some_and(|room| room.only_agent().is_some());
                self.send_notice(event, &notice_texts::encrypted(has_one_agent), once)
                    .await?;
            }
            Route::Ignore(IgnoreReason::Ours) => self.remember_agent_message(event)?,
            Route::Ignore(IgnoreReason::RoomLeft) => self.tell_of_successor(event).await?,
            Route::RoomState | Route::Ignore(_) => {}
        }
        journal.drop_event(admission)?;
        Ok(None)
    }

    /// What was redacted is not done any more, as far as that is still possible.
    async fn redacted(&self, event: &IncomingEvent, of: &EventId) -> Result<(), JournalError> {
        let journal = &self.ctx.journal;
        journal.withdraw_reactions(&event.room_id, of)?;
        // Who may redact what is the homeserver's to check, but it holds in one room only.
        if !journal.withdraw_queued(&event.room_id, of)? {
            self.tell_too_late(event, of, &notice_texts::redaction_too_late())
                .await?;
        }
        self.turns
            .redacted(&event.room_id, of, &event.sender)
            .await?;
        journal.withdraw_encrypted(&event.room_id, of)?;
        // A reaction that is not taken yet is as if it had never been.
        journal.withdraw_room_job(&event.room_id, of)
    }

    /// What is encrypted waits to be decrypted; where encryption begins, whoever of us is there gets a device.
    fn queue_encrypted(
        &self,
        admission: InboxPosition,
        admitted: &AdmittedEvent,
        event: &IncomingEvent,
    ) -> Result<(), JournalError> {
        if event.event_type != ENCRYPTED_TYPE {
            self.decryptor.ensure_devices(&event.room_id);
            return self.ctx.journal.drop_event(admission);
        }
        let journal = &self.ctx.journal;
        for oldest in journal.move_to_encrypted(admission, &event.room_id, admitted)? {
            warn!(
                event.id = ?oldest.event_id(), room.id = %event.room_id,
                "event given up: too many in its room wait for a room key"
            );
        }
        self.decryptor.wake(&event.room_id);
        Ok(())
    }

    async fn queue_routed(
        &self,
        admission: InboxPosition,
        admitted: &AdmittedEvent,
        event: &IncomingEvent,
        route: Route,
    ) -> Result<Option<(ConversationKey, OwnedEventId)>, JournalError> {
        let Route::Prompt {
            conversation,
            also,
            text,
            attachment,
            reply_to,
        } = route
        else {
            return Ok(None);
        };
        let reply_to = reply_to.filter(|replied| {
            let turns = &self.turns;
            !turns.is_answer_before(&conversation, &event.sender, replied)
        });
        let prompt = QueuedPrompt {
            event_id: event.event_id.clone(),
            sender: event.sender.clone(),
            text,
            admitted_at: admitted.admitted_at,
            retries: 0,
            attachment,
            reply_to,
        };
        let conversations = [vec![conversation], also].concat();
        self.queue(admission, conversations, prompt).await
    }

    async fn queue(
        &self,
        admission: InboxPosition,
        conversations: Vec<ConversationKey>,
        prompt: QueuedPrompt,
    ) -> Result<Option<(ConversationKey, OwnedEventId)>, JournalError> {
        let journal = &self.ctx.journal;
        let mut open = Vec::new();
        for conversation in conversations {
            self.remind_of_pending_approval(&conversation, &prompt)
                .await?;
            self.turns.tell_of_pause(&conversation, &prompt).await?;
            if journal.has_place_for(&conversation, &prompt.sender)? {
                open.push(conversation);
            } else {
                self.refuse(&conversation, &prompt).await?;
            }
        }
        if open.is_empty() {
            journal.drop_event(admission)?;
            return Ok(None);
        }
        match journal.move_to_prompt_queues(admission, &open, &prompt) {
            Ok(()) => {
                for conversation in &open {
                    info!(
                        event.id = %prompt.event_id, room.id = %conversation.room, agent.id = %conversation.agent,
                        "prompt queued"
                    );
                    self.turns.wake(conversation);
                }
                let first = open.into_iter().next();
                Ok(first.map(|conversation| (conversation, prompt.event_id)))
            }
            Err(JournalError::Full { .. }) => {
                for conversation in &open {
                    self.refuse(conversation, &prompt).await?;
                }
                journal.drop_event(admission)?;
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }

    /// A message has a new text: what still waits is changed, and for what runs it is too late.
    async fn edited(
        &self,
        event: &IncomingEvent,
        original: &EventId,
        text: &str,
        attachment: Option<&Attachment>,
    ) -> Result<(), JournalError> {
        let journal = &self.ctx.journal;
        if !journal.replace_queued(original, &event.sender, text, attachment)? {
            self.tell_too_late(event, original, &notice_texts::edit_too_late())
                .await?;
        }
        Ok(())
    }

    /// Shows that the agent has read. Only the newest event of a conversation is marked, and under
    /// load none: a receipt is a courtesy.
    fn mark_read(&self, conversation: ConversationKey, event: OwnedEventId) {
        let Ok(permit) = Arc::clone(&self.receipts).try_acquire_owned() else {
            return;
        };
        let homeserver = self.ctx.homeserver.clone();
        let ghost = self.rules.identity.ghost(&conversation.agent);
        self.ctx.tasks.spawn(async move {
            let thread = conversation.thread.as_deref();
            let room = &conversation.room;
            if let Err(error) = homeserver
                .mark_read(Actor::Ghost(&ghost), room, &event, thread)
                .await
            {
                debug!(room.id = %room, %error, "could not send a read receipt");
            }
            drop(permit);
        });
    }
}

#[cfg(test)]
mod tests;
