//! What a person reads before deciding, and what can be hidden from them: nothing.

use insta::assert_snapshot;
use proptest::prelude::*;
use ruma::owned_user_id;

use super::*;
use crate::{
    journal::SendId,
    matrix::{
        foreign::{hides, visible},
        render::render,
    },
};

fn ask(calls: &[(&str, &str)]) -> Ask {
    let call = |(number, (tool, arguments)): (usize, &(&str, &str))| AskedCall {
        id: format!("call-{number}").parse().unwrap(),
        tool: (*tool).to_owned(),
        arguments: (*arguments).to_owned(),
    };
    Ask {
        request: "message-1".parse().unwrap(),
        calls: calls.iter().enumerate().map(call).collect(),
        card: SendId::of(&["card"]),
        until: Millis(600_000),
        found: false,
        verdict: None,
        untold: true,
        repeats: false,
        forgotten: false,
    }
}

fn shown(ask: &Ask) -> String {
    let approvers = Approvers::AskerAndAdmins {
        asker: owned_user_id!("@ann:example.org"),
        level: crate::config::Level::User,
    };
    asking(ask, &approvers, Millis(0))
}

#[test]
fn a_card_shows_all_calls_and_says_how_to_decide() {
    let ask = ask(&[("launch", r#"{"what":"rocket"}"#), ("wave", "{}")]);
    assert_snapshot!(shown(&ask), @r"
    **May I use `launch` and `wave`?**

    `launch`

    - `what`: `rocket`

    `wave`

    No arguments.

    React with ✅ to run it or with ❌ to deny it, or write `!letta approve` or `!letta deny`. Only @ann:example.org or an admin can approve it, and approving needs the level `user`. Without an answer it is denied in 10m. [APPROVAL_NEEDED]
    ");
    let verdict = Verdict {
        approve: false,
        reason: Some("not *today*".to_owned()),
        by: By::Person(owned_user_id!("@ann:example.org")),
    };
    assert_snapshot!(decided(&ask, &verdict).lines().next().unwrap(), @"❌ **Denied** by @ann:example.org: `not *today*`");
}

#[test]
fn what_is_too_long_is_not_offered_for_approval() {
    let long = "x".repeat(60_000);
    let ask = ask(&[("write", &long)]);
    assert!(!shows_all(&ask));
    let card = shown(&ask);
    assert!(!card.contains('✅') && card.contains("too long"), "{card}");
    assert_eq!(split(&card).len(), 1, "the excerpt fits");
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
        let ask = ask(&[("tool", &arguments)]);
        let card = shown(&ask);
        prop_assert_eq!(split(&card).len(), 1);
        if shows_all(&ask) {
            let kept = |text: &str| text.chars().filter(|c| !hides(*c) && *c != ' ').collect::<String>();
            prop_assert!(kept(&card).contains(&kept(&visible(&arguments))));
            prop_assert!(visible(&arguments).chars().all(|c| c == '\n' || !hides(c)));
        }
    }
}
