//! A room as one person sees it: edits applied, redactions applied, in the order the homeserver gave.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde_json::Value;

use super::world::BOT;

#[derive(Debug, Clone, Default, Deserialize)]
pub struct Room {
    #[serde(rename = "room_id")]
    pub id: String,
    /// `join`, `invite` or `leave`.
    pub membership: String,
    pub invited_by: Option<String>,
    /// Type, then state key, then content.
    state: BTreeMap<String, BTreeMap<String, Value>>,
    /// Who types now.
    pub typing: Vec<String>,
    /// Who was ever seen typing.
    pub typing_seen: Vec<String>,
    pub receipts: Vec<Receipt>,
    #[serde(default)]
    pub timeline: Vec<Entry>,
}

#[derive(Debug, Clone, Deserialize)]
pub struct Receipt {
    pub user_id: String,
    pub event_id: String,
}

/// One message.
#[derive(Debug, Clone, Deserialize)]
pub struct Entry {
    pub event_id: String,
    pub sender: String,
    pub msgtype: Option<String>,
    /// What is shown now; `None` when redacted.
    pub body: Option<String>,
    pub formatted_body: Option<String>,
    /// How many edits were applied.
    pub edits: usize,
    /// Every body that was ever shown, the first one included.
    pub bodies: Vec<Option<String>>,
    pub reply_to: Option<String>,
    /// True when `reply_to` is there only for clients that know no threads.
    pub reply_is_fallback: bool,
    /// The event at the root of the thread that this message is in.
    pub thread: Option<String>,
    /// Who is mentioned by user id.
    pub mentions: Vec<String>,
    pub redacted: bool,
    /// Key, then who reacted with it.
    pub reactions: BTreeMap<String, Vec<String>>,
    /// The content that is shown now.
    pub content: Value,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub membership: String,
    pub display_name: Option<String>,
}

impl Entry {
    /// Whether its text holds these words, or its code is this one: `[STOPPED]`.
    pub fn says(&self, words: &str) -> bool {
        let code = self.content["org.letta.code"].as_str();
        self.text().contains(words) || code == Some(words.trim_matches(['[', ']']))
    }

    pub fn text(&self) -> &str {
        self.body.as_deref().unwrap_or_default()
    }
}

impl Room {
    /// The content of one piece of room state.
    pub fn state(&self, kind: &str, key: &str) -> Option<&Value> {
        self.state.get(kind)?.get(key)
    }

    pub fn name(&self) -> Option<&str> {
        self.state("m.room.name", "")?.get("name")?.as_str()
    }

    pub fn alias(&self) -> Option<&str> {
        self.state("m.room.canonical_alias", "")?
            .get("alias")?
            .as_str()
    }

    pub fn is_space(&self) -> bool {
        self.state("m.room.create", "")
            .is_some_and(|create| create["type"] == "m.space")
    }

    /// The rooms of this space. An entry without `via` was removed from it.
    pub fn children(&self) -> Vec<&str> {
        let Some(children) = self.state.get("m.space.child") else {
            return Vec::new();
        };
        let listed = children
            .iter()
            .filter(|(_, content)| content["via"].as_array().is_some_and(|via| !via.is_empty()));
        listed.map(|(room_id, _)| room_id.as_str()).collect()
    }

    pub fn member(&self, user_id: &str) -> Option<Member> {
        let content = self.state("m.room.member", user_id)?;
        Some(Member {
            membership: content["membership"].as_str()?.to_owned(),
            display_name: content["displayname"].as_str().map(ToOwned::to_owned),
        })
    }

    pub fn entry(&self, event_id: &str) -> Option<&Entry> {
        self.timeline
            .iter()
            .find(|entry| entry.event_id == event_id)
    }

    pub fn said_by<'a>(&'a self, user_id: &'a str) -> impl Iterator<Item = &'a Entry> {
        self.timeline
            .iter()
            .filter(move |entry| entry.sender == user_id && !entry.redacted)
    }

    /// Messages of others that answer `event_id`: replies to it, and what agents say right after it without a reply.
    pub fn answers_to<'a>(&'a self, event_id: &'a str) -> impl Iterator<Item = &'a Entry> {
        let asker = self.entry(event_id).map(|entry| entry.sender.as_str());
        let mut is_next = false;
        self.timeline.iter().filter(move |entry| {
            let is_by_asker = Some(entry.sender.as_str()) == asker;
            if is_by_asker && entry.thread.is_none() {
                is_next = entry.event_id == event_id;
            }
            let answers = match entry.reply_to.as_deref() {
                Some(target) => target == event_id,
                // What the bot says by itself, like its greeting, answers nothing.
                None => is_next && !is_by_asker && entry.sender != BOT,
            };
            answers && !entry.redacted
        })
    }

    /// Whether `user_id` read up to `event_id` or further.
    pub fn was_read(&self, event_id: &str, user_id: &str) -> bool {
        let place = |id: &str| self.timeline.iter().position(|entry| entry.event_id == id);
        let wanted = place(event_id);
        self.receipts
            .iter()
            .filter(|receipt| receipt.user_id == user_id)
            .any(|receipt| {
                receipt.event_id == event_id
                    || (wanted.is_some() && place(&receipt.event_id) >= wanted)
            })
    }
}

/// The room as a page to read when a test failed.
impl fmt::Display for Room {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            out,
            "{} {:?} ({})",
            self.id,
            self.name().unwrap_or("unnamed"),
            self.membership
        )?;
        for (user_id, content) in self.state.get("m.room.member").into_iter().flatten() {
            writeln!(
                out,
                "  member {user_id} {} {}",
                content["membership"], content["displayname"]
            )?;
        }
        for entry in &self.timeline {
            write!(out, "  {} {}", entry.event_id, entry.sender)?;
            if let Some(reply_to) = &entry.reply_to {
                write!(out, " to {reply_to}")?;
            }
            if let Some(thread) = &entry.thread {
                write!(out, " in thread {thread}")?;
            }
            let shown = if entry.redacted {
                "(redacted)".to_owned()
            } else {
                format!("{:?}", entry.text())
            };
            writeln!(
                out,
                " [{}, {} edits]: {shown}",
                entry.msgtype.as_deref().unwrap_or("?"),
                entry.edits
            )?;
        }
        let read: Vec<_> = self
            .receipts
            .iter()
            .map(|receipt| (&receipt.user_id, &receipt.event_id))
            .collect();
        writeln!(
            out,
            "  read: {read:?}; typing now: {:?}, ever: {:?}",
            self.typing, self.typing_seen
        )
    }
}
