//! The keys under which Letta gets a turn's prompts: it tells by them what it has taken already.

use super::TurnRecord;
use crate::journal::record::{IllegalTransition, QueuedPrompt, TurnState};

impl TurnRecord {
    /// The key under which Letta gets one of its prompts. What Letta has refused, because something
    /// else waited, it would refuse again under the same key.
    pub fn key_of(&self, prompt: &QueuedPrompt) -> String {
        let retry = match prompt.retries {
            0 => String::new(),
            retries => format!(".r{retries}"),
        };
        match self.prompt_keys {
            0 => format!("{}{retry}", prompt.event_id),
            number => format!("{}{retry}.{number}", prompt.event_id),
        }
    }

    /// Whether Letta got one of its prompts under this key, in whichever attempt.
    pub fn has_key(&self, key: &str) -> bool {
        self.prompts.iter().any(|prompt| {
            let rest = key.strip_prefix(prompt.event_id.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    }

    /// The prompts are to be sent again, under keys that Letta has not seen: it has lost what it made of them, or could do nothing
    /// with them, and still knows the keys that they had.
    pub fn renew_keys(&mut self) -> Result<(), IllegalTransition> {
        /// More than a turn has segments.
        const STEP: u32 = 1_000_000;
        self.advance(TurnState::lose_run)?;
        self.prompt_keys = self.prompt_keys.saturating_add(STEP);
        Ok(())
    }

    /// The same for prompts of which nothing came: they are not counted as taken.
    pub fn resend(&mut self) -> Result<(), IllegalTransition> {
        self.renew_keys()?;
        self.spent.sends = self.spent.sends.saturating_sub(1);
        Ok(())
    }
}
