//! The keys under which Letta gets a turn's prompts: it tells by them what it has taken already.

use super::{QueuedPrompt, TurnRecord};

impl TurnRecord {
    /// The key under which Letta gets one of its prompts. What Letta has refused, because something
    /// else waited, it would refuse again under the same key.
    pub fn key_of(&self, prompt: &QueuedPrompt) -> String {
        let retry = match prompt.retries {
            0 => String::new(),
            retries => format!(".r{retries}"),
        };
        match self.sent_in.unwrap_or(self.segment) {
            0 => format!("{}{retry}", prompt.event_id),
            segment => format!("{}{retry}.{segment}", prompt.event_id),
        }
    }

    /// Whether Letta got one of its prompts under this key, in whichever attempt.
    pub fn has_key(&self, key: &str) -> bool {
        self.prompts.iter().any(|prompt| {
            let rest = key.strip_prefix(prompt.event_id.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        })
    }

    /// Letta has lost what it made of the prompts and still knows their keys: they are sent under others.
    pub fn renew_keys(&mut self) {
        /// More than a turn has segments.
        const STEP: u32 = 1_000_000;
        let sent_in = self.sent_in.unwrap_or(self.segment);
        self.sent_in = Some(sent_in.saturating_add(STEP));
    }

    /// Its prompts are sent again under keys that Letta has not seen: it has taken them and could do nothing with them.
    pub fn resend(&mut self) {
        self.renew_keys();
        self.spent.sends = self.spent.sends.saturating_sub(1);
        self.run = None;
    }
}
