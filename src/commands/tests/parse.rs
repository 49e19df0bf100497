//! Which words are a command, and what is said about those that are none.

use ruma::owned_user_id;

use super::*;
use crate::config::Detail;

fn agent(agent: &str) -> Command {
    let agent = agent.into();
    Command::Agent { agent }
}

fn understood(text: &str, in_management_room: bool) -> Command {
    match parse(text, in_management_room) {
        Parsed::Command(_, command) => command,
        other => panic!("{text}: {other:?}"),
    }
}

fn is_no_command(text: &str, in_management_room: bool) -> bool {
    matches!(parse(text, in_management_room), Parsed::NotACommand)
}

/// Checks that each text is understood the same with and without the prefix.
fn assert_understood<const N: usize>(cases: [(&str, Command); N]) {
    for (text, command) in cases {
        assert_eq!(understood(text, true), command, "{text}");
        for prefix in ["!letta", "!Letta  "] {
            let text = format!("{prefix} {text}");
            assert_eq!(understood(&text, true), command, "{text}");
            assert_eq!(understood(&text, false), command, "{text}");
        }
        assert!(is_no_command(text, false), "{text}");
    }
}

#[test]
fn commands_are_understood() {
    let help = |topic: Option<&str>| Command::Help {
        topic: topic.map(str::to_owned),
    };
    let agents = |filter: Option<&str>| Command::Agents {
        filter: filter.map(str::to_owned),
    };
    let sync = |accept_removals: bool| Command::Sync {
        removals: accept_removals.then_some(Removals::AcceptRemovals),
    };
    assert_understood([
        ("help", help(None)),
        ("help sync", help(Some("sync"))),
        ("help !letta PM", help(Some("start-chat"))),
        ("Version", Command::Version),
        ("  STATUS\n", Command::Status),
        ("ping", Command::Ping),
        ("agents", agents(None)),
        ("agents sales", agents(Some("sales"))),
        ("sync", sync(false)),
        ("sync Accept-Removals", sync(true)),
        ("stop", Command::Stop),
    ]);
}

#[test]
fn commands_about_agents_are_understood() {
    let invite = |agent: &str, user| Command::Invite {
        invitation: AgentAndUser {
            agent: agent.into(),
            user,
        },
    };
    let start_chat = |agent: &str| Command::StartChat {
        agent: agent.into(),
    };
    let ann = owned_user_id!("@ann:example.org");
    assert_understood([
        ("agent  Sales Bot ", agent("Sales Bot")),
        ("agent \"Sales Bot\"", agent("Sales Bot")),
        ("agent “Sales Bot”", agent("Sales Bot")),
        ("agent agent-1-2", agent("agent-1-2")),
        ("invite Sales Bot", invite("Sales Bot", None)),
        (
            "invite Sales @ann:example.org",
            invite("Sales", Some(ann.clone())),
        ),
        ("invite @agent_1:b.c", invite("@agent_1:b.c", None)),
        (
            "invite 'Sales Bot' @ann:example.org",
            invite("Sales Bot", Some(ann)),
        ),
        ("start-chat Scout", start_chat("Scout")),
        ("pm Scout", start_chat("Scout")),
    ]);
}

#[test]
fn choices_and_numbers_are_understood() {
    assert_understood([
        ("retry #12", Command::Retry { number: 12 }),
        (
            "detail full",
            Command::Detail {
                wanted: Some(Detail::Full),
            },
        ),
        ("mode", Command::Mode { wanted: None }),
        (
            "chat-only OFF",
            Command::ChatOnly {
                wanted: Some(false),
            },
        ),
        (
            "deny --force, please",
            Command::Deny {
                reason: Some("--force, please".into()),
            },
        ),
        (
            "allow-tool run Sales Bot",
            Command::AllowTool {
                tool: ToolAndAgent {
                    tool: "run".into(),
                    agent: Some("Sales Bot".into()),
                },
            },
        ),
    ]);
}

