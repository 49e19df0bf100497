//! Every scenario of a real App Server that was written down, and what is told of it: a golden
//! file each. The same frames through two sockets tell the same, whichever is ahead.

use std::fmt::Write as _;

use futures_util::{FutureExt, StreamExt};
use proptest::prelude::*;

use super::{Effect, Runtime};
use crate::{
    app_server::{
        missing::RequestSubject,
        transcript::{Cause, player::TranscriptPlayer},
        wire::{self, ConversationEvent, Inbound},
    },
    backend::{StopReason, TurnEvent},
    rest::decoder::TurnLimits,
};

/// Frames `< …` are the server's, `> …` are those of the client at whose socket they were written.
macro_rules! scenarios {
    ($($name:ident),* $(,)?) => {
        const SCENARIOS: &[(&str, &str)] = &[$((
            stringify!($name),
            include_str!(concat!("../../../tests/transcripts/app_server/", stringify!($name), ".txt")),
        )),*];
    };
}

scenarios!(
    simple,
    think,
    empty,
    tool_allowed,
    tool_denied,
    tool_unasked,
    parallel_tools,
    approval_aborted,
    observer_decides,
    foreign_observed,
    aborted,
    queued,
    parked,
    same_key_again,
    errors,
    rate_limited,
    retries,
    default_lock,
    stuck,
);

/// What every stream has told so far, under what it is about.
fn told(player: TranscriptPlayer) -> String {
    let mut told = String::new();
    for begun in player.begun {
        let mut stream = begun.stream;
        let name = match begun.cause {
            Cause::Asked(_) => "asked".to_owned(),
            Cause::AskedAgain => "asked again".to_owned(),
            Cause::Decided(..) => "decided".to_owned(),
            Cause::ExternalTurnStarted { key, prompt } => format!("heard {key} {prompt:?}"),
        };
        let _ = writeln!(told, "{name}");
        let mut last = None;
        while let Some(Some(item)) = stream.next().now_or_never() {
            match item {
                Ok(
                    TurnEvent::Text { message, delta } | TurnEvent::Reasoning { message, delta },
                ) if last.as_ref() == Some(&message) => {
                    told.push_str(&delta);
                }
                Ok(TurnEvent::Text { message, delta }) => {
                    let _ = write!(told, "\n  text {message}: {delta}");
                    last = Some(message);
                }
                Ok(TurnEvent::Reasoning { message, delta }) => {
                    let _ = write!(told, "\n  reasoning {message}: {delta}");
                    last = Some(message);
                }
                item => {
                    let _ = write!(told, "\n  {item:?}");
                    last = None;
                }
            }
        }
        told.push('\n');
    }
    for undone in player.undone {
        let _ = writeln!(told, "{undone}");
    }
    // A blank line after each title is only in the way.
    told.replace("\n\n", "\n")
}

fn lines(transcript: &str) -> Vec<(&str, &str)> {
    let lines = transcript.lines();
    lines.map(|line| line.split_once(' ').unwrap()).collect()
}

fn play(transcript: &str) -> String {
    let mut player = TranscriptPlayer::new(false);
    for (whose, frame) in lines(transcript) {
        match whose {
            "<" => player.received(frame, true),
            ">" => player.sent(frame).unwrap(),
            _ => panic!("{whose} {frame}"),
        }
    }
    told(player)
}

/// The same, with a second socket that is up to `behind` frames late, or ahead.
fn play_twice(transcript: &str, lags: &[isize]) -> String {
    let lines = lines(transcript);
    let mut player = TranscriptPlayer::new(false);
    let mut guard = 0;
    for (at, (whose, frame)) in lines.iter().enumerate() {
        if *whose == ">" {
            player.sent(frame).unwrap();
            continue;
        }
        // Nobody hears what is an answer to something that was not said yet.
        let said = lines[at..].iter().position(|(whose, _)| *whose == ">");
        let end = said.map_or(lines.len(), |said| at + said);
        let lag = lags[at % lags.len()];
        let until = at.saturating_add_signed(lag).clamp(guard, end);
        let ahead: Vec<_> = lines[guard..until].to_vec();
        for (_, frame) in ahead.iter().filter(|(whose, _)| *whose == "<") {
            player.received(frame, false);
        }
        guard = until;
        player.received(frame, true);
    }
    told(player)
}

#[test]
fn what_is_told_of_every_scenario() {
    for (name, transcript) in SCENARIOS {
        insta::assert_snapshot!(*name, play(transcript));
    }
}

/// A server that never says that a turn is over, as old ones do.
#[test]
fn a_turn_of_others_ends_without_a_word_about_its_end() {
    let transcript = include_str!("../../../tests/transcripts/app_server/foreign_observed.txt");
    let mut runtime = Runtime::new(TurnLimits::default(), RequestSubject::default());
    let mut effects = Vec::new();
    for (_, frame) in lines(transcript) {
        if let Some(Inbound::ConversationEvent(_, event)) = wire::read(frame.into())
            && !matches!(event, ConversationEvent::Finished(_))
        {
            runtime.event(event, true, &mut effects);
        }
    }
    let (mut streams, mut alarms) = (Vec::new(), Vec::new());
    for effect in effects {
        match effect {
            Effect::ExternalTurnStarted(heard) => streams.push(heard.turn),
            Effect::Wake(_, alarm) => alarms.push(alarm),
            _ => {}
        }
    }
    runtime.alarm(alarms.pop().unwrap(), &mut Vec::new());
    let told = streams.pop().unwrap().collect::<Vec<_>>().now_or_never();
    let last = told.expect("a stream with an end").pop().unwrap().unwrap();
    assert_eq!(last, TurnEvent::Finished(StopReason::EndTurn));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_second_socket_changes_nothing(lags in prop::collection::vec(-12_isize..12, 1..8)) {
        for (name, transcript) in SCENARIOS {
            prop_assert_eq!(play_twice(transcript, &lags), play(transcript), "{}", name);
        }
    }
}
