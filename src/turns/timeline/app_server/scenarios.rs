//! Every scenario that was captured at a real App Server (0.34.12), by the name of its capture, and
//! what a person sees of it: a golden file each, or the reason why there is nothing to see.

use std::{collections::BTreeSet, fmt::Write as _, fs, path::Path};

use letta_client::{TurnEvent, app_server::transcript, openai};

use super::{CAPTURED, Item, rooms};
use crate::turns::timeline::timeline;

/// What a person sees.
enum Seen {
    /// What is in the golden file of this transcript.
    Golden(&'static str),
    /// The same over the OpenAI-compatible routes.
    OpenAi(&'static str),
    /// No turn and no agent, though the frames of this transcript come.
    Nothing(&'static str, &'static str),
    /// The bridge never asks for that.
    NeverAsked(&'static str),
    /// This file has this test for it: it is nothing that a person sees in a room.
    Tested(&'static str, &'static str),
}
use Seen::{Golden, NeverAsked, Nothing, OpenAi, Tested};

/// Captures that two sockets have brought about are one scenario, and have one transcript.
const SCENARIOS: &[(&str, Seen)] = &[
    ("app-server/01-info-and-lists", Golden("info_and_lists")),
    ("app-server/02-create-agents", Golden("agents_made")),
    (
        "app-server/03-conversation-create",
        Nothing(
            "conversation_made",
            "a conversation is seen when somebody speaks in it",
        ),
    ),
    ("app-server/04-turn-simple", Golden("simple")),
    ("app-server/05-turn-think", Golden("think")),
    ("app-server/06-turn-markdown", Golden("markdown")),
    ("app-server/07-turn-empty", Golden("empty")),
    ("app-server/08-turn-no-request-id", Golden("no_key")),
    ("app-server/09-turn-tool-readonly", Golden("tool_unknown")),
    ("app-server/10-approval-allow", Golden("tool_allowed")),
    ("app-server/11-approval-deny", Golden("tool_denied")),
    (
        "app-server/12-approval-wrong-id-then-abort",
        Golden("approval_aborted"),
    ),
    (
        "app-server/13-approval-reconnect-1",
        Golden("approval_two_sockets"),
    ),
    (
        "app-server/14-approval-observer",
        Golden("observer_decides"),
    ),
    ("app-server/15-approval-lost-1", Golden("approval_lost")),
    (
        "app-server/16-approval-lost-2-reconnect",
        Golden("approval_lost"),
    ),
    ("app-server/17-unrestricted-tool", Golden("tool_unasked")),
    ("app-server/18-parallel-tools", Golden("parallel_tools")),
    ("app-server/19-abort-mid-stream", Golden("aborted")),
    (
        "app-server/20-abort-idle",
        Nothing("abort_idle", "nothing ran that could be stopped"),
    ),
    ("app-server/21-queue-while-busy", Golden("queued")),
    (
        "app-server/22-duplicate-client-message-id",
        Golden("same_key_again"),
    ),
    ("app-server/23-two-agents-one-socket", Golden("two_agents")),
    ("app-server/24-observer-other-socket", Golden("two_sockets")),
    ("app-server/25-observer-sender", Golden("two_sockets")),
    ("app-server/26-guard-observer", Golden("foreign_observed")),
    ("app-server/27-guard-sender", Golden("guarded")),
    ("app-server/28-unsubscribed-input", Golden("unsubscribed")),
    ("app-server/29-errors", Golden("errors")),
    ("app-server/30-error-500-retries", Golden("error_500")),
    ("app-server/31-die-mid-stream", Golden("retries")),
    (
        "app-server/32-start-errors",
        Nothing("start_errors", "nobody has asked anything there"),
    ),
    ("app-server/33-image", Golden("image")),
    ("app-server/34-conversations", Golden("conversations")),
    ("app-server/35-external-tool", Golden("external_tool")),
    ("app-server/36-ask-user-question", Golden("question_tool")),
    (
        "app-server/37-memory",
        Nothing("memory", "an agent's memory is not shown"),
    ),
    (
        "app-server/38-commands-and-model",
        Nothing("commands", "commands of Letta's own terminal are no turns"),
    ),
    (
        "app-server/39-default-lock-two-agents",
        Golden("default_lock"),
    ),
    ("app-server/40-drop-mid-turn-1", Golden("dropped")),
    ("app-server/41-drop-mid-turn-2-reconnect", Golden("stuck")),
    ("app-server/42-delete", Golden("agent_deleted")),
    (
        "app-server-misc/01-setup",
        Nothing("setup", "an agent is seen when it is listed"),
    ),
    (
        "app-server-misc/02-external-tool-error",
        Golden("external_tool_failed"),
    ),
    ("app-server-misc/02-history-with-tools", Golden("history")),
    (
        "app-server-misc/03-abort-with-queue-then-resume",
        Golden("parked"),
    ),
    ("app-server-misc/03-no-tools", Golden("no_tools")),
    ("app-server-misc/04-remove-queue-item", Golden("taken_out")),
    (
        "app-server-misc/05-multi-message-input",
        Golden("several_messages"),
    ),
    (
        "app-server-misc/06-strict-external-tool",
        Golden("strict_aborted"),
    ),
    ("app-server-misc/07-external-tool-error", Golden("waits")),
    ("app-server-misc2/01-evid", Golden("event_id")),
    (
        "app-server-misc3/01-allowlist-with-external",
        Golden("allowlist"),
    ),
    ("app-server-misc4/01-rate-limited", Golden("rate_limited")),
    (
        "app-server-openai/01-models",
        Tested("tests/it/openai.rs", "every_model_is_an_agent_once"),
    ),
    (
        "app-server-openai/02-chat",
        NeverAsked("an answer in one piece; the bridge asks for a stream"),
    ),
    (
        "app-server-openai/03-chat-stream",
        OpenAi("openai_app_server"),
    ),
    (
        "app-server-openai/04-chat-tool",
        OpenAi("openai_app_server_tool"),
    ),
    (
        "app-server-openai/05-chat-key",
        NeverAsked("an answer in one piece; the bridge asks for a stream"),
    ),
    (
        "app-server-openai/06-chat-key-again",
        NeverAsked("an answer in one piece; the bridge asks for a stream"),
    ),
    (
        "app-server-openai/07-bad-model",
        Tested(
            "tests/it/openai.rs",
            "an_agent_that_is_gone_and_a_key_that_is_wrong_are_told_apart",
        ),
    ),
    (
        "app-server-openai/08-responses",
        NeverAsked("another route; the bridge uses `/v1/chat/completions`"),
    ),
    (
        "app-server-openai/auth",
        Tested(
            "tests/app_server/faults.rs",
            "what_is_no_app_server_is_told_plainly",
        ),
    ),
];

fn transcripts() -> &'static Path {
    Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/crates/letta-client/tests/transcripts"
    ))
}

