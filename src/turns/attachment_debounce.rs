//! What belongs together: clients send several pictures, and the words about them, as messages of their own.
//!
//! A picture without a caption waits a moment for what is said of it, so that one answer is about all of it. Words end the wait.

use std::time::Duration;

use tokio::time::Instant;

use super::Inner;
use crate::{
    journal::{Attachment, ConversationKey, JournalError, QueuedPrompt},
    time::Millis,
};

/// How long a picture without words waits for the next message.
const COMPANION_WAIT: Duration = Duration::from_secs(2);

impl Inner {
    /// When a turn may begin in which there is nothing but pictures yet; `None`: now.
    pub(super) fn wait_for_words(
        &self,
        conversation: &ConversationKey,
    ) -> Result<Option<Instant>, JournalError> {
        let queued = self.ctx.journal.queued_prompts(conversation)?;
        let rest = rest_of_wait(&queued, Millis::now());
        Ok(rest.map(|rest| Instant::now() + rest))
    }
}

/// How long to wait for more of whoever has asked first.
fn rest_of_wait(queued: &[QueuedPrompt], now: Millis) -> Option<Duration> {
    let first = queued.first()?;
    let together = queued
        .iter()
        .take_while(|prompt| prompt.sender == first.sender);
    let mut last = None;
    for prompt in together {
        if !is_bare_picture(prompt) || prompt.retries > 0 {
            return None;
        }
        last = Some(prompt.admitted_at);
    }
    let rest = COMPANION_WAIT.saturating_sub(now.since(last?));
    (!rest.is_zero()).then_some(rest)
}

/// A picture of which nothing is said. A sticker says all that it has to say.
fn is_bare_picture(prompt: &QueuedPrompt) -> bool {
    let picture = prompt
        .attachment
        .as_ref()
        .is_some_and(Attachment::is_picture);
    picture && prompt.text.starts_with("[image: ") && !prompt.text.contains('\n')
}

#[cfg(test)]
mod tests {
    use ruma::{owned_event_id, owned_user_id};

    use super::*;
    use crate::journal::AttachmentKind;

    fn prompt(text: &str, at: u64) -> QueuedPrompt {
        let attachment = text.starts_with('[').then(|| Attachment {
            kind: AttachmentKind::Picture,
            uri: None,
            name: "a.png".to_owned(),
            mimetype: None,
            size: None,
            dimensions: None,
            is_refused: false,
        });
        QueuedPrompt {
            event_id: owned_event_id!("$asked"),
            sender: owned_user_id!("@ann:example.org"),
            text: text.to_owned(),
            admitted_at: Millis(at),
            retries: 0,
            attachment,
            reply_to: None,
        }
    }

    #[test]
    fn pictures_wait_for_words_and_nothing_else_does() {
        let wait = |queued: &[QueuedPrompt], now| rest_of_wait(queued, Millis(now));
        let picture = |at| prompt("[image: a.png]", at);
        let seconds = Duration::from_secs;
        assert_eq!(wait(&[], 0), None);
        assert_eq!(wait(&[picture(0)], 0), Some(seconds(2)));
        assert_eq!(wait(&[picture(0), picture(1_000)], 2_000), Some(seconds(1)));
        assert_eq!(wait(&[picture(0)], 2_000), None);
        assert_eq!(wait(&[picture(0), prompt("what is it?", 1)], 1), None);
        assert_eq!(wait(&[prompt("hello", 0), picture(0)], 0), None);
        assert_eq!(wait(&[prompt("[image: a.png]\nMy cat", 0)], 0), None);
        assert_eq!(wait(&[prompt("[sticker: a cat]", 0)], 0), None);
        let mut bob = prompt("hello", 0);
        bob.sender = owned_user_id!("@bob:example.org");
        assert_eq!(wait(&[picture(0), bob], 0), Some(seconds(2)));
    }
}
