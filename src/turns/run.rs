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

use tracing::info;

use super::{Inner, stage::Stage, words};
use crate::{
    journal::{Answer, Ask, By, ConversationKey, JournalError, OutboxItem, TurnRecord, Verdict},
    time::Millis,
};

impl Inner {
    /// Does all there is to do in a conversation.
    pub(super) async fn work(&self, conversation: &ConversationKey) -> Result<(), JournalError> {
        let journal = &self.around.journal;
        while !self.around.tasks.is_closing() {
            let (turn, again) = if let Some(turn) = journal.open_turn(conversation)? {
                (turn, true)
            } else if let Some(turn) = self.begin_overheard(conversation).await? {
                (turn, false)
            } else if let Some(turn) = journal.begin_turn(conversation, Millis::now())? {
                (turn, false)
            } else {
                return Ok(());
            };
            journal.durable().await?;
            self.run(turn, again).await?;
        }
        Ok(())
    }

    /// Goes through the chapters that are left, until the turn or the process ends.
    async fn run(&self, mut turn: TurnRecord, mut again: bool) -> Result<(), JournalError> {
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
            let mut stage = self.set_stage(&turn, again).await?;
            if turn.answer.is_none() && !self.listen(&mut turn, &mut stage, again).await? {
                return Ok(());
            }
            match self.conclude(turn, stage).await? {
                Some(next) => turn = next,
                None => return Ok(()),
            }
            again = false;
        }
    }

    /// Lets the chapter be told, and keeps what came of it in the turn. `false`: the process is
    /// about to end.
    async fn listen(
        &self,
        turn: &mut TurnRecord,
        stage: &mut Stage,
        mut again: bool,
    ) -> Result<bool, JournalError> {
        loop {
            let Some(told) = self.hear(turn, stage, again).await? else {
                return Ok(false);
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
            return Ok(true);
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
        if !self.settle(&turn, &mut stage).await? {
            return Ok(None);
        }
        let complete = stage.reply.shows(&answer.text);
        let line = stage.last_line();
        let line = line.map(|line| {
            let shown = stage.line.event.as_deref();
            stage.voice.last_status(&turn, &line, shown)
        });
        let said = stage.answer.event.as_deref();
        let answer = stage.voice.conclusion(&turn, &answer, said, complete);
        let mut last: Vec<_> = line.into_iter().chain(answer).collect();
        let next = self.next_chapter(&turn, &stage, &mut last)?;
        match &next {
            Some(next) => journal.end_chapter(next, &last)?,
            None => journal.end_turn(&turn, &last)?,
        }
        journal.durable().await?;
        self.around.outbox.wake(&turn.key.room);
        if next.is_none() {
            self.stops.forget(&turn.id);
            info!(
                turn.id = %turn.id, agent.id = %turn.key.agent, room.id = %turn.key.room,
                prompts = turn.prompts.len(), duration = ?Millis::now().since(turn.started_at),
                "a turn ended"
            );
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
