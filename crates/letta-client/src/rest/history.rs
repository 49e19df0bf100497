//! The newest messages of a conversation, put in order by us: V1 and its documentation disagree
//! about the order of a page.

use std::{collections::HashSet, sync::LazyLock};

use regex::Regex;

use super::{api::SharedApi, failure::RequestTarget, wire::Message};
use crate::{
    backend::{Conversation, Destination, HistoryItem, Role},
    error::BackendError,
    json,
};

/// The most pages that are read. A stored message is often no one's words but a tool call, so one
/// page may hold fewer messages than it counts.
pub const HISTORY_PAGES_MAX: usize = 20;

/// The largest page that is asked for.
const PAGE_MAX: usize = 200;

/// Notes that a harness puts into a person's message; nobody said them.
#[expect(
    clippy::expect_used,
    reason = "the pattern is a constant that a test compiles"
)]
static REMINDER: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?s)<system-reminder>.*?</system-reminder>").expect("a valid pattern")
});

/// The newest `limit` messages, oldest first.
pub(super) async fn newest(
    api: &SharedApi,
    to: &Destination,
    conversations: bool,
    limit: usize,
) -> Result<Vec<HistoryItem>, BackendError> {
    let mut items: Vec<HistoryItem> = Vec::new();
    let mut seen = HashSet::new();
    let mut before: Option<String> = None;
    let size = limit.clamp(1, PAGE_MAX);
    for _ in 0..HISTORY_PAGES_MAX {
        if items.len() >= limit {
            break;
        }
        let page = in_order(page(api, to, conversations, size, before.as_deref()).await?);
        let ids: HashSet<_> = page
            .iter()
            .filter_map(|message| message.id.clone())
            .collect();
        let stored = ids.len();
        let news = ids.into_iter().filter(|id| seen.insert(id.clone())).count();
        before = page.first().and_then(|message| message.id.clone());
        if news == 0 {
            break;
        }
        let mut older: Vec<_> = page.into_iter().filter_map(item).collect();
        older.append(&mut items);
        items = older;
        if stored < size || before.is_none() {
            break;
        }
    }
    items.drain(..items.len().saturating_sub(limit));
    Ok(items)
}

/// The newest stored messages of every kind, oldest first: at most `limit`, and at most one page.
pub(super) async fn newest_page(
    api: &SharedApi,
    to: &Destination,
    conversations: bool,
    limit: usize,
) -> Result<Vec<Message>, BackendError> {
    let size = limit.clamp(1, PAGE_MAX);
    Ok(in_order(page(api, to, conversations, size, None).await?))
}

async fn page(
    api: &SharedApi,
    to: &Destination,
    conversations: bool,
    limit: usize,
    before: Option<&str>,
) -> Result<Vec<Message>, BackendError> {
    let agent = to.agent.as_str();
    let mut request = match &to.conversation {
        _ if !conversations => api.get(&["v1", "agents", agent, "messages"]),
        Conversation::Default => api
            .get(&["v1", "conversations", "default", "messages"])
            .query(&[("agent_id", agent)]),
        Conversation::Own(id) => api.get(&["v1", "conversations", id.as_str(), "messages"]),
    };
    request = request.query(&[("limit", limit.to_string().as_str()), ("order", "desc")]);
    if let Some(before) = before {
        request = request.query(&[("before", before)]);
    }
    let answer = api.call(request).await?;
    answer
        .map_err(|refusal| refusal.into_error(RequestTarget::Conversation(to)))?
        .messages()
}

/// Oldest first, whichever way the page came. Dates have whole seconds, so the order within one
/// second is the page's own.
fn in_order(mut page: Vec<Message>) -> Vec<Message> {
    let newest_first = match (page.first(), page.last()) {
        (Some(first), Some(last)) => first.date > last.date,
        _ => false,
    };
    if newest_first {
        page.reverse();
    }
    page.sort_by(|a, b| a.date.cmp(&b.date));
    page
}

/// What a person or the agent said; `None` for everything else.
pub(crate) fn item(message: Message) -> Option<HistoryItem> {
    let role = match message.message_type.as_deref()? {
        "user_message" => Role::User,
        "assistant_message" => Role::Assistant,
        _ => return None,
    };
    let text = json::join_surrogates(&message.content.as_ref()?.text());
    let text = match role {
        Role::User => REMINDER.replace_all(&text, "").trim().to_owned(),
        Role::Assistant => text,
    };
    if text.is_empty() {
        return None;
    }
    Some(HistoryItem {
        id: message.id?.parse().ok()?,
        // An agent's own messages have keys too, made by the server: they are nobody's.
        key: message.otid.filter(|_| role == Role::User),
        role,
        text,
        run: message.run_id.and_then(|run| run.parse().ok()),
        date: message.date,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(json: &str) -> Vec<Message> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_page_is_put_in_order_whichever_way_it_came() {
        let up = r#"[{"id":"m-1","date":"2026-11-23T06:48:14+00:00"},
            {"id":"m-2","date":"2026-11-23T06:48:14+00:00"},
            {"id":"m-3","date":"2026-11-23T06:48:16+00:00"}]"#;
        let down = r#"[{"id":"m-3","date":"2026-11-23T06:48:16+00:00"},
            {"id":"m-2","date":"2026-11-23T06:48:14+00:00"},
            {"id":"m-1","date":"2026-11-23T06:48:14+00:00"}]"#;
        for page in [up, down] {
            let ids: Vec<_> = in_order(messages(page))
                .into_iter()
                .map(|m| m.id.unwrap())
                .collect();
            assert_eq!(ids, ["m-1", "m-2", "m-3"]);
        }
    }

    #[test]
    fn only_what_people_and_agents_said_is_history() {
        let items: Vec<_> = messages(
            r#"[{"id":"m-1","message_type":"system_message","content":"You are"},
            {"id":"m-2","message_type":"user_message","otid":"$k","content":"<system-reminder>a
                b</system-reminder>\nhi <system-reminder>c</system-reminder>"},
            {"id":"m-3","message_type":"user_message","content":"<system-reminder>a</system-reminder>"},
            {"id":"m-4","message_type":"user_message",
                "content":[{"type":"text","text":"see"},{"type":"image","source":{}}]},
            {"id":"m-5","message_type":"reasoning_message","reasoning":"hm"},
            {"id":"m-5","message_type":"assistant_message","otid":"x","content":"hello"}]"#
                .replace('\n', "").as_str(),
        )
        .into_iter()
        .filter_map(item)
        .map(|item| (item.id.to_string(), item.key, item.text))
        .collect();
        insta::assert_debug_snapshot!(items, @r#"
        [
            (
                "m-2",
                Some(
                    "$k",
                ),
                "hi",
            ),
            (
                "m-4",
                None,
                "see",
            ),
            (
                "m-5",
                None,
                "hello",
            ),
        ]
        "#);
    }
}
