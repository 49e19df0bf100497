//! The list of agents, over all its pages: complete, or an error.
//!
//! A server ignores a cursor that it does not know (the agent was deleted between two pages) and
//! answers with the first page. A page that brings nothing new therefore ends the list only if
//! the server counts no more agents than were seen; else the list would be silently shortened.

use std::collections::HashSet;

use super::{api::SharedApi, failure::RequestTarget, wire::AgentEntry};
use crate::{backend::Agent, error::BackendError, id::AgentId};

/// How many agents are asked for at once.
pub const AGENTS_PAGE: usize = 100;

/// The most pages that are read; past it, the list is an error.
pub const AGENTS_PAGES_MAX: usize = 1_000;

/// Kinds of agents that work for others in the background.
const BACKGROUND_TYPES: [&str; 2] = ["sleeptime_agent", "voice_sleeptime_agent"];

/// How the names of such agents end.
const BACKGROUND_SUFFIXES: [&str; 2] = ["-sleeptime", "-doc-sleeptime"];

/// Every agent, oldest first.
pub(super) async fn agents(api: &SharedApi) -> Result<Vec<Agent>, BackendError> {
    let mut agents = Vec::new();
    let mut seen = HashSet::new();
    let mut after: Option<String> = None;
    for _ in 0..AGENTS_PAGES_MAX {
        let page = page(api, after.as_deref()).await?;
        let entries = page.len();
        let last = page.last().and_then(|entry| entry.id.clone());
        let before = seen.len();
        for entry in page {
            let id = entry.id.clone().unwrap_or_default();
            if seen.insert(id) {
                agents.extend(agent_from_entry(entry));
            }
        }
        if entries < AGENTS_PAGE {
            return Ok(agents);
        }
        if seen.len() == before {
            let count = count(api).await?;
            if count <= seen.len() {
                return Ok(agents);
            }
            let detail = format!("the list of agents repeats itself after {before} of {count}");
            return Err(BackendError::Protocol { detail });
        }
        after = last;
    }
    let detail = format!("the list of agents has more than {AGENTS_PAGES_MAX} pages");
    Err(BackendError::Protocol { detail })
}

async fn page(api: &SharedApi, after: Option<&str>) -> Result<Vec<AgentEntry>, BackendError> {
    let mut request = api.get(&["v1", "agents", ""]).query(&[
        ("limit", AGENTS_PAGE.to_string().as_str()),
        ("order", "asc"),
        ("order_by", "created_at"),
        ("include", "agent.tags"),
    ]);
    if let Some(after) = after {
        request = request.query(&[("after", after)]);
    }
    let answer = api.call(request).await?;
    answer
        .map_err(|refusal| refusal.into_error(RequestTarget::Server("agents")))?
        .read()
}

async fn count(api: &SharedApi) -> Result<usize, BackendError> {
    let answer = api.call(api.get(&["v1", "agents", "count"])).await?;
    answer
        .map_err(|refusal| refusal.into_error(RequestTarget::Server("the count of agents")))?
        .read()
}

/// One agent; `None` if Letta does not know it.
pub(super) async fn agent(api: &SharedApi, id: &AgentId) -> Result<Option<Agent>, BackendError> {
    let request = api
        .get(&["v1", "agents", id.as_str()])
        .query(&[("include", "agent.tags")]);
    match api.call(request).await? {
        Ok(answer) => {
            let entry: AgentEntry = answer.read()?;
            if entry.id.as_deref() != Some(id.as_str()) {
                return Err(BackendError::unexpected_answer(
                    "not the record of this agent",
                ));
            }
            Ok(agent_from_entry(entry))
        }
        // V1 refuses ids that are no UUID before it looks for them.
        Err(refusal) if refusal.is_no_id() => Ok(None),
        Err(refusal) => match refusal.into_error(RequestTarget::Agent(id)) {
            BackendError::NotFound { .. } => Ok(None),
            error => Err(error),
        },
    }
}

