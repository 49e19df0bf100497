//! What real streams of a V1 server mean, and what made-up ones cannot break.

use proptest::prelude::*;

use super::*;
use crate::sse::SseParser;

/// Decodes a whole stream and shows what it means, one line an event.
fn decode(bytes: &str) -> String {
    let (mut decoder, events) = feed(Decoder::new(TurnLimits::default()), bytes);
    finish(&mut decoder, events)
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

fn finish(decoder: &mut Decoder, mut events: Vec<TurnEvent>) -> String {
    let outcome = decoder.finish(&mut events);
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
    insta::assert_snapshot!(decode(transcript!("steps")), @r#"
    Started { run: run-9bac, resumable: true }
    Text { message: message-aac8, delta: "one two three" }
    => Stop(EndTurn)
    "#);
}

#[test]
fn tokens_are_appended() {
    insta::assert_snapshot!(decode(transcript!("tokens")), @r#"
    Started { run: run-1346, resumable: true }
    Text { message: message-a758, delta: "one" }
    Text { message: message-a758, delta: " two" }
    Text { message: message-a758, delta: " three" }
    Text { message: message-a758, delta: " four" }
    Text { message: message-a758, delta: " five" }
    => Stop(EndTurn)
    "#);
}

#[test]
fn reasoning_and_text_share_an_id() {
    insta::assert_snapshot!(decode(transcript!("think")), @r#"
    Started { run: run-2262, resumable: true }
    Reasoning { message: message-a17c, delta: "let" }
    Reasoning { message: message-a17c, delta: " me" }
    Reasoning { message: message-a17c, delta: " think" }
    Reasoning { message: message-a17c, delta: " about" }
    Reasoning { message: message-a17c, delta: " it" }
    Text { message: message-a17c, delta: "final" }
    Text { message: message-a17c, delta: " answer" }
    Text { message: message-a17c, delta: " here" }
    => Stop(EndTurn)
    "#);
}

#[test]
fn a_tool_call_comes_whole() {
    insta::assert_snapshot!(decode(transcript!("tool_steps")), @r#"
    Started { run: run-72e7, resumable: true }
    ToolCall(ToolCall { id: call_2d42da05cfff48ebb4b6, name: "conversation_search", arguments: "{\"query\": \"hello\"}" })
    ToolReturn { call: call_2d42da05cfff48ebb4b6, ok: true, text: "{'message': 'Showing 2 results:', 'results': [{'timestamp': '2026-11-23T06:48:19.699633+00:00', 'time_ago': '9s ago', 'role': 'assistant', 'relevance': {'sea..." }
    Text { message: message-64aa, delta: "tool conversation_search returned: {\n  \"status\": \"OK\",\n  \"message\": {\n    \"message\": \"Showing 2 results:\",\n    \"results\": [\n      {\n        \"timestamp\": \"202..." }
    => Stop(EndTurn)
    "#);
}

#[test]
fn a_tool_call_comes_in_pieces_and_is_told_once() {
    insta::assert_snapshot!(decode(transcript!("tool_tokens")), @r#"
    Started { run: run-3f08, resumable: true }
    Text { message: message-d5d4, delta: "let" }
    Text { message: message-d5d4, delta: " me" }
    Text { message: message-d5d4, delta: " look" }
    ToolCall(ToolCall { id: call_31779fb3276a4aacb1c9, name: "memory_insert", arguments: "{\"label\": \"human\", \"new_string\": \"likes tea\"}" })
    ToolReturn { call: call_31779fb3276a4aacb1c9, ok: true, text: "Name: unknown\nlikes tea" }
    Text { message: message-1d74, delta: "tool" }
    Text { message: message-1d74, delta: " memory_insert" }
    Text { message: message-1d74, delta: " returned:" }
    Text { message: message-1d74, delta: " UTC+0000\"" }
    Text { message: message-1d74, delta: "\n}" }
    => Stop(EndTurn)
    "#);
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
    let bytes = frames
        .map(|frame| {
            format!(
                "data: {frame}

"
            )
        })
        .concat();
    insta::assert_snapshot!(decode(&bytes), @r#"
    Started { run: run-1, resumable: true }
    ToolCall(ToolCall { id: call_1, name: "a", arguments: "{}" })
    ToolCall(ToolCall { id: call_2, name: "b", arguments: "" })
    ToolReturn { call: call_1, ok: true, text: "x" }
    ToolReturn { call: call_2, ok: false, text: "y" }
    => Stop(EndTurn)
    "#);
}

#[test]
fn nothing_said_is_a_good_end_that_lacks_words() {
    let (mut decoder, events) = feed(Decoder::new(TurnLimits::default()), transcript!("empty"));
    insta::assert_snapshot!(finish(&mut decoder, events), @"
    Started { run: run-02e1, resumable: true }
    => Stop(EndTurn)
    ");
    assert!(decoder.lacks(&StopReason::EndTurn));
}

#[test]
fn errors_inside_a_success_are_failures() {
    insta::assert_snapshot!(decode(transcript!("error_500")), @r#"
    Started { run: run-df39, resumable: true }
    => Stop(Failed(TurnFailure { code: "LLM_ERROR", detail: "An error occurred with the LLM request.: INTERNAL_SERVER_ERROR: OpenAI API error: Error code: 500 - {'error': {'message': 'fake error 500', 'type': 'fake_error', 'code': 'fake_500'}}", kind: Overloaded { retry_after: None } }))
    "#);
    insta::assert_snapshot!(decode(transcript!("error_429")), @r#"
    Started { run: run-3a9a, resumable: true }
    => Stop(Failed(TurnFailure { code: "LLM_RATE_LIMIT", detail: "Rate limit exceeded for LLM model provider. Please wait before making another request.: RATE_LIMIT_EXCEEDED: Rate limited by OpenAI: Error code: 429 - {'error': {'message': 'fake error 429', 'type': 'fake_error', 'code': 'fake_429'}}", kind: RateLimited { retry_after: None } }))
    "#);
    insta::assert_snapshot!(decode(transcript!("error_401")), @r#"
    Started { run: run-e670, resumable: true }
    => Stop(Failed(TurnFailure { code: "LLM_AUTHENTICATION", detail: "Authentication failed with the LLM model provider.: UNAUTHENTICATED: Authentication failed with OpenAI: Error code: 401 - {'error': {'message': 'fake error 401', 'type': 'fake_error', 'code': 'fake_401'}}", kind: Unauthorized }))
    "#);
}

#[test]
fn a_model_that_dies_is_a_failure_and_not_a_lost_stream() {
    insta::assert_snapshot!(decode(transcript!("die")), @r#"
    Started { run: run-f00c, resumable: true }
    Text { message: message-80e7, delta: "about" }
    Text { message: message-80e7, delta: " to" }
    => Stop(Failed(TurnFailure { code: "INTERNAL_ERROR", detail: "An error occurred during agent execution.: INTERNAL_SERVER_ERROR: Connection error during OpenAI streaming: peer closed connection without sending complete message body (incomplete chunked read)", kind: Broken }))
    "#);
}

#[test]
fn a_cancelled_turn_ends_with_or_without_done() {
    insta::assert_snapshot!(decode(transcript!("cancelled_foreground")), @r#"
    Started { run: run-cd94, resumable: true }
    Text { message: message-d8dd, delta: "w0" }
    Text { message: message-d8dd, delta: " w1" }
    Text { message: message-d8dd, delta: " w2" }
    Text { message: message-d8dd, delta: " w3" }
    Text { message: message-d8dd, delta: " w4" }
    Text { message: message-d8dd, delta: " w5" }
    => Stop(Cancelled)
    "#);
    insta::assert_snapshot!(decode(transcript!("cancelled_background")), @r#"
    Started { run: run-a916, resumable: true }
    Text { message: message-188e, delta: "w0" }
    Text { message: message-188e, delta: " w1" }
    Text { message: message-188e, delta: " w2" }
    Text { message: message-188e, delta: " w3" }
    Text { message: message-188e, delta: " w4" }
    Text { message: message-188e, delta: " w5" }
    => Stop(Cancelled)
    "#);
}

#[test]
fn a_limit_of_steps_is_its_own_end() {
    insta::assert_snapshot!(decode(transcript!("max_steps")), @r#"
    Started { run: run-ee93, resumable: true }
    ToolCall(ToolCall { id: call_82561605203d48aaa3d5, name: "archival_memory_search", arguments: "{\"query\": \"x\"}" })
    ToolReturn { call: call_82561605203d48aaa3d5, ok: false, text: "[ToolConstraintError] Cannot call archival_memory_search, valid tools include: ['conversation_search', 'memory_insert', 'memory_replace']." }
    => Stop(MaxSteps)
    "#);
}

#[test]
fn an_approval_is_asked_for_once_with_all_its_calls() {
    insta::assert_snapshot!(decode(transcript!("approval")), @r#"
    Started { run: run-cdfc, resumable: true }
    Approval(ApprovalRequest { id: message-fe95, calls: [ToolCall { id: call_2baa8b2ca0a542488228, name: "memory_insert", arguments: "{\"label\": \"human\", \"new_string\": \"approved fact\"}" }] })
    => Stop(NeedsApproval)
    "#);
    insta::assert_snapshot!(decode(transcript!("approval_parallel")), @r#"
    Started { run: run-98d6, resumable: true }
    Approval(ApprovalRequest { id: message-9561, calls: [ToolCall { id: call_06bca0a9dda4422092df, name: "memory_insert", arguments: "{\"label\": \"human\", \"new_string\": \"p1\"}" }, ToolCall { id: call_29a1001fbe4d438486df, name: "conversation_search", arguments: "{\"query\": \"p2\"}" }] })
    => Stop(NeedsApproval)
    "#);
}

#[test]
fn a_conflict_inside_a_success_is_the_error_that_it_is_elsewhere() {
    insta::assert_snapshot!(decode(transcript!("approval_pending")), @"
    Started { run: run-fa3b, resumable: true }
    => Error(ApprovalPending)
    ");
}

#[test]
fn a_background_stream_counts_and_repeats_nothing() {
    let stream = transcript!("background");
    insta::assert_snapshot!(decode(stream), @r#"
    Started { run: run-10d6, resumable: true }
    Text { message: message-53a7, delta: "background" }
    Text { message: message-53a7, delta: " run" }
    Text { message: message-53a7, delta: " please" }
    => Stop(EndTurn)
    "#);
    let (decoder, first) = feed(
        Decoder::new(TurnLimits::default()),
        &stream[..stream.len() / 2],
    );
    assert_eq!(decoder.last_seq_id(), 2);
    let (mut decoder, rest) = feed(decoder, stream);
    let events = [first, rest].concat();
    assert_eq!(finish(&mut decoder, events), decode(stream));
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
        let lost = matches!(decoder.finish(&mut Vec::new()), Outcome::Lost);
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
        match decoder.finish(&mut events) {
            Outcome::Stop(StopReason::Failed(failure)) => failure.code,
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
    insta::assert_debug_snapshot!(events, @r#"
    [
        Discard {
            message: message-2,
        },
        Discard {
            message: message-9,
        },
        Text {
            message: message-1,
            delta: " two",
        },
        Reasoning {
            message: message-2,
            delta: "hm",
        },
        Text {
            message: message-2,
            delta: "three",
        },
        ToolCall(
            ToolCall {
                id: call_1,
                name: "t",
                arguments: "{}",
            },
        ),
        ToolReturn {
            call: call_1,
            ok: true,
            text: "r",
        },
    ]
    "#);
}

#[test]
fn what_was_streamed_whole_is_not_told_again() {
    for stream in [
        transcript!("tool_send_message"),
        transcript!("approval_parallel"),
    ] {
        let (mut decoder, mut events) = feed(Decoder::new(TurnLimits::default()), stream);
        decoder.finish(&mut events);
        let frames = stream
            .lines()
            .filter_map(|line| line.strip_prefix("data: {"));
        let whole = frames.map(|frame| serde_json::from_str(&format!("{{{frame}")).unwrap());
        events.clear();
        decoder.replay(whole.collect(), true, &mut events);
        decoder.finish(&mut events);
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
        let fields: Vec<_> = fields
            .iter()
            .map(|(key, value)| format!(",\"{key}\":{value}"))
            .collect();
        let fields = fields.concat();
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
        decoder.finish(&mut events);
        decoder.replay(Vec::new(), true, &mut events);
        let started = events.iter().filter(|e| matches!(e, TurnEvent::Started { .. })).count();
        prop_assert!(started <= 1);
    }
}
