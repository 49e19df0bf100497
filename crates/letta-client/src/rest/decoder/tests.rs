//! What real streams of a V1 server mean, and what made-up ones cannot break.

use proptest::prelude::*;

use super::*;
use crate::sse::SseParser;

/// Decodes a whole stream and shows what it means, one line an event.
fn decode(bytes: &str) -> String {
    let (mut decoder, events) = feed(Decoder::new(TurnLimits::default()), bytes);
    conclude(&mut decoder, events)
}

fn feed(mut decoder: Decoder, bytes: &str) -> (Decoder, Vec<TurnEvent>) {
    let (mut parsed, mut events) = (Vec::new(), Vec::new());
    SseParser::new()
        .push(bytes.as_bytes(), &mut parsed)
        .unwrap();
    for event in &parsed {
        decoder.feed(event, &mut events);
    }
    (decoder, events)
}

fn conclude(decoder: &mut Decoder, mut events: Vec<TurnEvent>) -> String {
    let outcome = decoder.conclude(&mut events);
    let mut lines: Vec<_> = events.iter().map(|event| format!("{event:?}")).collect();
    lines.push(format!("=> {outcome:?}"));
    // The random part of ids is noise to a reader.
    let ids = regex::Regex::new(r"\b(message|run)-([0-9a-f]{4})[0-9a-f-]{32}\b").unwrap();
    ids.replace_all(&lines.join("\n"), "$1-$2").into_owned()
}

macro_rules! transcript {
    ($name:literal) => {
        include_str!(concat!("../../../tests/transcripts/", $name, ".txt"))
    };
}

#[test]
fn a_whole_message_is_one_text() {
    insta::assert_snapshot!(decode(transcript!("steps")), @"");
}

#[test]
fn tokens_are_appended() {
    insta::assert_snapshot!(decode(transcript!("tokens")), @"");
}

#[test]
fn reasoning_and_text_share_an_id() {
    insta::assert_snapshot!(decode(transcript!("think")), @"");
}

#[test]
fn a_tool_call_comes_whole() {
    insta::assert_snapshot!(decode(transcript!("tool_steps")), @"");
}

#[test]
fn a_tool_call_comes_in_pieces_and_is_told_once() {
    insta::assert_snapshot!(decode(transcript!("tool_tokens")), @"");
}

#[test]
fn a_tool_call_is_told_before_its_tool_returns() {
    let stream = transcript!("tool_tokens");
    let before_return = stream.find("tool_return_message").unwrap();
    let (_, events) = feed(
        Decoder::new(TurnLimits::default()),
        &stream[..before_return],
    );
    assert!(
        matches!(events.last(), Some(TurnEvent::ToolCall(_))),
        "{events:?}"
    );
}

#[test]
fn several_calls_of_one_step_are_told_apart() {
    let frames = [
        r#"{"id":"message-1","run_id":"run-1","message_type":"tool_call_message","tool_calls":[{"name":"a","arguments":"{}","tool_call_id":"call_1"},{"name":"b","arguments":"","tool_call_id":"call_2"}]}"#,
        r#"{"id":"message-2","message_type":"tool_return_message","tool_returns":[{"tool_return":"x","status":"success","tool_call_id":"call_1"},{"tool_return":[{"type":"text","text":"y"}],"status":"error","tool_call_id":"call_2"}]}"#,
        r#"{"message_type":"stop_reason","stop_reason":"tool_rule"}"#,
    ];
    let bytes: String = frames
        .iter()
        .map(|frame| format!("data: {frame}\n\n"))
        .collect();
    insta::assert_snapshot!(decode(&bytes), @"");
}

#[test]
fn nothing_said_is_a_good_end_that_lacks_words() {
    let (mut decoder, events) = feed(Decoder::new(TurnLimits::default()), transcript!("empty"));
    insta::assert_snapshot!(conclude(&mut decoder, events), @"");
    assert!(decoder.lacks(&Stop::EndTurn));
}

#[test]
fn errors_inside_a_success_are_failures() {
    insta::assert_snapshot!(decode(transcript!("error_500")), @"");
    insta::assert_snapshot!(decode(transcript!("error_429")), @"");
    insta::assert_snapshot!(decode(transcript!("error_401")), @"");
}

#[test]
fn a_model_that_dies_is_a_failure_and_not_a_lost_stream() {
    insta::assert_snapshot!(decode(transcript!("die")), @"");
}

#[test]
fn a_cancelled_turn_ends_with_or_without_done() {
    insta::assert_snapshot!(decode(transcript!("cancelled_foreground")), @"");
    insta::assert_snapshot!(decode(transcript!("cancelled_background")), @"");
}

#[test]
fn a_limit_of_steps_is_its_own_end() {
    insta::assert_snapshot!(decode(transcript!("max_steps")), @"");
}

#[test]
fn an_approval_is_asked_for_once_with_all_its_calls() {
    insta::assert_snapshot!(decode(transcript!("approval")), @"");
    insta::assert_snapshot!(decode(transcript!("approval_parallel")), @"");
}

#[test]
fn a_conflict_inside_a_success_is_the_error_that_it_is_elsewhere() {
    insta::assert_snapshot!(decode(transcript!("approval_pending")), @"");
}

#[test]
fn a_background_stream_counts_and_repeats_nothing() {
    let stream = transcript!("background");
    insta::assert_snapshot!(decode(stream), @"");
    let (decoder, first) = feed(
        Decoder::new(TurnLimits::default()),
        &stream[..stream.len() / 2],
    );
    assert_eq!(decoder.sequence(), 2);
    let (mut decoder, rest) = feed(decoder, stream);
    let events = [first, rest].concat();
    assert_eq!(conclude(&mut decoder, events), decode(stream));
}

