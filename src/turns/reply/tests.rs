//! When a room sees how much of an answer: for made-up turns, and for any turn at all.

mod model_text;
mod status_line;

use letta_client::TurnFailure;
use proptest::prelude::*;

use super::*;

const FORTY: &str = "An answer of exactly forty letters, this";

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn id(name: &str) -> MessageId {
    name.parse().unwrap()
}

fn text(message: &str, delta: &str) -> TurnEvent {
    TurnEvent::Text {
        message: id(message),
        delta: delta.to_owned(),
    }
}

fn first(text: &str) -> MessageUpdate {
    MessageUpdate::First(unfinished(text))
}

fn unfinished(text: &str) -> UnfinishedAnswer {
    UnfinishedAnswer {
        text: text.to_owned(),
        ..UnfinishedAnswer::default()
    }
}

fn edit(number: u32, text: &str) -> MessageUpdate {
    let answer = unfinished(text);
    MessageUpdate::Edit { number, answer }
}

/// How long a show comes after the one before it.
fn waits(shows: &[(Duration, MessageUpdate)]) -> Vec<Duration> {
    let two = shows.windows(2);
    two.map(|two| two[1].0.checked_sub(two[0].0).expect("time goes on"))
        .collect()
}

/// A turn that has said something at once, and shown it.
fn begun() -> Reply {
    let mut reply = Reply::new();
    reply.apply(&text("m", FORTY), ms(0));
    assert_eq!(reply.show(PAUSE_MAX), Some(first(FORTY)));
    reply.not_before = EDIT_INTERVAL_MIN;
    reply
}

/// Says a word more every 50 ms until `until` and notes when what is shown.
fn chatter(reply: &mut Reply, until: Duration) -> Vec<(Duration, MessageUpdate)> {
    let (mut now, mut shows) = (ms(0), Vec::new());
    while now < until {
        now += ms(50);
        reply.apply(&text("m", " word"), now);
        shows.extend(reply.show(now).map(|show| (now, show)));
    }
    shows
}

#[test]
fn nothing_is_due_before_something_is_said() {
    let mut reply = Reply::new();
    assert_eq!(reply.due(), None);
    reply.apply(&text("m", " \n"), ms(0));
    assert_eq!(reply.due(), None);
    assert_eq!(reply.show(ms(9_000)), None);
}

#[test]
fn first_text_is_shown_after_a_pause_of_150_ms() {
    let mut reply = Reply::new();
    reply.apply(&text("m", "\n"), ms(900));
    reply.apply(&text("m", "one"), ms(1_000));
    reply.apply(&text("m", " two"), ms(1_100));
    assert_eq!(reply.due(), Some(ms(1_250)));
    assert_eq!(reply.show(ms(1_249)), None);
    assert_eq!(reply.show(ms(1_250)), Some(first("one two")));
}

#[test]
fn first_text_of_a_stream_without_pauses_is_shown_after_400_ms() {
    let mut reply = Reply::new();
    let shows = chatter(&mut reply, ms(450));
    assert_eq!(shows.len(), 1);
    assert_eq!(shows[0].0, ms(450), "400 ms after the first piece");
}

#[test]
fn fast_answers_are_one_message_without_an_edit() {
    for (pieces, pause) in [(1, 0), (3, 120), (10, 30), (60, 5)] {
        let mut reply = Reply::new();
        let mut now = ms(0);
        for _ in 0..pieces {
            now += ms(pause);
            reply.apply(&text("m", "word "), now);
            assert_eq!(reply.show(now), None, "{pieces} pieces, {pause} ms apart");
        }
        assert!(!reply.shows_in_full(&reply.answer(&StopReason::EndTurn).text));
    }
}

#[test]
fn reasoning_and_tools_are_not_part_of_the_answer() {
    let mut reply = Reply::new();
    let reasoning = TurnEvent::Reasoning {
        message: id("m"),
        delta: FORTY.to_owned(),
    };
    reply.apply(&reasoning, ms(0));
    assert_eq!((reply.due(), reply.text()), (None, String::new()));
}

