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

use super::{
    Inner,
    stage::{Stage, ready},
    words,
};
use crate::{
    journal::{Answer, Ask, ConversationKey, JournalError, TurnRecord},
    time::Millis,
};

impl Inner {
    /// Does all there is to do in a conversation.
    pub(super) async fn work(&self, conversation: &ConversationKey) -> Result<(), JournalError> {
        let journal = &self.around.journal;
        while !self.around.tasks.is_closing() {
            let (turn, again) = match journal.open_turn(conversation)? {
                Some(turn) => (turn, true),
                None => match journal.begin_turn(conversation, Millis::now())? {
                    Some(turn) => (turn, false),
                    None => return Ok(()),
                },
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
            let stopped = turn.ask.as_ref().filter(|ask| ask.is_stopped());
            match (told.request, stopped) {
                (Some(request), Some(stop)) => {
                    // Who has stopped the turn is not asked again.
                    let verdict = stop.verdict.clone();
                    let ask = Ask::new(&request, stop.card.clone(), stop.until);
                    turn.ask = Some(Ask { verdict, ..ask });
                    turn.run = None;
                    self.around.journal.update_turn(turn)?;
                    self.around.journal.durable().await?;
                    again = false;
                }
                (None, Some(_)) => {
                    turn.answer = Some(Answer {
                        text: String::new(),
                        remark: Some(words::stopped()),
                    });
                    return Ok(true);
                }
                (Some(request), None) => {
                    turn.ask = Some(self.ask(turn, &request, told.found));
                    turn.answer = Some(told.answer);
                    return Ok(true);
                }
                (None, None) => {
                    turn.answer = Some(told.answer);
                    return Ok(true);
                }
            }
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
        if stage.first_pending.is_some() {
            // The homeserver has not confirmed the message that is to be completed. That can take
            // as long as it likes, so the answer must not live in memory only.
            journal.update_turn(&turn)?;
            journal.durable().await?;
            stage.first = ready(&mut stage.first_pending).await?;
            stage.first_pending = None;
            if stage.first.is_none() && self.around.tasks.is_stopping() {
                return Ok(None);
            }
        }
        if let Some(edit) = stage.edit_pending.take() {
            // An edit that overtakes the last one would undo it.
            stage.edited(edit.await);
        }
        let complete = stage.reply.shows(&answer.text);
        let mut last = stage
            .voice
            .conclusion(&turn, &answer, stage.first.as_deref(), complete);
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
        last: &mut Vec<crate::journal::OutboxItem>,
    ) -> Result<Option<TurnRecord>, JournalError> {
        let mut next = turn.clone();
        match &turn.ask {
            Some(ask) if ask.verdict.is_none() => {
                last.push(stage.voice.card(turn, ask, Millis::now()));
                next.answer = None;
                Ok(Some(next))
            }
            Some(ask) if ask.found && !ask.is_stopped() && !turn.prompts.is_empty() => {
                // What was found is done with. Now for what this turn is about.
                next.turn_the_page();
                next.ask = None;
                Ok(Some(next))
            }
            _ => Ok(None),
        }
    }
}
