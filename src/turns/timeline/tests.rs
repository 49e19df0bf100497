//! Golden timelines: one for each shape of a real stream, at the paces at which people meet them.

use insta::assert_snapshot;
use letta_client::{MessageId, StopReason, rest::transcript};
use proptest::prelude::*;

use super::*;

/// A short answer is there before anybody could read half of it.
const QUICK: Pace = Pace {
    first: 400,
    between: 20,
    homeserver: 30,
};
/// A word now and then.
const SLOW: Pace = Pace {
    first: 1_500,
    between: 800,
    homeserver: 50,
};
/// A homeserver that needs longer for an edit than edits are apart.
const BUSY_HOMESERVER: Pace = Pace {
    first: 500,
    between: 250,
    homeserver: 2_000,
};

macro_rules! transcript {
    ($name:literal) => {
        include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/crates/letta-client/tests/transcripts/",
            $name,
            ".txt"
        ))
    };
}

mod approvals;

fn items(stream: &str) -> Vec<Item> {
    let items = transcript::decode(stream.as_bytes());
    items.into_iter().map(Item::Says).collect()
}

fn show(stream: &str, pace: Pace) -> String {
    timeline(items(stream), pace)
}

/// An answer that comes as one text every step of the pace, and ends well.
fn tokens<'a>(tokens: impl IntoIterator<Item = &'a str>) -> Vec<Item> {
    let message: MessageId = "message-1".parse().unwrap();
    let text = |delta: &str| TurnEvent::Text {
        message: message.clone(),
        delta: delta.to_owned(),
    };
    let texts: Vec<_> = tokens.into_iter().map(text).collect();
    let end = TurnEvent::Finished(StopReason::EndTurn);
    texts
        .into_iter()
        .chain([end])
        .map(|event| Item::Says(Ok(event)))
        .collect()
}

#[test]
fn a_short_answer_comes_whole() {
    assert_snapshot!(show(transcript!("steps"), QUICK), @"0.47s @agent to $asked: one two three");
    assert_snapshot!(show(transcript!("tokens"), QUICK), @"0.55s @agent to $asked: one two three four five");
}