#[test]
fn edits_begin_a_second_apart_and_end_five_seconds_apart() {
    let shows = chatter(&mut Reply::new(), ms(120_000));
    let waits = waits(&shows);
    assert_eq!(waits[0], ms(1_000));
    assert!(waits.is_sorted(), "{waits:?}");
    assert_eq!(waits.last(), Some(&EDIT_INTERVAL_MAX));
}

#[test]
fn a_message_is_edited_at_most_sixty_times_with_the_last_edit() {
    let mut reply = Reply::new();
    let shows = chatter(&mut reply, ms(600_000));
    assert_eq!(shows.len(), 1 + 59);
    assert!(matches!(
        shows.last(),
        Some((_, MessageUpdate::Edit { number: 58, .. }))
    ));
    assert_eq!(reply.due(), None);
    assert!(
        !reply.shows_in_full(&reply.text()),
        "the last edit is still to come"
    );
}

#[test]
fn what_is_shown_already_is_not_shown_again() {
    let mut reply = begun();
    assert_eq!(reply.due(), None);
    reply.apply(&text("m", "  \n"), ms(2_000));
    assert_eq!(reply.show(ms(2_000)), None);
    assert_eq!(reply.due(), None);
    assert!(reply.shows_in_full(FORTY));
}

#[test]
fn an_answer_that_is_shown_whole_needs_no_last_edit() {
    let mut reply = begun();
    reply.apply(&text("m", "."), ms(500));
    assert!(!reply.shows_in_full(&reply.text()));
    assert_eq!(reply.show(ms(1_000)), Some(edit(0, &format!("{FORTY}."))));
    assert!(reply.shows_in_full(&reply.text()));
}

#[test]
fn an_edit_that_did_not_arrive_is_made_up_for() {
    let mut reply = begun();
    reply.apply(&text("m", "."), ms(500));
    reply.show(ms(1_000)).unwrap();
    reply.edit_failed();
    assert!(
        !reply.shows_in_full(&reply.text()),
        "the last edit must be sent"
    );
    reply.hold_until(ms(8_000));
    assert_eq!(reply.due(), Some(ms(8_000)));
    assert_eq!(reply.show(ms(7_999)), None);
    assert_eq!(reply.show(ms(8_000)), Some(edit(1, &format!("{FORTY}."))));
}

#[test]
fn nothing_is_shown_while_the_homeserver_asks_for_patience() {
    let mut reply = Reply::new();
    reply.hold_until(ms(3_000));
    reply.apply(&text("m", FORTY), ms(0));
    assert_eq!(reply.show(ms(2_999)), None);
    assert_eq!(reply.show(ms(3_000)), Some(first(FORTY)));
    // Patience that is asked for twice is the longer one.
    reply.hold_until(ms(9_000));
    reply.hold_until(ms(5_000));
    reply.apply(&text("m", "."), ms(3_000));
    assert_eq!(reply.due(), Some(ms(9_000)));
}

#[test]
fn after_a_restart_of_the_bridge_the_first_message_is_edited_and_not_sent_again() {
    let mut reply = Reply::resumed(ms(100), 20);
    assert_eq!(reply.due(), None);
    reply.apply(&text("m", FORTY), ms(200));
    assert_eq!(reply.due(), Some(ms(1_100)));
    assert_eq!(reply.show(ms(1_100)), Some(edit(20, FORTY)));
}

#[test]
fn a_restart_of_the_bridge_gives_no_more_edits() {
    let mut reply = Reply::resumed(ms(0), 50);
    let shows = chatter(&mut reply, ms(600_000));
    assert_eq!(shows.len(), 9);
    let mut reply = Reply::resumed(ms(0), 70);
    assert_eq!(chatter(&mut reply, ms(600_000)), []);
}

#[test]
fn messages_of_one_turn_are_paragraphs_of_one_answer() {
    let mut reply = Reply::new();
    for (message, delta) in [
        ("a", "One"),
        ("b", " two"),
        ("a", "."),
        ("c", " "),
        ("b", "!\n"),
    ] {
        reply.apply(&text(message, delta), ms(0));
    }
    assert_eq!(reply.text(), "One.\n\ntwo!");
}

