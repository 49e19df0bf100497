//! Tokens with which programs act as agents.

use super::{CommandHandler, help::code};
use crate::{
    journal::JournalError,
    tools::token::{self, TokenError},
};

impl CommandHandler {
    /// Makes a token. Shown only where nobody else reads it.
    pub(super) async fn make_token(
        &self,
        query: &str,
        in_management_room: bool,
    ) -> Result<String, JournalError> {
        if !in_management_room {
            return Ok(
                "A token is a secret, so this works only in the direct chat between you and me."
                    .to_owned(),
            );
        }
        let record = match self.look_up(query) {
            Ok(record) => record,
            Err(problem) => return Ok(problem),
        };
        let journal = &self.ctx.journal;
        match token::issue(journal, &record.id) {
            Ok(token) => {
                // Shown only once it is sure to be valid after a crash as well.
                journal.durable().await?;
                Ok(format!(
                    "The token of {}, shown this once: `{}`\n\nWho has it acts as this agent over MCP, at `{}`. `revoke-tokens {}` ends it.",
                    code(&record.name),
                    token.expose(),
                    crate::tools::mcp::PATH,
                    record.id,
                ))
            }
            Err(TokenError::Journal(failure)) => Err(failure),
            Err(problem) => Ok(format!("There is no token: {problem}.")),
        }
    }

    /// Ends all tokens of an agent.
    pub(super) fn revoke_tokens(&self, query: &str) -> Result<String, JournalError> {
        let record = match self.look_up(query) {
            Ok(record) => record,
            Err(problem) => return Ok(problem),
        };
        let name = code(&record.name);
        Ok(match token::revoke(&self.ctx.journal, &record.id)? {
            0 => format!("{name} has no token."),
            1 => format!("The token of {name} is not valid any more."),
            tokens => format!("The {tokens} tokens of {name} are not valid any more."),
        })
    }
}
