//! What the streams of real servers mean, and what no server can do to us.

use proptest::prelude::*;

use super::*;
use crate::openai::transcript;

/// The events of these bytes, and how the turn ended, one a line.
fn golden(bytes: &[u8]) -> String {
    let told = transcript::decode(bytes)
        .into_iter()
        .map(|event| match event {
            TurnEvent::Started { run, resumable } => {
                format!("started {run}, resumable: {resumable}")
            }
            TurnEvent::Text { delta, .. } => format!("text {delta:?}"),
            TurnEvent::Finished(StopReason::Failed(failure)) => {
                format!(
                    "failed {} transient: {}",
                    failure.code,
                    failure.is_transient()
                )
            }
            TurnEvent::Finished(stop) => format!("{stop:?}"),
            other => format!("{other:?}"),
        });
    told.collect::<Vec<_>>().join("\n")
}

#[test]
fn an_app_server_answers() {
    insta::assert_snapshot!(golden(include_bytes!("../../../tests/transcripts/openai_app_server.txt")), @r#"
    started chatcmpl-4124d8bc-5016-4a0a-855f-2875c74f93f5, resumable: false
    text "openai"
    text " stream"
    text " hello"
    EndTurn
    "#);
}

#[test]
fn an_app_server_runs_a_tool_unasked() {
    insta::assert_snapshot!(golden(include_bytes!("../../../tests/transcripts/openai_app_server_tool.txt")), @r#"
    started chatcmpl-ca310007-2951-43bb-9a90-60d88766f7ed, resumable: false
    text "tool"
    text " Bash"
    text " returned:"
    text " hi"
    EndTurn
    "#);
}

#[test]
fn an_app_server_reports_a_failure_of_the_model() {
    insta::assert_snapshot!(golden(include_bytes!("../../../tests/transcripts/openai_app_server_error.txt")), @"
    started chatcmpl-c11da034-2d97-42ea-98c1-7f2aee53bfa9, resumable: false
    failed SERVER_ERROR transient: true
    ");
}

#[test]
fn a_v1_server_answers() {
    insta::assert_snapshot!(golden(include_bytes!("../../../tests/transcripts/openai_v1.txt")), @r#"
    started chatcmpl-run-ceaa53d4-20ef-48bd-9376-6923ed819bbc, resumable: false
    text "openai"
    text " stream"
    EndTurn
    "#);
}

#[test]
fn a_proxy_that_never_says_done_has_ended_with_its_reason() {
    let bytes = include_bytes!("../../../tests/transcripts/openai_app_server.txt");
    let text = String::from_utf8_lossy(bytes).replace("data: [DONE]\n\n", "");
    assert!(golden(text.as_bytes()).ends_with("EndTurn"));
}

#[test]
fn a_stream_that_breaks_off_is_incomplete() {
    let bytes = include_bytes!("../../../tests/transcripts/openai_app_server.txt");
    let golden = golden(&bytes[..700]);
    assert!(
        golden.ends_with("failed STREAM_INCOMPLETE transient: true"),
        "{golden}"
    );
}

#[test]
fn an_answer_without_end_meets_its_limit() {
    let mut chunks = Chunks::new(TurnLimits {
        text_bytes: 8,
        ..TurnLimits::default()
    });
    let event = SseEvent {
        event: String::new(),
        data: r#"{"id":"c","choices":[{"delta":{"content":"12345"}}]}"#.to_owned(),
    };
    let mut events = Vec::new();
    chunks.feed(&event, &mut events);
    assert!(!chunks.is_over());
    chunks.feed(&event, &mut events);
    assert!(chunks.is_over());
    let StopReason::Failed(failure) = chunks.finish() else {
        panic!("it did not fail")
    };
    assert_eq!(
        (failure.code.as_str(), events.len()),
        ("ANSWER_TOO_LONG", 2)
    );
}

proptest! {
    #[test]
    fn no_chunk_makes_it_panic(data in r#"[{}\[\]":,a-z0-9 ]{0,60}|\{"choices":\[\{"delta":\{"content":[a-z0-9"{}]{0,9}\}\}\]\}"#) {
        let mut chunks = Chunks::new(TurnLimits::default());
        let mut events = Vec::new();
        chunks.feed(&SseEvent { event: String::new(), data }, &mut events);
        chunks.finish();
        prop_assert!(events.len() <= 2);
    }
}

#[test]
fn code_of_a_failure_is_no_text_of_the_server() {
    for (said, code) in [
        ("rate_limit_exceeded", "RATE_LIMIT_EXCEEDED"),
        (
            "[click](https://evil.example)",
            "_CLICK__HTTPS___EVIL_EXAMPLE_",
        ),
        ("a\u{202e}b\n<b>", "A_B__B_"),
        (&"x".repeat(500), &"X".repeat(64)),
    ] {
        let chunk = serde_json::json!({ "error": { "code": said, "message": "no" } });
        assert_eq!(reported(&chunk).code, code);
    }
}