#[test]
fn a_void_message_leaves_the_answer() {
    let mut reply = Reply::new();
    reply.apply(&text("a", FORTY), ms(0));
    reply.apply(&text("b", "No."), ms(0));
    reply.show(PAUSE_MAX).unwrap();
    reply.apply(&TurnEvent::Discard { message: id("b") }, ms(160));
    assert_eq!(reply.show(ms(1_150)), Some(edit(0, FORTY)));
}

#[test]
fn a_void_beginning_does_not_hurry_what_comes_after() {
    let mut reply = Reply::new();
    reply.apply(&text("a", "no"), ms(0));
    reply.apply(&TurnEvent::Discard { message: id("a") }, ms(10));
    assert_eq!(reply.due(), None);
    reply.apply(&text("b", "yes"), ms(5_000));
    assert_eq!(reply.due(), Some(ms(5_150)));
}

#[test]
fn a_turn_that_is_told_again_never_shrinks_in_the_room() {
    let mut reply = begun();
    reply.restart();
    let mut shows = Vec::new();
    for (at, delta) in (2_000..).step_by(1_000).zip(FORTY.split_inclusive(' ')) {
        reply.apply(&text("m", delta), ms(at));
        shows.extend(reply.show(ms(at)));
    }
    assert_eq!(shows, []);
    reply.apply(&text("m", " more"), ms(30_000));
    assert_eq!(
        reply.show(ms(30_000)),
        Some(edit(0, &format!("{FORTY} more")))
    );
}

#[test]
fn a_turn_that_is_told_differently_is_shown_as_it_was_told_last() {
    let mut reply = begun();
    reply.restart();
    reply.apply(&text("n", "Another"), ms(3_000));
    assert_eq!(reply.show(ms(3_000)), Some(edit(0, "Another")));
    // Or shorter, which is known only at the end.
    let mut reply = begun();
    reply.restart();
    reply.apply(&text("n", "An answer"), ms(3_000));
    assert_eq!(reply.answer(&StopReason::EndTurn).text, "An answer");
}

#[test]
fn a_turn_that_cannot_be_told_again_keeps_what_it_said() {
    let mut reply = begun();
    reply.apply(&text("m", " and more"), ms(100));
    reply.restart();
    let all = format!("{FORTY} and more");
    assert_eq!(reply.text(), all);
    let failure = TurnFailure {
        code: "LLM_ERROR".to_owned(),
        detail: "secret".to_owned(),
        kind: letta_client::FailureKind::Broken,
    };
    assert_eq!(reply.answer(&StopReason::Failed(failure)).text, all);
    assert_eq!(reply.answer(&StopReason::Cancelled).text, all);
}

#[test]
fn an_answer_longer_than_a_message_is_not_edited_for_what_nobody_would_see() {
    let mut reply = Reply::new();
    let paragraph = "word ".repeat(2_000) + "\n\n";
    for number in 0..12 {
        reply.apply(&text("m", &paragraph), ms(number * 10_000));
        reply.show(ms(number * 10_000 + 500));
    }
    let edits = reply.edits;
    assert!(edits < 5, "{edits} edits");
    assert!(
        reply.shows_in_full(&reply.text()),
        "the first part is complete"
    );
}

#[test]
fn how_a_turn_ends_is_remarked_unless_it_simply_ends() {
    let ending_notice = |reply: &Reply, stop: &StopReason| reply.answer(stop).ending_notice;
    assert_eq!(ending_notice(&begun(), &StopReason::EndTurn), None);
    assert_eq!(
        ending_notice(&Reply::new(), &StopReason::EndTurn),
        Some(notice_texts::empty_answer())
    );
    // Then an approval message follows.
    assert_eq!(
        ending_notice(&Reply::new(), &StopReason::NeedsApproval),
        None
    );
    for stop in [StopReason::Cancelled, StopReason::MaxSteps] {
        assert!(ending_notice(&begun(), &stop).is_some(), "{stop:?}");
    }
}

