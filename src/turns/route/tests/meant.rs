//! Who is meant: the bot, the agent of the room, or a guest; and in which room.

use super::*;

#[test]
fn the_bot_is_commanded_in_its_room_without_a_prefix_and_elsewhere_with_one() {
    assert_eq!(brief_text(&text("status"), &management()), "command");
    assert_eq!(brief_text(&text("!letta status"), &management()), "command");
    for room in [home(), visited(false), visited(true)] {
        assert_eq!(brief_text(&text("!letta status"), &room), "command");
    }
    // Somebody else's management room is no place for commands without a prefix.
    let guest = event(&json!({ "sender": "@bob:example.org", "content": text("status") }));
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
fn in_a_room_that_is_not_known_nobody_is_spoken_to() {
    for body in ["Hello", "!letta status", "@agent_1:example.org Hi"] {
        let route = route(&said(&text(body)), None, &rules(), None);
        assert_eq!(route, Route::Ignore(IgnoreReason::UnknownRoom));
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
        route(&event, Some(&home()), &rules(), None),
        Route::Prompt {
            conversation,
            also: Vec::new(),
            text,
            attachment: None,
            reply_to: None,
        }
    );
}

#[test]
fn every_mentioned_agent_answers_in_the_order_of_the_text() {
    let mut room = visited(false);
    room.guests.insert(agent("agent-3"), false);
    let mentions = |first: &str, second: &str| {
        json!({
            "msgtype": "m.text", "body": format!("{first} and {second}: go"),
            "m.mentions": { "user_ids": [first, second] },
        })
    };
    let third = "@agent_3:example.org";
    for (first, second, expected) in [
        (GUEST_GHOST, third, ["agent-2", "agent-3"]),
        (third, GUEST_GHOST, ["agent-3", "agent-2"]),
    ] {
        let event = said(&mentions(first, second));
        let Route::Prompt {
            conversation, also, ..
        } = route(&event, Some(&room), &rules(), None)
        else {
            panic!("two agents are asked");
        };
        let asked: Vec<_> = [conversation]
            .into_iter()
            .chain(also)
            .map(|one| one.agent.to_string())
            .collect();
        assert_eq!(asked, expected);
    }
    // The agent whose room it is answers beside a guest only if it is mentioned too.
    let mut room = home();
    room.guests.insert(agent(GUEST), false);
    let count = |content: &Value| match route(&said(content), Some(&room), &rules(), None) {
        Route::Prompt { also, .. } => 1 + also.len(),
        _ => 0,
    };
    assert_eq!(count(&mentions(GUEST_GHOST, HOME_GHOST)), 2);
    assert_eq!(count(&mentions(GUEST_GHOST, GUEST_GHOST)), 1);
    assert_eq!(count(&text("Hi")), 1);
}

#[test]
fn link_to_an_agent_is_a_mention_where_clients_know_no_other() {
    let pill = |target: &str| {
        json!({
            "msgtype": "m.text", "body": "Two: go", "format": "org.matrix.custom.html",
            "formatted_body": format!(r#"<a href="https://matrix.to/#/{target}">Two</a>: go"#),
        })
    };
    let room = visited(false);
    for target in [
        GUEST_GHOST,
        "%40agent_2:example.org",
        "@agent_2:example.org?via=example.org",
    ] {
        assert_eq!(
            brief_text(&pill(target), &room),
            "prompt to agent-2: Two: go",
            "{target}"
        );
    }
    for target in [
        "@agent_2:example.org.uk",
        "@agent_22:example.org",
        "@ann:example.org",
    ] {
        assert_eq!(
            brief_text(&pill(target), &room),
            "ignore: NotAddressed",
            "{target}"
        );
    }
    let nobody = with(pill(GUEST_GHOST), &json!({ "m.mentions": {} }));
    assert_eq!(brief_text(&nobody, &room), "ignore: NotAddressed");
}

#[test]
fn what_is_no_text_is_described_to_the_agent() {
    let sticker =
        json!({ "type": "m.sticker", "content": { "body": "A cat", "url": "mxc://x/y" } });
    assert_eq!(
        brief(&event(&sticker), &home()),
        "prompt to agent-1: [sticker: A cat]"
    );
    let threaded = json!({ "type": "m.sticker", "content": {
        "body": "A cat", "m.relates_to": { "rel_type": "m.thread", "event_id": "$root" },
    } });
    assert_eq!(
        brief(&event(&threaded), &home()),
        "prompt to agent-1 in $root: [sticker: A cat]"
    );
    assert_eq!(
        brief(&event(&sticker), &visited(false)),
        "ignore: NotAddressed"
    );
    let html = json!({ "msgtype": "m.text", "body": "", "format": "org.matrix.custom.html", "formatted_body": "<b>Hi</b>" });
    assert_eq!(brief_text(&html, &home()), "prompt to agent-1: Hi");
    let quote = with(
        text("> <div> is what I mean\n\nsee?"),
        &json!({ "m.relates_to": { "m.in_reply_to": { "event_id": "$e" } } }),
    );
    assert_eq!(
        brief_text(&quote, &home()),
        "prompt to agent-1: > <div> is what I mean\n\nsee?"
    );
}

#[test]
fn reply_addresses_the_agent_whose_message_it_is() {
    let mention = |user: &str| with(text("Hi"), &json!({ "m.mentions": { "user_ids": [user] } }));
    let both = RoomRecord {
        guests: [(agent(GUEST), false)].into(),
        ..home()
    };
    for (content, room, replied, expected) in [
        (text("Hi"), visited(false), GUEST, "agent-2"),
        (text("Hi"), both.clone(), GUEST, "agent-2"),
        (text("Hi"), both.clone(), HOME, "agent-1"),
        (mention(ANN), visited(false), GUEST, "agent-2"),
        // Who is mentioned is meant, whatever it replies to.
        (mention(HOME_GHOST), both.clone(), GUEST, "agent-1"),
        (mention(GUEST_GHOST), both.clone(), HOME, "agent-2"),
        // Who is not here (any more) is not addressed.
        (text("Hi"), home(), GUEST, "agent-1"),
        (text("Hi"), visited(false), HOME, "nobody"),
    ] {
        let routed = route(
            &said(&content),
            Some(&room),
            &rules(),
            Some(&agent(replied)),
        );
        let to = match &routed {
            Route::Prompt {
                conversation, also, ..
            } if also.is_empty() => conversation.agent.as_str(),
            _ => "nobody",
        };
        assert_eq!(to, expected, "{content} in reply to {replied}");
    }
}
