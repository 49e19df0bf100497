//! Every kind of event, and the one thing that it is to the bridge.

use proptest::prelude::*;
use ruma::{owned_event_id, owned_room_id, owned_user_id, server_name};
use serde_json::{Value, json};

use super::*;

const ANN: &str = "@ann:example.org";
const EVE: &str = "@eve:elsewhere.test";
const BOT: &str = "@letta:example.org";
const HOME: &str = "agent-1";
const HOME_GHOST: &str = "@agent_1:example.org";
const GUEST: &str = "agent-2";
const GUEST_GHOST: &str = "@agent_2:example.org";

fn agent(id: &str) -> AgentId {
    id.parse().unwrap()
}

fn rules() -> Rules {
    let template = "agent_{id}".parse().unwrap();
    let identity = Identity::new(
        server_name!("example.org"),
        template,
        "letta",
        "letta_agents",
    );
    let mut permissions = Permissions::nobody();
    permissions.grant(owned_user_id!("@ann:example.org"), Level::Talk);
    Rules {
        identity: identity.unwrap(),
        permissions,
    }
}

fn room(kind: RoomKind) -> RoomRecord {
    RoomRecord {
        kind,
        guests: [].into(),
        bot: true,
    }
}

fn home() -> RoomRecord {
    room(RoomKind::Home { agent: agent(HOME) })
}

fn management() -> RoomRecord {
    let user = owned_user_id!("@ann:example.org");
    room(RoomKind::Management { user })
}

/// A room of people to which an agent was invited, as a direct chat or not.
fn visited(direct: bool) -> RoomRecord {
    RoomRecord {
        guests: [(agent(GUEST), direct)].into(),
        ..room(RoomKind::Other)
    }
}

fn event(overrides: &Value) -> IncomingEvent {
    let mut event = json!({
        "event_id": "$event",
        "room_id": "!room:example.org",
        "sender": ANN,
        "type": "m.room.message",
        "origin_server_ts": 1,
        "content": {},
    });
    for (key, value) in overrides.as_object().unwrap() {
        event[key] = value.clone();
    }
    // By way of text: a raw value can only be read from one.
    serde_json::from_str(&event.to_string()).unwrap()
}

fn said(content: &Value) -> IncomingEvent {
    event(&json!({ "content": content }))
}

fn text(body: &str) -> Value {
    json!({ "msgtype": "m.text", "body": body })
}

/// A message with more in its content.
fn with(mut content: Value, more: &Value) -> Value {
    for (key, value) in more.as_object().unwrap() {
        content[key] = value.clone();
    }
    content
}

/// Routes, and says in a word or two what came of it.
fn brief(event: &IncomingEvent, room: &RoomRecord) -> String {
    let route = route(event, Some(room), &rules());
    match &route {
        Route::Prompt { conversation, text } => {
            assert_eq!(conversation.room, event.room_id);
            let thread = conversation.thread.as_deref();
            let thread = thread.map_or_else(String::new, |root| format!(" in {root}"));
            format!("prompt to {}{thread}: {text}", conversation.agent)
        }
        Route::Edit { original, text } => format!("edit of {original}: {text}"),
        Route::Redaction { of } => format!("redaction of {of}"),
        Route::Ignore(why) => format!("ignore: {why:?}"),
        _ => route.kind().to_owned(),
    }
}

fn brief_text(content: &Value, room: &RoomRecord) -> String {
    brief(&said(content), room)
}

#[test]
fn what_is_said_in_an_agents_room_is_said_to_it() {
    for (content, expected) in [
        (text("Hello"), "prompt to agent-1: Hello"),
        (
            text("@agent_9:example.org?"),
            "prompt to agent-1: @agent_9:example.org?",
        ),
        (
            json!({ "msgtype": "m.emote", "body": "waves" }),
            "prompt to agent-1: * waves",
        ),
        (
            with(
                text("In a thread"),
                &json!({ "m.relates_to": { "rel_type": "m.thread", "event_id": "$root" } }),
            ),
            "prompt to agent-1 in $root: In a thread",
        ),
        (
            with(
                text("In answer"),
                &json!({ "m.relates_to": { "m.in_reply_to": { "event_id": "$earlier" } } }),
            ),
            "prompt to agent-1: In answer",
        ),
        (
            with(
                text("Strange"),
                &json!({ "m.relates_to": { "rel_type": "org.example.odd", "event_id": "$x" } }),
            ),
            "prompt to agent-1: Strange",
        ),
    ] {
        assert_eq!(brief_text(&content, &home()), expected);
    }
}