#[test]
fn a_stream_cut_anywhere_is_lost_until_it_has_said_how_it_ends() {
    let stream = transcript!("tool_tokens");
    let stop = stream
        .find(r#"data: {"message_type":"stop_reason""#)
        .unwrap();
    let ended = stop + stream[stop..].find("\n\n").unwrap() + 2;
    for cut in (0..stream.len())
        .filter(|&at| stream.is_char_boundary(at))
        .step_by(97)
    {
        let (mut decoder, _) = feed(Decoder::new(TurnLimits::default()), &stream[..cut]);
        assert_eq!(decoder.has_end(), cut >= ended, "cut at {cut}");
        let lost = matches!(decoder.conclude(&mut Vec::new()), Outcome::Lost);
        assert_eq!(lost, cut < ended, "cut at {cut}");
    }
}

#[test]
fn past_a_limit_the_turn_has_failed() {
    let limits = TurnLimits {
        text_bytes: 10,
        events: 6,
        tool_argument_bytes: 20,
    };
    let code = |stream: &str| {
        let (mut decoder, mut events) = feed(Decoder::new(limits), stream);
        match decoder.conclude(&mut events) {
            Outcome::Stop(Stop::Failed(failure)) => failure.code,
            other => format!("{other:?}"),
        }
    };
    assert_eq!(code(transcript!("tokens")), "ANSWER_TOO_LONG");
    assert_eq!(
        code(&"data: {\"message_type\":\"ping\"}\n\n".repeat(7)),
        "TOO_MANY_EVENTS"
    );
    assert_eq!(code(transcript!("approval")), "TOOL_ARGUMENTS_TOO_LONG");
}

fn stored(json: &str) -> Vec<Message> {
    serde_json::from_str(json).unwrap()
}

#[test]
fn what_is_stored_completes_what_was_streamed() {
    let stream = r#"data: {"id":"message-1","run_id":"run-1","message_type":"assistant_message","content":"one"}

data: {"id":"message-2","message_type":"reasoning_message","reasoning":"hm"}

data: {"id":"message-2","message_type":"assistant_message","content":"four"}

data: {"id":"message-9","message_type":"assistant_message","content":"never stored"}

"#;
    let (mut decoder, mut events) = feed(Decoder::new(TurnLimits::default()), stream);
    events.clear();
    let stored = stored(
        r#"[{"id":"message-0","message_type":"user_message","content":"say"},
        {"id":"message-1","message_type":"assistant_message","content":"one two"},
        {"id":"message-2","message_type":"reasoning_message","reasoning":"hm"},
        {"id":"message-2","message_type":"assistant_message","content":[{"type":"text","text":"three"}]},
        {"id":"message-3","message_type":"tool_call_message","tool_call":{"name":"t","arguments":"{}","tool_call_id":"call_1"}},
        {"id":"message-4","message_type":"tool_return_message","tool_return":"r","status":"success","tool_call_id":"call_1"}]"#,
    );
    decoder.replay(stored, true, &mut events);
    insta::assert_debug_snapshot!(events, @"");
}

#[test]
fn what_was_streamed_whole_is_not_told_again() {
    for stream in [
        transcript!("tool_send_message"),
        transcript!("approval_parallel"),
    ] {
        let (mut decoder, mut events) = feed(Decoder::new(TurnLimits::default()), stream);
        decoder.conclude(&mut events);
        let frames = stream
            .lines()
            .filter_map(|line| line.strip_prefix("data: {"));
        let whole = frames.map(|frame| serde_json::from_str(&format!("{{{frame}")).unwrap());
        events.clear();
        decoder.replay(whole.collect(), true, &mut events);
        decoder.conclude(&mut events);
        assert_eq!(events, []);
    }
}

/// Frames that are almost right.
fn frame() -> impl Strategy<Value = String> {
    let kinds = prop::sample::select(vec![
        "assistant_message",
        "reasoning_message",
        "tool_call_message",
        "tool_return_message",
        "approval_request_message",
        "stop_reason",
        "error_message",
        "ping",
        "news_of_the_future",
    ]);
    let values = prop::sample::select(vec![
        "null",
        "7",
        "-1",
        "\"x\"",
        "[]",
        "{}",
        "[7]",
        "{\"tool_call_id\":\"c\",\"arguments\":\"}{\"}",
        "[{\"tool_call_id\":\"d\",\"name\":\"n\"}]",
        "\"run-1\"",
        "\"\u{1f980}\"",
    ]);
    let keys = prop::sample::select(vec![
        "id",
        "run_id",
        "seq_id",
        "content",
        "reasoning",
        "tool_call",
        "tool_calls",
        "tool_return",
        "tool_returns",
        "tool_call_id",
        "status",
        "stop_reason",
        "error_type",
        "message",
        "detail",
    ]);
    (kinds, prop::collection::btree_map(keys, values, 0..6)).prop_map(|(kind, fields)| {
        let fields: String = fields
            .iter()
            .map(|(key, value)| format!(",\"{key}\":{value}"))
            .collect();
        format!("{{\"message_type\":\"{kind}\"{fields}}}")
    })
}

proptest! {
    #[test]
    fn no_stream_makes_it_panic(frames in prop::collection::vec(prop_oneof![frame(), ".*"], 0..30)) {
        let mut decoder = Decoder::new(TurnLimits::default());
        let mut events = Vec::new();
        for data in frames {
            decoder.feed(&SseEvent { event: String::new(), data }, &mut events);
        }
        decoder.conclude(&mut events);
        decoder.replay(Vec::new(), true, &mut events);
        let started = events.iter().filter(|e| matches!(e, TurnEvent::Started { .. })).count();
        prop_assert!(started <= 1);
    }
}
