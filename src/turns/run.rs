//! One turn, from its queue to its last word, segment by segment.
//!
//! The journal is always a step ahead: before Letta is asked, the prompts are in the turn; before
//! the room hears something, it is in the outbox; before Letta hears a decision, it is in the turn;
//! and the turn is forgotten in the same commit that puts its last words into the outbox.
//!
//! ```text
//! Streaming ── finish ──────> Finishing: last messages, the end
//!   └───────── ask ─────────> Asking: last messages of the segment, the approval message
//!                └── AwaitingDecision ── Decided: the approval message says who ── Resuming: Letta is sent it, and streams
//! ```
//!
//! All states and transitions: [`TurnState`].

use std::{collections::BTreeSet, sync::PoisonError};

use ruma::OwnedUserId;
use tokio::time::Instant;
use tracing::warn;

use super::{
    Inner, log, notice_texts, segment::SegmentOutcome, sender_rate_limit::RateLimited,
    turn_view::TurnView,
};
use crate::{
    journal::{
        Answer, ApprovalRecord, ConversationKey, JournalError, NoticeText, OutboxItem, TurnId,
        TurnRecord, TurnState,
    },
    time::Millis,
};

/// The most turns that are remembered as taken up; then all are forgotten.
const TAKEN_UP_MAX: usize = 10_000;

/// People who may not set one more turn going in a room yet.
#[derive(Default)]
struct BrakedSenders {
    senders: BTreeSet<OwnedUserId>,
    /// When the first of them may.
    until: Option<Instant>,
}

/// What came of listening to a segment.
enum SegmentStatus {
    /// It is told; what there is to say is in the turn.
    Completed,
    /// It got no answer, for this reason and with this code.
    Failed(NoticeText),
    /// Nothing more is to be said.
    Redacted,
    /// The process is about to end.
    ShuttingDown,
}

impl Inner {
    /// Does all there is to do in a conversation now. Answers when to look again, if what waits there may not begin yet.
    pub(super) async fn run_conversation(
        &self,
        conversation: &ConversationKey,
    ) -> Result<Option<Instant>, JournalError> {
        let journal = &self.ctx.journal;
        while !self.ctx.tasks.is_closing() {
            let (turn, again) = if let Some(turn) = journal.open_turn(conversation)? {
                (turn, true)
            } else if let Some(turn) = self.begin_external_turn(conversation).await? {
                (turn, false)
            } else {
                self.drop_bot_commands(conversation).await?;
                if let Some(then) = self.wait_for_words(conversation)? {
                    return Ok(Some(then));
                }
                let rate_limited = self.wait_for_rate_limit(conversation).await?;
                let now = Millis::now();
                match journal.begin_turn_without(conversation, &rate_limited.senders, now)? {
                    Some(turn) => (turn, false),
                    None => return Ok(rate_limited.until),
                }
            };
            journal.durable().await?;
            self.run(turn, again).await?;
        }
        Ok(None)
    }

    /// Remembers that this process has a turn in hand. `false`: it had it before.
    fn mark_started(&self, turn: &TurnRecord) -> bool {
        let mut started_turns = self
            .started_turns
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if started_turns.len() >= TAKEN_UP_MAX {
            started_turns.clear();
        }
        started_turns.insert(turn.id.clone())
    }

    /// Who has something waiting here and may not set one more turn going yet. The first of those who may is counted as
    /// beginning one.
    async fn wait_for_rate_limit(
        &self,
        conversation: &ConversationKey,
    ) -> Result<BrakedSenders, JournalError> {
        let mut all = BrakedSenders::default();
        let max = self.ctx.config.per_minute;
        for first in self.ctx.journal.first_of_each_sender(conversation)? {
            let rate_limited = {
                let mut rate_limit = self
                    .rate_limit
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                rate_limit.begin(&conversation.room, &first.sender, max, Instant::now())
            };
            let RateLimited::Until { then, news } = rate_limited else {
                break;
            };
            all.until = all.until.into_iter().chain([then]).min();
            if news {
                warn!(room.id = %conversation.room, user = %first.sender, max, "sender rate limit reached; delaying the next turn");
                let id = TurnId::of_prompt(&first, &conversation.agent);
                let turn =
                    TurnRecord::new(id, conversation.clone(), vec![first.clone()], Millis::now());
                let text = notice_texts::rate_limited(
                    &first.sender,
                    max,
                    then.duration_since(Instant::now()),
                );
                let notice = self
                    .message_builder(&turn)
                    .segment_notice(&turn, "braked", &text);
                self.ctx.outbox.enqueue(&notice).await?;
            }
            all.senders.insert(first.sender);
        }
        Ok(all)
    }

    /// Goes through the segments that are left, until the turn or the process ends.
    async fn run(&self, mut turn: TurnRecord, mut again: bool) -> Result<(), JournalError> {
        let is_new_here = self.mark_started(&turn);
        let is_at_work = turn.state().asks_letta() || matches!(turn.state(), TurnState::Decided(_));
        if is_new_here && again && is_at_work {
            // The process that left it may have been ended by it.
            turn.spent.restarts += 1;
            self.persist(&turn).await?;
        }
        if !again {
            log::started(&turn);
        } else if is_new_here {
            log::resumed(&turn);
        }
        loop {
            let next = match turn.state() {
                TurnState::AwaitingDecision(_) => self.wait_for_decision(&turn).await?,
                TurnState::Decided(_) => self.deliver_decision(turn).await?,
                TurnState::Streaming { .. }
                | TurnState::Resuming { .. }
                | TurnState::Asking { .. }
                | TurnState::Finishing { .. } => {
                    self.process_segment(turn, std::mem::take(&mut again))
                        .await?
                }
            };
            match next {
                Some(next) => turn = next,
                None => return Ok(()),
            }
        }
    }

