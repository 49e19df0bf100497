//! What a message says: its words, what it is if it has none, and what older clients put before them.

use super::*;

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
fn what_is_encrypted_cannot_be_read() {
    let encrypted = event(&json!({
        "type": "m.room.encrypted",
        "content": { "algorithm": "m.megolm.v1.aes-sha2", "ciphertext": "…", "session_id": "s" },
    }));
    assert_eq!(brief(&encrypted, &home()), "ignore: Encrypted");
    let turned_on = event(&json!({
        "type": "m.room.encryption", "state_key": "", "content": { "algorithm": "m.megolm.v1.aes-sha2" },
    }));
    assert_eq!(brief(&turned_on, &home()), "ignore: Encrypted");
    let elsewhere = route(&encrypted, None, &rules(), None);
    assert_eq!(elsewhere, Route::Ignore(IgnoreReason::UnknownRoom));
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
