//! What the server tells, told on: whose turn something is of, and what it does to it.

use std::collections::HashMap;

use super::{
    Alarm, Effect, ExternalTurnStarted, REMEMBERED_MAX, Runtime, StreamEnd, TURN_END_WAIT_MAX,
    Turn, TurnState, remember, turn::derive_run_id,
};
use crate::{
    app_server::wire::{
        ControlRequest, ConversationEvent, Delta, LoopStatus, QueueUpdate, TurnFinished,
    },
    backend::{ApprovalRequest, StopReason, ToolCall},
    error::BackendError,
    rest::wire::{Content, Message},
};

impl Runtime {
    /// An event, on the socket that leads or on the other.
    pub(in crate::app_server) fn event(
        &mut self,
        event: ConversationEvent,
        lead: bool,
        out: &mut Vec<Effect>,
    ) {
        match event {
            ConversationEvent::Delta(delta) => self.delta(*delta, out),
            ConversationEvent::Finished(finished) => self.finished(&finished, out),
            ConversationEvent::Control(control) => self.asks(control, out),
            ConversationEvent::Loop(mut status) => {
                self.learn(
                    status
                        .client_message_ids_by_run_id
                        .take()
                        .unwrap_or_default(),
                );
                if lead {
                    self.loop_status(status, out);
                }
            }
            ConversationEvent::Queue(update) if lead => self.queue(update, out),
            ConversationEvent::Mode(mode) if lead => self.mode = Some(mode),
            ConversationEvent::Queue(_) | ConversationEvent::Mode(_) => {}
        }
    }

    fn loop_status(&mut self, status: LoopStatus, out: &mut Vec<Effect>) {
        self.idle = status.is_idle();
        self.active = status.active_run_ids.unwrap_or_default();
        if !self.idle {
            self.emit_approval_request(out);
        }
        let named = self.active_keys();
        if self.idle {
            for turn in [&self.ours, &self.others].into_iter().flatten() {
                if turn.state == TurnState::Running && turn.stop.is_some() {
                    out.push(Effect::Wake(
                        TURN_END_WAIT_MAX,
                        Alarm::Unfinished(turn.number),
                    ));
                }
            }
            return;
        }
        let Some(turn) = &mut self.ours else { return };
        let is_ours = if named.is_empty() {
            turn.state == TurnState::Accepted && self.others.is_none()
        } else {
            turn.answers(&named)
        };
        if is_ours && matches!(turn.state, TurnState::Accepted | TurnState::Queued) {
            turn.state = TurnState::Running;
        }
    }

    /// Which inputs runs answer is true whichever socket tells it first.
    fn learn(&mut self, runs: HashMap<String, Vec<String>>) {
        if self.runs.len() > REMEMBERED_MAX {
            self.runs.clear();
        }
        self.runs.extend(runs);
    }

    /// The inputs that the runs answer that go on now.
    pub(super) fn active_keys(&self) -> Vec<String> {
        let keys = self.active.iter().filter_map(|run| self.runs.get(run));
        keys.flatten().cloned().collect()
    }

    fn queue(&mut self, update: QueueUpdate, out: &mut Vec<Effect>) {
        self.queue = update.queue.unwrap_or_default();
        let Some(turn) = &mut self.ours else { return };
        let mine = |key: &Option<String>| key.as_ref().is_some_and(|key| turn.keys.contains(key));
        if let Some(queued) = self.queue.iter().find(|item| mine(&item.client_message_id)) {
            if queued.paused == Some(true) && !turn.cancelled {
                out.push(Effect::ResumeQueue);
            }
            if turn.state == TurnState::Accepted {
                turn.state = TurnState::Queued;
            }
        }
        let removed = update.removed.unwrap_or_default();
        let Some(removed) = removed.iter().find(|item| mine(&item.client_message_id)) else {
            return;
        };
        match removed.disposition.as_deref() {
            Some("cancelled") => self.end_ours(StreamEnd::Stop(StopReason::Cancelled)),
            _ if matches!(turn.state, TurnState::Accepted | TurnState::Queued) => {
                turn.state = TurnState::Running;
            }
            _ => {}
        }
    }

    fn delta(&mut self, delta: Delta, out: &mut Vec<Effect>) {
        if !self.seen.is_new(delta.fingerprint) {
            return;
        }
        if delta.message.message_type.as_deref() == Some("user_message") {
            return self.spoken(delta.message, out);
        }
        let run = delta.message.run_id.as_deref();
        let keys = match (&delta.failure.client_message_ids, run) {
            (Some(keys), _) => keys.clone(),
            (None, Some(run)) => self.runs.get(run).cloned().unwrap_or_default(),
            (None, None) => Vec::new(),
        };
        if self.is_ours(&keys) {
            return self.of_ours(delta, out);
        }
        // The server also complains about what a client has said without beginning a turn.
        let complains = self.idle && keys.is_empty() && run.is_none();
        if self.others.is_none() && says_something(&delta.message) && !complains {
            self.begin_external_turn(&delta.message, keys, out);
        }
        if let Some(turn) = &mut self.others {
            turn.apply_delta(delta);
        }
    }

