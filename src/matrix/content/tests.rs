use insta::assert_json_snapshot;
use ruma::{event_id, owned_event_id, owned_user_id};

use super::*;
use crate::matrix::render::render;

#[test]
fn a_plain_message_mentions_nobody() {
    assert_json_snapshot!(message(
        render("Hello"), MsgKind::Text, Placement::Room { reply_to: None }, [], "turn-1.0",
    ), @"");
}

#[test]
fn an_answer_mentions_who_asked() {
    assert_json_snapshot!(message(
        render("**Hello**"), MsgKind::Text,
        Placement::Room { reply_to: Some(owned_event_id!("$asked")) },
        [owned_user_id!("@ann:example.org")], "turn-1.0",
    ), @"");
}

#[test]
fn a_notice_in_a_thread() {
    assert_json_snapshot!(message(
        render("Stopped."), MsgKind::Notice,
        Placement::Thread { root: owned_event_id!("$root"), reply_to: None }, [], "turn-1.1",
    ), @"");
}

#[test]
fn an_answer_in_a_thread() {
    assert_json_snapshot!(message(
        render("Yes."), MsgKind::Text,
        Placement::Thread { root: owned_event_id!("$root"), reply_to: Some(owned_event_id!("$asked")) },
        [], "turn-1.1",
    ), @"");
}

#[test]
fn an_edit_tells_nobody_again() {
    assert_json_snapshot!(edit(
        event_id!("$first"), render("**Hello** Ann"), MsgKind::Text,
        [owned_user_id!("@ann:example.org")], "turn-1.2",
    ), @"");
}

#[test]
fn an_edit_of_a_notice() {
    assert_json_snapshot!(edit(
        event_id!("$first"), render("Done."), MsgKind::Notice, [], "turn-1.3",
    ), @"");
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
