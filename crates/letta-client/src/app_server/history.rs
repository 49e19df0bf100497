//! What is stored: the list of agents, and the newest messages of a conversation.

use super::{
    AppServerBackend, LOOK_MESSAGES, MESSAGES_PAGE,
    command::{ListQuery, MessagesQuery, Request},
    wire::Scope,
};
use crate::{
    backend::{Agent, Destination, HistoryItem},
    error::BackendError,
    id::ToolCallId,
    rest::{
        history, listing,
        wire::{AgentEntry, Message},
    },
};

/// How many agents are asked for. The server pages by an order that moves while one pages, so all
/// are asked for at once, and more only where there are more.
const AGENTS_PAGE: usize = 1_000;

/// The most agents; past it, the list is an error.
pub const AGENTS_MAX: usize = 100_000;

/// The most pages of messages that are read. A stored message is often no one's words but a tool
/// call.
pub const HISTORY_PAGES_MAX: usize = 100;

/// What the server says in the place of what a call returned, where it had forgotten the call.
const FORGOTTEN: &str = "closed this stale pending tool call";

/// Every agent, by its id: the server does not tell when one was made.
pub(super) async fn agents(backend: &AppServerBackend) -> Result<Vec<Agent>, BackendError> {
    let mut limit = AGENTS_PAGE;
    loop {
        let query = ListQuery { limit };
        let answer = backend.ask(Request::AgentList { query }).await?;
        let entries = answer
            .agents
            .ok_or_else(|| BackendError::unexpected_answer("a list of agents without agents"))?;
        if entries.len() < limit {
            return Ok(in_order(entries));
        }
        if limit >= AGENTS_MAX {
            let detail = format!("the list of agents has {AGENTS_MAX} or more");
            return Err(BackendError::Protocol { detail });
        }
        limit *= 10;
    }
}

/// What is listed, by its id.
pub(super) fn in_order(entries: Vec<AgentEntry>) -> Vec<Agent> {
    let mut agents: Vec<_> = entries
        .into_iter()
        .filter_map(listing::agent_from_entry)
        .collect();
    agents.sort_by(|a, b| a.id.cmp(&b.id));
    agents
}

/// The newest `limit` messages, oldest first.
pub(super) async fn newest(
    backend: &AppServerBackend,
    to: &Destination,
    limit: usize,
) -> Result<Vec<HistoryItem>, BackendError> {
    let scope = Scope::of(to);
    let mut items = Vec::new();
    let mut before = None;
    for _ in 0..HISTORY_PAGES_MAX {
        let page = page(backend, &scope, limit, before.take()).await?;
        let messages = page.messages;
        let empty = messages.is_empty();
        items.extend(messages.into_iter().filter_map(history::item));
        before = page.next_before;
        let more = page.has_more && before.is_some();
        if items.len() >= limit || empty || !more {
            break;
        }
    }
    items.truncate(limit);
    items.reverse();
    Ok(items)
}

/// Whether something has come of a tool call: it has run, or somebody has decided that it may not.
pub(super) async fn has_returned(
    backend: &AppServerBackend,
    to: &Destination,
    call: &ToolCallId,
) -> Result<bool, BackendError> {
    let (mut read, mut before) = (0, None);
    while read < LOOK_MESSAGES {
        let page = page(backend, &Scope::of(to), MESSAGES_PAGE, before).await?;
        read += page.messages.len();
        let more = page.has_more && !page.messages.is_empty();
        let messages = page.messages.into_iter();
        let mut returns = messages
            .filter(|message| message.message_type.as_deref() == Some("tool_return_message"))
            .flat_map(Message::returns);
        if returns.any(|part| {
            part.tool_call_id.as_deref() == Some(call.as_str()) && !part.text().contains(FORGOTTEN)
        }) {
            return Ok(true);
        }
        before = page.next_before.filter(|_| more);
        if before.is_none() {
            break;
        }
    }
    Ok(false)
}

/// Some of the stored messages, the newest first.
struct Page {
    messages: Vec<Message>,
    next_before: Option<String>,
    has_more: bool,
}

/// At most `limit` stored messages, the newest first.
async fn page(
    backend: &AppServerBackend,
    scope: &Scope,
    limit: usize,
    before: Option<String>,
) -> Result<Page, BackendError> {
    let query = MessagesQuery {
        agent_id: scope.agent_id.clone(),
        limit: limit.clamp(1, MESSAGES_PAGE),
        order: "desc",
        before,
    };
    let conversation_id = scope.conversation_id.clone();
    let list = Request::ConversationMessagesList {
        conversation_id,
        query,
    };
    let mut answer = backend.ask(list).await?;
    Ok(Page {
        messages: answer.take_messages()?,
        next_before: answer.next_before,
        has_more: answer.has_more == Some(true),
    })
}
