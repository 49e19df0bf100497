//! How an agent proves who it is: by a token that an admin has made for it.
//!
//! A token is looked up by its hash, and only that is kept for it. The message that shows it stays in the direct chat with the bot until
//! it is redacted, and in the journal, as every message that was sent, for a week.

use letta_client::AgentId;
use ruma::serde::{Base64, base64::UrlSafe};
use sha2::{Digest as _, Sha256};

use super::{Caller, Tools};
use crate::{
    agents::registry::Registry,
    config::Secret,
    journal::{AgentStatus, Journal, JournalError, ToolTokenRecord},
    registration,
    time::Millis,
};

/// What a token begins with, so that it is recognized where it should not be.
const PREFIX: &str = "mal_";
/// The most tokens that an agent has at once.
pub const TOKENS_MAX: usize = 20;

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The agent has too many.
    #[error("the agent has {TOKENS_MAX} tokens already; revoke them first")]
    TooMany,
    /// The journal could not be read or written.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// Makes a token for an agent. It is valid at once, and on disk after the journal's next `durable`.
pub fn issue(journal: &Journal, agent: &AgentId) -> Result<Secret, TokenError> {
    if journal.tool_token_hashes(agent)?.len() >= TOKENS_MAX {
        return Err(TokenError::TooMany);
    }
    let token = format!("{PREFIX}{}", registration::new_token().expose());
    let record = ToolTokenRecord {
        agent: agent.clone(),
        made_at: Millis::now(),
    };
    journal.insert_tool_token_hash(&hash(&token), &record)?;
    Ok(Secret::new(token))
}

/// Ends a token that was made and not shown.
pub fn forget(journal: &Journal, token: &Secret) -> Result<(), JournalError> {
    journal.remove_tool_token(&hash(token.expose()))
}

/// Ends all tokens of an agent. Answers how many there were.
pub fn revoke(journal: &Journal, agent: &AgentId) -> Result<usize, JournalError> {
    let tokens = journal.tool_token_hashes(agent)?;
    for hash in &tokens {
        journal.remove_tool_token(hash)?;
    }
    Ok(tokens.len())
}

impl Tools {
    /// Who shows this token; nobody if it is not valid, or Letta no longer has the agent.
    pub fn authenticate(&self, token: &str) -> Result<Option<Caller>, JournalError> {
        let ctx = &self.inner.ctx;
        if !token.starts_with(PREFIX) {
            return Ok(None);
        }
        // Looked up by its hash, so how long that takes says nothing about the token.
        let Some(record) = ctx.journal.tool_token(&hash(token))? else {
            return Ok(None);
        };
        Ok(
            is_live(&ctx.agents.registry, &record.agent).then(|| Caller {
                ghost: ctx.identity.ghost(&record.agent),
                agent: record.agent,
            }),
        )
    }
}

fn is_live(registry: &Registry, agent: &AgentId) -> bool {
    let record = registry.find(agent);
    record.is_some_and(|record| record.status == AgentStatus::Live)
}

fn hash(token: &str) -> String {
    let digest = Sha256::digest(token.as_bytes()).to_vec();
    Base64::<UrlSafe, _>::new(digest).encode()
}
