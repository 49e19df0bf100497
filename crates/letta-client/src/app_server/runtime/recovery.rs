//! What became of our turn while nobody was listening: after a lost connection, a restart of the
//! server, or one of our own.
//!
//! | what the server shows | what it means |
//! |---|---|
//! | it runs or waits in the queue | it goes on; what was missed is read from the history at its end |
//! | a request that waits | a person still has to decide |
//! | nothing, and its stop reason was heard | it is complete; what was missed is in the history |
//! | nothing | the server has cancelled it when its last subscriber went, or was stopped itself |
//!
//! A server that was killed begins unfinished inputs by itself when somebody subscribes. What is in
//! the history does not tell whether it was all, so a turn that is not known to be complete is
//! asked again: better that than half an answer for a whole one.

use super::{
    Alarm, Effect, INPUT_LOOKUPS_MAX, INPUT_SILENCE_MAX, Runtime, StreamEnd, Turn, TurnState,
    turn::{derive_run_id, split},
};
use crate::{
    backend::{StopReason, TurnStream},
    error::{BackendError, MissingResource},
    id::RunId,
    rest::{decoder::failure, wire::Message},
};

/// What [`Runtime::resume`] found.
pub(in crate::app_server) enum Resumed {
    Stream(TurnStream),
    /// The history has to tell; [`Runtime::history_received`] has the stream.
    Looking,
}

/// What the history told.
pub(in crate::app_server) enum HistoryLookup {
    Stream(Option<TurnStream>),
    /// It does not know the turn.
    Unknown,
}

impl Runtime {
    /// Both sockets are gone: nobody is subscribed.
    pub(in crate::app_server) fn all_sockets_lost(&mut self) {
        for turn in [&mut self.ours, &mut self.others].into_iter().flatten() {
            turn.set_connected(false);
            if turn.state != TurnState::Asked {
                (turn.gap, turn.unwatched) = (true, true);
            }
        }
        self.idle = true;
        self.queue.clear();
        self.runs.clear();
        self.active.clear();
        self.control = None;
    }

    /// The leading socket is subscribed and was told what goes on.
    pub(in crate::app_server) fn subscribed(&mut self, out: &mut Vec<Effect>) {
        if self.decision.is_some() {
            out.push(Effect::Decide);
        }
        if self.idle
            && let Some(mut turn) = self.others.take_if(|turn| turn.unwatched)
        {
            turn.end_last_segment(StreamEnd::Stop(StopReason::EndTurn));
        }
        let goes_on = self.goes_on() || self.control.is_some();
        let Some(turn) = &mut self.ours else { return };
        turn.set_connected(true);
        match &turn.state {
            TurnState::Asked => out.push(Effect::SendInput),
            TurnState::Over(_) | TurnState::Sought => out.push(Effect::ReadHistory),
            TurnState::Moving => out.push(Effect::Fork),
            _ if !turn.unwatched || goes_on => {}
            _ => match turn.stop.clone() {
                Some(word) => self.finish_ours(&word, None, out),
                None if turn.cancelled => {
                    turn.state = TurnState::Over(StopReason::Cancelled);
                    out.push(Effect::ReadHistory);
                }
                None => self.was_cut(out),
            },
        }
    }

    /// Our turn is no longer there, and its end was not heard.
    fn was_cut(&mut self, out: &mut Vec<Effect>) {
        if let Some(turn) = &mut self.ours {
            turn.state = TurnState::Moving;
            out.push(Effect::Fork);
        }
    }

    /// Whether our turn runs or is about to.
    fn goes_on(&self) -> bool {
        let active = self.active_keys();
        let is_ours = |turn: &Turn| active.is_empty() || turn.answers(&active);
        self.queued_item().is_some() || (!self.idle && self.ours.as_ref().is_some_and(is_ours))
    }

    /// An alarm has gone off.
    pub(in crate::app_server) fn alarm(&mut self, alarm: Alarm, out: &mut Vec<Effect>) {
        let of_it = |turn: &mut Turn| alarm == Alarm::Unfinished(turn.number);
        if self.idle
            && let Some(mut turn) = self.others.take_if(of_it)
        {
            let word = turn.stop.take().unwrap_or_default();
            let stop = turn.stop_of(&word, None);
            return turn.end_last_segment(StreamEnd::Stop(stop));
        }
        let Some(turn) = &mut self.ours else { return };
        match alarm {
            Alarm::Unfinished(number) if turn.number == number && self.idle => {
                if let Some(word) = turn
                    .stop
                    .clone()
                    .filter(|_| turn.state == TurnState::Running)
                {
                    self.finish_ours(&word, None, out);
                }
            }
            Alarm::Unheard(number, times) if turn.number == number => {
                if turn.state != TurnState::Accepted {
                    return;
                }
                if times >= INPUT_LOOKUPS_MAX && self.idle {
                    return self.was_cut(out);
                }
                out.push(Effect::ReadHistory);
                out.push(Effect::Wake(
                    INPUT_SILENCE_MAX,
                    Alarm::Unheard(number, times + 1),
                ));
            }
            Alarm::Unfinished(_) | Alarm::Unheard(..) => {}
        }
    }

