//! What is known of the server so far: ids and tokens that it gave out, so that generated requests are about what exists.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::account::PASSWORD;
use crate::support::synapse::DOMAIN;

/// How many of each kind are kept.
const KEPT: usize = 16;
/// The first ones stay: they are what the stage was set with.
const FIRM: usize = 6;

/// Addresses that a server could be made to ask: nobody listens there.
const NOWHERE: [&str; 3] = [
    "http://127.0.0.1:9/_matrix/push/v1/notify",
    "https://127.0.0.1:9/",
    "http://[::1]:9/x",
];

/// Stands for whoever makes the request.
pub const MYSELF: &str = "@me";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    User,
    Room,
    Event,
    Alias,
    Device,
    /// Everything that a page or a sync goes on from.
    Token,
    Filter,
    Media,
    Backup,
    Session,
    Delay,
}

#[derive(Clone, Debug, Default)]
pub struct Pool {
    kinds: BTreeMap<Kind, Vec<String>>,
    turn: usize,
}

impl Pool {
    pub fn add(&mut self, kind: Kind, text: &str) {
        let known = self.kinds.entry(kind).or_default();
        if text.is_empty() || text.len() > 255 || known.iter().any(|one| one == text) {
            return;
        }
        if known.len() < KEPT {
            known.push(text.to_owned());
            return;
        }
        self.turn += 1;
        text.clone_into(&mut known[FIRM + self.turn % (KEPT - FIRM)]);
    }

    /// Takes in what an answer gives away.
    pub fn harvest(&mut self, answer: &Value) {
        match answer {
            Value::Array(items) => items.iter().for_each(|item| self.harvest(item)),
            Value::Object(fields) => {
                for (key, value) in fields {
                    self.note_id(key);
                    match value.as_str() {
                        Some(text) => self.note(key, text),
                        None => self.harvest(value),
                    }
                }
            }
            _ => {}
        }
    }

    fn note(&mut self, key: &str, text: &str) {
        let kind = match key {
            "device_id" => Kind::Device,
            "next_batch" | "prev_batch" | "start" | "end" | "next_token" | "pos" => Kind::Token,
            "filter_id" => Kind::Filter,
            "version" => Kind::Backup,
            "session" => Kind::Session,
            "delay_id" => Kind::Delay,
            "content_uri" => {
                let id = text.rsplit('/').next().unwrap_or_default();
                return self.add(Kind::Media, id);
            }
            _ => return self.note_id(text),
        };
        self.add(kind, text);
    }

    fn note_id(&mut self, text: &str) {
        let kind = match text.as_bytes().first() {
            Some(b'@') => Kind::User,
            Some(b'!') => Kind::Room,
            Some(b'$') => Kind::Event,
            Some(b'#') => Kind::Alias,
            _ => return,
        };
        self.add(kind, text);
    }

    /// Everything of a kind. The first is there as often as all others together, so that an event often is in its room.
    pub fn of(&self, kind: Kind) -> Vec<Value> {
        let known = self.kinds.get(&kind).map(Vec::as_slice).unwrap_or_default();
        let first = known.first().into_iter().cycle().take(known.len());
        first.chain(known).map(|text| json!(text)).collect()
    }

    pub fn any(&self, kind: Kind) -> &str {
        let known = self.kinds.get(&kind).and_then(|known| known.last());
        known.map_or("", String::as_str)
    }

