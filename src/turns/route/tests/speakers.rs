//! Who is heard: people who may talk, and nobody of ours.

use super::*;

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
    assert_eq!(brief(&stranger, &home()), "ignore: Blocked");
}

#[test]
fn words_of_an_agent_are_no_command_whoever_repeats_them() {
    let command = "!letta approve";
    let quoted = "> <@agent_1:example.org> !letta approve\n> !letta sync\n\nwhat is this?";
    let replied = json!({ "m.relates_to": { "m.in_reply_to": { "event_id": "$e" } } });
    let edited = json!({
        "m.new_content": text(command),
        "m.relates_to": { "rel_type": "m.replace", "event_id": "$e" },
    });
    let by_ann = [
        (
            with(text(quoted), &replied),
            "prompt to agent-1: what is this?",
        ),
        (text(quoted), &*format!("prompt to agent-1: {quoted}")),
        (
            with(text("* !letta approve"), &edited),
            "edit of $e: !letta approve",
        ),
        (
            json!({ "msgtype": "m.notice", "body": command }),
            "ignore: Notice",
        ),
        (
            json!({ "msgtype": "m.emote", "body": command }),
            "prompt to agent-1: * !letta approve",
        ),
    ];
    for (content, expected) in &by_ann {
        assert_eq!(brief_text(content, &home()), *expected);
    }
    for sender in [HOME_GHOST, GUEST_GHOST, BOT] {
        for (content, _) in by_ann.iter().chain([&(text(command), "")]) {
            let said = event(&json!({ "sender": sender, "content": content }));
            for room in [home(), management(), visited(true)] {
                assert_eq!(brief(&said, &room), "ignore: Ours", "{sender}: {content}");
            }
        }
    }
}

#[test]
fn only_who_may_talk_is_heard() {
    let eve = |body: &str| event(&json!({ "sender": EVE, "content": text(body) }));
    assert_eq!(brief(&eve("Hello"), &home()), "ignore: Blocked");
    assert_eq!(brief(&eve("Hello"), &visited(true)), "ignore: Blocked");
    // Whatever it is, and wherever.
    for room in [home(), visited(true), visited(false), management()] {
        for content in [
            text("!letta status"),
            text("!letta approve"),
            with(
                text("* x"),
                &json!({ "m.new_content": text("x"), "m.relates_to": { "rel_type": "m.replace", "event_id": "$e" } }),
            ),
        ] {
            let said = event(&json!({ "sender": EVE, "content": content }));
            assert_eq!(brief(&said, &room), "ignore: Blocked");
        }
        for (kind, content) in [
            ("m.room.encrypted", json!({})),
            (
                "m.reaction",
                json!({ "m.relates_to": { "rel_type": "m.annotation", "event_id": "$e", "key": "✅" } }),
            ),
        ] {
            let said = event(&json!({ "sender": EVE, "type": kind, "content": content }));
            assert_eq!(brief(&said, &room), "ignore: Blocked", "{kind}");
        }
    }
}

#[test]
fn invitations_count_from_people_who_may_talk() {
    let invited = |sender: &str, user: &str| {
        let invitation = json!({
            "sender": sender, "type": "m.room.member", "state_key": user,
            "content": { "membership": "invite" },
        });
        brief(&event(&invitation), &home())
    };
    for user in [HOME_GHOST, GUEST_GHOST, BOT, "@agent_unknown:example.org"] {
        assert_eq!(invited(ANN, user), "membership");
        assert_eq!(invited(EVE, user), "ignore: Blocked");
        // The bot looks after those itself whom it invites.
        assert_eq!(invited(BOT, user), "ignore: Ours");
        let thrown_out = json!({
            "sender": EVE, "type": "m.room.member", "state_key": user,
            "content": { "membership": "leave" },
        });
        assert_eq!(brief(&event(&thrown_out), &home()), "membership");
    }
}