fn app_server(name: &str) -> String {
    let path = transcripts().join("app_server").join(format!("{name}.txt"));
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn every_scenario_looks_as_it_should() {
    let mut shown = BTreeSet::new();
    for (_, seen) in SCENARIOS {
        match seen {
            Golden(name) if shown.insert(*name) => {
                insta::assert_snapshot!(*name, rooms(&app_server(name)));
            }
            OpenAi(name) => {
                let bytes = fs::read(transcripts().join(format!("{name}.txt"))).unwrap();
                let items = openai::transcript::decode(&bytes).into_iter();
                let items: Vec<_> = items.map(|event| Item::Says(Ok(event))).collect();
                insta::assert_snapshot!(*name, timeline(items, CAPTURED));
            }
            _ => {}
        }
    }
}

#[test]
fn what_no_room_sees_begins_no_turn() {
    let mut unseen = String::new();
    for (capture, seen) in SCENARIOS {
        let why = match seen {
            Golden(_) | OpenAi(_) => continue,
            NeverAsked(why) => (*why).to_owned(),
            Nothing(name, why) => {
                let frames = app_server(name);
                assert!(
                    frames.contains("\n< "),
                    "{capture}: the server says something"
                );
                let played = transcript::play(&frames).unwrap();
                assert!(
                    played.turns.is_empty() && played.lists.is_empty() && played.waiting.is_empty(),
                    "{capture}, although {why}: {played:?}"
                );
                (*why).to_owned()
            }
            Tested(file, name) => {
                let path = transcripts().join("../..").join(file);
                let tests = fs::read_to_string(path).unwrap();
                assert!(tests.contains(&format!("fn {name}(")), "{file} {name}");
                format!("tested by {name}")
            }
        };
        writeln!(unseen, "{capture}: {why}").unwrap();
    }
    insta::assert_snapshot!("nothing_to_see", unseen);
}

#[test]
fn no_scenario_is_forgotten() {
    let captures: BTreeSet<_> = SCENARIOS.iter().map(|(capture, _)| *capture).collect();
    assert_eq!(captures.len(), SCENARIOS.len(), "each capture once");
    let of = |folder: &str| {
        captures
            .iter()
            .filter(|name| name.starts_with(folder))
            .count()
    };
    let folders = [
        "app-server/",
        "app-server-misc/",
        "app-server-misc2/",
        "app-server-misc3/",
        "app-server-misc4/",
        "app-server-openai/",
    ];
    assert_eq!(folders.map(of), [42, 9, 1, 1, 1, 9], "what was captured");

    let used: BTreeSet<_> = SCENARIOS
        .iter()
        .filter_map(|(_, seen)| match seen {
            Golden(name) | Nothing(name, _) => Some((*name).to_owned()),
            _ => None,
        })
        .collect();
    let there: BTreeSet<_> = fs::read_dir(transcripts().join("app_server"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    assert_eq!(used, there, "each transcript belongs to a scenario");
}

#[test]
fn what_somebody_decides_in_another_app_goes_on_in_the_room() {
    // The second socket's client is somebody else, who is not heard.
    let frames = app_server("approval_two_sockets");
    let others: Vec<_> = frames
        .lines()
        .filter(|line| !line.contains("approval_response"))
        .collect();
    assert_eq!(others.len() + 1, frames.lines().count(), "one decision");
    insta::assert_snapshot!("decided_elsewhere", rooms(&others.join("\n")));
}

#[test]
fn what_letta_says_twice_is_in_the_room_once() {
    let said = |transcript: &str, word: &str| {
        let items = transcript::play(transcript).unwrap().turns;
        let text =
            |event: &TurnEvent| matches!(event, TurnEvent::Text { delta, .. } if delta == word);
        items
            .iter()
            .flat_map(|telling| &telling.items)
            .filter(|item| item.as_ref().is_ok_and(text))
            .count()
    };
    // Both sockets have brought the first two; the last came on the second alone.
    for (name, word) in [
        ("guarded", " w2"),
        ("two_sockets", "seen"),
        ("guarded", " w9"),
    ] {
        assert_eq!(said(&app_server(name), word), 1, "{name}");
    }
}