    /// Streams the segment, unless it has ended, and sends its last messages. Answers how the turn goes on; `None` if it does not,
    /// or not in this process.
    async fn process_segment(
        &self,
        mut turn: TurnRecord,
        again: bool,
    ) -> Result<Option<TurnRecord>, JournalError> {
        let stopped = turn.is_stopped();
        if !stopped && self.ctx.journal.is_redacted(&turn.id)? {
            self.end_redacted(&turn)?;
            return Ok(None);
        }
        if turn.state().asks_letta()
            && !stopped
            && let Some(silence) = self.why_cannot_send(&turn).await?
        {
            self.end_unsendable(&turn, &silence).await?;
            return Ok(None);
        }
        let mut view = self.open_view(&turn, again).await?;
        if turn.state().asks_letta() {
            match self.run_segment(&mut turn, &mut view, again).await? {
                SegmentStatus::Completed => {}
                SegmentStatus::Failed(reason) => {
                    self.fail(turn, view, reason).await?;
                    return Ok(None);
                }
                SegmentStatus::Redacted => {
                    self.end_redacted(&turn)?;
                    return Ok(None);
                }
                SegmentStatus::ShuttingDown => return Ok(None),
            }
        }
        self.finish_segment(turn, view).await
    }

    /// Lets the segment be told, and keeps what came of it in the turn.
    async fn run_segment(
        &self,
        turn: &mut TurnRecord,
        view: &mut TurnView,
        mut again: bool,
    ) -> Result<SegmentStatus, JournalError> {
        loop {
            let result = match self.stream_segment(turn, view, again).await? {
                SegmentOutcome::Completed(result) => result,
                SegmentOutcome::Failed(reason) => return Ok(SegmentStatus::Failed(reason)),
                SegmentOutcome::Redacted => return Ok(SegmentStatus::Redacted),
                SegmentOutcome::ShuttingDown => return Ok(SegmentStatus::ShuttingDown),
            };
            if let Some(request) = &result.request
                && turn.state().still_decides(request)
            {
                turn.advance(|state| state.renew(request))?;
                self.persist(turn).await?;
                again = false;
                continue;
            }
            let mut answer = result.answer;
            if result.request.is_none() && turn.is_stopped() {
                answer = Answer {
                    text: String::new(),
                    ending_notice: Some(notice_texts::stopped()),
                };
            }
            // What is said once as the answer to a command is not said again.
            if self.stops.is_answered(&turn.id)
                && answer.ending_notice == Some(notice_texts::stopped())
            {
                answer.ending_notice = None;
            }
            match result.request {
                Some(request) => {
                    let approval = ApprovalRecord {
                        repeats: turn.state().may_have_run(&request),
                        ..self.new_approval(turn, &request, result.found)
                    };
                    turn.advance(|state| state.ask(answer, approval))?;
                }
                None => turn.advance(|state| state.finish(answer))?,
            }
            return Ok(SegmentStatus::Completed);
        }
    }

    /// Says what is still to be said of a segment, and ends it. Answers how the turn goes on;
    /// `None` if it does not, or not in this process.
    async fn finish_segment(
        &self,
        turn: TurnRecord,
        mut view: TurnView,
    ) -> Result<Option<TurnRecord>, JournalError> {
        let journal = &self.ctx.journal;
        let answer = turn.state().answer().cloned().unwrap_or_default();
        if journal.is_redacted(&turn.id)? {
            self.end_redacted(&turn)?;
            return Ok(None);
        }
        self.close_notice(&turn, &mut view).await?;
        if !self.flush(&turn, &mut view).await? {
            return Ok(None);
        }
        self.look_who_spoke(&turn, &mut view);
        let mut last = view.last_messages(&turn, &answer);
        let next = self.next_segment(&turn, &view, &mut last)?;
        let stopped = self.stops.is_requested(&turn.id) || turn.is_stopped();
        match &next {
            Some(next) => journal.end_segment(next, &last)?,
            None => journal.end_turn(&turn, &last)?,
        }
        journal.durable().await?;
        self.ctx.outbox.wake(&turn.key.room);
        self.latest_messages
            .note_answer(&turn.key, turn.segment_id());
        if next.is_none() {
            self.stops.forget(&turn.id);
            log::ended(&turn, if stopped { "stopped" } else { "answered" }, None);
        }
        Ok(next)
    }

    /// How the turn goes on after the segment that was told, if it does, and what the room hears of
    /// that.
    fn next_segment(
        &self,
        turn: &TurnRecord,
        view: &TurnView,
        last: &mut Vec<OutboxItem>,
    ) -> Result<Option<TurnRecord>, JournalError> {
        let mut next = turn.clone();
        match turn.state() {
            // What may have run already is for a person to decide.
            TurnState::Asking { approval, .. }
                if !approval.repeats && self.is_allowed(turn, approval)? =>
            {
                last.push(view.builder.allowed(turn, approval));
                next.advance(TurnState::allow)?;
            }
            TurnState::Asking { approval, .. } => {
                let approvers = self.approvers(turn, approval);
                last.push(
                    view.builder
                        .approval_message(turn, approval, &approvers, Millis::now()),
                );
                next.advance(TurnState::await_decision)?;
            }
            TurnState::Finishing {
                decided: Some(decided),
                ..
            } if decided.is_detour() && !turn.prompts.is_empty() => {
                // What was found is done with. Now for what this turn is about.
                next.advance(TurnState::start_prompts)?;
            }
            _ => return Ok(None),
        }
        Ok(Some(next))
    }
}