    /// Whether what answers these inputs is our turn; without any, the turn that runs.
    fn is_ours(&self, keys: &[String]) -> bool {
        let Some(turn) = &self.ours else { return false };
        if !keys.is_empty() {
            return turn.answers(keys);
        }
        match turn.state {
            TurnState::Running | TurnState::Waiting | TurnState::Moving => true,
            TurnState::Accepted => self.others.is_none(),
            TurnState::Asked | TurnState::Queued | TurnState::Over(_) | TurnState::Sought => false,
        }
    }

    fn of_ours(&mut self, delta: Delta, out: &mut Vec<Effect>) {
        let Some(turn) = &mut self.ours else { return };
        turn.start();
        if matches!(
            turn.state,
            TurnState::Asked | TurnState::Accepted | TurnState::Queued
        ) {
            turn.state = TurnState::Running;
        }
        if turn.state == TurnState::Waiting && says_something(&delta.message) {
            // Somebody else has decided: it goes on without us.
            self.control = None;
            turn.state = TurnState::Running;
            let after = delta.message.id.clone().unwrap_or_default();
            turn.begin_segment(&after);
            out.extend(turn.external_turn_effect(None));
        }
        turn.apply_delta(delta);
    }

    /// Others' turn begins to say something.
    fn begin_external_turn(&mut self, message: &Message, keys: Vec<String>, out: &mut Vec<Effect>) {
        let (known, prompt) = self.foreign_prompt(&keys);
        let named = |word: &Option<String>| word.clone().unwrap_or_default();
        // Without a key of its own it is known by its run, and by when, as run ids come again.
        let unnamed = || format!("{}@{}", named(&message.run_id), named(&message.date));
        let key = keys.first().cloned().or(known).unwrap_or_else(unnamed);
        let Some(run) = derive_run_id(&key) else {
            return;
        };
        let keys = if keys.is_empty() { vec![key] } else { keys };
        let abandoned = keys.iter().any(|key| self.abandoned.contains(key));
        let mut turn = self.new_turn(keys, run);
        turn.state = TurnState::Running;
        // We have subscribed in the middle of it.
        turn.gap = message.seq_id.is_some_and(|number| number > 1);
        turn.start();
        if !abandoned {
            out.extend(turn.external_turn_effect(prompt));
        }
        self.others = Some(turn);
    }

    /// What others have asked, and its key. Inputs that have waited together are answered together.
    fn foreign_prompt(&mut self, keys: &[String]) -> (Option<String>, Option<String>) {
        let foreign: Vec<_> = self.foreign.drain(..).collect();
        let of_it = if keys.is_empty() {
            // Which of them it answers is not known; the last is the likeliest.
            foreign.into_iter().next_back().into_iter().collect()
        } else {
            let mut foreign = foreign;
            foreign.retain(|(key, _)| keys.contains(key));
            foreign
        };
        let (known, prompts): (Vec<_>, Vec<_>) = of_it.into_iter().unzip();
        let prompt = prompts.join("\n\n");
        (
            known.into_iter().next(),
            (!prompts.is_empty()).then_some(prompt),
        )
    }

    /// An input has left the queue: its turn begins, or begins again.
    fn spoken(&mut self, message: Message, out: &mut Vec<Effect>) {
        let Some(key) = message.otid else { return };
        let text = message.content.as_ref().map(Content::text);
        let keys = [key];
        let Some(turn) = self.ours.as_mut().filter(|turn| turn.answers(&keys)) else {
            let [key] = keys;
            if let Some(turn) = self.others.as_mut().filter(|turn| turn.keys.contains(&key)) {
                turn.discard();
            } else {
                remember(&mut self.foreign, (key, text.unwrap_or_default()));
            }
            return;
        };
        if turn.state == TurnState::Waiting {
            // The server was started anew and asks again, with a new request.
            let after = message.id.unwrap_or_default();
            turn.begin_segment(&after);
            out.extend(turn.external_turn_effect(text));
        }
        turn.discard();
        turn.state = TurnState::Running;
        (turn.gap, turn.unwatched) = (false, false);
        (self.control, self.decision) = (None, None);
    }

