//! What a client has been told: it keeps its own picture of every room, as those of people do, and never asks for it anew.
//!
//! Two kinds of client, the classic `/sync` and sliding sync. Whatever the server does in between, their pictures must have every
//! event once, in the one order that the room has.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::account::{Account, part};

/// How many events of a room one answer of sliding sync brings. Fewer than come at a time, so that there are gaps to fill.
const TIMELINE: usize = 10;
const SLIDING: &str = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync";

/// The events of rooms, in the order in which this client has been told.
#[derive(Debug, Default)]
pub struct Picture {
    pub rooms: BTreeMap<String, Vec<Value>>,
    known: BTreeSet<String>,
    /// Messages to the device.
    pub to_device: Vec<Value>,
}

/// News of one room, before they are in the picture.
struct News {
    room: String,
    events: Vec<Value>,
    /// Where what is missing before `events` begins, if something may be missing.
    gap: Option<String>,
    /// The room is told anew: what is known of it may come again.
    anew: bool,
}

pub fn id(event: &Value) -> &str {
    event["event_id"].as_str().unwrap_or_default()
}

fn array(value: &Value) -> Vec<Value> {
    value.as_array().cloned().unwrap_or_default()
}

impl Picture {
    /// Puts news behind what is known. Everything that they need must have been fetched.
    fn add(&mut self, room: &str, events: Vec<Value>) {
        let timeline = self.rooms.entry(room.to_owned()).or_default();
        for event in events {
            let new = self.known.insert(id(&event).to_owned());
            assert!(new, "told twice: {event}");
            timeline.push(event);
        }
    }

    /// The events of these news that are new, with what was missing before them.
    async fn complete(&self, account: &Account, news: &News) -> reqwest::Result<Vec<Value>> {
        let mut events = news.events.clone();
        let known = self.rooms.get(&news.room);
        if news.anew {
            let overlap: Vec<&str> = events
                .iter()
                .map(id)
                .filter(|id| self.known.contains(*id))
                .collect();
            let tail: Vec<&str> = known.into_iter().flatten().map(id).collect();
            assert!(
                tail.ends_with(&overlap),
                "{}: another order than before",
                news.room
            );
            let has_overlap = !overlap.is_empty();
            events.retain(|event| !self.known.contains(id(event)));
            if has_overlap {
                return Ok(events);
            }
        }
        // The first that a client hears of a room is where its picture begins.
        let Some(mut from) = news.gap.clone().filter(|_| known.is_some()) else {
            return Ok(events);
        };
        loop {
            let path = format!(
                "/_matrix/client/v3/rooms/{}/messages?dir=b&limit=50&from={}",
                part(&news.room),
                part(&from)
            );
            let (status, page) = account.ask(Method::GET, &path, None).await?;
            assert_eq!(status, StatusCode::OK, "{path}: {page}");
            for event in array(&page["chunk"]) {
                if self.known.contains(id(&event)) {
                    return Ok(events);
                }
                events.insert(0, event);
            }
            match page["end"].as_str() {
                Some(end) => end.clone_into(&mut from),
                None => return Ok(events),
            }
        }
    }
}

/// A client with `/sync`.
pub struct Classic {
    account: Account,
    since: Option<String>,
    pub picture: Picture,
}

/// A client with sliding sync.
pub struct Sliding {
    account: Account,
    pos: Option<String>,
    to_device_since: Option<String>,
    pub picture: Picture,
    /// How often it had to begin anew.
    pub anew: usize,
}

/// What both are.
pub trait Client: Send {
    /// Asks once, waiting for at most `wait`; says how many events came. If the server is gone nothing has happened.
    fn step(&mut self, wait: Duration) -> impl Future<Output = reqwest::Result<usize>> + Send;

    fn picture(&self) -> &Picture;
}

impl Classic {
    pub fn new(account: Account) -> Self {
        Self {
            account,
            since: None,
            picture: Picture::default(),
        }
    }
}