    /// The history, or a copy of the conversation, cannot be had.
    pub(in crate::app_server) fn cannot_settle(&mut self, why: &BackendError) {
        let Some(turn) = &self.ours else { return };
        match &turn.state {
            // Only some of its words are missing.
            TurnState::Over(stop) => {
                tracing::warn!(error = %why, "could not read missed messages from the history");
                let stop = stop.clone();
                self.end_ours(StreamEnd::Stop(stop));
            }
            TurnState::Sought | TurnState::Moving => {
                let stop = failure("conversation_stuck", &why.to_string());
                self.end_ours(StreamEnd::Stop(StopReason::Failed(stop)));
                self.last = None;
            }
            // It is looked for again.
            _ => {}
        }
    }

    /// A turn that we hear as others' is ours after all: we had asked for it before a restart.
    pub(super) fn adopt(&mut self, keys: &[String]) {
        if self.ours.is_none() {
            self.ours = self.others.take_if(|turn| turn.answers(keys));
        }
    }

    /// Streams a run of ours again.
    pub(in crate::app_server) fn resume(
        &mut self,
        run: &RunId,
        out: &mut Vec<Effect>,
    ) -> Result<Resumed, BackendError> {
        if self.ours.is_none() {
            self.ours = self.others.take_if(|turn| turn.has_segment(run));
        }
        let turns = [&mut self.ours, &mut self.last];
        if let Some(stream) = turns
            .into_iter()
            .flatten()
            .find_map(|turn| turn.open_stream_of(run))
        {
            return Ok(Resumed::Stream(stream));
        }
        let (Some(first), _) = split(run) else {
            return Err(unknown(run));
        };
        if self.ours.is_some() {
            return Err(BackendError::Busy { run: None });
        }
        // The run is the key, but for characters that an id cannot hold.
        let key = first.to_string();
        let mut turn = self.new_turn(vec![key], run.clone());
        (turn.gap, turn.unwatched) = (true, true);
        turn.state = TurnState::Sought;
        self.ours = Some(turn);
        out.push(Effect::ReadHistory);
        Ok(Resumed::Looking)
    }

    /// Whether a prompt of the turn that is looked for is among these messages.
    pub(in crate::app_server) fn has_prompt_among(&self, messages: &[Message]) -> bool {
        let Some(turn) = &self.ours else {
            return false;
        };
        let mut messages = messages.iter();
        messages.any(|message| asked_by(turn, message).is_some())
    }

    /// The history, newest first, has come.
    pub(in crate::app_server) fn history_received(
        &mut self,
        mut messages: Vec<Message>,
        out: &mut Vec<Effect>,
    ) -> HistoryLookup {
        let Some(turn) = &mut self.ours else {
            return HistoryLookup::Unknown;
        };
        let mut found = messages.iter().enumerate();
        let found = found.find_map(|(at, message)| Some((at, asked_by(turn, message)?)));
        let Some((at, key)) = found else {
            if self.goes_on() {
                self.emit_history(Vec::new(), out);
                return HistoryLookup::Stream(self.ours.as_mut().and_then(Turn::open_stream));
            }
            let ours = self.ours.as_ref();
            if ours.is_some_and(|turn| turn.state == TurnState::Accepted) {
                // It was accepted a moment ago: the server may be slow to begin.
                return HistoryLookup::Stream(None);
            }
            self.ours = None;
            return HistoryLookup::Unknown;
        };
        if !turn.keys.contains(&key) {
            turn.keys.push(key);
        }
        messages.truncate(at);
        messages.reverse();
        self.emit_history(messages, out);
        HistoryLookup::Stream(
            self.ours
                .as_mut()
                .or(self.last.as_mut())
                .and_then(Turn::open_stream),
        )
    }

    /// Settles our turn by what the history has after its prompt.
    fn emit_history(&mut self, messages: Vec<Message>, out: &mut Vec<Effect>) {
        let goes_on = self.goes_on();
        let control = self.control.clone();
        let Some(turn) = &mut self.ours else { return };
        turn.start();
        if let TurnState::Over(stop) = turn.state.clone() {
            turn.emit_again(messages);
            return self.end_ours(StreamEnd::Stop(stop));
        }
        match control {
            Some(request) => turn.ask(request),
            // What it has said so far is told at its end.
            None if goes_on => turn.state = TurnState::Running,
            None => self.was_cut(out),
        }
    }
}

fn unknown(run: &RunId) -> BackendError {
    BackendError::NotFound {
        missing: MissingResource::Run,
        what: format!("run {run}"),
    }
}

impl Turn {
    /// Whether an input's run is this turn's.
    fn is_of(&self, run: &RunId) -> bool {
        self.keys
            .iter()
            .filter_map(|key| derive_run_id(key))
            .any(|own| own == *run)
    }

    /// What was told of its last part is void, and is told anew from the history.
    fn emit_again(&mut self, messages: Vec<Message>) {
        self.discard();
        let call = self.run().and_then(|run| split(run).1).map(str::to_owned);
        let mut told = call.is_none();
        for message in messages {
            let returns = message.message_type.as_deref() == Some("tool_return_message");
            if !told && returns {
                told = message.tool_call_id() == call.as_deref();
            }
            if told {
                self.apply_message(message);
            }
        }
    }
}

/// The key of a prompt of this turn, if a stored message is one.
fn asked_by(turn: &Turn, message: &Message) -> Option<String> {
    let is_user = message.message_type.as_deref() == Some("user_message");
    let key = message.otid.as_ref().filter(|_| is_user)?;
    derive_run_id(key).filter(|run| turn.is_of(run))?;
    Some(key.clone())
}
