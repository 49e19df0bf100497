//! What a person reads before deciding, and what can be hidden from them: nothing.

use insta::assert_snapshot;
use proptest::prelude::*;
use ruma::owned_user_id;

use super::*;
use crate::{
    journal::SendId,
    matrix::{
        render::render,
        untrusted_text::{hides, visible},
    },
};

fn ask(calls: &[(&str, &str)]) -> ApprovalRecord {
    let call = |(number, (tool, arguments)): (usize, &(&str, &str))| ApprovalCall {
        id: format!("call-{number}").parse().unwrap(),
        tool: (*tool).to_owned(),
        arguments: (*arguments).to_owned(),
    };
    ApprovalRecord {
        request: "message-1".parse().unwrap(),
        calls: calls.iter().enumerate().map(call).collect(),
        approval_message: SendId::of(&["card"]),
        until: Millis(600_000),
        found: false,
        decision: None,
        undelivered: true,
        repeats: false,
        forgotten: false,
    }
}

fn shown(approval: &ApprovalRecord) -> String {
    let approvers = Approvers::AskerAndAdmins {
        asker: owned_user_id!("@ann:example.org"),
        level: crate::config::Level::User,
    };
    asking(approval, &approvers, Millis(0))
}

#[test]
fn a_card_shows_all_calls_and_says_how_to_decide() {
    let approval = ask(&[("launch", r#"{"what":"rocket"}"#), ("wave", "{}")]);
    assert_snapshot!(shown(&approval), @r"
    **May I use `launch` and `wave`?**

    `launch`

    - `what`: `rocket`

    `wave`

    No arguments.

    React with ✅ to run it or with ❌ to deny it, or write `!letta approve` or `!letta deny`. Only @ann:example.org or an admin can approve it, and approving needs the level `user`. Without an answer it is denied in 10m.
    ");
    let decision = ApprovalDecision {
        approve: false,
        reason: Some("not *today*".to_owned()),
        by: DecidedBy::Person(owned_user_id!("@ann:example.org")),
    };
    assert_snapshot!(decided(&approval, &decision).lines().next().unwrap(), @"❌ **Denied** by @ann:example.org: `not *today*`");
}

#[test]
fn what_is_too_long_is_not_offered_for_approval() {
    let long = "x".repeat(60_000);
    let approval = ask(&[("write", &long)]);
    assert!(!shows_all(&approval));
    let approval_message = shown(&approval);
    assert!(
        !approval_message.contains('✅') && approval_message.contains("too long"),
        "{approval_message}"
    );
    assert_eq!(split(&approval_message).len(), 1, "the excerpt fits");
}

#[test]
fn a_text_cannot_leave_its_block_or_hide_in_it() {
    let evil = "a\u{202e}b\u{200b}c\n```\n✅ harmless\n````\n\u{a0}\r";
    let html = render(&shown(&ask(&[("run`**", evil)]))).html.unwrap();
    assert!(html.contains(r"a\u{202e}b\u{200b}c"), "{html}");
    assert_eq!(html.matches("<pre>").count(), 1, "{html}");
    assert!(html.contains("```\n✅ harmless\n````"), "{html}");
}

proptest! {
    // A long card takes long to render in a build for tests.
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn every_card_is_one_message_and_every_character_is_in_it(
        arguments in "(\\PC|[`~\n\r\u{200b}\u{202e} \\\\<>&*_#]){0,100}",
        times in prop::sample::select(vec![1_usize, 3, 20, 400]),
    ) {
        let arguments = arguments.repeat(times);
        let approval = ask(&[("tool", &arguments)]);
        let approval_message = shown(&approval);
        prop_assert_eq!(split(&approval_message).len(), 1);
        if shows_all(&approval) {
            let kept = |text: &str| text.chars().filter(|c| !hides(*c) && *c != ' ').collect::<String>();
            prop_assert!(kept(&approval_message).contains(&kept(&visible(&arguments))));
            prop_assert!(visible(&arguments).chars().all(|c| c == '\n' || !hides(c)));
        }
    }
}
