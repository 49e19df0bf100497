//! The tokens by which agents prove who they are, by their hashes.

use letta_client::AgentId;
use serde::{Deserialize, Serialize};

use super::{
    Journal, JournalError,
    key::{self, Key, texts},
};
use crate::time::Millis;

/// Whose token it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolTokenRecord {
    /// The agent.
    pub agent: AgentId,
    /// When it was made.
    pub made_at: Millis,
}

impl Journal {
    /// Whose token has this hash.
    pub fn tool_token(&self, hash: &str) -> Result<Option<ToolTokenRecord>, JournalError> {
        self.get(&token_key(hash), "tool token")
    }

    /// Writes down whose token has this hash.
    pub fn insert_tool_token_hash(
        &self,
        hash: &str,
        record: &ToolTokenRecord,
    ) -> Result<(), JournalError> {
        self.put(&token_key(hash), record, "tool token")
    }

    /// Forgets a token.
    pub fn remove_tool_token(&self, hash: &str) -> Result<(), JournalError> {
        self.db().remove(token_key(hash))?;
        Ok(())
    }

    /// The hashes of an agent's tokens.
    pub fn tool_token_hashes(&self, agent: &AgentId) -> Result<Vec<String>, JournalError> {
        let mut hashes = Vec::new();
        for entry in self.scan::<ToolTokenRecord>(&[key::TOOL_TOKEN], "tool token") {
            let (key, record) = entry?;
            if record.agent == *agent {
                hashes.extend(texts(&key).next().map(str::to_owned));
            }
        }
        Ok(hashes)
    }
}

fn token_key(hash: &str) -> Vec<u8> {
    Key::new(key::TOOL_TOKEN).text(hash).bytes()
}