#[test]
fn a_slow_answer_grows() {
    assert_snapshot!(show(transcript!("tokens"), SLOW), @r"
    2.50s @agent to $asked, 3 edits: one two three four five
      2.50s one
      3.50s one two
      4.60s one two three
      5.81s one two three four five
    ");
}

#[test]
fn a_slow_homeserver_is_not_hurried() {
    assert_snapshot!(show(transcript!("tokens"), BUSY_HOMESERVER), @r"
    2.90s @agent to $asked, 1 edit: one two three four five
      2.90s one
      4.90s one two three four five
    ");
}

#[test]
fn a_background_run_looks_like_any_other() {
    assert_snapshot!(show(transcript!("background"), SLOW), @r"
    2.50s @agent to $asked, 2 edits: background run please
      2.50s background
      3.50s background run
      4.60s background run please
    ");
}

#[test]
fn thoughts_are_not_shown() {
    assert_snapshot!(show(transcript!("think"), SLOW), @r"
    6.50s @agent to $asked, 2 edits: final answer here
      6.50s final
      7.50s final answer
      8.60s final answer here
    ");
}

#[test]
fn a_quick_tool_stands_in_the_answer() {
    assert_snapshot!(show(transcript!("tool_steps"), SLOW), @r#"
    4.10s @agent to $asked, 1 edit: tool conversation_search returned: {… (229 characters) …{"query": "hello"}
      4.10s tool conversation_search returned: {… (188 characters) …onversation_search
      4.75s tool conversation_search returned: {… (229 characters) …{"query": "hello"}
    "#);
}

#[test]
fn what_is_said_before_and_after_a_tool_is_one_answer() {
    assert_snapshot!(show(transcript!("tool_tokens"), SLOW), @r#"
    2.50s @agent to $asked, 7 edits: let me look⏎⏎tool memory_insert retu… (137 characters) …ing": "likes tea"}
      2.50s let
      3.50s let me
      4.60s let me look
      5.81s let me look⏎⏎🔧 memory_insert…
      7.14s let me look⏎⏎tool⏎⏎🔧 Used memory_insert
      8.61s let me look⏎⏎tool memory_insert returned:⏎⏎🔧 Used memory_insert
      10.22s let me look⏎⏎tool memory_insert retu… (75 characters) …Used memory_insert
      10.35s let me look⏎⏎tool memory_insert retu… (137 characters) …ing": "likes tea"}
    "#);
    assert_snapshot!(show(transcript!("tool_tokens"), QUICK), @r#"
    0.65s @agent to $asked: let me look⏎⏎tool memory_insert retu… (137 characters) …ing": "likes tea"}
    "#);
}

#[test]
fn several_tools_share_one_line() {
    let frames = [
        r#"{"id":"message-1","run_id":"run-1","message_type":"assistant_message","content":"Let me look."}"#,
        r#"{"id":"message-1","message_type":"tool_call_message","tool_calls":[{"name":"a","arguments":"{}","tool_call_id":"call_1"},{"name":"b","arguments":"","tool_call_id":"call_2"}]}"#,
        r#"{"id":"message-2","message_type":"tool_return_message","tool_returns":[{"tool_return":"x","status":"success","tool_call_id":"call_1"},{"tool_return":"y","status":"error","tool_call_id":"call_2"}]}"#,
        r#"{"id":"message-3","message_type":"assistant_message","content":"Here it is."}"#,
        r#"{"message_type":"stop_reason","stop_reason":"end_turn"}"#,
    ];
    let stream = frames.map(|frame| format!("data: {frame}\n\n")).concat();
    assert_snapshot!(show(&stream, SLOW), @r"
    2.50s @agent to $asked, 4 edits: Let me look.⏎⏎Here it is.⏎⏎🔧 Used a, b⏎✓ a {}⏎✗ b 
      2.50s Let me look.
      3.50s Let me look.⏎⏎🔧 a…
      4.60s Let me look.⏎⏎🔧 b…
      5.81s Let me look.⏎⏎Here it is.⏎⏎🔧 b…
      7.15s Let me look.⏎⏎Here it is.⏎⏎🔧 Used a, b⏎✓ a {}⏎✗ b
    ");
}

#[test]
fn an_error_inside_a_success_is_told_in_plain_words() {
    assert_snapshot!(show(transcript!("error_500"), QUICK), @"0.45s @agent notice to $asked: The agent could not answer. Try again in a moment. {LLM_ERROR}");
    assert_snapshot!(show(transcript!("error_429"), QUICK), @"0.45s @agent notice to $asked: The agent could not answer. The provider of the agent's model asks for fewer requests. Try again later. {LLM_RATE_LIMIT}");
    assert_snapshot!(show(transcript!("error_401"), QUICK), @"0.45s @agent notice to $asked: The agent could not answer. The provider of the agent's model refuses the key that Letta has for it. An admin has to change that. [LLM_AUTHENTICATION]");
}

#[test]
fn an_answer_that_dies_keeps_what_it_said() {
    assert_snapshot!(show(transcript!("die"), SLOW), @r"
    2.50s @agent to $asked, 1 edit: about to
      2.50s about
      3.50s about to
    3.95s @agent notice to $asked: The agent could not answer. Try again in a moment. {INTERNAL_ERROR}
    ");
    assert_snapshot!(show(transcript!("die"), QUICK), @"
    0.49s @agent to $asked: about to
    0.52s @agent notice to $asked: The agent could not answer. Try again in a moment. {INTERNAL_ERROR}
    ");
}

#[test]
fn a_stream_that_ends_without_an_end_keeps_what_it_said() {
    let stream = transcript!("tokens");
    let end = stream
        .find(r#"data: {"message_type":"stop_reason""#)
        .unwrap();
    assert_snapshot!(show(&stream[..end], QUICK), @"
    0.55s @agent to $asked: one two three four five
    0.58s @agent notice to $asked: Letta answered in a way that the bridge does not understand. An admin finds more in the log. [LETTA_PROTOCOL]
    ");
}

#[test]
fn a_silent_minute_is_told_in_one_line() {
    let mut story = tokens(["At", " last."]);
    story.insert(0, Item::CannotSend(200));
    assert_snapshot!(timeline(story, QUICK), @"
    60.03s @agent notice to $asked, 2 edits: Done after 3m 20s
      60.03s ⏳ Still working after 1m; `!letta stop` ends it
      150.03s ⏳ Still working after 2m; `!letta stop` ends it
      200.49s Done after 3m 20s
    200.52s @agent to $asked: At last.
    ");
}

#[test]
fn a_turn_without_a_word_is_told() {
    assert_snapshot!(show(transcript!("empty"), QUICK), @"0.45s @agent notice to $asked: The agent ended its turn without an answer. Ask again or in other words. {EMPTY_ANSWER}");
}

#[test]
fn a_turn_that_a_person_stops_keeps_what_it_said() {
    assert_snapshot!(show(transcript!("cancelled_foreground"), SLOW), @r"
    2.50s @agent to $asked, 4 edits: w0 w1 w2 w3 w4 w5
      2.50s w0
      3.50s w0 w1
      4.60s w0 w1 w2
      5.81s w0 w1 w2 w3 w4
      7.14s w0 w1 w2 w3 w4 w5
    7.19s @agent notice to $asked: Stopped. {STOPPED}
    ");
    assert_snapshot!(show(transcript!("cancelled_background"), QUICK), @"
    0.57s @agent to $asked: w0 w1 w2 w3 w4 w5
    0.60s @agent notice to $asked: Stopped. {STOPPED}
    ");
}

#[test]
fn a_turn_that_reaches_its_limit_of_steps_is_told() {
    assert_snapshot!(show(transcript!("max_steps"), SLOW), @r#"
    3.95s @agent notice to $asked: 🔧 Used archival_memory_search⏎✗ archival_memory_search {"query": "x"}
    4.00s @agent notice to $asked: The agent reached its limit of steps before it was done. Ask it to go on. {MAX_STEPS}
    "#);
}

#[test]
fn a_stream_that_breaks_and_is_told_again_never_shrinks() {
    let mut story = items(transcript!("tokens"));
    story.truncate(4);
    story.push(Item::Breaks);
    story.extend(items(transcript!("tokens")));
    assert_snapshot!(timeline(story, SLOW), @r"
    2.50s @agent to $asked, 4 edits: one two three four five
      2.50s one
      3.50s one two
      4.60s one two three
      5.81s one two three four
      7.14s one two three four five
    ");
}

#[test]
fn a_long_answer_is_edited_ever_more_slowly_and_sixty_times_at_most() {
    let story = tokens((0..2_400).map(|_| " word"));
    assert_snapshot!(timeline(story, BUSY_HOMESERVER), @r"
    2.65s @agent to $asked, 60 edits: word word word word word word word w… (11999 characters) …ord word word word
      2.65s word
      4.65s word word word word word word word word word
      6.65s word word word word word word word w… (84 characters) …ord word word word
      8.65s word word word word word word word w… (124 characters) …ord word word word
      …
      252.76s word word word word word word word w… (5009 characters) …ord word word word
      257.76s word word word word word word word w… (5109 characters) …ord word word word
      602.50s word word word word word word word w… (11999 characters) …ord word word word
    ");
}

#[test]
fn an_answer_that_one_message_cannot_hold_becomes_several() {
    let paragraph = "All work and no play makes Jack a dull boy. ".repeat(200) + "\n\n";
    let story = tokens((0..10).map(|_| paragraph.as_str()));
    assert_snapshot!(timeline(story, SLOW), @r"
    1.70s @agent to $asked: All work and no play makes Jack a du… (8799 characters) …s Jack a dull boy.
    9.55s @agent to $asked: All work and no play makes Jack a du… (8799 characters) …s Jack a dull boy.
    9.60s @agent to $asked: All work and no play makes Jack a du… (8799 characters) …s Jack a dull boy.
    9.65s @agent to $asked: All work and no play makes Jack a du… (8799 characters) …s Jack a dull boy.
    9.70s @agent to $asked: All work and no play makes Jack a du… (8799 characters) …s Jack a dull boy.
    9.75s @agent to $asked: All work and no play makes Jack a du… (8799 characters) …s Jack a dull boy.
    9.80s @agent to $asked: All work and no play makes Jack a du… (8799 characters) …s Jack a dull boy.
    9.85s @agent to $asked: All work and no play makes Jack a du… (8799 characters) …s Jack a dull boy.
    9.90s @agent to $asked: All work and no play makes Jack a du… (8799 characters) …s Jack a dull boy.
    9.95s @agent to $asked: All work and no play makes Jack a du… (8799 characters) …s Jack a dull boy.
    ");
}

/// A word, a blank, or more than a screenful.
fn delta() -> impl Strategy<Value = String> {
    prop_oneof![
        12 => "[a-z]{0,9}|[ \\n]{1,2}",
        1 => Just(" long".repeat(2_500)),
    ]
}

proptest! {
    // Long answers take long to render in a build for tests.
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn at_the_end_the_room_shows_every_word(
        deltas in prop::collection::vec((0_usize..3, delta()), 0..20),
        (first, between, homeserver) in (0_u64..3_000, 0_u64..2_000, 0_u64..4_000),
        breaks_at in prop::option::of(0_usize..40),
    ) {
        let text = |(message, delta): &(usize, String)| {
            let (message, delta) = (format!("message-{message}").parse().unwrap(), delta.clone());
            Item::Says(Ok(TurnEvent::Text { message, delta }))
        };
        let mut story: Vec<_> = deltas.iter().take(breaks_at.unwrap_or(0)).map(text).collect();
        if breaks_at.is_some() {
            story.push(Item::Breaks);
        }
        story.extend(deltas.iter().map(text));
        story.push(Item::Says(Ok(TurnEvent::Finished(StopReason::EndTurn))));
        let room = play(story, Pace { first, between, homeserver });

        let mut said: Vec<(usize, String)> = Vec::new();
        for (message, delta) in &deltas {
            match said.iter_mut().find(|(known, _)| known == message) {
                Some((_, text)) => text.push_str(delta),
                None => said.push((*message, delta.clone())),
            }
        }
        let said: Vec<_> = said.iter().flat_map(|(_, text)| text.split_whitespace()).collect();
        let shown: Vec<_> = room.messages.iter().filter(|message| !message.notice)
            .flat_map(|message| message.shown().split_whitespace())
            .collect();
        prop_assert_eq!(shown, said);
        prop_assert!(!room.messages.is_empty(), "a person always hears back");
        prop_assert!(room.messages.iter().all(|message| message.edits.len() <= 60));
    }
}
