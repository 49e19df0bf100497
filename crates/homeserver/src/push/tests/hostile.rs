//! Rules that somebody sets, or has set before there were limits, to make messages of others expensive.

use std::sync::atomic::Ordering::Relaxed;

use http::{Method, StatusCode};
use ruma::{OwnedRoomId, push::Ruleset};
use serde_json::{Value, json, value::to_raw_value};

use super::{counts, mention, room, send, text};
use crate::{
    accounts::account_data,
    limits::{
        ACTIONS_PER_RULE, CONDITIONS_PER_RULE, PATTERN_MAX_BYTES, RULE_MAX_BYTES, RULES_MAX_BYTES,
        RULES_PARSED_PER_EVENT_BYTES, RULES_PARSED_PER_MEMBER_BYTES, RULES_PER_USER,
        STEPS_OF_ALL_MEMBERS, STEPS_PER_DEFAULT_RULE, STEPS_PER_EVENT, STEPS_PER_MEMBER,
    },
    testing::{TestServer, TestUser},
};

const RULES: &str = "/_matrix/client/v3/pushrules/global";

fn condition(key: &str, pattern: &str) -> Value {
    json!({ "kind": "event_match", "key": key, "pattern": pattern })
}

fn rule(id: &str, conditions: Vec<Value>) -> Value {
    let conditions = Value::from(conditions);
    json!({ "rule_id": id, "default": false, "enabled": true, "actions": ["notify"], "conditions": conditions })
}

fn content_rule(id: &str, pattern: &str) -> Value {
    json!({ "rule_id": id, "default": false, "enabled": true, "actions": ["notify"], "pattern": pattern })
}

/// Stores rules as a server without limits would have.
async fn store(test: &TestServer, who: &TestUser, kind: &str, rules: Vec<Value>) {
    let mut all = serde_json::to_value(Ruleset::server_default(&who.user_id)).unwrap();
    let own = all.as_object_mut().unwrap().entry(kind);
    let own = own.or_insert_with(|| json!([])).as_array_mut().unwrap();
    own.splice(0..0, rules);
    let content = to_raw_value(&json!({ "global": all })).unwrap();
    let (store, stream) = (&test.server.store, &test.server.stream);
    account_data::set(
        store,
        stream,
        &who.user_id,
        None,
        account_data::PUSH_RULES,
        content,
    )
    .await
    .unwrap();
}

fn steps(test: &TestServer) -> u64 {
    test.server.push_rules.rulesets.steps.swap(0, Relaxed)
}

/// What one user costs at most for one event: their own rules, and those of the server's that read a text.
const MOST_STEPS: u64 = STEPS_PER_EVENT + 2 * STEPS_PER_DEFAULT_RULE;

#[tokio::test]
async fn rules_beyond_limits_are_refused() {
    let test = TestServer::start().await;
    let bob = test.person("bob").await;
    let long = "?".repeat(PATTERN_MAX_BYTES + 1);
    let notify = json!(["notify"]);
    let many = |count: usize, value: Value| Value::from(vec![value; count]);
    let large = "x".repeat(RULE_MAX_BYTES);
    for (path, body) in [
        ("content/a", json!({ "pattern": long, "actions": notify })),
        (
            "content/b",
            json!({ "pattern": "?".repeat(200_000), "actions": notify }),
        ),
        (
            "override/c",
            json!({ "conditions": [condition("content.body", &long)], "actions": notify }),
        ),
        (
            "underride/d",
            json!({ "conditions": [condition(&long, "a")], "actions": notify }),
        ),
        (
            "override/e",
            json!({ "conditions": [{ "kind": "event_property_is", "key": "type", "value": long }], "actions": notify }),
        ),
        (
            "override/f",
            json!({ "conditions": many(CONDITIONS_PER_RULE + 1, condition("type", "a")), "actions": notify }),
        ),
        (
            "content/g",
            json!({ "pattern": "a", "actions": many(ACTIONS_PER_RULE + 1, json!("notify")) }),
        ),
        (
            "content/h",
            json!({ "pattern": "a", "actions": [{ "set_tweak": "org.example", "value": large }] }),
        ),
        (
            "override/i",
            json!({ "conditions": [{ "kind": "org.example", "value": large }], "actions": notify }),
        ),
    ] {
        let (status, answer) = bob
            .call(Method::PUT, &format!("{RULES}/{path}"), body)
            .await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{path}: {answer}");
        assert_eq!(answer["errcode"], "M_INVALID_PARAM", "{path}");
    }
    let id = "x".repeat(PATTERN_MAX_BYTES + 1);
    let body = json!({ "pattern": "a", "actions": notify });
    let path = format!("{RULES}/content/{id}");
    assert_eq!(
        bob.call(Method::PUT, &path, body).await.0,
        StatusCode::BAD_REQUEST
    );
}

