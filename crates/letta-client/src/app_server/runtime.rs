//! What is known of one conversation: the turn of ours that runs in it, the turns of others, and
//! what waits for a person. Pure: frames in, effects out; no socket, no clock.
//!
//! Both sockets bring the same events. What a turn says is taken from whichever brings it first
//! and is known again by its bytes; what the server is busy with is taken from one of them, the
//! lead, as the other may be behind.
//!
//! ```text
//! Asked -> Accepted -> Running -> (Waiting -> Running)* -> over
//!              \-> Queued -^           what was missed: Over -> read from the history -> over
//!                                      cut off:         Moving -> copied -> Moved
//! ```
//!
//! The server cancels a turn when its last subscriber goes, and that conversation then takes no
//! input any more. So a turn that ended while nobody was subscribed is asked again in a copy of
//! its conversation, unless it is known to have been complete.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::Duration,
};

use super::{command::Payload, missing::RequestSubject, wire::Queued};
use crate::{
    backend::{ApprovalRequest, Prompt, StopReason, TurnStream},
    error::BackendError,
    id::{ConversationId, RunId},
    rest::decoder::TurnLimits,
};

mod events;
mod recovery;
#[cfg(test)]
mod tests;
mod turn;

pub(super) use recovery::{HistoryLookup, Resumed};
pub(super) use turn::StreamEnd;
use turn::{Turn, TurnState, derive_run_id};

/// How long an accepted input may be unheard of before it is looked for.
pub const INPUT_SILENCE_MAX: Duration = Duration::from_secs(3);

/// How often it is looked for before it is asked again elsewhere: the server knew it from before,
/// and has lost it.
pub const INPUT_LOOKUPS_MAX: u32 = 3;

/// How long after the last stop reason the server may take to say that the turn is over. Servers
/// of old never say it.
pub const TURN_END_WAIT_MAX: Duration = Duration::from_secs(2);

/// The most runs, ended turns and foreign prompts that are remembered.
const REMEMBERED_MAX: usize = 64;

/// What is to be done about something.
#[derive(Debug)]
pub(super) enum Effect {
    /// Send the input of our turn (again).
    SendInput,
    /// Send the decision (again).
    Decide,
    /// Read the history; the answer comes to [`Runtime::history_received`].
    ReadHistory,
    /// Copy the conversation; the answer comes to [`Runtime::moved`].
    Fork,
    /// Let the server go on with inputs that it has put aside.
    ResumeQueue,
    /// Come back with this alarm after this time.
    Wake(Duration, Alarm),
    /// A turn that nobody here has asked for, or listens to.
    ExternalTurnStarted(ExternalTurnStarted),
}

/// Why to wake up, and for which turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Alarm {
    Unheard(u64, u32),
    Unfinished(u64),
}

pub(super) struct ExternalTurnStarted {
    pub(super) key: String,
    pub(super) prompt: Option<String>,
    pub(super) turn: TurnStream,
}

impl std::fmt::Debug for ExternalTurnStarted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Heard({}, {:?})", self.key, self.prompt)
    }
}

/// Tells what was seen before, over this turn and the one before it.
#[derive(Debug, Default)]
struct SeenEvents {
    now: HashSet<u64>,
    before: HashSet<u64>,
}

impl SeenEvents {
    fn is_new(&mut self, fingerprint: u64) -> bool {
        !self.before.contains(&fingerprint) && self.now.insert(fingerprint)
    }

    fn turn_over(&mut self) {
        self.before = std::mem::take(&mut self.now);
    }
}

/// One conversation.
#[derive(Debug)]
pub(super) struct Runtime {
    limits: TurnLimits,
    /// Which conversation it is, for what may be said to be gone.
    about: RequestSubject,
    idle: bool,
    queue: Vec<Queued>,
    /// Which inputs each run answers.
    runs: HashMap<String, Vec<String>>,
    active: Vec<String>,
    /// The permission mode that the server says the conversation has.
    mode: Option<String>,
    seen: SeenEvents,
    /// Turns that have ended; both sockets say so.
    ended: VecDeque<String>,
    ours: Option<Turn>,
    others: Option<Turn>,
    /// Our last turn, for who asks for it again.
    last: Option<Turn>,
    control: Option<ApprovalRequest>,
    /// Requests that were answered; the other socket may be late with them.
    answered: VecDeque<String>,
    /// The input of our turn, and a decision on the way.
    input: Option<Payload>,
    decision: Option<Payload>,
    /// Prompts that other clients have put in, until their turn says something.
    foreign: VecDeque<(String, String)>,
    /// Inputs of ours that were given up while they may still run: who asked for them asks again.
    abandoned: VecDeque<String>,
    turns: u64,
}