/// What can happen to a turn.
#[derive(Clone, Debug)]
enum Happens {
    Says(&'static str, String),
    Voids(&'static str),
    Waits(u64),
    Looks,
    Fails(u64),
}

fn happens() -> impl Strategy<Value = Happens> {
    let message = prop::sample::select(vec!["a", "b", "c"]);
    prop_oneof![
        6 => (message.clone(), "\\PC{0,30}|[ \\n]{1,3}").prop_map(|(m, text)| Happens::Says(m, text)),
        1 => message.prop_map(Happens::Voids),
        4 => (0_u64..3_000).prop_map(Happens::Waits),
        6 => Just(Happens::Looks),
        1 => (0_u64..20_000).prop_map(Happens::Fails),
    ]
}

/// What was shown when.
type Shows = Vec<(Duration, MessageUpdate)>;

/// Runs a turn. Answers what was shown when, and the text of each message.
fn run(reply: &mut Reply, happenings: &[Happens]) -> (Shows, Vec<(&'static str, String)>) {
    let (mut now, mut shows, mut said) = (ms(0), Vec::new(), Vec::<(&str, String)>::new());
    for happening in happenings {
        match happening {
            Happens::Says(message, delta) => {
                reply.apply(&text(message, delta), now);
                match said.iter_mut().find(|(known, _)| known == message) {
                    Some((_, text)) => text.push_str(delta),
                    None => said.push((message, delta.clone())),
                }
            }
            Happens::Voids(message) => {
                reply.apply(
                    &TurnEvent::Discard {
                        message: id(message),
                    },
                    now,
                );
                said.retain(|(known, _)| known != message);
            }
            Happens::Waits(millis) => now += ms(*millis),
            Happens::Looks => {
                if let Some(due) = reply.due() {
                    now = now.max(due);
                }
                shows.extend(reply.show(now).map(|show| (now, show)));
            }
            Happens::Fails(millis) if !shows.is_empty() => {
                reply.edit_failed();
                reply.hold_until(now + ms(*millis));
            }
            Happens::Fails(_) => {}
        }
    }
    (shows, said)
}

proptest! {
    #[test]
    fn whatever_happens_the_answer_is_all_that_was_said(
        happenings in prop::collection::vec(happens(), 0..80),
    ) {
        let mut reply = Reply::new();
        let (shows, said) = run(&mut reply, &happenings);
        let paragraphs: Vec<_> = said
            .iter()
            .map(|(_, text)| text.trim())
            .filter(|text| !text.is_empty())
            .collect();
        let answer = reply.answer(&StopReason::EndTurn);
        prop_assert_eq!(&answer.text, &paragraphs.join("\n\n"));
        prop_assert_eq!(answer.ending_notice.is_some(), answer.text.is_empty());
        if let (Shown::Part(_), Some((_, MessageUpdate::First(seen) | MessageUpdate::Edit { answer: seen, .. }))) =
            (&reply.shown, shows.last())
        {
            let shown = seen.text == first_part(&answer.text);
            prop_assert_eq!(reply.shows_in_full(&answer.text), shown);
        } else {
            prop_assert!(!reply.shows_in_full(&answer.text));
        }
    }

    #[test]
    fn edits_are_bounded_and_spaced(
        resumed in prop::option::of(0_u32..70),
        happenings in prop::collection::vec(happens(), 0..150),
    ) {
        let mut reply = match resumed {
            Some(edits) => Reply::resumed(ms(0), edits),
            None => Reply::new(),
        };
        let (shows, _) = run(&mut reply, &happenings);
        let mut numbers = Vec::new();
        for (index, (_, show)) in shows.iter().enumerate() {
            match show {
                MessageUpdate::First(_) => prop_assert!(index == 0 && resumed.is_none()),
                MessageUpdate::Edit { number, .. } => numbers.push(*number),
            }
        }
        prop_assert!(numbers.is_sorted_by(|one, next| one < next));
        prop_assert!(numbers.iter().all(|number| *number < EDITS_MAX - 1));
        prop_assert!(numbers.first().is_none_or(|first| *first >= resumed.unwrap_or(0)));
        prop_assert!(waits(&shows).iter().all(|wait| *wait >= EDIT_INTERVAL_MIN));
    }
}
