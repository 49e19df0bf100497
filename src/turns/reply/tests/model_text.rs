//! What models write beside their answer, and how they end it.

use super::*;

#[test]
fn steps_without_ids_are_paragraphs() {
    let call = |id: &str| {
        TurnEvent::ToolCall(letta_client::ToolCall {
            id: id.parse().unwrap(),
            name: "look".to_owned(),
            arguments: "{}".to_owned(),
        })
    };
    let returned = TurnEvent::ToolReturn {
        call: "c".parse().unwrap(),
        ok: true,
        text: String::new(),
    };
    for between in [call("c"), returned] {
        let mut reply = Reply::new();
        for event in [
            text("message", "first "),
            text("message", "step."),
            between,
            text("message", "second step."),
        ] {
            reply.apply(&event, ms(0));
        }
        assert_eq!(reply.text(), "first step.\n\nsecond step.");
        reply.apply(
            &TurnEvent::Discard {
                message: id("message"),
            },
            ms(0),
        );
        assert_eq!(reply.text(), "");
    }
}

#[test]
fn reasoning_in_the_text_is_not_said() {
    let mut reply = Reply::new();
    for delta in ["<thi", "nk>Let me", " see.</think", ">\n\nYes", "."] {
        reply.apply(&text("m", delta), ms(0));
    }
    assert_eq!(reply.text(), "Yes.");
    assert_eq!(reply.reasoning(&id("m")), Some("Let me see."));
    let mut reply = Reply::new();
    reply.apply(&text("m", "<think>Let me"), ms(0));
    assert_eq!((reply.due(), reply.text()), (None, String::new()));
}

#[test]
fn turn_that_answers_nothing_on_purpose_ends_without_a_remark() {
    let mut reply = Reply::new();
    for delta in ["<no-", "reply/>", "\n"] {
        reply.apply(&text("m", delta), ms(0));
        assert_eq!(reply.due(), None);
    }
    assert_eq!(reply.answer(&StopReason::EndTurn), Answer::default());
    let mut reply = Reply::new();
    let returned = TurnEvent::ToolReturn {
        call: "c".parse().unwrap(),
        ok: true,
        text: String::new(),
    };
    reply.apply(&returned, ms(0));
    assert_eq!(reply.answer(&StopReason::EndTurn), Answer::default());
}

#[test]
fn answer_that_the_token_limit_cut_is_called_that() {
    let stop = StopReason::Failed(TurnFailure {
        code: "MAX_TOKENS_EXCEEDED".to_owned(),
        detail: String::new(),
        kind: letta_client::FailureKind::Refused,
    });
    let cut = begun().answer(&stop);
    assert_eq!(
        (cut.text.as_str(), cut.ending_notice),
        (FORTY, Some(notice_texts::max_tokens(false)))
    );
    assert_eq!(
        Reply::new().answer(&stop).ending_notice,
        Some(notice_texts::max_tokens(true))
    );
}
