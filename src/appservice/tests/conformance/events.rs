//! Rows of single events in a transaction: one that is wrong never holds up the good ones.

use super::*;

/// A good event, changed in one place.
fn with(field: &str, value: Value) -> Value {
    let mut event = message("$x");
    event[field] = value;
    event
}

fn without(field: &str) -> Value {
    let mut event = message("$x");
    event.as_object_mut().unwrap().remove(field);
    event
}

/// One malformed event between two good ones.
fn among_good(what: &'static str, bad: Value) -> Row {
    events(what, &[message("$a"), bad, message("$b")]).journals(2)
}

pub(super) fn single_events() -> Vec<Row> {
    let mut rows = malformed();
    rows.extend(unreadable());
    rows.extend(of_every_kind());
    rows.extend(of_speech());
    rows
}

/// What is no event, or one that lacks something or has it wrong.
fn malformed() -> Vec<Row> {
    vec![
        among_good("an event that is null, among good ones", json!(null)),
        among_good("a number in place of an event", json!(7)),
        among_good(
            "an array in place of an event",
            json!(["$x", "!r:x", "@a:x", "m.room.message", null, {}]),
        ),
        among_good("an event without an id", without("event_id")),
        among_good("an event without a room", without("room_id")),
        among_good("an event without a sender", without("sender")),
        among_good("an event without a type", without("type")),
        among_good("an event without content", without("content")),
        among_good("an event whose id is a number", with("event_id", json!(1))),
        among_good("an event whose id is none", with("event_id", json!("x"))),
        among_good(
            "an event id of 300 bytes",
            with("event_id", json!(format!("${}", "x".repeat(300)))),
        ),
        among_good(
            "a room id of 300 bytes",
            with("room_id", json!(format!("!{}", "x".repeat(300)))),
        ),
        among_good(
            "an event whose sender is none",
            with("sender", json!("alice")),
        ),
        among_good(
            "an event whose content is a text",
            with("content", json!("hello")),
        ),
        among_good(
            "an event whose state key is a number",
            with("state_key", json!(1)),
        ),
    ]
}

/// What cannot be read as any event is.
fn unreadable() -> Vec<Row> {
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    let raw = |bad: &str| {
        let (a, b) = (message("$a"), message("$b"));
        format!(r#"{{"events":[{a},{bad},{b}]}}"#)
    };
    let mut not_utf8 = raw(&message("$x").to_string()).into_bytes();
    let at = not_utf8
        .windows(5)
        .rposition(|part| part == b"hello")
        .unwrap();
    not_utf8[at] = 0xFF;
    vec![
        transaction(
            "an event 100,000 arrays deep",
            raw(&format!(r#"{{"content":{deep}}}"#)),
        )
        .journals(2),
        transaction(
            "a number that no type holds",
            raw(r#"{"content":{"a":1e999}}"#),
        )
        .journals(2),
        transaction(
            "an event with bytes that are no UTF-8: they are replaced",
            not_utf8,
        )
        .journals(3),
    ]
}

/// State on which depends who may speak.
fn of_speech() -> Vec<Row> {
    let state = |kind: &str, sender: &str| {
        let mut event = with("type", json!(kind));
        event["state_key"] = json!("");
        event["sender"] = json!(sender);
        event
    };
    vec![
        events(
            "power levels, on which depends who may speak",
            &[state("m.room.power_levels", "@alice:house.test")],
        )
        .journals(1),
        events(
            "a tombstone, after which nobody speaks",
            &[state("m.room.tombstone", "@alice:house.test")],
        )
        .journals(1),
        events(
            "encryption that is turned on, after which nobody of us can read",
            &[state("m.room.encryption", "@alice:house.test")],
        )
        .journals(1),
        events(
            "power levels that are no state",
            &[with("type", json!("m.room.power_levels"))],
        ),
        events(
            "power levels of the bot: our own doing",
            &[state("m.room.power_levels", "@letta:house.test")],
        ),
    ]
}

/// What is an event, and is ours to keep or is not.
fn of_every_kind() -> Vec<Row> {
    let member = |who: &str, sender: &str| {
        let mut event = with("type", json!("m.room.member"));
        event["state_key"] = json!(who);
        event["sender"] = json!(sender);
        event["content"] = json!({ "membership": "invite" });
        event
    };
    vec![
        events(
            "an event without `origin_server_ts`, which nobody needs",
            &[without("origin_server_ts")],
        )
        .journals(1),
        events(
            "a room id without a server, as in room version 12",
            &[with(
                "room_id",
                json!("!31hneApxJ_1o-63DmFrpeqnkFfWppnzWso1JvH3ogLM"),
            )],
        )
        .journals(1),
        events(
            "a message of a ghost: our own echo",
            &[with("sender", json!("@agent_known:house.test"))],
        ),
        events(
            "a message of the bot: our own echo",
            &[with("sender", json!("@letta:house.test"))],
        ),
        events(
            "a message of a user elsewhere with a ghost's name",
            &[with("sender", json!("@agent_known:else.test"))],
        )
        .journals(1),
        events(
            "a ghost is invited by a person",
            &[member("@agent_known:house.test", "@alice:house.test")],
        )
        .journals(1),
        events(
            "a ghost is invited by the bot: our own doing",
            &[member("@agent_known:house.test", "@letta:house.test")],
        ),
        events(
            "a person is invited by the bot",
            &[member("@alice:house.test", "@letta:house.test")],
        )
        .journals(1),
        events(
            "a type that nobody routes",
            &[with("type", json!("m.room.topic"))],
        ),
        events("a reaction", &[with("type", json!("m.reaction"))]).journals(1),
        events("a redaction", &[with("type", json!("m.room.redaction"))]).journals(1),
        events(
            "an encrypted message",
            &[with("type", json!("m.room.encrypted"))],
        )
        .journals(1),
    ]
}