impl Client for Classic {
    async fn step(&mut self, wait: Duration) -> reqwest::Result<usize> {
        let since = self
            .since
            .as_deref()
            .map(|since| format!("&since={}", part(since)));
        let path = format!(
            "/_matrix/client/v3/sync?timeout={}{}",
            wait.as_millis(),
            since.unwrap_or_default()
        );
        let (status, answer) = self.account.ask(Method::GET, &path, None).await?;
        assert_eq!(
            status,
            StatusCode::OK,
            "a sync token is valid for ever: {path}: {answer}"
        );
        let mut fetched = Vec::new();
        for (room, joined) in answer["rooms"]["join"].as_object().into_iter().flatten() {
            let timeline = &joined["timeline"];
            let limited = timeline["limited"] == true;
            let news = News {
                room: room.clone(),
                events: array(&timeline["events"]),
                gap: timeline["prev_batch"]
                    .as_str()
                    .filter(|_| limited)
                    .map(str::to_owned),
                anew: false,
            };
            let events = self.picture.complete(&self.account, &news).await?;
            fetched.push((news.room, events));
        }
        // Only now is the answer taken; whatever failed before is asked again.
        self.since = answer["next_batch"].as_str().map(str::to_owned);
        let new = fetched.iter().map(|(_, events)| events.len()).sum();
        for (room, events) in fetched {
            self.picture.add(&room, events);
        }
        self.picture
            .to_device
            .extend(array(&answer["to_device"]["events"]));
        Ok(new)
    }

    fn picture(&self) -> &Picture {
        &self.picture
    }
}

impl Sliding {
    pub fn new(account: Account) -> Self {
        Self {
            account,
            pos: None,
            to_device_since: None,
            picture: Picture::default(),
            anew: 0,
        }
    }

    fn request(&self) -> Value {
        let mut to_device = json!({ "enabled": true });
        if let Some(since) = &self.to_device_since {
            to_device["since"] = json!(since);
        }
        json!({
            "conn_id": "proof",
            "lists": { "all": { "ranges": [[0, 99]], "timeline_limit": TIMELINE, "required_state": [] } },
            "extensions": { "to_device": to_device, "e2ee": { "enabled": true } },
        })
    }
}

impl Client for Sliding {
    async fn step(&mut self, wait: Duration) -> reqwest::Result<usize> {
        let pos = self.pos.as_deref().map(|pos| format!("&pos={}", part(pos)));
        let path = format!(
            "{SLIDING}?timeout={}{}",
            wait.as_millis(),
            pos.unwrap_or_default()
        );
        let (status, answer) = self
            .account
            .ask(Method::POST, &path, Some(&self.request()))
            .await?;
        if answer["errcode"] == "M_UNKNOWN_POS" {
            self.pos = None;
            self.anew += 1;
            return Ok(0);
        }
        assert_eq!(status, StatusCode::OK, "{path}: {answer}");
        let mut fetched = Vec::new();
        for (room, told) in answer["rooms"].as_object().into_iter().flatten() {
            let anew = told["initial"] == true;
            let limited = told["limited"] == true;
            let news = News {
                room: room.clone(),
                events: array(&told["timeline"]),
                gap: told["prev_batch"]
                    .as_str()
                    .filter(|_| limited || anew)
                    .map(str::to_owned),
                anew,
            };
            let events = self.picture.complete(&self.account, &news).await?;
            fetched.push((news.room, events));
        }
        self.pos = answer["pos"].as_str().map(str::to_owned);
        let to_device = &answer["extensions"]["to_device"];
        if let Some(since) = to_device["next_batch"].as_str() {
            self.to_device_since = Some(since.to_owned());
        }
        let new = fetched.iter().map(|(_, events)| events.len()).sum();
        for (room, events) in fetched {
            self.picture.add(&room, events);
        }
        self.picture.to_device.extend(array(&to_device["events"]));
        Ok(new)
    }

    fn picture(&self) -> &Picture {
        &self.picture
    }
}
