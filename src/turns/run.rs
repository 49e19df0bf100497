//! One turn, from its queue to its last word, chapter by chapter.
//!
//! The journal is always a step ahead: before Letta is asked, the prompts are in the turn; before
//! the room hears something, it is in the outbox; before Letta hears a decision, it is in the turn;
//! and the turn is forgotten in the same commit that puts its last words into the outbox.
//!
//! ```text
//! hear ── told, nothing asked ──────────────> last words, the end
//!   └──── told, and a person is asked ──────> last words of the chapter, the card
//!            └── waits ── verdict ──> the card says who, Letta is told ──> hear
//! ```

use std::{collections::BTreeSet, sync::PoisonError};

use ruma::OwnedUserId;
use tokio::time::Instant;
use tracing::warn;

use super::{Inner, brake::Braked, listen::Outcome, log, stage::Stage, words};
use crate::{
    journal::{
        Answer, Ask, By, ConversationKey, JournalError, OutboxItem, TurnId, TurnRecord, Verdict,
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

/// What came of listening to a chapter.
enum Listened {
    /// It is told; what there is to say is in the turn.
    Told,
    /// It got no answer, for this reason and with this code.
    Failed((String, String)),
    /// Nothing more is to be said.
    Redacted,
    /// The process is about to end.
    Ending,
}

impl Inner {
    /// Does all there is to do in a conversation now. Answers when to look again, if what waits there may not begin yet.
    pub(super) async fn work(
        &self,
        conversation: &ConversationKey,
    ) -> Result<Option<Instant>, JournalError> {
        let journal = &self.around.journal;
        while !self.around.tasks.is_closing() {
            let (turn, again) = if let Some(turn) = journal.open_turn(conversation)? {
                (turn, true)
            } else if let Some(turn) = self.begin_overheard(conversation).await? {
                (turn, false)
            } else {
                let braked = self.brake(conversation).await?;
                let now = Millis::now();
                match journal.begin_turn_without(conversation, &braked.senders, now)? {
                    Some(turn) => (turn, false),
                    None => return Ok(braked.until),
                }
            };
            journal.durable().await?;
            self.run(turn, again).await?;
        }
        Ok(None)
    }

    /// Remembers that this process has a turn in hand. `false`: it had it before.
    fn take_up(&self, turn: &TurnRecord) -> bool {
        let mut taken_up = self.taken_up.lock().unwrap_or_else(PoisonError::into_inner);
        if taken_up.len() >= TAKEN_UP_MAX {
            taken_up.clear();
        }
        taken_up.insert(turn.id.clone())
    }

    /// Who has something waiting here and may not set one more turn going yet. The first of those who may is counted as
    /// beginning one.
    async fn brake(&self, conversation: &ConversationKey) -> Result<BrakedSenders, JournalError> {
        let mut all = BrakedSenders::default();
        let max = self.around.habits.per_minute;
        for first in self.around.journal.first_of_each_sender(conversation)? {
            let braked = {
                let mut brake = self.brake.lock().unwrap_or_else(PoisonError::into_inner);
                brake.begin(&conversation.room, &first.sender, max, Instant::now())
            };
            let Braked::Until { then, news } = braked else {
                break;
            };
            all.until = all.until.into_iter().chain([then]).min();
            if news {
                warn!(room.id = %conversation.room, user = %first.sender, max, "too many turns within a minute; the next ones wait");
                let id = TurnId::of_prompt(&first, &conversation.agent);
                let turn =
                    TurnRecord::new(id, conversation.clone(), vec![first.clone()], Millis::now());
                let text = words::braked(&first.sender, max, then.duration_since(Instant::now()));
                let notice = self.voice(&turn).remark(&turn, "braked", &text);
                self.around.outbox.say(&notice).await?;
            }
            all.senders.insert(first.sender);
        }
        Ok(all)
    }

    /// Goes through the chapters that are left, until the turn or the process ends.
    async fn run(&self, mut turn: TurnRecord, mut again: bool) -> Result<(), JournalError> {
        let is_new_here = self.take_up(&turn);
        if is_new_here && again && turn.answer.is_none() && turn.waits_for().is_none() {
            // The process that left it may have been ended by it.
            turn.spent.restarts += 1;
            self.keep(&turn).await?;
        }
        if !again {
            log::started(&turn);
        } else if is_new_here {
            log::resumed(&turn);
        }
        loop {
            if turn.waits_for().is_some() {
                match self.wait_for_verdict(&turn).await? {
                    Some(decided) => turn = decided,
                    None => return Ok(()),
                }
            }
            if turn.has_news_for_its_card() {
                match self.take_verdict(turn).await? {
                    Some(next) => turn = next,
                    None => return Ok(()),
                }
            }
            let stopped = turn.ask.as_ref().is_some_and(Ask::is_stopped);
            if !stopped && self.around.journal.is_redacted(&turn.id)? {
                return self.end_redacted(&turn);
            }
            if turn.answer.is_none()
                && !stopped
                && let Some(silence) = self.silence_of(&turn).await?
            {
                return self.end_silenced(&turn, &silence).await;
            }
            let mut stage = self.set_stage(&turn, again).await?;
            if turn.answer.is_none() {
                match self.listen(&mut turn, &mut stage, again).await? {
                    Listened::Told => {}
                    Listened::Failed(reason) => return self.fail(turn, stage, reason).await,
                    Listened::Redacted => return self.end_redacted(&turn),
                    Listened::Ending => return Ok(()),
                }
            }
            match self.conclude(turn, stage).await? {
                Some(next) => turn = next,
                None => return Ok(()),
            }
            again = false;
        }
    }

    /// Lets the chapter be told, and keeps what came of it in the turn.
    async fn listen(
        &self,
        turn: &mut TurnRecord,
        stage: &mut Stage,
        mut again: bool,
    ) -> Result<Listened, JournalError> {
        loop {
            let told = match self.hear(turn, stage, again).await? {
                Outcome::Told(told) => told,
                Outcome::Failed(reason) => return Ok(Listened::Failed(reason)),
                Outcome::Redacted => return Ok(Listened::Redacted),
                Outcome::Ending => return Ok(Listened::Ending),
            };
            let before = turn.ask.as_ref();
            let stopped = before.is_some_and(Ask::is_stopped);
            let both = before.zip(told.request.as_ref());
            let repeats = both.is_some_and(|(before, request)| before.may_have_run(request));
            if let Some(ask) = both.and_then(|(before, request)| before.renewed(request)) {
                turn.ask = Some(ask);
                turn.run = None;
                self.keep(turn).await?;
                again = false;
                continue;
            }
            turn.answer = Some(told.answer);
            match told.request {
                Some(request) => {
                    let ask = self.ask(turn, &request, told.found);
                    turn.ask = Some(Ask { repeats, ..ask });
                }
                None if stopped => {
                    turn.answer = Some(Answer {
                        text: String::new(),
                        remark: Some(words::stopped()),
                    });
                }
                None => {}
            }
            // What is said once as the answer to a command is not said again.
            if let Some(answer) = &mut turn.answer
                && self.stops.is_answered(&turn.id)
                && answer.remark == Some(words::stopped())
            {
                answer.remark = None;
            }
            return Ok(Listened::Told);
        }
    }

    /// Says what is still to be said of a chapter, and ends it. Answers how the turn goes on;
    /// `None` if it does not, or not in this process.
    async fn conclude(
        &self,
        turn: TurnRecord,
        mut stage: Stage,
    ) -> Result<Option<TurnRecord>, JournalError> {
        let journal = &self.around.journal;
        let answer = turn.answer.clone().unwrap_or_default();
        if journal.is_redacted(&turn.id)? {
            self.end_redacted(&turn)?;
            return Ok(None);
        }
        self.close_notice(&turn, &mut stage).await?;
        if !self.settle(&turn, &mut stage).await? {
            return Ok(None);
        }
        let complete = stage.shows_finished(&answer.text);
        self.look_who_spoke(&turn, &mut stage);
        let line = stage.last_line();
        let line = line.map(|line| {
            let shown = stage.line.event.as_deref();
            stage.voice.last_status(&turn, &line, shown)
        });
        let said = stage.answer.event.as_deref();
        let answer = stage.voice.conclusion(&turn, &answer, said, complete);
        let mut last: Vec<_> = line.into_iter().chain(answer).collect();
        let next = self.next_chapter(&turn, &stage, &mut last)?;
        let stopped =
            self.stops.is_wanted(&turn.id) || turn.ask.as_ref().is_some_and(Ask::is_stopped);
        match &next {
            Some(next) => journal.end_chapter(next, &last)?,
            None => journal.end_turn(&turn, &last)?,
        }
        journal.durable().await?;
        self.around.outbox.wake(&turn.key.room);
        if next.is_none() {
            self.stops.forget(&turn.id);
            log::ended(&turn, if stopped { "stopped" } else { "answered" }, None);
        }
        Ok(next)
    }

    /// How the turn goes on after the chapter that was told, if it does, and what the room hears of
    /// that.
    fn next_chapter(
        &self,
        turn: &TurnRecord,
        stage: &Stage,
        last: &mut Vec<OutboxItem>,
    ) -> Result<Option<TurnRecord>, JournalError> {
        let mut next = turn.clone();
        match &turn.ask {
            // What may have run already is for a person to decide.
            Some(ask) if ask.verdict.is_none() && !ask.repeats && self.is_allowed(turn, ask)? => {
                last.push(stage.voice.allowed(turn, ask));
                let verdict = Some(Verdict {
                    approve: true,
                    reason: None,
                    by: By::Rule,
                });
                next.turn_the_page();
                next.ask = Some(Ask {
                    verdict,
                    ..ask.clone()
                });
                Ok(Some(next))
            }
            Some(ask) if ask.verdict.is_none() => {
                let approvers = self.approvers(turn, ask);
                last.push(stage.voice.card(turn, ask, &approvers, Millis::now()));
                next.answer = None;
                Ok(Some(next))
            }
            Some(ask) if ask.found && !ask.is_stopped() && !turn.prompts.is_empty() => {
                // What was found is done with. Now for what this turn is about.
                next.turn_the_page();
                (next.ask, next.sent_in) = (None, None);
                Ok(Some(next))
            }
            _ => Ok(None),
        }
    }
}
