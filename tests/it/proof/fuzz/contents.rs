//! Contents of events as clients write them, about what exists: where the specification says only "an object".

use serde_json::{Value, json};

use super::pool::{Kind, MYSELF, Pool};
use crate::proof::account::PASSWORD;
use crate::support::synapse::DOMAIN;

/// Some contents, each of which fits some type of event or account data.
pub fn contents(pool: &Pool) -> Vec<Value> {
    [messages(pool), states(pool), data(pool)].concat()
}

/// Bodies for operations whose shape says too little about what is right.
pub fn bodies(path: &str, pool: &Pool) -> Vec<Value> {
    let identifier = json!({ "type": "m.id.user", "user": MYSELF });
    if path.ends_with("/login") {
        return vec![
            json!({ "type": "m.login.password", "identifier": identifier, "password": PASSWORD }),
            json!({ "type": "m.login.password", "user": MYSELF, "password": PASSWORD, "refresh_token": true }),
            json!({ "type": "m.login.application_service", "identifier": identifier }),
        ];
    }
    if path.ends_with("/register") {
        let auth = json!({ "type": "m.login.dummy" });
        return vec![
            json!({ "auth": auth, "password": PASSWORD }),
            json!({ "auth": auth, "password": PASSWORD, "refresh_token": true, "inhibit_login": true }),
            json!({ "type": "m.login.application_service", "username": "agent_fuzz" }),
        ];
    }
    if path.ends_with("/pushers/set") {
        let data = json!({ "url": "http://127.0.0.1:9/_matrix/push/v1/notify" });
        return vec![json!({
            "app_id": "a", "pushkey": "k", "kind": "http", "lang": "en", "data": data,
            "app_display_name": "x", "device_display_name": "y",
        })];
    }
    if path.contains("/pushrules/") {
        return vec![
            json!({ "actions": ["notify", { "set_tweak": "sound" }], "conditions": [], "pattern": "a*" }),
            json!({ "actions": [], "pattern": "[a-" }),
            json!({ "enabled": false }),
        ];
    }
    if path.contains("/room_keys/version") {
        let data = json!({ "public_key": "Zm9v", "signatures": {} });
        let algorithm = "m.megolm_backup.v1.curve25519-aes-sha2";
        return vec![
            json!({ "algorithm": algorithm, "auth_data": data, "version": pool.any(Kind::Backup) }),
        ];
    }
    Vec::new()
}

fn messages(pool: &Pool) -> Vec<Value> {
    let (event, user) = (pool.any(Kind::Event), pool.any(Kind::User));
    let media = format!("mxc://{DOMAIN}/{}", pool.any(Kind::Media));
    vec![
        json!({ "msgtype": "m.text", "body": "a word and another" }),
        json!({ "msgtype": "m.text", "body": "!admin users list-users" }),
        json!({ "msgtype": "m.text", "body": "!admin rooms --help\n```\nx\n```" }),
        json!({ "msgtype": "m.image", "body": "p.png", "url": media, "info": { "w": 1, "h": -1 } }),
        json!({
            "msgtype": "m.text", "body": "@room", "m.mentions": { "room": true, "user_ids": [user] },
        }),
        json!({
            "msgtype": "m.text", "body": "* new", "m.new_content": { "msgtype": "m.text", "body": "new" },
            "m.relates_to": { "rel_type": "m.replace", "event_id": event },
        }),
        json!({
            "msgtype": "m.text", "body": "in a thread",
            "m.relates_to": { "rel_type": "m.thread", "event_id": event, "m.in_reply_to": { "event_id": event } },
        }),
        json!({ "m.relates_to": { "rel_type": "m.annotation", "event_id": event, "key": "👍" } }),
        json!({ "m.relates_to": { "rel_type": 7, "event_id": [], "key": {} } }),
        json!({
            "algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "x", "session_id": "s", "sender_key": "k",
            "device_id": pool.any(Kind::Device),
        }),
    ]
}

fn states(pool: &Pool) -> Vec<Value> {
    let (room, user) = (pool.any(Kind::Room), pool.any(Kind::User));
    vec![
        json!({ "membership": "join", "displayname": null, "avatar_url": 3 }),
        json!({ "membership": "ban", "reason": "none" }),
        json!({ "membership": "invite", "third_party_invite": { "signed": {} } }),
        json!({ "users": { user: 50 }, "events": { "m.room.name": "100" }, "users_default": -1 }),
        json!({ "users": { user: 9_007_199_254_740_993_i64 }, "ban": 1.5 }),
        json!({ "join_rule": "restricted", "allow": [{ "type": "m.room_membership", "room_id": room }] }),
        json!({ "join_rule": "knock" }),
        json!({ "history_visibility": "world_readable" }),
        json!({ "history_visibility": "no such thing" }),
        json!({ "alias": pool.any(Kind::Alias), "alt_aliases": [pool.any(Kind::Alias), "#x"] }),
        json!({ "via": [DOMAIN], "suggested": true, "order": "\u{7f}" }),
        json!({ "via": "x", "canonical": 1 }),
        json!({ "algorithm": "m.megolm.v1.aes-sha2", "rotation_period_ms": -1 }),
        json!({ "replacement_room": room, "body": "gone" }),
        json!({ "name": "", "topic": [], "url": {} }),
        json!({ "pinned": [pool.any(Kind::Event), 5] }),
        json!({ "deny": ["*"], "allow": "x", "allow_ip_literals": "no" }),
    ]
}

fn data(pool: &Pool) -> Vec<Value> {
    let (room, user) = (pool.any(Kind::Room), pool.any(Kind::User));
    let (event, device) = (pool.any(Kind::Event), pool.any(Kind::Device));
    vec![
        json!({ "ignored_users": { user: {} } }),
        json!({ "ignored_users": [] }),
        json!({ user: [room] }),
        json!({ user: { device: { "type": "x", "content": {} } } }),
        json!({ event: { "m.read": { user: { "ts": 1, "thread_id": "main" } } } }),
        json!({ "event_id": event, "tags": { "m.favourite": { "order": 2 } } }),
        json!({ "displayname": "x", "presence": "online", "status_msg": null }),
        json!({}),
    ]
}