#[test]
fn texts_that_are_not_commands() {
    for text in [
        "",
        " ",
        "help",
        "!lettahelp",
        "say !letta help",
        "!let",
        "ö!letta",
        "!lett\u{e4}",
    ] {
        assert!(is_no_command(text, false), "{text}");
    }
    assert!(is_no_command(" \n", true));
    assert_eq!(understood("!letta", false), Command::Help { topic: None });
}

#[test]
fn what_is_wrong_is_said_in_plain_words() {
    let texts = [
        "stauts",
        "hello there",
        "ping me",
        "agent",
        "start-chat \"\"",
        "invite Scout @ann",
        "sync everything",
        "help snyc",
        "`` **x** ``",
    ];
    let mut answers = Vec::new();
    for text in texts {
        for (asked, in_management_room) in
            [(text.to_owned(), true), (format!("!letta {text}"), false)]
        {
            let Parsed::Problem(problem) = parse(&asked, in_management_room) else {
                panic!("{asked} is no problem");
            };
            answers.push(format!("{asked}\n    {problem}\n"));
        }
    }
    assert_snapshot!(answers.concat(), @r#"
    stauts
        There is no command `stauts`. Did you mean `status`? `help` lists all commands.
    !letta stauts
        There is no command `stauts`. Did you mean `!letta status`? `!letta help` lists all commands.
    hello there
        There is no command `hello`. Did you mean `help`? `help` lists all commands.
    !letta hello there
        There is no command `hello`. Did you mean `!letta help`? `!letta help` lists all commands.
    ping me
        `ping` takes nothing after it. Write `ping`.
    !letta ping me
        `ping` takes nothing after it. Write `!letta ping`.
    agent
        Which agent? Write `agent <name|id>`.
    !letta agent
        Which agent? Write `!letta agent <name|id>`.
    start-chat ""
        Which agent? Write `start-chat <agent>`.
    !letta start-chat ""
        Which agent? Write `!letta start-chat <agent>`.
    invite Scout @ann
        `@ann` is not a full user id, which looks like `@user:domain`. Write `invite <agent> [@user:domain]`.
    !letta invite Scout @ann
        `@ann` is not a full user id, which looks like `@user:domain`. Write `!letta invite <agent> [@user:domain]`.
    sync everything
        `sync` does not take that. Write `sync [accept-removals]`.
    !letta sync everything
        `sync` does not take that. Write `!letta sync [accept-removals]`.
    help snyc
        There is no command `snyc`. Did you mean `sync`? `help` lists all commands.
    !letta help snyc
        There is no command `snyc`. Did you mean `!letta sync`? `!letta help` lists all commands.
    `` **x** ``
        There is no command `''`. `help` lists all commands.
    !letta `` **x** ``
        There is no command `''`. `!letta help` lists all commands.
    "#);
}

#[test]
fn wrong_arguments_are_answered_with_the_usage() {
    let texts = ["mode fast", "chat-only maybe", "retry", "allow-tool"];
    let answers = texts.map(|text| match parse(text, true) {
        Parsed::Problem(problem) => format!("{text}\n    {problem}\n"),
        other => panic!("{text}: {other:?}"),
    });
    assert_snapshot!(answers.concat(), @"
    mode fast
        `mode` takes one of standard, accept-edits, strict, unrestricted. Write `mode [standard|accept-edits|strict|unrestricted]`.
    chat-only maybe
        `chat-only` takes one of on, off. Write `chat-only [on|off]`.
    retry
        Which number? Write `retry <number>`.
    allow-tool
        Which tool? Write `allow-tool <tool> [agent]`.
    ");
}

#[test]
fn a_long_text_is_no_command_and_is_not_repeated() {
    for text in [
        "x".repeat(TEXT_BYTES_MAX),
        "agent ".to_owned() + &"x".repeat(TEXT_BYTES_MAX),
    ] {
        let Parsed::Problem(problem) = parse(&text, true) else {
            panic!("no problem")
        };
        assert!(problem.len() < 200, "{problem}");
    }
}