#[test]
fn what_is_not_text_is_described() {
    for (content, expected) in [
        (
            json!({ "msgtype": "m.image", "body": "cat.png", "url": "mxc://example.org/a" }),
            "[image: cat.png]",
        ),
        (
            json!({ "msgtype": "m.image", "body": "My cat", "filename": "cat.png", "url": "mxc://example.org/a" }),
            "[image: cat.png]\nMy cat",
        ),
        (
            json!({ "msgtype": "m.file", "body": "a.pdf", "url": "mxc://example.org/a" }),
            "[file: a.pdf]",
        ),
        (
            json!({ "msgtype": "m.audio", "body": "voice.ogg", "url": "mxc://example.org/a" }),
            "[audio: voice.ogg]",
        ),
        (
            json!({ "msgtype": "m.video", "body": "b.mp4", "url": "mxc://example.org/a" }),
            "[video: b.mp4]",
        ),
        (
            json!({ "msgtype": "m.location", "body": "Here", "geo_uri": "geo:51.5,0.1" }),
            "[location: Here geo:51.5,0.1]",
        ),
        (
            json!({ "msgtype": "org.example.dance", "body": "dances", "steps": [1, 2] }),
            "dances",
        ),
        (
            json!({ "msgtype": "org.example.dance", "body": "" }),
            "[org.example.dance]",
        ),
    ] {
        let expected = format!("prompt to agent-1: {expected}");
        assert_eq!(brief_text(&content, &home()), expected);
    }
}

#[test]
fn what_older_clients_quote_before_a_reply_is_not_said_again() {
    let quoting = text("> <@agent_1:example.org> Before\n> and more\n\nAfter\n> mine");
    for (relation, expected) in [
        (
            json!({ "m.in_reply_to": { "event_id": "$a" } }),
            "prompt to agent-1: After\n> mine",
        ),
        (
            json!({
                "rel_type": "m.thread", "event_id": "$root", "is_falling_back": false,
                "m.in_reply_to": { "event_id": "$a" },
            }),
            "prompt to agent-1 in $root: After\n> mine",
        ),
    ] {
        let content = with(quoting.clone(), &json!({ "m.relates_to": relation }));
        assert_eq!(brief_text(&content, &home()), expected);
    }
    // What is no reply is a quotation on purpose.
    let kept = format!("prompt to agent-1: {}", quoting["body"].as_str().unwrap());
    assert_eq!(brief_text(&quoting, &home()), kept);
    // A command is one, whatever stands before it.
    let command = with(
        text("> <@agent_1:example.org> Before\n\n!letta stop"),
        &json!({ "m.relates_to": { "m.in_reply_to": { "event_id": "$a" } } }),
    );
    assert_eq!(brief_text(&command, &home()), "command");
}

#[test]
fn html_that_nobody_reads_costs_nothing() {
    let deep = "<b><blockquote>".repeat(4_000);
    let content = with(
        text("> <@agent_1:example.org> Before\n\nAfter"),
        &json!({
            "format": "org.matrix.custom.html",
            "formatted_body": deep,
            "m.relates_to": { "m.in_reply_to": { "event_id": "$a" } },
        }),
    );
    assert_eq!(brief_text(&content, &home()), "prompt to agent-1: After");
}

#[test]
fn programs_and_machines_start_nothing() {
    for (content, expected) in [
        (
            json!({ "msgtype": "m.notice", "body": "Hello" }),
            "ignore: Notice",
        ),
        (
            json!({ "msgtype": "m.server_notice", "body": "Pay", "server_notice_type": "m.server_notice.usage_limit_reached" }),
            "ignore: Notice",
        ),
        (
            json!({
                "msgtype": "m.key.verification.request", "body": "Verify me", "to": HOME_GHOST,
                "from_device": "D", "methods": ["m.sas.v1"],
            }),
            "ignore: OtherType",
        ),
    ] {
        for room in [home(), management(), visited(true)] {
            assert_eq!(brief_text(&content, &room), expected);
        }
    }
}