    /// What a value of this name or this format is among people who mean it; empty if that is anybody's guess.
    pub fn known(&self, name: &str, format: &str) -> Vec<Value> {
        let both = |one, other| [self.of(one), self.of(other)].concat();
        match (name, format) {
            (_, "mx-user-id") | ("userId" | "userid" | "user_id" | "user" | "mxid", _) => {
                let myself = vec![json!(MYSELF); self.of(Kind::User).len() + 1];
                [self.of(Kind::User), myself].concat()
            }
            (_, "mx-room-id") | ("roomId" | "room_id" | "rooms" | "not_rooms", _) => {
                self.of(Kind::Room)
            }
            (_, "mx-event-id") | ("eventId" | "event_id" | "m.fully_read" | "m.read", _) => {
                self.of(Kind::Event)
            }
            (_, "mx-room-alias") | ("alias" | "roomAlias" | "room_alias", _) => {
                self.of(Kind::Alias)
            }
            (_, "mx-server-name") | ("serverName" | "server" | "via" | "server_name", _) => {
                vec![json!(DOMAIN)]
            }
            (_, "uri") | ("url" | "base_url", _) => NOWHERE.map(|url| json!(url)).to_vec(),
            ("roomIdOrAlias" | "room_id_or_alias", _) => both(Kind::Room, Kind::Alias),
            ("deviceId" | "device_id" | "devices", _) => self.of(Kind::Device),
            ("since" | "from" | "to" | "at" | "pos" | "next_batch" | "before" | "after", _) => {
                self.of(Kind::Token)
            }
            ("filterId", _) => self.of(Kind::Filter),
            ("filter", "") => [self.of(Kind::Filter), filters()].concat(),
            ("mediaId", _) => self.of(Kind::Media),
            ("version" | "room_version" | "new_version", _) => {
                [self.of(Kind::Backup), values(&["10", "11", "12", "1"])].concat()
            }
            ("session", _) => self.of(Kind::Session),
            ("delayId", _) => self.of(Kind::Delay),
            ("stateKey" | "state_key", _) => [self.of(Kind::User), values(&["", "x"])].concat(),
            _ => usual(name),
        }
    }
}

fn values(texts: &[&str]) -> Vec<Value> {
    texts.iter().map(|text| json!(text)).collect()
}

/// Filters as clients put them into the query.
fn filters() -> Vec<Value> {
    let filters = [
        json!({ "room": { "timeline": { "limit": 3 }, "state": { "lazy_load_members": true } } }),
        json!({ "room": { "rooms": [], "include_leave": true }, "presence": { "types": [] } }),
        json!({ "types": ["m.room.*"], "not_senders": ["@nobody:nowhere"], "contains_url": false }),
        json!({ "room": { "timeline": { "limit": 0, "unread_thread_notifications": true } } }),
        json!({ "event_fields": ["content.body"], "event_format": "federation" }),
        json!({ "lazy_load_members": true, "related_by_rel_types": ["m.thread"], "limit": 1 }),
    ];
    filters.map(|filter| json!(filter.to_string())).to_vec()
}

/// What names mean that are no ids.
fn usual(name: &str) -> Vec<Value> {
    match name {
        // Nobody has the patience to wait for what is not going to happen.
        "timeout" | "timeout_ms" => vec![json!(0), json!(1), json!(40), json!("0")],
        "limit" => vec![json!(0), json!(1), json!(10), json!(100_000)],
        "timeline_limit" => vec![json!(0), json!(1), json!(10), json!(5_000)],
        "ranges" => vec![json!([0, 0]), json!([0, 9]), json!([5, 2])],
        "eventType" | "type" | "types" | "not_types" => values(&[
            "m.room.message",
            "m.room.member",
            "m.room.power_levels",
            "m.room.name",
            "m.room.encryption",
            "m.space.child",
            "m.room.tombstone",
            "m.reaction",
            "m.direct",
            "m.push_rules",
            "m.ignored_user_list",
            "m.room.encrypted",
            "m.login.password",
            "m.login.dummy",
            "org.example.free",
        ]),
        "relType" | "rel_types" => values(&["m.thread", "m.annotation", "m.replace"]),
        "kind" => values(&["override", "content", "room", "sender", "underride"]),
        "scope" => values(&["global"]),
        "ruleId" | "rule_id" => values(&[".m.rule.master", "mine", ".m.rule.contains_user_name"]),
        "keyName" => values(&["displayname", "avatar_url", "m.tz", "org.example.field"]),
        "receiptType" => values(&["m.read", "m.read.private", "m.fully_read"]),
        "membership" | "not_membership" => values(&["join", "leave", "invite", "ban", "knock"]),
        "username" | "localpart" => values(&["alice", "bob", "somebody-new", "agent_x"]),
        "password" | "new_password" => values(&[PASSWORD, "wrong"]),
        "dir" => values(&["b", "f"]),
        "ts" => vec![json!(0), json!(1_790_000_000_000_u64)],
        "txnId" | "txn_id" => values(&["t1", "t2", "t3"]),
        "algorithm" | "algorithms" => values(&["m.megolm.v1.aes-sha2", "signed_curve25519"]),
        "protocol" => values(&["irc"]),
        _ => Vec::new(),
    }
}
