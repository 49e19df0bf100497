//! What messages and edits look like on the wire.

use insta::assert_json_snapshot;
use ruma::{event_id, owned_event_id, owned_user_id};

use super::*;
use crate::matrix::render::render;

#[test]
fn a_plain_message_mentions_nobody() {
    assert_json_snapshot!(message(
        render("Hello"), MsgKind::Text, Placement::Room { reply_to: None }, [], "turn-1.0",
    ), @r#"
    {
      "msgtype": "m.text",
      "body": "Hello",
      "m.mentions": {},
      "org.letta.send_id": "turn-1.0"
    }
    "#);
}

#[test]
fn an_answer_mentions_who_asked() {
    assert_json_snapshot!(message(
        render("**Hello**"), MsgKind::Text,
        Placement::Room { reply_to: Some(owned_event_id!("$asked")) },
        [owned_user_id!("@ann:example.org")], "turn-1.0",
    ), @r#"
    {
      "msgtype": "m.text",
      "body": "**Hello**",
      "format": "org.matrix.custom.html",
      "formatted_body": "<strong>Hello</strong>",
      "m.relates_to": {
        "m.in_reply_to": {
          "event_id": "$asked"
        }
      },
      "m.mentions": {
        "user_ids": [
          "@ann:example.org"
        ]
      },
      "org.letta.send_id": "turn-1.0"
    }
    "#);
}

#[test]
fn a_notice_in_a_thread() {
    assert_json_snapshot!(message(
        render("Stopped."), MsgKind::Notice,
        Placement::Thread { root: owned_event_id!("$root"), reply_to: None }, [], "turn-1.1",
    ), @r#"
    {
      "msgtype": "m.notice",
      "body": "Stopped.",
      "m.relates_to": {
        "rel_type": "m.thread",
        "event_id": "$root"
      },
      "m.mentions": {},
      "org.letta.send_id": "turn-1.1"
    }
    "#);
}

#[test]
fn an_answer_in_a_thread() {
    assert_json_snapshot!(message(
        render("Yes."), MsgKind::Text,
        Placement::Thread { root: owned_event_id!("$root"), reply_to: Some(owned_event_id!("$asked")) },
        [], "turn-1.1",
    ), @r#"
    {
      "msgtype": "m.text",
      "body": "Yes.",
      "m.relates_to": {
        "rel_type": "m.thread",
        "event_id": "$root",
        "m.in_reply_to": {
          "event_id": "$asked"
        }
      },
      "m.mentions": {},
      "org.letta.send_id": "turn-1.1"
    }
    "#);
}

#[test]
fn an_edit_tells_nobody_again() {
    assert_json_snapshot!(edit(
        event_id!("$first"), render("**Hello** Ann"), MsgKind::Text,
        [owned_user_id!("@ann:example.org")], "turn-1.2",
    ), @r#"
    {
      "msgtype": "m.text",
      "body": "* **Hello** Ann",
      "format": "org.matrix.custom.html",
      "formatted_body": "* <strong>Hello</strong> Ann",
      "m.relates_to": {
        "rel_type": "m.replace",
        "event_id": "$first"
      },
      "m.new_content": {
        "msgtype": "m.text",
        "body": "**Hello** Ann",
        "format": "org.matrix.custom.html",
        "formatted_body": "<strong>Hello</strong> Ann",
        "m.mentions": {
          "user_ids": [
            "@ann:example.org"
          ]
        }
      },
      "m.mentions": {},
      "org.letta.send_id": "turn-1.2"
    }
    "#);
}

#[test]
fn an_edit_of_a_notice() {
    assert_json_snapshot!(edit(
        event_id!("$first"), render("Done."), MsgKind::Notice, [], "turn-1.3",
    ), @r#"
    {
      "msgtype": "m.notice",
      "body": "* Done.",
      "m.relates_to": {
        "rel_type": "m.replace",
        "event_id": "$first"
      },
      "m.new_content": {
        "msgtype": "m.notice",
        "body": "Done.",
        "m.mentions": {}
      },
      "m.mentions": {},
      "org.letta.send_id": "turn-1.3"
    }
    "#);
}

#[test]
fn mentions_are_bounded() {
    let everybody = (0..100)
        .map(|n| OwnedUserId::try_from(format!("@user{n}:example.org")).expect("a user id"));
    let content = message(
        render("Hi"),
        MsgKind::Text,
        Placement::Room { reply_to: None },
        everybody,
        "s",
    );
    let told = content["m.mentions"]["user_ids"].as_array().map(Vec::len);
    assert_eq!(told, Some(MENTIONS_MAX));
}