#[test]
fn our_own_users_start_nothing() {
    let others = ["@agent_1:example.org", "@agent_unknown:example.org", BOT];
    for sender in others {
        for kind in [
            "m.room.message",
            "m.reaction",
            "m.room.redaction",
            "m.room.encrypted",
        ] {
            let ours =
                event(&json!({ "sender": sender, "type": kind, "content": text("!letta help") }));
            assert_eq!(brief(&ours, &home()), "ignore: Ours", "{sender} {kind}");
        }
    }
    // The same name on another server is nobody of ours, and has no rights either.
    let stranger = event(&json!({ "sender": "@agent_1:elsewhere.test", "content": text("Hi") }));
    assert_eq!(brief(&stranger, &home()), "ignore: NotPermitted");
}

#[test]
fn only_who_may_talk_is_heard() {
    let eve = |body: &str| event(&json!({ "sender": EVE, "content": text(body) }));
    assert_eq!(brief(&eve("Hello"), &home()), "ignore: NotPermitted");
    assert_eq!(brief(&eve("Hello"), &visited(true)), "ignore: NotPermitted");
    // Who does not speak to an agent is not told that they may not.
    assert_eq!(
        brief(&eve("Hello"), &visited(false)),
        "ignore: NotAddressed"
    );
    // Commands are always answered, if only with "you may not".
    assert_eq!(brief(&eve("!letta status"), &home()), "command");
}

#[test]
fn the_bot_is_commanded_in_its_room_without_a_prefix_and_elsewhere_with_one() {
    assert_eq!(brief_text(&text("status"), &management()), "command");
    assert_eq!(brief_text(&text("!letta status"), &management()), "command");
    for room in [home(), visited(false), visited(true)] {
        assert_eq!(brief_text(&text("!letta status"), &room), "command");
    }
    // Somebody else's management room is no place for commands without a prefix.
    let guest = event(&json!({ "sender": EVE, "content": text("status") }));
    assert_eq!(brief(&guest, &management()), "ignore: NotAddressed");
    let file = json!({ "msgtype": "m.file", "body": "!letta stop", "url": "mxc://example.org/a" });
    assert_eq!(
        brief_text(&file, &home()),
        "prompt to agent-1: [file: !letta stop]"
    );
}

#[test]
fn a_guest_is_spoken_to_where_it_is_mentioned_or_alone_with_somebody() {
    let mentioning = |user: &str| json!({ "m.mentions": { "user_ids": [user] } });
    let by_body = format!("Well, {GUEST_GHOST}: and you?");
    for (content, room, expected) in [
        (
            with(text("Hi"), &mentioning(GUEST_GHOST)),
            visited(false),
            "prompt to agent-2: Hi",
        ),
        (
            with(text("Hi"), &mentioning(EVE)),
            visited(false),
            "ignore: NotAddressed",
        ),
        (text("Hi"), visited(false), "ignore: NotAddressed"),
        (text("Hi"), visited(true), "prompt to agent-2: Hi"),
        (
            with(text("Hi"), &mentioning(EVE)),
            visited(true),
            "prompt to agent-2: Hi",
        ),
        (
            text(&by_body),
            visited(false),
            "prompt to agent-2: Well, @agent_2:example.org: and you?",
        ),
        // Who says whom they mention means nobody else.
        (
            with(text(&by_body), &json!({ "m.mentions": {} })),
            visited(false),
            "ignore: NotAddressed",
        ),
        (
            text("@agent_2:example.org.uk is another"),
            visited(false),
            "ignore: NotAddressed",
        ),
        (
            text("@agent_2:example.org:8448 is another"),
            visited(false),
            "ignore: NotAddressed",
        ),
        (
            text("Ask @agent_2:example.org."),
            visited(false),
            "prompt to agent-2: Ask @agent_2:example.org.",
        ),
        // An agent that is not here is not spoken to.
        (
            with(text("Hi"), &mentioning(HOME_GHOST)),
            visited(false),
            "ignore: NotAddressed",
        ),
    ] {
        assert_eq!(brief_text(&content, &room), expected, "{content}");
    }
    // In another agent's home, the one who is mentioned is meant.
    let shared = RoomRecord {
        guests: [(agent(GUEST), false)].into(),
        ..home()
    };
    let mentioned = with(text("Hi"), &mentioning(GUEST_GHOST));
    assert_eq!(brief_text(&mentioned, &shared), "prompt to agent-2: Hi");
    assert_eq!(brief_text(&text("Hi"), &shared), "prompt to agent-1: Hi");
}