fn remember<T>(list: &mut VecDeque<T>, item: T) {
    list.push_back(item);
    while list.len() > REMEMBERED_MAX {
        list.pop_front();
    }
}

impl Runtime {
    pub(super) fn new(limits: TurnLimits, about: RequestSubject) -> Self {
        Self {
            limits,
            about,
            idle: true,
            queue: Vec::new(),
            runs: HashMap::new(),
            active: Vec::new(),
            mode: None,
            seen: SeenEvents::default(),
            ended: VecDeque::new(),
            ours: None,
            others: None,
            last: None,
            control: None,
            answered: VecDeque::new(),
            input: None,
            decision: None,
            foreign: VecDeque::new(),
            abandoned: VecDeque::new(),
            turns: 0,
        }
    }

    /// What waits for a person.
    pub(super) fn control(&self) -> Option<&ApprovalRequest> {
        self.control.as_ref()
    }

    /// Whether it remembers a turn that is over.
    pub(super) fn has_last_turn(&self) -> bool {
        self.last.is_some()
    }

    /// Who asks for it again has it from the history.
    pub(super) fn drop_last_turn(&mut self) {
        self.last = None;
    }

    /// The mode that the server has told last.
    pub(super) fn mode(&self) -> Option<&str> {
        self.mode.as_deref()
    }

    pub(super) fn input(&self) -> Option<&Payload> {
        self.input.as_ref()
    }

    pub(super) fn decision(&self) -> Option<&Payload> {
        self.decision.as_ref()
    }

    fn new_turn(&mut self, keys: Vec<String>, run: RunId) -> Turn {
        self.turns += 1;
        Turn::new(self.turns, keys, run, self.limits)
    }

    /// Prompts to start a turn with. A stream, if the same were asked before; else they are to be
    /// sent, and [`Runtime::accepted`] has the stream.
    pub(super) fn ask(
        &mut self,
        prompts: &[Prompt],
        payload: Payload,
        out: &mut Vec<Effect>,
    ) -> Result<Option<TurnStream>, BackendError> {
        let keys: Vec<String> = prompts.iter().map(|prompt| prompt.key.clone()).collect();
        let run = keys.first().and_then(|key| derive_run_id(key));
        let Some(run) = run else {
            let detail = "a turn needs a prompt with a key".to_owned();
            return Err(BackendError::Protocol { detail });
        };
        self.adopt(&keys);
        if let Some(turn) = self.ours.as_mut().filter(|turn| turn.answers(&keys)) {
            if turn.state == TurnState::Asked {
                out.push(Effect::SendInput);
                return Ok(None);
            }
            return Ok(turn.open_stream());
        }
        if let Some(turn) = self.last.as_mut().filter(|turn| turn.answers(&keys)) {
            return Ok(turn.open_stream());
        }
        if let Some(turn) = &self.ours {
            return Err(match turn.state {
                TurnState::Waiting => BackendError::ApprovalPending,
                _ => BackendError::Busy {
                    run: turn.run().cloned(),
                },
            });
        }
        let mut turn = self.new_turn(keys, run);
        if turn.answers(&self.active_keys()) {
            // It was asked before we were started; its beginning was missed.
            turn.state = TurnState::Running;
            turn.gap = true;
            turn.start();
            if let Some(request) = self.control.clone() {
                turn.ask(request);
            }
            return Ok(self.ours.insert(turn).open_stream());
        }
        if self.control.is_some() {
            return Err(BackendError::ApprovalPending);
        }
        self.ours = Some(turn);
        self.input = Some(payload);
        out.push(Effect::SendInput);
        Ok(None)
    }

    /// The server has answered the input: it has it, or has it not.
    pub(super) fn accepted(&mut self, queued: bool, out: &mut Vec<Effect>) -> Option<TurnStream> {
        self.input = None;
        // The other socket may have brought all of it before this one has brought the answer.
        let turn = self.ours.as_mut().or(self.last.as_mut())?;
        if turn.state == TurnState::Asked {
            turn.state = if queued {
                TurnState::Queued
            } else {
                TurnState::Accepted
            };
            out.push(Effect::Wake(
                INPUT_SILENCE_MAX,
                Alarm::Unheard(turn.number, 1),
            ));
        }
        turn.start();
        turn.open_stream()
    }

