//! What agents do in Matrix by themselves: one catalogue of tools, whatever way a call comes in.
//!
//! Promises: a call is made in the name of an agent that has proven who it is, and acts as its own ghost, so the homeserver says what
//! it may see and do; it edits and redacts only what it has sent by a tool, never an approval message or a notice; arguments are checked strictly; no agent acts more often
//! than `tools.per_minute` says; an error says what to do next.
//!
//! The ways in: MCP, see [`mcp`].

mod agents;
mod arguments;
mod catalogue;
mod error;
pub mod mcp;
mod messages;
mod rate_limit;
mod rooms;
#[cfg(test)]
mod tests;
pub mod token;

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt as _;
use letta_client::AgentId;
use ruma::OwnedUserId;
use serde_json::{Map, Value};
use tracing::{info, warn};

use self::rate_limit::AgentRateLimit;
pub use self::{
    catalogue::{Tool, find, list},
    error::ToolError,
};
use crate::{
    agents::provision::Provisioner, config, encryption::Encryption, identity::Identity,
    journal::Journal, matrix::Homeserver,
};

/// How long one call may take. Clients of MCP wait for a minute.
const CALL_TIME_MAX: Duration = Duration::from_secs(45);

/// What the tools work with.
pub struct ToolContext {
    /// The durable record.
    pub journal: Journal,
    /// The homeserver.
    pub homeserver: Homeserver,
    /// What encrypts for rooms.
    pub encryption: Encryption,
    /// Who is who.
    pub identity: Identity,
    /// The agents.
    pub agents: Arc<Provisioner>,
    /// What an admin allows.
    pub config: config::Tools,
}

/// An agent that has proven who it is.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The agent.
    pub agent: AgentId,
    /// The user that it acts as.
    pub ghost: OwnedUserId,
}

/// See the module's documentation. Cheap to clone.
#[derive(Clone)]
pub struct Tools {
    inner: Arc<Inner>,
}

struct Inner {
    ctx: ToolContext,
    rate_limit: AgentRateLimit,
}

impl Tools {
    /// The tools of this bridge.
    pub fn new(ctx: ToolContext) -> Self {
        let rate_limit = AgentRateLimit::per_minute(ctx.config.per_minute);
        Self {
            inner: Arc::new(Inner { ctx, rate_limit }),
        }
    }

    /// The tools that agents may use, in the order of the catalogue.
    pub fn allowed(&self) -> impl Iterator<Item = &'static Tool> {
        let allowed = &self.inner.ctx.config.allow;
        list()
            .iter()
            .filter(move |tool| allowed.iter().any(|name| name == tool.name))
    }

    /// Does what an agent asks for.
    ///
    /// # Errors
    ///
    /// See [`ToolError`]; nothing was done then, unless the homeserver's answer was lost.
    pub async fn call(
        &self,
        caller: &Caller,
        name: &str,
        arguments: Map<String, Value>,
    ) -> Result<Value, ToolError> {
        let outcome = self.try_call(caller, name, arguments).await;
        let code = outcome.as_ref().err().map(ToolError::code);
        // The name is the caller's; that of a tool is in the catalogue.
        let tool = find(name).map(|tool| tool.name);
        if let Err(failure @ (ToolError::Unavailable(_) | ToolError::Internal(_))) = &outcome {
            let error: &dyn std::error::Error = failure;
            warn!(agent.id = %caller.agent, tool, code, error, "tool call failed");
        } else {
            info!(agent.id = %caller.agent, tool, code, "tool called");
        }
        outcome
    }

    async fn try_call(
        &self,
        caller: &Caller,
        name: &str,
        arguments: Map<String, Value>,
    ) -> Result<Value, ToolError> {
        let tool = find(name).ok_or_else(|| ToolError::unknown(name))?;
        if !self.allowed().any(|allowed| allowed.name == tool.name) {
            return Err(ToolError::NotAllowed { tool: tool.name });
        }
        self.inner.rate_limit.take(&caller.agent)?;
        let running = AssertUnwindSafe(tool.run(&self.inner.ctx, caller, arguments)).catch_unwind();
        match tokio::time::timeout(CALL_TIME_MAX, running).await {
            Ok(Ok(outcome)) => outcome,
            // The panic itself is in the log already.
            Ok(Err(_)) => Err(ToolError::Panicked),
            Err(_) => Err(ToolError::TimedOut),
        }
    }
}