#[tokio::test]
async fn limits_of_rules_have_no_other_door() {
    let test = TestServer::start().await;
    let bob = test.person("bob").await;
    let notify = json!(["notify"]);
    // What the actions of a rule become later is held to the same limits.
    let most = "*".repeat(PATTERN_MAX_BYTES);
    bob.put(
        &format!("{RULES}/content/most"),
        json!({ "pattern": most, "actions": notify }),
    )
    .await;
    let actions = json!({ "actions": vec!["notify"; ACTIONS_PER_RULE + 1] });
    let path = format!("{RULES}/content/most/actions");
    assert_eq!(
        bob.call(Method::PUT, &path, actions).await.0,
        StatusCode::BAD_REQUEST
    );
    let path = format!(
        "/_matrix/client/v3/user/{}/account_data/m.push_rules",
        bob.user_id
    );
    let (status, _) = bob.call(Method::PUT, &path, json!({ "global": {} })).await;
    assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
}

#[tokio::test]
async fn rules_of_one_user_are_limited_together() {
    let test = TestServer::start().await;
    let bob = test.person("bob").await;
    let pattern = "x".repeat(PATTERN_MAX_BYTES);
    let large = |n: usize| {
        let conditions = vec![condition("content.body", &pattern); 7];
        rule(&n.to_string(), conditions)
    };
    let size = large(1_000).to_string().len();
    store(
        &test,
        &bob,
        "override",
        (0..RULES_MAX_BYTES / size).map(large).collect(),
    )
    .await;
    let conditions = vec![condition("content.body", &pattern); 7];
    let body = json!({ "conditions": conditions, "actions": [] });
    let path = format!("{RULES}/override/more");
    let (status, answer) = bob.call(Method::PUT, &path, body).await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{answer}");
    // Less is never refused.
    bob.ok(Method::DELETE, &format!("{RULES}/override/1"), json!({}))
        .await;

    let carol = test.person("carol").await;
    let many = (0..RULES_PER_USER).map(|n| content_rule(&n.to_string(), "x"));
    store(&test, &carol, "content", many.collect()).await;
    let body = json!({ "pattern": "y", "actions": [] });
    let path = format!("{RULES}/content/more");
    let (status, _) = carol.call(Method::PUT, &path, body).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    let path = format!("{RULES}/content/1/enabled");
    carol.put(&path, json!({ "enabled": false })).await;
}

/// Shapes of rules that were stored before there were limits.
fn stored_before() -> Vec<(&'static str, Vec<Value>)> {
    let question_marks = "?".repeat(200_000);
    let globs = "*a".repeat(100_000);
    let nested = format!("{}{}", "[".repeat(100), "]".repeat(100));
    let nested: Value = serde_json::from_str(&nested).unwrap();
    let never = condition("type", "never");
    vec![
        ("content", vec![content_rule("x", &question_marks)]),
        ("content", vec![content_rule("x", &globs)]),
        ("content", vec![content_rule("x", &"(".repeat(70_000))]),
        (
            "override",
            vec![rule("x", vec![condition("content.body", &question_marks)])],
        ),
        (
            "override",
            vec![rule(
                "x",
                vec![condition("content.body", "*hello*"); 20_000],
            )],
        ),
        (
            "underride",
            vec![rule("x", vec![condition(&".".repeat(60_000), "a"); 10])],
        ),
        (
            "override",
            vec![rule(
                "x",
                vec![json!({ "kind": "org.example", "value": nested })],
            )],
        ),
        (
            "override",
            (0..20_000)
                .map(|n| rule(&n.to_string(), vec![never.clone()]))
                .collect(),
        ),
    ]
}

