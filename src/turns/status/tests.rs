//! What the line says, and how rarely it changes.

use letta_client::ToolCall;
use proptest::prelude::*;

use super::*;
use crate::turns::status_message;

fn call(number: usize, tool: &str) -> TurnEvent {
    TurnEvent::ToolCall(ToolCall {
        id: format!("call-{number}").parse().unwrap(),
        name: tool.to_owned(),
        arguments: r#"{"a":1}"#.to_owned(),
    })
}

fn returned(number: usize, ok: bool) -> TurnEvent {
    TurnEvent::ToolReturn {
        call: format!("call-{number}").parse().unwrap(),
        ok,
        text: "done".to_owned(),
    }
}

fn thought(text: &str) -> TurnEvent {
    TurnEvent::Reasoning {
        message: "message-1".parse().unwrap(),
        delta: text.to_owned(),
    }
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A status that has seen these, one a second.
fn seen(detail: Detail, events: &[TurnEvent]) -> Status {
    let mut status = Status::new(detail);
    for (second, event) in (0..).zip(events) {
        status.apply(event, at(second));
    }
    status
}

/// Everything it shows within so many seconds, if nothing more happens.
fn shows(status: &mut Status, within: u64) -> Vec<(u64, String)> {
    let mut shown = Vec::new();
    while let Some(due) = status.due().filter(|due| *due <= at(within)) {
        match status.show(due) {
            Some(StatusUpdate::First(line) | StatusUpdate::Edit { line, .. }) => {
                shown.push((due.as_secs(), line.text));
            }
            Some(StatusUpdate::InAnswer(line)) => {
                shown.push((due.as_secs(), format!("in the answer: {}", line.text)));
            }
            None => assert_ne!(status.due(), Some(due), "it would look for ever"),
        }
    }
    shown
}

#[test]
fn one_line_follows_the_tools_and_says_at_the_end_what_was_done() {
    let mut status = seen(Detail::Brief, &[thought("hm"), call(1, "search")]);
    assert_eq!(shows(&mut status, 10), [(5, "🔧 search…".to_owned())]);
    status.apply(&returned(1, true), at(11));
    status.apply(&call(2, "search"), at(11));
    status.apply(&call(3, "fetch"), at(12));
    assert_eq!(shows(&mut status, 13), [(12, "🔧 fetch…".to_owned())]);
    status.apply(&returned(3, false), at(14));
    let last = status.last(at(15), SegmentEnding::Done).unwrap();
    assert_eq!(last.text, "🔧 Used search (2 times), fetch");
    assert_eq!(
        last.folded,
        [
            "✓ search {\"a\":1}",
            "… search {\"a\":1}",
            "✗ fetch {\"a\":1}"
        ]
    );
}

#[test]
fn how_much_is_told_is_the_rooms_choice() {
    let events = [thought("because"), call(1, "search"), returned(1, true)];
    assert_eq!(
        seen(Detail::None, &events).last(at(3), SegmentEnding::Done),
        None
    );
    assert_eq!(
        seen(Detail::Brief, &events[..1]).last(at(3), SegmentEnding::Done),
        None
    );
    let full = seen(Detail::Full, &events)
        .last(at(3), SegmentEnding::Done)
        .unwrap();
    assert_eq!(full.folded, ["💭 because", "✓ search {\"a\":1}\n→ done"]);
    let thoughts = seen(Detail::Full, &events[..1])
        .last(at(3), SegmentEnding::Done)
        .unwrap();
    assert_eq!(thoughts.text, "💭 Thought about it");
}

#[test]
fn a_silent_minute_is_told_at_every_level_and_ever_more_rarely() {
    let mut status = Status::new(Detail::None);
    let shown = shows(&mut status, 600);
    assert_eq!(
        shown[0],
        (
            60,
            "⏳ Still working after 1m; `!letta stop` ends it".to_owned()
        )
    );
    assert_eq!(
        shown[1],
        (
            150,
            "⏳ Still working after 2m; `!letta stop` ends it".to_owned()
        )
    );
    assert_eq!(shown.len(), 3, "{shown:?}");
    assert_eq!(
        status.last(at(700), SegmentEnding::Done).unwrap().text,
        "Done after 11m 40s"
    );
}

#[test]
fn replayed_stream_counts_each_call_once() {
    let mut status = seen(Detail::Full, &[thought("a"), call(1, "search")]);
    status.restart();
    status.apply(&thought("a"), at(3));
    status.apply(&call(1, "search"), at(3));
    let last = status.last(at(4), SegmentEnding::Done).unwrap();
    assert_eq!(last.text, "🔧 Used search");
    assert_eq!(last.folded, ["💭 a", "… search {\"a\":1}"]);
}

#[test]
fn the_longest_line_fits_an_event() {
    for letter in ["𝒳", "&", "\u{1}", "\\"] {
        let mut status = Status::new(Detail::Full);
        for number in 0..60 {
            let long = letter.repeat(5_000);
            let tool = format!("{number}{long}");
            status.apply(&call(number, &tool), at(1));
            let thought = TurnEvent::Reasoning {
                message: format!("message-{number}").parse().unwrap(),
                delta: long,
            };
            status.apply(&thought, at(1));
        }
        let line = status.last(at(2), SegmentEnding::Done).unwrap();
        assert!(!line.folded.is_empty());
        assert!(status_message::rendered(&line).fits_an_event(), "{letter}");
    }
}

proptest! {
    #[test]
    fn edits_are_bounded_and_spaced(
        events in prop::collection::vec((0_u64..400, 0_usize..30, 0_u8..3), 0..200),
    ) {
        let mut status = Status::new(Detail::Full);
        let (mut now, mut shown) = (0, Vec::new());
        for (wait, number, kind) in events {
            now += wait;
            while let Some(due) = status.due().filter(|due| *due <= at(now)) {
                shown.extend(status.show(due).map(|_| due));
                prop_assert_ne!(status.due(), Some(due), "it would look for ever");
            }
            let event = match kind {
                0 => call(number, "tool"),
                1 => returned(number, true),
                _ => thought("word "),
            };
            status.apply(&event, at(now));
        }
        prop_assert!(shown.len() <= STATUS_EDITS_MAX as usize);
        prop_assert!(shown.windows(2).all(|pair| pair[0] + STATUS_INTERVAL <= pair[1]));
        let folded = status.last(at(now), SegmentEnding::Done).map(|line| line.folded).unwrap_or_default();
        prop_assert!(folded.concat().chars().count() <= FOLDED_CHARS_MAX);
    }
}

#[test]
fn a_line_waits_for_an_answer_to_stand_in() {
    let mut status = seen(Detail::Brief, &[call(1, "search")]);
    assert_eq!(shows(&mut status, 3), []);
    assert_eq!(status.move_into_answer(), "🔧 search…");
    assert!(!status.is_own_message());
    assert_eq!(shows(&mut status, 10), []);
    status.apply(&returned(1, true), at(11));
    status.apply(&call(2, "fetch"), at(12));
    assert_eq!(
        shows(&mut status, 90),
        [
            (12, "in the answer: 🔧 fetch…".to_owned()),
            (
                72,
                "in the answer: ⏳ Still working after 1m 🔧 fetch…; `!letta stop` ends it"
                    .to_owned()
            )
        ]
    );
    let last = status.last(at(91), SegmentEnding::Done).unwrap();
    assert_eq!(last.text, "🔧 Used search, fetch");
    assert_eq!(last.folded.len(), 2);
}

#[test]
fn a_line_that_is_a_message_stays_one() {
    let mut status = seen(Detail::Brief, &[call(1, "search")]);
    assert_eq!(shows(&mut status, 5), [(4, "🔧 search…".to_owned())]);
    assert!(status.is_own_message());
    assert_eq!(status.move_into_answer(), "");
    assert!(status.is_own_message());
    assert!(status.last(at(9), SegmentEnding::Done).is_some());
}

#[test]
fn nothing_stands_in_an_answer_without_tools() {
    for detail in [Detail::None, Detail::Brief, Detail::Full] {
        let mut status = seen(detail, &[]);
        assert_eq!(status.move_into_answer(), "");
        assert_eq!(status.last(at(9), SegmentEnding::Done), None);
    }
}
