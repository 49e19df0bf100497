//! What follows the name of a command, read.

use ruma::UserId;

use super::{AgentAndUser, ToolAndAgent};

/// What is wrong with an argument, beyond what clap says itself.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Misuse {
    /// It has to be there: quotation marks alone are nothing.
    #[error("nothing is named")]
    Missing,
    /// What looks like a user id is none.
    #[error("`{0}` is not a full user id")]
    NotAUser(String),
}

/// The words without the quotation marks that people put around names with spaces.
fn unquoted(argument: &str) -> &str {
    let words = argument.trim();
    [('"', '"'), ('\'', '\''), ('`', '`'), ('“', '”'), ('„', '“')]
        .into_iter()
        .find_map(|(open, close)| words.strip_prefix(open)?.strip_suffix(close))
        .unwrap_or(words)
        .trim()
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "clap takes functions that can fail"
)]
pub(super) fn unquoted_text(argument: &str) -> Result<String, Misuse> {
    Ok(unquoted(argument).to_owned())
}

pub(super) fn agent(argument: &str) -> Result<String, Misuse> {
    match unquoted(argument) {
        "" => Err(Misuse::Missing),
        agent => Ok(agent.to_owned()),
    }
}

/// A number, perhaps with a `#` before it.
pub(super) fn number(argument: &str) -> Result<u64, Misuse> {
    let number = argument.trim_start_matches('#').parse();
    number.map_err(|_| Misuse::Missing)
}

/// A name may have spaces, so the user is the last word if it looks like one. The agent may be given by its user id, so a lone user
/// id is the agent.
pub(super) fn agent_and_user(argument: &str) -> Result<AgentAndUser, Misuse> {
    let (name, user) = match argument.rsplit_once(char::is_whitespace) {
        Some((name, word)) if word.starts_with('@') => {
            let user = UserId::parse(word).map_err(|_| Misuse::NotAUser(word.to_owned()))?;
            (name, Some(user))
        }
        _ => (argument, None),
    };
    let agent = agent(name)?;
    Ok(AgentAndUser { agent, user })
}

/// A tool, and after it perhaps an agent, whose name may have spaces.
pub(super) fn tool_and_agent(argument: &str) -> Result<ToolAndAgent, Misuse> {
    let (tool, agent) = argument
        .split_once(char::is_whitespace)
        .unwrap_or((argument, ""));
    let tool = self::agent(tool)?;
    let agent = Some(unquoted(agent)).filter(|agent| !agent.is_empty());
    Ok(ToolAndAgent {
        tool,
        agent: agent.map(str::to_owned),
    })
}

pub(super) fn on_or_off(argument: &str) -> Result<bool, &'static str> {
    match argument.to_ascii_lowercase().as_str() {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("neither on nor off"),
    }
}
