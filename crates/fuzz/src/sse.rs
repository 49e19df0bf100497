//! Event streams of Letta and of servers with `OpenAI`'s routes, from bytes to what a turn tells.
//!
//! Invariants: the same bytes mean the same events however the network cuts them; the events of a stream that breaks off are the
//! first of the whole; a turn has one end, which comes last; its text is within the limit, without NUL, and without stand-ins for
//! half characters that the stream did not bring itself.

use letta_client::{
    TurnEvent, openai,
    rest::{self, TurnLimits},
    sse::{SseError, SseEvent, SseParser},
};

use crate::Target;

/// See the module.
pub const TARGET: Target = Target {
    name: "sse",
    check,
    wrap,
    words: &[
        "data: ",
        "event: error\n",
        "data: [DONE]\n\n",
        "\n\n",
        "\r\n",
        "\r",
        ": ping\n",
        "id: 1\n",
        "retry: 1\n",
        "\u{feff}",
        r#"{"message_type":"assistant_message","id":"message-1","content":"a"}"#,
        r#"{"message_type":"reasoning_message","id":"message-2","reasoning":"a"}"#,
        r#"{"message_type":"tool_call_message","id":"message-3","tool_call":{"name":"t","arguments":"{}","tool_call_id":"c"}}"#,
        r#"{"message_type":"approval_request_message","id":"message-4","tool_call":{"name":"t","arguments":"{}","tool_call_id":"c"}}"#,
        r#"{"message_type":"stop_reason","stop_reason":"end_turn"}"#,
        r#"{"message_type":"error_message","message":"a"}"#,
        r#"{"choices":[{"delta":{"content":"a"},"finish_reason":"stop"}]}"#,
        "\\ud83e",
        "\\udd80",
        "\\u0000",
        "1e999",
        "NaN",
    ],
};

/// What stands for half a character inside `letta-client`, where it is read and not yet joined.
const STAND_INS: std::ops::RangeInclusive<char> = '\u{10d800}'..='\u{10dfff}';

/// Panics if an invariant of the module does not hold.
pub fn check(data: &[u8]) {
    let whole = parse(std::iter::once(data));
    assert!(whole.0.len() <= data.len(), "events out of nothing");
    assert_eq!(parse(data.chunks(1)), whole, "cut into bytes");
    assert_eq!(parse(cut(data).into_iter()), whole, "cut anywhere");
    let half = &data[..data.len() / 2];
    let (events, _) = parse(std::iter::once(half));
    assert!(whole.0.starts_with(&events), "the first events are others");

    // Only what the stream brings as it is may look like a stand-in.
    let has_own = String::from_utf8_lossy(data).contains(|c: char| STAND_INS.contains(&c))
        || data.windows(6).any(|part| {
            part.eq_ignore_ascii_case(b"\\udbf6") || part.eq_ignore_ascii_case(b"\\udbf7")
        });
    let letta = rest::transcript::decode(data);
    let ends = |item: &Result<TurnEvent, _>| !matches!(item, Ok(event) if !is_end(event));
    one_end(&letta.iter().map(ends).collect::<Vec<_>>());
    texts(letta.iter().flatten(), has_own);
    let openai = openai::transcript::decode(data);
    one_end(&openai.iter().map(is_end).collect::<Vec<_>>());
    texts(openai.iter(), has_own);
}

fn parse<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<SseEvent>, Option<SseError>) {
    let (mut parser, mut events) = (SseParser::new(), Vec::new());
    let mut failed = None;
    for piece in pieces {
        if let Err(error) = parser.push(piece, &mut events) {
            failed = Some(error);
        }
    }
    (events, failed)
}

/// Pieces of 0 to 12 bytes, as the bytes themselves say.
fn cut(mut data: &[u8]) -> Vec<&[u8]> {
    let mut pieces = Vec::new();
    while let Some(&first) = data.first() {
        let (piece, rest) = data.split_at(data.len().min(usize::from(first % 13)));
        pieces.push(piece);
        let (one, rest) = rest.split_at(rest.len().min(1));
        pieces.push(one);
        data = rest;
    }
    pieces
}

fn is_end(event: &TurnEvent) -> bool {
    matches!(event, TurnEvent::Finished(_))
}

/// Of the items of a stream, the last is its only end.
fn one_end(ends: &[bool]) {
    assert_eq!(ends.last(), Some(&true), "no end");
    assert_eq!(ends.iter().filter(|end| **end).count(), 1, "two ends");
}

/// What a turn says.
fn texts<'a>(events: impl Iterator<Item = &'a TurnEvent>, has_own: bool) {
    let mut bytes = 0;
    for event in events {
        let (TurnEvent::Text { delta, .. } | TurnEvent::Reasoning { delta, .. }) = event else {
            continue;
        };
        bytes += delta.len();
        assert!(!delta.is_empty(), "a text of nothing");
        assert!(!delta.contains('\0'), "NUL in {delta:?}");
        let stand_in = delta.contains(|c: char| STAND_INS.contains(&c));
        assert!(has_own || !stand_in, "a stand-in in {delta:?}");
    }
    assert!(bytes <= TurnLimits::default().text_bytes, "{bytes} bytes");
}

fn wrap(text: &str) -> Vec<u8> {
    let letta = serde_json::json!({ "message_type": "assistant_message", "id": "message-1", "content": text });
    let call = serde_json::json!({
        "message_type": "tool_call_message", "id": "message-2",
        "tool_call": { "name": text, "arguments": text, "tool_call_id": text },
    });
    let openai = serde_json::json!({ "choices": [{ "delta": { "content": text } }] });
    let end = r#"{"message_type":"stop_reason","stop_reason":"end_turn"}"#;
    let events = [
        letta.to_string(),
        call.to_string(),
        openai.to_string(),
        text.to_owned(),
        end.to_owned(),
    ];
    let mut stream = String::new();
    for event in &events {
        stream.extend(["data: ", &event.clone(), "\n\n"]);
    }
    stream.into_bytes()
}
