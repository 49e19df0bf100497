//! Which words are a command, and what is said about those that are none.

use ruma::owned_user_id;

use super::*;

fn agent(name: &str) -> Command {
    Command::Agent { name: name.into() }
}

/// Checks that each text is understood the same with and without the prefix.
fn assert_understood<const N: usize>(cases: [(&str, Command); N]) {
    for (text, command) in cases {
        let parsed = Parsed::Command(command);
        assert_eq!(parse(text, true), parsed, "{text}");
        for prefix in ["!letta", "!Letta  "] {
            assert_eq!(parse(&format!("{prefix} {text}"), true), parsed, "{text}");
            assert_eq!(parse(&format!("{prefix} {text}"), false), parsed, "{text}");
        }
        assert_eq!(parse(text, false), Parsed::NotACommand, "{text}");
    }
}

#[test]
fn commands_are_understood() {
    let help = |topic| Command::Help { topic };
    let agents = |filter: Option<&str>| Command::Agents {
        filter: filter.map(str::to_owned),
    };
    let sync = |accept_removals| Command::Sync { accept_removals };
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
        agent: agent.into(),
        user,
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
        assert_eq!(parse(text, false), Parsed::NotACommand, "{text}");
    }
    assert_eq!(parse(" \n", true), Parsed::NotACommand);
    assert_eq!(
        parse("!letta", false),
        Parsed::Command(Command::Help { topic: None })
    );
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