#[test]
fn edits_redactions_and_reactions_point_at_their_message() {
    let edit = with(
        text("* Better"),
        &json!({
            "m.new_content": text("Better"),
            "m.relates_to": { "rel_type": "m.replace", "event_id": "$first" },
        }),
    );
    assert_eq!(brief_text(&edit, &home()), "edit of $first: Better");
    assert_eq!(brief_text(&edit, &management()), "edit of $first: Better");
    let emptied = with(edit, &json!({ "m.new_content": text(" ") }));
    assert_eq!(brief_text(&emptied, &home()), "ignore: Empty");
    for redaction in [
        json!({ "type": "m.room.redaction", "redacts": "$first" }),
        json!({ "type": "m.room.redaction", "content": { "redacts": "$first" } }),
        json!({ "type": "m.room.redaction", "redacts": "$first", "content": { "redacts": "$other" } }),
    ] {
        assert_eq!(brief(&event(&redaction), &home()), "redaction of $first");
    }
    let nothing = event(&json!({ "type": "m.room.redaction" }));
    assert_eq!(brief(&nothing, &home()), "ignore: Malformed");
    let reaction = |key: &str| {
        event(&json!({
            "type": "m.reaction",
            "content": { "m.relates_to": { "rel_type": "m.annotation", "event_id": "$first", "key": key } },
        }))
    };
    assert_eq!(brief(&reaction("✅"), &home()), "reaction");
    assert_eq!(brief(&reaction("👍"), &home()), "ignore: OtherType");
}

#[test]
fn membership_matters_only_where_it_is_ours() {
    let member = |user: &str, sender: &str| {
        event(&json!({
            "type": "m.room.member", "state_key": user, "sender": sender,
            "content": { "membership": "invite" },
        }))
    };
    for user in [HOME_GHOST, "@agent_new:example.org", BOT] {
        for sender in [ANN, EVE, BOT] {
            let route = route(&member(user, sender), None, &rules());
            assert_eq!(route, Route::Membership, "{user} by {sender}");
        }
    }
    for user in [ANN, EVE, "@agent_1:elsewhere.test", "", "not a user"] {
        assert_eq!(brief(&member(user, ANN), &home()), "ignore: OtherType");
    }
}

#[test]
fn other_events_mean_nothing() {
    for other in [
        json!({ "type": "m.room.name", "state_key": "", "content": { "name": "!letta" } }),
        json!({ "type": "m.room.message", "state_key": "", "content": text("state, not said") }),
        json!({ "type": "org.example.unheard", "content": text("Hi") }),
        json!({ "type": "m.room.member", "content": { "membership": "join" } }),
    ] {
        assert_eq!(
            brief(&event(&other), &home()),
            "ignore: OtherType",
            "{other}"
        );
    }
}

