//! Carries out the commands about what got no answer.

use std::fmt::Write;

use super::{handler::CommandHandler, help::code};
use crate::{
    journal::{FailedRecord, JournalError, NoticeText, RoomKind},
    time::Millis,
    turns::{failed_prompts::RetryOutcome, notice_texts, route::IncomingEvent},
};

/// The most messages that one answer lists.
const LISTED_MAX: usize = 20;
/// How much of a message is quoted, in characters.
const QUOTE_CHARS_MAX: usize = 80;

impl CommandHandler {
    /// Lists what was set aside and who is paused.
    pub(super) fn list_failed(&self, event: &IncomingEvent) -> Result<String, JournalError> {
        let room = self.ctx.journal.room(&event.room_id)?;
        let everywhere = room.is_some_and(|room| matches!(room.kind, RoomKind::Management { .. }));
        let here = (!everywhere).then_some(&*event.room_id);
        let failed = self.ctx.turns.failed(self.requester(event), here)?;
        let now = Millis::now();
        let mut text = String::new();
        // Writing to a String cannot fail.
        for one in failed.iter().rev().take(LISTED_MAX) {
            let _ = writeln!(text, "* {}", self.line(one, now));
        }
        if failed.len() > LISTED_MAX {
            let _ = writeln!(text, "* … and {} older ones", failed.len() - LISTED_MAX);
        }
        if text.is_empty() {
            text.push_str("Nothing was set aside. Every message got an answer or waits for one.\n");
        } else {
            text.push_str("\n`retry NUMBER` tries one again.\n");
        }
        for pause in self.ctx.turns.pauses().all() {
            let _ = writeln!(
                text,
                "* ⏸ {} is paused: {} It is tried again in {}. [{}]",
                self.name_of(&pause.agent),
                pause.reason,
                humantime::format_duration(whole_seconds(pause.until.since(now))),
                pause.code
            );
        }
        Ok(text)
    }

    /// Tries again what was set aside.
    pub(super) async fn retry(
        &self,
        event: &IncomingEvent,
        number: u64,
    ) -> Result<NoticeText, JournalError> {
        let said = |text: String| NoticeText::new(text, "");
        Ok(
            match self.ctx.turns.retry(self.requester(event), number).await? {
                RetryOutcome::Queued(failed) => said(format!(
                    "**{number}** is tried again: it waits for {}.",
                    self.name_of(&failed.key.agent)
                )),
                RetryOutcome::Nothing => said(format!(
                    "Nothing that was set aside has the number {number}. `failed` lists what there is."
                )),
                RetryOutcome::NotTheirs => notice_texts::not_yours_to_decide(&event.sender),
                RetryOutcome::Full => NoticeText::new(
                    format!(
                        "**{number}** was not taken: too many messages wait for this agent already. Try it later."
                    ),
                    "QUEUE_FULL",
                ),
            },
        )
    }

    /// Asks a paused agent again.
    pub(super) fn resume_agent(&self, query: &str) -> Result<String, JournalError> {
        let record = match self.look_up(query) {
            Ok(record) => record,
            Err(problem) => return Ok(problem),
        };
        Ok(if self.ctx.turns.resume_agent(&record.id)? {
            format!("{} is asked again now.", code(&record.name))
        } else {
            format!("{} is not paused.", code(&record.name))
        })
    }

    /// One line about what was set aside.
    fn line(&self, failed: &FailedRecord, now: Millis) -> String {
        let ago = whole_seconds(now.since(failed.at));
        let mut line = format!(
            "**{}** · {} · {} ago · {} [{}]",
            failed.number,
            self.name_of(&failed.key.agent),
            humantime::format_duration(ago),
            failed.reason,
            failed.code
        );
        if let Some(first) = failed.prompts.first() {
            let quote: String = first.text.chars().take(QUOTE_CHARS_MAX).collect();
            let _ = write!(
                line,
                " · {}: {}",
                code(first.sender.as_str()),
                code(&quote.replace('\n', " "))
            );
        }
        line
    }

    /// The name of an agent as a message shows it, or its id if it is not known.
    fn name_of(&self, agent: &letta_client::AgentId) -> String {
        let registry = &self.ctx.agents.provisioner.registry;
        registry
            .find(agent)
            .map_or_else(|| code(agent.as_str()), |record| code(&record.name))
    }
}

fn whole_seconds(span: std::time::Duration) -> std::time::Duration {
    std::time::Duration::from_secs(span.as_secs())
}