    fn asks(&mut self, control: ControlRequest, out: &mut Vec<Effect>) {
        let known = self.control.as_ref().map(|known| known.id.as_str());
        if known == Some(&control.request_id) || self.answered.contains(&control.request_id) {
            return;
        }
        let permission = control.request;
        let (Ok(id), Ok(call)) = (control.request_id.parse(), permission.tool_call_id.parse())
        else {
            return;
        };
        // The input of the request is what will run; what the model wrote may differ from it.
        let turns = [self.ours.as_ref(), self.others.as_ref()];
        let written = turns.iter().flatten().find_map(|turn| turn.call(&call));
        let input = permission.input.as_ref().map(|input| input.get());
        let written = written.map(|call| call.arguments.as_str());
        let arguments = input.or(written).unwrap_or_default().to_owned();
        let calls = vec![ToolCall {
            id: call,
            name: permission.tool_name,
            arguments,
        }];
        self.control = Some(ApprovalRequest { id, calls });
        self.emit_approval_request(out);
    }

    /// Tells what waits for a person in the turn that it belongs to, once that is known.
    fn emit_approval_request(&mut self, out: &mut Vec<Effect>) {
        let Some(request) = self.control.clone().filter(|_| self.waiting().is_none()) else {
            return;
        };
        let keys = self.active_keys();
        let ours = self.is_ours(&keys);
        if !ours && self.others.is_none() && !self.active.is_empty() {
            let mut message = Message::default();
            message.run_id = self.active.first().cloned();
            message.date = Some(request.id.to_string());
            self.begin_external_turn(&message, keys, out);
        }
        let turn = if ours {
            &mut self.ours
        } else {
            &mut self.others
        };
        if let Some(turn) = turn {
            turn.ask(request);
        }
    }

    fn finished(&mut self, finished: &TurnFinished, out: &mut Vec<Effect>) {
        let id = finished.turn_id.clone().unwrap_or_default();
        if self.ended.contains(&id) {
            return;
        }
        remember(&mut self.ended, id);
        self.seen.turn_over();
        let keys = finished.run_id.as_ref().and_then(|run| self.runs.get(run));
        let keys = keys.cloned().unwrap_or_default();
        let unnamed = if finished.error.is_some() {
            "error"
        } else {
            "end_turn"
        };
        let word = finished.stop_reason.as_deref().unwrap_or(unnamed);
        if self.is_ours(&keys) {
            return self.finish_ours(word, finished.error.as_deref(), out);
        }
        let whole = finished.error.is_none() && word != "cancelled";
        let missed = self.others.as_ref().is_some_and(|turn| turn.gap);
        if whole && missed && self.ours.is_none() {
            // What was missed of it is read, as if it were ours.
            self.ours = self.others.take();
            return self.finish_ours(word, None, out);
        }
        if let Some(mut turn) = self.others.take() {
            let stop = turn.stop_of(word, finished.error.as_deref());
            turn.end_last_segment(StreamEnd::Stop(stop));
        }
        if !keys.is_empty() || self.ours.is_none() {
            self.control = None;
        }
    }

    pub(super) fn finish_ours(&mut self, word: &str, error: Option<&str>, out: &mut Vec<Effect>) {
        let Some(turn) = &mut self.ours else { return };
        self.control = None;
        let said = error.unwrap_or_default();
        let stuck = said.contains("already has an active run");
        // Nobody here has stopped it, and nobody was there to hear it all.
        let unheard =
            turn.unwatched || matches!(turn.state, TurnState::Accepted | TurnState::Queued);
        if stuck || (word == "cancelled" && unheard && !turn.cancelled) {
            if turn.state != TurnState::Moving {
                turn.state = TurnState::Moving;
                out.push(Effect::Fork);
            }
            return;
        }
        if let Some(BackendError::NotFound { missing, what }) = self.about.missing(said) {
            return self.end_ours(StreamEnd::NotFound(missing, what));
        }
        let stop = turn.stop_of(word, error);
        if turn.gap {
            turn.state = TurnState::Over(stop);
            out.push(Effect::ReadHistory);
            return;
        }
        self.end_ours(StreamEnd::Stop(stop));
    }
}

impl Turn {
    /// Its part that begins, for who listens to what nobody asked for.
    fn external_turn_effect(&mut self, prompt: Option<String>) -> Option<Effect> {
        let key = self.run()?.to_string();
        let turn = self.open_stream()?;
        Some(Effect::ExternalTurnStarted(ExternalTurnStarted {
            key,
            prompt,
            turn,
        }))
    }
}

/// Whether a message is worth beginning to tell of a turn.
fn says_something(message: &Message) -> bool {
    matches!(
        message.message_type.as_deref(),
        Some(
            "assistant_message"
                | "reasoning_message"
                | "approval_request_message"
                | "tool_return_message"
                | "error_message"
                | "loop_error"
        )
    )
}
