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