#[tokio::test]
async fn rules_from_before_the_limits_cost_little_and_break_nothing() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let room = room(&test, &[&alice, &bob]).await;
    for (n, (kind, rules)) in (1..).zip(stored_before()) {
        let count = rules.len();
        store(&test, &bob, kind, rules).await;
        steps(&test);
        send(&test, &room, &alice, text("hello, world")).await;
        let took = steps(&test);
        assert!(took < 40_000, "{kind} {n}: {count} rules took {took} steps");
        assert_eq!(counts(&test, &bob, &room).notify, n, "{kind} {n}");
    }
    send(&test, &room, &alice, mention(&bob)).await;
    assert_eq!(counts(&test, &bob, &room).highlight, 1);
}

/// The most that can be stored, made to match as much as it can.
fn most_expensive() -> Vec<(&'static str, Vec<Value>)> {
    let glob = format!("{}b", "*a".repeat(PATTERN_MAX_BYTES / 2 - 1));
    let wide = format!("{}b", "a?".repeat(PATTERN_MAX_BYTES / 2 - 1));
    let long = format!("{}b", "a".repeat(PATTERN_MAX_BYTES - 1));
    let fills = |size: usize| RULES_MAX_BYTES / size;
    let contents = |pattern: &str| {
        let count = fills(content_rule("1000", pattern).to_string().len());
        let rules = (0..count).map(|n| content_rule(&n.to_string(), pattern));
        rules.collect::<Vec<_>>()
    };
    let path = vec!["a"; PATTERN_MAX_BYTES / 2].join(".");
    let paths = rule("1000", vec![condition(&path, "*"); 15]);
    let count = fills(paths.to_string().len());
    let paths = (0..count).map(|n| rule(&n.to_string(), vec![condition(&path, "*"); 15]));
    let short = (0..RULES_PER_USER).map(|n| content_rule(&n.to_string(), "a"));
    vec![
        ("content", contents(&glob)),
        ("content", contents(&wide)),
        ("content", contents(&long)),
        ("content", short.collect()),
        ("override", paths.collect()),
    ]
}

#[tokio::test]
async fn member_with_the_most_rules_costs_a_named_number_of_steps() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let room = room(&test, &[&alice, &bob]).await;
    let deep = (0..100).fold(json!("x"), |inner, _| json!({ "a": inner }));
    let bodies = [
        text(&"a".repeat(60_000)),
        text(&"ba".repeat(30_000)),
        text(&"bab ".repeat(15_000)),
        json!({ "msgtype": "m.text", "body": "a", "a": deep }),
    ];
    for (kind, rules) in most_expensive() {
        store(&test, &bob, kind, rules).await;
        for body in &bodies {
            steps(&test);
            send(&test, &room, &alice, body.clone()).await;
            let took = steps(&test);
            assert!(took <= MOST_STEPS, "{kind}: {took} steps");
        }
    }
    // The server's own rules count all the same.
    let all = most_expensive().len() * bodies.len();
    assert_eq!(counts(&test, &bob, &room).notify, all as u64);
}

/// Members with the most rules, and one whose only rule is about a word.
async fn expensive_room(test: &TestServer, expensive: usize) -> (TestUser, TestUser, OwnedRoomId) {
    let (alice, word) = (test.person("alice").await, test.person("word").await);
    let rule = content_rule("1", "word");
    store(test, &word, "content", vec![highlighting(rule)]).await;
    let mut members = Vec::new();
    for number in 0..expensive {
        members.push(test.person(&format!("member{number:03}")).await);
    }
    let everybody: Vec<&TestUser> = [&alice, &word].into_iter().chain(&members).collect();
    let room = room(test, &everybody).await;
    let shapes = most_expensive();
    for (member, (kind, rules)) in members.iter().zip(shapes.iter().cycle()) {
        store(test, member, kind, rules.clone()).await;
        // The server's rules look for the name.
        let name = format!("{}b", "*a".repeat(PATTERN_MAX_BYTES / 2 - 1));
        let path = format!(
            "/_matrix/client/v3/rooms/{room}/state/m.room.member/{}",
            member.user_id
        );
        let content = json!({ "membership": "join", "displayname": name });
        member.put(&path, content).await;
    }
    (alice, word, room)
}

