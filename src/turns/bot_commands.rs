//! Commands of other bots: where several people are together, `!weather` and `/roll` are meant for somebody else.
//!
//! They are taken out of the queue right before a turn would begin with them, where it may be asked who is in the room. If that cannot be
//! found out, nothing is taken out. Where one person talks with an agent alone, a message that looks like a command is a prompt.

use tracing::info;

use super::Inner;
use crate::journal::{ConversationKey, JournalError};

/// What commands of bots begin with.
const PREFIXES: [char; 2] = ['!', '/'];

impl Inner {
    /// Takes commands of other bots out of a conversation's queue.
    pub(super) async fn drop_bot_commands(
        &self,
        conversation: &ConversationKey,
    ) -> Result<(), JournalError> {
        let journal = &self.ctx.journal;
        let mut commands = journal.queued_prompts(conversation)?;
        commands.retain(|prompt| prompt.attachment.is_none() && is_bot_command(&prompt.text));
        if commands.is_empty() {
            return Ok(());
        }
        let ghost = self.ctx.identity.ghost(&conversation.agent);
        let people = self.members.people(&ghost, &conversation.room).await;
        if people.is_none_or(|people| people <= 1) {
            return Ok(());
        }
        for command in commands {
            if journal.withdraw_queued(&conversation.room, &command.event_id)? {
                info!(
                    event.id = %command.event_id, room.id = %conversation.room,
                    reason = "the message is a command of another bot", "prompt dropped"
                );
            }
        }
        Ok(())
    }
}

/// Whether a text begins with the name of a command: `!name` or `/name`, but not `/a/path`.
fn is_bot_command(text: &str) -> bool {
    let Some(rest) = text.trim_start().strip_prefix(PREFIXES) else {
        return false;
    };
    let name = rest.split_whitespace().next().unwrap_or_default();
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    rest.starts_with(|c: char| c.is_ascii_alphabetic()) && name.chars().all(is_of_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_commands_are_commands() {
        for text in ["!weather Bern", "/roll", " !foo", "/d-1_x y", "!ban\n@eve"] {
            assert!(is_bot_command(text), "{text}");
        }
        for text in [
            "",
            "!",
            "/",
            "! no",
            "/ no",
            "!!!",
            "/etc/hosts is full",
            "!important: x",
            "!1",
            "hello !foo",
            "//",
            "/é",
        ] {
            assert!(!is_bot_command(text), "{text}");
        }
    }
}