/// The longest description of an agent that is kept, in characters.
const DESCRIPTION_CHARS_MAX: usize = 2_000;
/// The longest name of an agent, of a model and of a tag that is kept, in characters.
const NAME_CHARS_MAX: usize = 250;
/// The most tags of an agent that are kept.
const TAGS_MAX: usize = 100;

/// Whether an agent of this name works for another one.
pub(crate) fn is_background_name(name: &str) -> bool {
    BACKGROUND_SUFFIXES
        .iter()
        .any(|suffix| name.ends_with(suffix))
}

/// An entry as an agent, unless it works in the background or cannot be one.
pub(crate) fn agent_from_entry(entry: AgentEntry) -> Option<Agent> {
    let AgentEntry {
        id,
        name,
        description,
        tags,
        agent_type,
        model,
        llm_config,
    } = entry;
    let id = match AgentId::parse(id.clone().unwrap_or_default()) {
        Ok(id) => id,
        Err(error) => {
            tracing::warn!(agent.id = ?id, %error, "leaving out an agent whose id is not one");
            return None;
        }
    };
    let name = name.unwrap_or_else(|| id.to_string());
    let name = within(name, NAME_CHARS_MAX);
    let background = is_background_name(&name)
        || agent_type.is_some_and(|kind| BACKGROUND_TYPES.contains(&kind.as_str()));
    let config = llm_config.unwrap_or_default();
    (!background).then(|| Agent {
        id,
        name,
        description: description
            .filter(|text| !text.is_empty())
            .map(|text| within(text, DESCRIPTION_CHARS_MAX)),
        tags: tags
            .unwrap_or_default()
            .into_iter()
            .take(TAGS_MAX)
            .map(|tag| within(tag, NAME_CHARS_MAX))
            .collect(),
        model: model
            .or(config.handle)
            .or(config.model)
            .map(|model| within(model, NAME_CHARS_MAX)),
    })
}

/// A text of at most so many characters. Letta lets descriptions have more than a Matrix event can hold.
fn within(mut text: String, chars: usize) -> String {
    if let Some((at, _)) = text.char_indices().nth(chars) {
        text.truncate(at);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_an_agent_are_cut_at_their_limits() {
        let long = "é".repeat(62_000);
        let entry = serde_json::json!({
            "id": "agent-1", "name": long, "description": long, "model": long, "tags": vec![long.as_str(); 500],
        });
        let agent = agent(&entry.to_string()).unwrap();
        let chars = |text: &str| text.chars().count();
        assert_eq!(chars(&agent.name), NAME_CHARS_MAX + 1);
        assert_eq!(
            chars(agent.description.as_deref().unwrap()),
            DESCRIPTION_CHARS_MAX + 1
        );
        assert_eq!(chars(agent.model.as_deref().unwrap()), NAME_CHARS_MAX + 1);
        assert_eq!(agent.tags.len(), TAGS_MAX);
        assert!(
            agent
                .tags
                .iter()
                .all(|tag| chars(tag) <= NAME_CHARS_MAX + 1)
        );
    }

    fn agent(json: &str) -> Option<Agent> {
        agent_from_entry(serde_json::from_str(json).unwrap())
    }

    #[test]
    fn an_entry_needs_no_more_than_its_id() {
        let found =
            agent(r#"{"id":"agent-1","name":null,"tags":"odd","llm_config":{"model":"m"}}"#);
        let found = found.unwrap();
        assert_eq!(
            (found.name.as_str(), found.model.as_deref()),
            ("agent-1", Some("m"))
        );
    }

    #[test]
    fn background_agents_and_foreign_ids_are_left_out() {
        assert_eq!(agent(r#"{"id":"agent-1","name":"Ada-sleeptime"}"#), None);
        assert_eq!(
            agent(r#"{"id":"agent-1","name":"Ada","agent_type":"sleeptime_agent"}"#),
            None
        );
        assert_eq!(agent(r#"{"id":"Agent 1","name":"Ada"}"#), None);
        assert_eq!(agent("{}"), None);
        assert!(agent(r#"{"id":"agent-1","name":"sleeptime"}"#).is_some());
    }
}
