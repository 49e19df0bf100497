//! Command lines: `!letta` of the bridge and `!admin` of the homeserver.
//!
//! Invariants: every text that is meant as a command gets an answer; a command means the same with and without its prefix; an answer
//! quotes what was written as code, never as Markdown, and fits an event; the name under which a command is logged never holds what
//! it was given.

use homeserver_model::admin::{self, NoCommand, answer};
use letta_client::AgentId;
use matrix_appservice_letta::{
    commands::{self, Candidate, Lookup, MATCHES_MAX, Parsed, SUGGESTIONS_MAX, TEXT_BYTES_MAX},
    config::Level,
    matrix::render::render,
};
use ruma::{event_id, user_id};
use serde_json::Value;

use crate::Target;

/// See the module.
pub const TARGET: Target = Target {
    name: "commands",
    check,
    wrap,
    words: &[
        "!letta ",
        "!LETTA\t",
        "!admin ",
        "\\!admin ",
        "@conduit:example.org: ",
        "help ",
        "agents ",
        "agent ",
        "invite ",
        "start-chat ",
        "sync accept-removals",
        "retry 1",
        "detail ",
        "mode ",
        "allow-tool ",
        "users create_user ",
        "users ",
        "rooms alias set ",
        "rooms moderation ",
        "server ",
        "token issue --max-uses 1",
        "media delete --mxc mxc://a/b",
        "appservices register",
        "debug get-pdu ",
        "--help",
        "-- ",
        "```\n",
        "\n",
        "\"",
        "`",
        "@alice:example.org",
        "!1:example.org",
        "\u{202e}",
        "\0",
        "[a](https://example.org)",
    ],
};

/// The most that the content of an answer may have as JSON, in bytes: the rest of an event's 65,536 is for what the server adds.
const ANSWER_BYTES_MAX: usize = 60_000;
/// How many words name a command.
const NAME_WORDS: usize = 2;

/// Panics if an invariant of the module does not hold.
pub fn check(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    of_bridge(&text);
    of_homeserver(&text);
}

fn of_bridge(text: &str) {
    let (anywhere, managed) = (commands::parse(text, false), commands::parse(text, true));
    let is_meant = commands::has_prefix(text);
    let is_none = |parsed: &Parsed| matches!(parsed, Parsed::NotACommand);
    assert_eq!(!is_none(&anywhere), is_meant, "{text:?}");
    assert_eq!(is_none(&managed), text.trim().is_empty());
    let prefixed = if is_meant {
        anywhere.clone()
    } else {
        commands::parse(&format!("!letta {text}"), false)
    };
    if !text.trim().is_empty() {
        assert_eq!(meaning(&managed), meaning(&prefixed), "{text:?}");
    }
    for parsed in [anywhere, managed] {
        match parsed {
            Parsed::NotACommand => {}
            Parsed::Command(definition, _) => {
                assert_plain(&commands::help(Some(&definition.name), Level::Admin, true));
            }
            Parsed::Problem(problem) => {
                assert!(!problem.is_empty(), "no answer");
                assert!(problem.len() <= 2 * TEXT_BYTES_MAX, "a long answer");
                assert_plain(&problem);
            }
        }
    }
    lookup(text);
}

/// What a text means, apart from words that depend on the room.
fn meaning(parsed: &Parsed) -> String {
    match parsed {
        Parsed::NotACommand => "nothing".to_owned(),
        Parsed::Command(definition, command) => format!("{}: {command:?}", definition.name),
        Parsed::Problem(_) => "a problem".to_owned(),
    }
}

fn lookup(text: &str) {
    let agents: Vec<Candidate> = ["Ada", "Ada Two", "Bob `x`", "İΣ"]
        .into_iter()
        .zip(1..)
        .filter_map(|(name, number)| {
            let id = AgentId::parse(format!("agent-{number}000")).ok()?;
            Some((id, name.to_owned()))
        })
        .collect();
    match commands::find_agent(text, &agents) {
        Lookup::One(_) => {}
        Lookup::None { suggestions } => assert!(suggestions.len() <= SUGGESTIONS_MAX),
        Lookup::Many(many) => assert!((2..=MATCHES_MAX).contains(&many.len())),
    }
}

/// What is said about a text holds nothing that a client makes a link or a picture of.
fn assert_plain(markdown: &str) {
    let html = render(markdown).html.unwrap_or_default();
    for element in ["<a", "<img", "<h1", "<blockquote", "<table"] {
        assert!(!html.contains(element), "{element} in {html}");
    }
}

fn of_homeserver(text: &str) {
    let own = user_id!("@conduit:example.org");
    for in_admin_room in [false, true] {
        if let Some(rest) = admin::command_in(text, own, in_admin_room) {
            assert!(text.ends_with(rest), "{rest:?} is not of {text:?}");
        }
    }
    let name = admin::name_of(text);
    assert!(name.split_whitespace().count() <= NAME_WORDS, "{name:?}");
    let (answer, is_help) = match admin::parse(text) {
        Ok((_, below)) => {
            assert!(text.contains(below), "{below:?} is not of {text:?}");
            return;
        }
        Err(NoCommand::Help(help)) => (help, true),
        Err(NoCommand::Problem(problem)) => (problem, false),
        Err(NoCommand::Version) => return,
    };
    for content in answer::replies(&answer, event_id!("$1")) {
        let bytes = content.to_string().len();
        assert!(bytes <= ANSWER_BYTES_MAX, "an answer of {bytes} bytes");
        if let Some(html) = content.get("formatted_body").and_then(Value::as_str) {
            assert_eq!(html.matches("<pre>").count(), 1, "{html}");
            assert!(!html.contains("<a ") && !html.contains("<h1>"), "{html}");
            assert!(is_help || !answer.is_empty());
        }
    }
}

fn wrap(text: &str) -> Vec<u8> {
    text.as_bytes().to_vec()
}
