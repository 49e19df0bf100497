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
        let route = route(&said(&text(body)), None, &rules());
        assert_eq!(route, Route::Ignore(Why::UnknownRoom));
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