fn highlighting(mut rule: Value) -> Value {
    rule["actions"] = json!(["notify", { "set_tweak": "highlight" }]);
    rule
}

#[tokio::test]
async fn members_with_the_most_rules_cost_one_event_a_named_number_of_steps() {
    for expensive in [1, 5, 15, 40] {
        let test = TestServer::start().await;
        let (alice, word, room) = expensive_room(&test, expensive).await;
        let members = expensive as u64 + 1;
        let most = 2 * (STEPS_OF_ALL_MEMBERS + members * STEPS_PER_MEMBER);
        let most_parsed = RULES_PARSED_PER_EVENT_BYTES + members * RULES_PARSED_PER_MEMBER_BYTES;
        let long = "a".repeat(55_000);
        for (n, body) in (1..).zip([text(&format!("{long} word")), text("a word")]) {
            steps(&test);
            let rulesets = &test.server.push_rules.rulesets;
            rulesets.parsed.swap(0, Relaxed);
            send(&test, &room, &alice, body).await;
            let (took, parsed) = (steps(&test), rulesets.parsed.swap(0, Relaxed));
            assert!(took <= most, "{expensive} members: {took} steps");
            assert!(parsed <= most_parsed, "{expensive} members: {parsed} bytes");
            // Nobody's cheap rule is lost.
            let counts = counts(&test, &word, &room);
            assert_eq!(
                (counts.notify, counts.highlight),
                (n, n),
                "{expensive} members"
            );
        }
    }
}

#[tokio::test]
async fn display_name_that_is_a_long_glob_breaks_nothing() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let room = room(&test, &[&alice, &bob]).await;
    for name in ["?".repeat(60_000), "*?".repeat(250), "*".to_owned()] {
        let content = json!({ "membership": "join", "displayname": name });
        let path = format!(
            "/_matrix/client/v3/rooms/{room}/state/m.room.member/{}",
            bob.user_id
        );
        bob.put(&path, content).await;
        let before = counts(&test, &bob, &room).notify;
        send(&test, &room, &alice, text(&"x".repeat(50_000))).await;
        assert_eq!(counts(&test, &bob, &room).notify, before + 1);
    }
}

#[tokio::test]
async fn others_send_while_a_message_meets_rules() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let carol = test.person("carol").await;
    let slow = room(&test, &[&alice, &bob]).await;
    let other = room(&test, &[&carol, &bob]).await;
    let hold = test.server.rooms.gate.close(&slow);
    let path = format!("/_matrix/client/v3/rooms/{slow}/send/m.room.message/1");
    let sending = tokio::spawn({
        let alice = alice.clone();
        async move { alice.put(&path, text("slow")).await }
    });
    hold.reached().await;
    assert_eq!(test.server.stream.open_places(), 0, "no position is taken");
    let sent = send(&test, &other, &carol, text("quick")).await;
    let (_, position) = test.server.rooms.place_of(&sent).unwrap().unwrap();
    assert!(test.server.stream.visible() >= position);
    assert_eq!(counts(&test, &bob, &other).notify, 1);
    // Rules, tags and keys of others are not locked either.
    let path = format!("{RULES}/content/word");
    let body = json!({ "pattern": "word", "actions": ["notify"] });
    bob.put(&path, body).await;
    assert!(!sending.is_finished());
    hold.open();
    sending.await.unwrap();
    let synced = bob.get("/_matrix/client/v3/sync").await;
    let joined = &synced["rooms"]["join"][slow.as_str()];
    assert_eq!(joined["unread_notifications"]["notification_count"], 1);
    let last = joined["timeline"]["events"].as_array().unwrap().last();
    assert_eq!(last.unwrap()["content"]["body"], "slow");
}
