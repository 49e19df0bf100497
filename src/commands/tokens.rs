//! Tokens with which programs act as agents.

use ruma::{OwnedUserId, RoomId, UserId};

use super::{CommandHandler, help::code};
use crate::{
    config::Level,
    journal::JournalError,
    matrix::Actor,
    room_jobs::RoomJobError,
    tools::token::{self, TokenError},
};

impl CommandHandler {
    /// Makes a token. Shown only where nobody else reads it.
    pub(super) async fn make_token(
        &self,
        query: &str,
        room: &RoomId,
        in_management_room: bool,
    ) -> Result<String, RoomJobError> {
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
        if let Some(reader) = self.find_member_without_rights(room).await? {
            return Ok(format!(
                "A token is a secret, and {} is in this room and no admin of the bridge. Start a direct chat with me and ask there.",
                code(reader.as_str())
            ));
        }
        let journal = &self.ctx.journal;
        match token::issue(journal, &record.id) {
            Ok(token) => {
                // Shown only once it is sure to be valid after a crash as well. One that nobody has seen is none.
                if let Err(failure) = journal.durable().await {
                    token::forget(journal, &token)?;
                    return Err(failure.into());
                }
                Ok(format!(
                    "The token of {}, shown this once: `{}`\n\nWho has it acts as this agent over MCP, at `{}`. `revoke-tokens {}` ends it.",
                    code(&record.name),
                    token.expose(),
                    crate::tools::mcp::PATH,
                    record.id,
                ))
            }
            Err(TokenError::Journal(failure)) => Err(failure.into()),
            Err(problem) => Ok(format!("There is no token: {problem}.")),
        }
    }

    /// Somebody in the room besides the bot who is no admin of this bridge.
    async fn find_member_without_rights(
        &self,
        room: &RoomId,
    ) -> Result<Option<OwnedUserId>, RoomJobError> {
        let rules = &self.ctx.rules;
        let members = self.ctx.homeserver.joined_members(Actor::Bot, room).await?;
        let is_bot = |user: &UserId| user == rules.identity.bot();
        let mut others = members.into_iter();
        Ok(others.find(|user| !is_bot(user) && rules.permissions.level(user) < Level::Admin))
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
