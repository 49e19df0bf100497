//! Push rules: set over the API, stored, compiled, met by an event.
//!
//! Invariants: no rules and no event panic; a set rule that is taken is within every limit of [`limits`]; what is written,
//! read and written again stays the same; evaluation takes no more steps than the limits say, and says the same each time; a pattern fits what
//! the plainest glob fits.

use homeserver_model::{
    json,
    limits::{RULES_PER_USER, STEPS_PER_EVENT},
    push::{
        budget::EventBudget,
        compiled::{Context, FlattenedEvent, Rules},
        limits,
        pattern::{Pattern, StepBudget},
        stored,
    },
};
use ruma::{
    UInt,
    api::{IncomingRequestExt as _, client::push::set_pushrule},
    push::Ruleset,
    user_id,
};
use serde::Deserialize;
use serde_json::{Value, value::RawValue};

use crate::{Target, glob};

/// See the module.
pub const TARGET: Target = Target {
    name: "push_rules",
    check,
    wrap,
    words: &[
        r#""kind":"event_match""#,
        r#""kind":"event_property_is""#,
        r#""kind":"event_property_contains""#,
        r#""kind":"contains_display_name""#,
        r#""kind":"room_member_count""#,
        r#""kind":"sender_notification_permission""#,
        r#""key":"content.body""#,
        r#""key":"room_id""#,
        r#""key":"content.m\\.mentions.user_ids""#,
        r#""pattern":"a*?b""#,
        r#""is":">=2""#,
        r#""actions":["notify",{"set_tweak":"highlight"}]"#,
        "override",
        "underride",
        "content",
        "sender",
        "room",
        "*",
        "?",
    ],
};

/// The longest pattern and text, in bytes, that are compared with the plainest glob, which takes long.
const COMPARED_BYTES_MAX: usize = 48;

/// What an input is: rules that were stored before, requests that set others, and an event.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Input {
    stored: Option<Box<RawValue>>,
    set: Vec<Set>,
    event: Option<Box<RawValue>>,
    display_name: String,
    joined: u32,
}

/// A request that sets a rule.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Set {
    kind: String,
    id: String,
    query: String,
    body: Option<Box<RawValue>>,
}

/// Panics if an invariant of the module does not hold.
pub fn check(data: &[u8]) {
    let Ok(input) = serde_json::from_slice::<Input>(data) else {
        return;
    };
    let user = user_id!("@bob:example.org");
    let mut rules = stored::read(user, input.stored.as_deref());
    for request in &input.set {
        set(&mut rules, request);
    }
    let written = stored::write(rules.clone()).expect("rules can be written");
    let read_and_written = |stored: &RawValue| {
        stored::write(stored::read(user, Some(stored))).expect("rules can be written")
    };
    let twice = read_and_written(&written);
    let thrice = read_and_written(&twice);
    // As values: ruma keeps the fields of a condition that it does not know in no order.
    let value = |stored: &RawValue| serde_json::from_str::<Value>(stored.get()).expect("JSON");
    assert_eq!(
        value(&twice),
        value(&thrice),
        "stored rules do not stay the same"
    );
    evaluate(&rules, &input);
    patterns(&rules, &input);
}

/// Sets a rule as the API does, and looks that what is taken is within the limits.
fn set(rules: &mut Ruleset, asked: &Set) {
    let body = asked.body.as_ref().map_or("{}", |body| body.get());
    if json::check(body.as_bytes()).is_err() {
        return;
    }
    let path = "/_matrix/client/v3/pushrules/global/kind/id";
    let request = http::Request::put(format!("{path}?{}", asked.query)).body(body.as_bytes());
    let Ok(request) = request else { return };
    let args = [&*asked.kind, &*asked.id];
    let Ok(request) = set_pushrule::v3::Request::try_from_http_request(request, &args) else {
        return;
    };
    let (kind, id) = (request.rule.kind(), request.rule.rule_id().to_owned());
    let mut after = rules.clone();
    let (behind, before) = (request.after.as_deref(), request.before.as_deref());
    if after.insert(request.rule, behind, before).is_err() {
        return;
    }
    if let Err(refusal) = limits::check_change(rules, &after, Some((kind.clone(), &id))) {
        assert_eq!(refusal.status, http::StatusCode::BAD_REQUEST, "{refusal}");
        return;
    }
    let rule = after
        .get(kind, &id)
        .expect("a rule that was taken is there");
    assert!(limits::check_rule(rule).is_ok(), "a rule beyond the limits");
    let most = RULES_PER_USER.max(rules.iter().count());
    assert!(after.iter().count() <= most, "too many rules");
    *rules = after;
}

fn evaluate(rules: &Ruleset, input: &Input) {
    let Some(json) = &input.event else { return };
    let context = Context {
        joined: UInt::from(input.joined),
        display_name: &input.display_name,
        power_levels: None,
        sender: user_id!("@alice:example.org"),
    };
    let compiled = Rules::new(rules);
    let met = || {
        let event = FlattenedEvent::new(json, "!room:example.org")?;
        let share = EventBudget::new(1).member_budget();
        let (actions, taken) = compiled.actions(&event, &context, share);
        Some((actions.map(|actions| actions.all.clone()), taken.steps()))
    };
    let Some((actions, steps)) = met() else {
        return;
    };
    let most = EventBudget::new(1).member_budget().steps();
    assert!(steps <= most, "{steps} steps of {most}");
    assert_eq!(met(), Some((actions, steps)), "not the same each time");
}

/// The patterns of rules fit what the plainest glob says that they fit.
fn patterns(rules: &Ruleset, input: &Input) {
    let Some(event) = &input.event else { return };
    let texts = body_of(event)
        .into_iter()
        .chain([input.display_name.clone()]);
    for text in texts.map(|text| text.to_lowercase()) {
        for rule in &rules.content {
            let glob = rule.pattern.to_lowercase();
            if glob.len() > COMPARED_BYTES_MAX || text.len() > COMPARED_BYTES_MAX {
                continue;
            }
            let pattern = Pattern::new(&rule.pattern).expect("a short pattern");
            let mut budget = StepBudget::of(STEPS_PER_EVENT);
            let whole = pattern.is_all_of(&text, &mut budget);
            assert_eq!(
                whole,
                glob::matches(&glob, &text, true),
                "{glob:?} {text:?}"
            );
            if glob.is_empty() {
                continue;
            }
            let word = pattern.is_word_in(&text, &mut budget);
            assert_eq!(word, glob::is_word_in(&glob, &text), "{glob:?} in {text:?}");
            assert!(
                budget.left() > 0,
                "{glob:?} in {text:?} takes too many steps"
            );
        }
    }
}

fn body_of(event: &RawValue) -> Option<String> {
    let event: Value = serde_json::from_str(event.get()).ok()?;
    Some(event["content"]["body"].as_str()?.to_owned())
}

fn wrap(text: &str) -> Vec<u8> {
    let rule = serde_json::json!({ "pattern": text, "actions": ["notify"] });
    let stored = serde_json::json!({
        "rule_id": text, "default": false, "enabled": true, "pattern": text, "actions": [text],
    });
    let condition = serde_json::json!({ "kind": "event_match", "key": text, "pattern": text });
    let conditional = serde_json::json!({
        "rule_id": "stored", "default": false, "enabled": true, "conditions": [condition], "actions": ["notify"],
    });
    let input = serde_json::json!({
        "stored": { "global": { "content": [stored], "override": [conditional] } },
        "set": [{ "kind": "content", "id": "set", "body": rule }],
        "event": { "type": text, "content": { "body": text } },
        "display_name": text,
        "joined": 2,
    });
    input.to_string().into_bytes()
}