#[test]
fn what_is_encrypted_cannot_be_read() {
    let encrypted = event(&json!({
        "type": "m.room.encrypted",
        "content": { "algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "…", "session_id": "s" },
    }));
    assert_eq!(brief(&encrypted, &home()), "ignore: Encrypted");
    let elsewhere = route(&encrypted, None, &rules());
    assert_eq!(elsewhere, Route::Ignore(Why::UnknownRoom));
}

#[test]
fn in_a_room_that_is_not_known_nobody_is_spoken_to() {
    for body in ["Hello", "!letta status", "@agent_1:example.org Hi"] {
        let route = route(&said(&text(body)), None, &rules());
        assert_eq!(route, Route::Ignore(Why::UnknownRoom));
    }
}

#[test]
fn what_is_not_what_it_says_is_passed_over() {
    for content in [
        json!({}),
        json!({ "body": "no type" }),
        json!({ "msgtype": "m.text" }),
        json!({ "msgtype": "m.text", "body": 7 }),
        json!({ "msgtype": "m.location", "body": "nowhere" }),
        json!({ "msgtype": "m.image", "body": "no picture" }),
    ] {
        assert_eq!(
            brief_text(&content, &home()),
            "ignore: Malformed",
            "{content}"
        );
    }
    for body in ["", " \n"] {
        assert_eq!(brief_text(&text(body), &home()), "ignore: Empty");
    }
}

#[test]
fn room_ids_are_opaque() {
    let event = event(
        &json!({ "room_id": "!31hneApxJ_1o-63DmFrpeqnkFfWppnzWso1JvH3ogLM", "content": text("Hi") }),
    );
    let conversation = ConversationKey {
        agent: agent(HOME),
        room: owned_room_id!("!31hneApxJ_1o-63DmFrpeqnkFfWppnzWso1JvH3ogLM"),
        thread: None,
    };
    let text = "Hi".to_owned();
    assert_eq!(
        route(&event, Some(&home()), &rules()),
        Route::Prompt { conversation, text }
    );
}

#[test]
fn the_log_learns_what_kind_of_event_it_was_and_no_word_of_it() {
    let of = owned_event_id!("$event");
    let original = of.clone();
    let text = "secret".to_owned();
    let conversation = ConversationKey {
        agent: agent(HOME),
        room: owned_room_id!("!room:example.org"),
        thread: None,
    };
    let routes = [
        Route::Prompt {
            conversation,
            text: text.clone(),
        },
        Route::Command,
        Route::Reaction,
        Route::Edit { original, text },
        Route::Redaction { of },
        Route::Membership,
        Route::Ignore(Why::Ours),
    ];
    let logged = routes.map(|route| format!("{} {:?}", route.kind(), route.why()));
    insta::assert_snapshot!(logged.join("\n"), @"
    prompt None
    command None
    reaction None
    edit None
    redaction None
    membership None
    ignore Some(Ours)
    ");
}

fn any_json() -> impl Strategy<Value = Value> {
    let word = prop::sample::select(vec![
        "",
        "m.text",
        "m.notice",
        "m.replace",
        "m.thread",
        "$event",
        "> <@a:b> c\n\nd",
        "!letta",
        GUEST_GHOST,
        "é\u{0}",
    ]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        word.prop_map(Value::from),
    ];
    let key = prop::sample::select(vec![
        "msgtype",
        "body",
        "m.relates_to",
        "rel_type",
        "event_id",
        "m.in_reply_to",
        "m.new_content",
        "m.mentions",
        "user_ids",
        "formatted_body",
        "format",
        "redacts",
        "url",
        "filename",
        "info",
    ]);
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(key.clone(), inner, 0..6).prop_map(|map| {
                map.into_iter()
                    .map(|(key, value)| (key.to_owned(), value))
                    .collect()
            }),
        ]
    })
}

proptest! {
    #[test]
    fn no_content_stops_the_bridge(
        content in any_json(),
        kind in prop::sample::select(vec![
            "m.room.message", "m.room.redaction", "m.reaction", "m.room.member", "m.room.encrypted",
        ]),
        state_key in prop::option::of("|@agent_1:example.org|x"),
    ) {
        let mut overrides = json!({ "type": kind, "content": content });
        if let Some(key) = state_key {
            overrides["state_key"] = key.into();
        }
        let event = event(&overrides);
        for room in [None, Some(home()), Some(management()), Some(visited(true))] {
            let decided = route(&event, room.as_ref(), &rules());
            if let Route::Prompt { text, .. } | Route::Edit { text, .. } = &decided {
                prop_assert!(!text.trim().is_empty());
            }
            prop_assert_eq!(&decided, &route(&event, room.as_ref(), &rules()));
        }
    }

    #[test]
    fn no_words_of_ours_are_ever_answered(body in "\\PC{0,40}", sender in "agent_[a-z0-9_]{0,12}|letta") {
        let ours = event(&json!({
            "sender": format!("@{sender}:example.org"),
            "content": text(&body),
        }));
        for room in [home(), management(), visited(true)] {
            prop_assert_eq!(route(&ours, Some(&room), &rules()), Route::Ignore(Why::Ours));
        }
    }
}
