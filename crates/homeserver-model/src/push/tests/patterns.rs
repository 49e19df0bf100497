//! Rules fit the events that ruma says they fit.

use futures_util::FutureExt;
use proptest::prelude::*;
use ruma::{
    push::{FlattenedJson, PushConditionRoomCtx, Ruleset},
    room_id,
    serde::Raw,
    uint, user_id,
};
use serde_json::{Value, json, value::to_raw_value};

use crate::push::{
    budget::EventBudget,
    compiled::{Context, FlattenedEvent, Rules},
};

const NAME: &str = "Bob B.";

fn of_ruma(rules: &Ruleset, event: &Value, room: &ruma::RoomId) -> Option<Value> {
    let user = user_id!("@bob:letta.test").to_owned();
    let context = PushConditionRoomCtx::new(room.to_owned(), uint!(3), user, NAME.to_owned());
    let event = Raw::<Value>::from_json(to_raw_value(event).unwrap());
    let event = FlattenedJson::from_raw(&event);
    let mut fits = rules
        .iter()
        .filter(|rule| rule.applies(&event, &context).now_or_never().unwrap());
    fits.next()
        .map(|rule| serde_json::to_value(rule.actions()).unwrap())
}

fn of_ours(rules: &Ruleset, event: &Value, room: &ruma::RoomId) -> Option<Value> {
    let json = to_raw_value(event).unwrap();
    let event = FlattenedEvent::new(&json, room.as_str()).unwrap();
    let context = Context {
        joined: uint!(3),
        display_name: NAME,
        power_levels: None,
        sender: user_id!("@alice:letta.test"),
    };
    let rules = Rules::new(rules);
    let share = EventBudget::new(1).member_budget();
    let (actions, _) = rules.actions(&event, &context, share);
    actions.map(|actions| actions.all.clone())
}

/// ruma takes the second of two wildcards in a row for a character, so there are none.
fn pattern() -> impl Strategy<Value = String> {
    "([*?]?[abA_ é.!-]{1,2}){0,3}[*?]?"
}

fn text() -> impl Strategy<Value = String> {
    "[abB_ É.!-]{0,14}"
}

fn key() -> impl Strategy<Value = String> {
    let keys = [
        "content.body",
        "room_id",
        "sender",
        "type",
        r"content.m\.x",
        r"content.m\\y",
        "content.m.x",
        "content.deep.er",
        "content.list",
        "content.number",
        "content.nothing",
        "content",
        "",
    ];
    prop::sample::select(keys.to_vec()).prop_map(str::to_owned)
}

fn condition() -> impl Strategy<Value = Value> {
    let value = prop::sample::select(vec![
        json!("a"),
        json!(7),
        json!(null),
        json!(true),
        json!(""),
    ]);
    prop_oneof![
        (key(), pattern()).prop_map(
            |(key, pattern)| json!({ "kind": "event_match", "key": key, "pattern": pattern })
        ),
        (key(), value.clone()).prop_map(
            |(key, value)| json!({ "kind": "event_property_is", "key": key, "value": value })
        ),
        (key(), value).prop_map(
            |(key, value)| json!({ "kind": "event_property_contains", "key": key, "value": value })
        ),
        Just(json!({ "kind": "contains_display_name" })),
        prop::sample::select(vec!["3", "<3", ">=3", ">3"])
            .prop_map(|is| json!({ "kind": "room_member_count", "is": is })),
        Just(json!({ "kind": "sender_notification_permission", "key": "room" })),
        Just(json!({ "kind": "org.example.unknown" })),
    ]
}

fn rules() -> impl Strategy<Value = Ruleset> {
    let conditional = prop::collection::vec(prop::collection::vec(condition(), 1..3), 0..3);
    let contents = prop::collection::vec((pattern(), any::<bool>()), 0..3);
    (conditional, contents).prop_map(|(conditional, contents)| {
        let mut all = serde_json::to_value(Ruleset::server_default(user_id!("@bob:letta.test"))).unwrap();
        let own = |n: usize| json!([format!("own {n}")]);
        let overrides = conditional.into_iter().enumerate().map(|(n, conditions)| {
            json!({ "rule_id": format!("o{n}"), "default": false, "enabled": true, "actions": own(n), "conditions": conditions })
        });
        all["override"].as_array_mut().unwrap().splice(0..0, overrides);
        let contents = contents.into_iter().enumerate().map(|(n, (pattern, enabled))| {
            json!({ "rule_id": format!("c{n}"), "default": false, "enabled": enabled, "actions": own(n + 10), "pattern": pattern })
        });
        let contents: Vec<Value> = contents.collect();
        all.as_object_mut().unwrap().insert("content".into(), contents.into());
        serde_json::from_value(all).unwrap()
    })
}

fn event() -> impl Strategy<Value = Value> {
    let body = prop_oneof![
        text().prop_map(Value::from),
        Just(json!("hello bob b.!")),
        Just(json!(7))
    ];
    (body, text(), text(), any::<bool>()).prop_map(|(body, one, other, mentions)| {
        let mut event = json!({
            "type": "m.room.message",
            "sender": "@alice:letta.test",
            "content": {
                "body": body, "m.x": one, "m\\y": other, "deep": { "er": one },
                "list": ["a", 7, null, { "a": 1 }, 1.5], "number": 7, "empty": {},
            },
        });
        if mentions {
            event["content"]["m.mentions"] = json!({});
        }
        event
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]
    #[test]
    fn rules_fit_what_they_fit_in_ruma(rules in rules(), event in event()) {
        let room = room_id!("!Aab:letta.test");
        prop_assert_eq!(of_ours(&rules, &event, room), of_ruma(&rules, &event, room));
    }
}