    /// The server does not take the input.
    pub(super) fn refused(&mut self) {
        if self
            .ours
            .as_ref()
            .is_some_and(|turn| turn.state == TurnState::Asked)
        {
            self.ours = None;
            self.input = None;
        }
    }

    /// Takes a decision on what waits. Its stream comes from [`Runtime::decided`].
    pub(super) fn decide(
        &mut self,
        request: &ApprovalRequest,
        payload: Payload,
        out: &mut Vec<Effect>,
    ) -> Result<(), BackendError> {
        let waits = self.control.take_if(|control| control.id == request.id);
        let Some(control) = waits else {
            return Err(BackendError::Forgotten { sent: false });
        };
        remember(&mut self.answered, control.id.to_string());
        let after = control.calls.first().map_or("", |call| call.id.as_str());
        if self.waiting().is_none() && self.others.is_none() {
            // It was asked before us, and not a word of it was heard yet.
            let run = derive_run_id(control.id.as_str()).ok_or(BackendError::NotPending)?;
            let mut turn = self.new_turn(Vec::new(), run);
            turn.ask(control.clone());
            self.others = Some(turn);
        }
        if let Some(turn) = self.waiting() {
            turn.begin_segment(after);
            turn.state = TurnState::Running;
        }
        self.decision = Some(payload);
        out.push(Effect::Decide);
        Ok(())
    }

    /// The turn that waits for a person.
    fn waiting(&mut self) -> Option<&mut Turn> {
        [&mut self.ours, &mut self.others]
            .into_iter()
            .flatten()
            .find(|turn| turn.state == TurnState::Waiting)
    }

    /// The server has taken the decision.
    pub(super) fn decided(&mut self, request: &ApprovalRequest) -> Option<TurnStream> {
        self.decision = None;
        let call = request.calls.first()?.id.as_str();
        let turns = [&mut self.ours, &mut self.others, &mut self.last];
        turns.into_iter().flatten().find_map(|turn| {
            let first = turn.run().and_then(|run| turn::split(run).0)?;
            turn.open_stream_of(&turn::segment_run(&first, call)?)
        })
    }

    /// The server does not know (any more) what was decided on: who decided first, or whatever
    /// ended it, is heard of by itself.
    pub(super) fn not_pending(&mut self) {
        self.decision = None;
        for turn in [&mut self.ours, &mut self.others].into_iter().flatten() {
            if turn.state == TurnState::Running && turn.has_only_begun() {
                turn.state = TurnState::Waiting;
            }
        }
    }

    /// The queue's id of our input, if it waits there.
    pub(super) fn queued_item(&self) -> Option<&str> {
        let turn = self.ours.as_ref()?;
        let mine = |item: &&Queued| {
            let key = item.client_message_id.as_ref();
            key.is_some_and(|key| turn.keys.contains(key))
        };
        self.queue.iter().find(mine)?.id.as_deref()
    }

    /// A person stops what runs.
    pub(super) fn cancel(&mut self) {
        if let Some(turn) = &mut self.ours {
            turn.cancelled = true;
        }
    }

    fn end_ours(&mut self, ending: StreamEnd) {
        if let Some(mut turn) = self.ours.take() {
            (self.input, self.decision) = (None, None);
            turn.start();
            turn.end_last_segment(ending);
            self.last = Some(turn);
        }
    }

    /// The conversation was copied, and is left.
    pub(super) fn moved(&mut self, to: &ConversationId) {
        self.end_ours(StreamEnd::Moved(to.clone()));
        self.last = None;
    }

    /// Our input was taken out of the queue.
    pub(super) fn taken_out(&mut self) {
        self.end_ours(StreamEnd::Stop(StopReason::Cancelled));
    }

    /// The server does not know the conversation.
    pub(super) fn is_gone(&mut self, why: &BackendError) {
        if let BackendError::NotFound { missing, what } = why {
            self.give_up(&StreamEnd::NotFound(*missing, what.clone()));
        }
    }

    /// Ends everything that is told, because nothing more can be heard.
    pub(super) fn give_up(&mut self, ending: &StreamEnd) {
        for turn in [&mut self.ours, &mut self.others] {
            if let Some(mut turn) = turn.take() {
                if turn.has_ended() {
                    continue;
                }
                turn.end_last_segment(ending.clone());
                for key in turn.keys {
                    remember(&mut self.abandoned, key);
                }
            }
        }
        (self.input, self.decision, self.control) = (None, None, None);
    }
}
