//! Every scenario of a real App Server that was written down, and what is told of it: a golden
//! file each. The same frames through two sockets tell the same, whichever is ahead.

use std::{collections::HashMap, fmt::Write as _};

use futures_util::{FutureExt, StreamExt};
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::{
    app_server::wire::{self, Inbound, Scope},
    backend::{Conduct, Decision, TurnEvent},
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
    retries,
    default_lock,
    stuck,
);

/// What one scenario brings about.
#[derive(Default)]
struct Stage {
    runtimes: HashMap<Scope, Runtime>,
    /// What an answer is about: an input, or the decision on a request.
    asked: HashMap<String, Option<ApprovalRequest>>,
    streams: Vec<(String, TurnStream)>,
    other_effects: Vec<String>,
}

impl Stage {
    fn runtime(&mut self, scope: &Scope) -> &mut Runtime {
        let new = || Runtime::new(TurnLimits::default());
        self.runtimes.entry(scope.clone()).or_insert_with(new)
    }

    fn effects(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Heard(heard) => {
                    let name = format!("heard {} {:?}", heard.key, heard.prompt);
                    self.streams.push((name, heard.turn));
                }
                Effect::Ask | Effect::Decide | Effect::Wake(..) => {}
                effect => self.other_effects.push(format!("{effect:?}")),
            }
        }
    }

    fn ours(&mut self, frame: &Value) {
        let scope: Scope = serde_json::from_value(frame["runtime"].clone()).unwrap();
        let id = frame["request_id"].as_str().unwrap_or_default().to_owned();
        let payload = &frame["payload"];
        let mut effects = Vec::new();
        let runtime = self.runtime(&scope);
        if frame["type"] == "abort_message" {
            return runtime.cancel();
        }
        if payload["kind"] == "create_message" {
            let message = &payload["messages"][0];
            let prompts = [Prompt {
                key: message["client_message_id"].as_str().unwrap().to_owned(),
                text: message["content"].as_str().unwrap().to_owned(),
                speaker: None,
            }];
            let payload = Payload::prompts(&prompts, Conduct::default());
            match runtime.ask(&prompts, payload, &mut effects) {
                Ok(Some(stream)) => self.streams.push(("asked again".into(), stream)),
                Ok(None) => drop(self.asked.insert(id, None)),
                Err(error) => self.other_effects.push(format!("refused: {error}")),
            }
        } else {
            let request = payload["request_id"].as_str().unwrap();
            let Some(request) = runtime
                .control()
                .filter(|known| known.id.as_str() == request)
            else {
                return;
            };
            let request = request.clone();
            let decision = Decision {
                call: request.calls[0].id.clone(),
                approve: true,
                reason: None,
            };
            let payload = Payload::decision(request.id.to_string(), &decision);
            runtime.decide(&request, payload, &mut effects).unwrap();
            self.asked.insert(id, Some(request));
        }
        self.effects(effects);
    }

    fn theirs(&mut self, frame: &str, lead: bool) {
        let mut effects = Vec::new();
        match wire::read(frame.into()) {
            Some(Inbound::Event(scope, event)) => {
                self.runtime(&scope).event(event, lead, &mut effects);
            }
            Some(Inbound::Response { id, body }) if lead => {
                let Some(asked) = self.asked.remove(&id) else {
                    return;
                };
                let frame: Value = serde_json::from_str(&body).unwrap();
                let scope: Scope = serde_json::from_value(frame["runtime"].clone()).unwrap();
                let runtime = self.runtime(&scope);
                let queued = frame["disposition"] == "queued";
                let (name, stream) = match &asked {
                    None => ("asked", runtime.accepted(queued, &mut effects)),
                    Some(request) => ("decided", runtime.decided(request)),
                };
                self.streams
                    .extend(stream.map(|stream| (name.to_owned(), stream)));
            }
            _ => {}
        }
        self.effects(effects);
    }

    /// What every stream has told so far.
    fn told(self) -> String {
        let mut told = String::new();
        for (name, mut stream) in self.streams {
            let _ = writeln!(told, "{name}");
            let mut last = None;
            while let Some(Some(item)) = stream.next().now_or_never() {
                match item {
                    Ok(
                        TurnEvent::Text { message, delta }
                        | TurnEvent::Reasoning { message, delta },
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
        for effect in self.other_effects {
            let _ = writeln!(told, "{effect}");
        }
        // A blank line after each title is only in the way.
        told.replace("\n\n", "\n")
    }
}

fn play(transcript: &str) -> String {
    let mut stage = Stage::default();
    for line in transcript.lines() {
        match line.split_once(' ') {
            Some(("<", frame)) => stage.theirs(frame, true),
            Some((">", frame)) => stage.ours(&serde_json::from_str(frame).unwrap()),
            _ => panic!("{line}"),
        }
    }
    stage.told()
}

/// The same, with a second socket that is up to `behind` frames late, or ahead.
fn play_twice(transcript: &str, lags: &[isize]) -> String {
    let lines: Vec<_> = transcript
        .lines()
        .filter_map(|line| line.split_once(' '))
        .collect();
    let mut stage = Stage::default();
    let mut guard = 0;
    for (at, (whose, frame)) in lines.iter().enumerate() {
        if *whose == ">" {
            stage.ours(&serde_json::from_str(frame).unwrap());
            continue;
        }
        // Nobody hears what is an answer to something that was not said yet.
        let said = lines[at..].iter().position(|(whose, _)| *whose == ">");
        let end = said.map_or(lines.len(), |said| at + said);
        let lag = lags[at % lags.len()];
        let until = at.saturating_add_signed(lag).clamp(guard, end);
        let ahead: Vec<_> = lines[guard..until].to_vec();
        for (_, frame) in ahead.iter().filter(|(whose, _)| *whose == "<") {
            stage.theirs(frame, false);
        }
        guard = until;
        stage.theirs(frame, true);
    }
    stage.told()
}

#[test]
fn what_is_told_of_every_scenario() {
    for (name, transcript) in SCENARIOS {
        insta::assert_snapshot!(*name, play(transcript));
    }
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
