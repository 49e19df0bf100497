//! What commands mean, what help says, and which agent a name finds.

use std::collections::BTreeSet;

use insta::assert_snapshot;
use letta_client::AgentId;
use proptest::prelude::*;
use ruma::owned_user_id;

use super::*;
use crate::config::Level;

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
        There is no command ` `. `help` lists all commands.
    !letta `` **x** ``
        There is no command ` `. `!letta help` lists all commands.
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

#[test]
fn help_shows_what_one_may_use() {
    assert_snapshot!(help(None, Level::Talk, false), @"
    **Commands**

    - `!letta help [command]`: Says which commands there are, or how one of them is used.
    - `!letta stop`: Stops the answer that the agent is writing here.
    - `!letta approve [reason]`: Lets the tools run that the agent asks about here.
    - `!letta deny [reason]`: Denies the tools that the agent asks about here, and tells it why.
    - `!letta ping`: Answers at once, so that you know that the bridge hears you.
    - `!letta version`: Says which version of the bridge this is.

    `!letta help [command]` tells more about one of them.
    ");
    assert_snapshot!(help(None, Level::Admin, true), @"
    **Commands**

    - `help [command]`: Says which commands there are, or how one of them is used.
    - `agents [filter]`: Lists the agents, or those whose name contains the filter.
    - `agent <name|id>`: Tells about one agent: its id, its user, its room.
    - `start-chat <agent>`: Opens a direct chat between you and an agent.
    - `stop`: Stops the answer that the agent is writing here.
    - `approve [reason]`: Lets the tools run that the agent asks about here.
    - `deny [reason]`: Denies the tools that the agent asks about here, and tells it why.
    - `detail [none|brief|full]`: Says or sets how much this room sees of tools and reasoning.
    - `allowed-tools [agent]`: Lists the tools that an agent may use without asking.
    - `status`: Says how the bridge, the homeserver and Letta do.
    - `ping`: Answers at once, so that you know that the bridge hears you.
    - `version`: Says which version of the bridge this is.
    - `invite <agent> [@user:domain]`: Invites somebody, or you, to the room of an agent.
    - `sync [accept-removals]`: Makes Matrix match Letta now: users, rooms, names, the space.
    - `allow-tool <tool> [agent]`: Lets an agent use a tool always, without asking anybody.
    - `revoke-tool <tool> [agent]`: Lets an agent ask again before it uses a tool.
    - `mode [standard|accept-edits|strict|unrestricted]`: Says or sets when agents ask in this room before they use a tool.
    - `chat-only [on|off]`: Says or sets whether agents may only talk in this room, without any tool.

    `help [command]` tells more about one of them. In other rooms, put `!letta` in front.
    ");
}

/// The help about each of these commands.
fn pages(definitions: &[&'static Definition]) -> String {
    let page = |definition: &&Definition| help(Some(definition.name), Level::Talk, false);
    definitions
        .iter()
        .map(page)
        .collect::<Vec<_>>()
        .join("\n---\n")
}

#[test]
fn help_about_agents_and_turns() {
    assert_snapshot!(pages(&DEFINITIONS[..9]), @"
    `!letta help [command]`

    Says which commands there are, or how one of them is used.

    Also: `?`.

    Needs the level `talk`.
    ---
    `!letta agents [filter]`

    Lists the agents, or those whose name contains the filter.

    Also: `list`.

    Needs the level `user`.
    ---
    `!letta agent <name|id>`

    Tells about one agent: its id, its user, its room.

    An agent is named by its name, the beginning of its name if no other begins so, its id, or its user id.

    Needs the level `user`.
    ---
    `!letta start-chat <agent>`

    Opens a direct chat between you and an agent.

    An agent is named by its name, the beginning of its name if no other begins so, its id, or its user id.

    Also: `pm`.

    Needs the level `user`.
    ---
    `!letta stop`

    Stops the answer that the agent is writing here.

    Only who asked for the answer, or an admin, can stop it. A reaction 🛑 to the answer does the same.

    Also: `cancel`.

    Needs the level `talk`.
    ---
    `!letta approve [reason]`

    Lets the tools run that the agent asks about here.

    Only who asked the agent, or an admin, decides. A reaction to the agent's message does the same: ✅ or ❌.

    Needs the level `talk`.
    ---
    `!letta deny [reason]`

    Denies the tools that the agent asks about here, and tells it why.

    Only who asked the agent, or an admin, decides. A reaction to the agent's message does the same: ✅ or ❌.

    Also: `reject`.

    Needs the level `talk`.
    ---
    `!letta detail [none|brief|full]`

    Says or sets how much this room sees of tools and reasoning.

    `brief` folds away which tools were used, `full` also the reasoning and what tools returned.

    Needs the level `user`.
    ---
    `!letta allowed-tools [agent]`

    Lists the tools that an agent may use without asking.

    Without an agent it is the one whose room this is. The bridge approves such calls and says so; what Letta itself knows of the tool stays as it is.

    Needs the level `user`.
    ");
}

#[test]
fn help_about_the_bridge_and_its_choices() {
    assert_snapshot!(pages(&DEFINITIONS[9..]), @"
    `!letta status`

    Says how the bridge, the homeserver and Letta do.

    Needs the level `user`.
    ---
    `!letta ping`

    Answers at once, so that you know that the bridge hears you.

    Needs the level `talk`.
    ---
    `!letta version`

    Says which version of the bridge this is.

    Needs the level `talk`.
    ---
    `!letta invite <agent> [@user:domain]`

    Invites somebody, or you, to the room of an agent.

    An agent is named by its name, the beginning of its name if no other begins so, its id, or its user id.

    Needs the level `admin`.
    ---
    `!letta sync [accept-removals]`

    Makes Matrix match Letta now: users, rooms, names, the space.

    When more than half of the agents are gone at once, the bridge suspects a mistake and keeps their rooms. `accept-removals` says that they are really gone.

    Needs the level `admin`.
    ---
    `!letta allow-tool <tool> [agent]`

    Lets an agent use a tool always, without asking anybody.

    Without an agent it is the one whose room this is. The bridge approves such calls and says so; what Letta itself knows of the tool stays as it is.

    Also: `always-allow`.

    Needs the level `admin`.
    ---
    `!letta revoke-tool <tool> [agent]`

    Lets an agent ask again before it uses a tool.

    Without an agent it is the one whose room this is. The bridge approves such calls and says so; what Letta itself knows of the tool stays as it is.

    Needs the level `admin`.
    ---
    `!letta mode [standard|accept-edits|strict|unrestricted]`

    Says or sets when agents ask in this room before they use a tool.

    Only where Letta lets its client choose, as the App Server does. `unrestricted` lets an agent run shell commands unasked.

    Needs the level `admin`.
    ---
    `!letta chat-only [on|off]`

    Says or sets whether agents may only talk in this room, without any tool.

    Only where Letta lets its client choose, as the App Server does.

    Needs the level `admin`.
    ");
}

#[test]
fn a_refusal_says_what_is_missing() {
    assert_snapshot!(refusal(&definition::SYNC, Level::Talk), @"You may not use `sync`: it needs the level `admin`, and you have `talk`. The `permissions` of the bridge decide that.");
}

#[test]
fn the_table_agrees_with_itself() {
    let names: Vec<_> = DEFINITIONS
        .iter()
        .flat_map(|definition| definition.names())
        .collect();
    assert_eq!(
        names.iter().collect::<BTreeSet<_>>().len(),
        names.len(),
        "a name is there twice"
    );
    for definition in DEFINITIONS {
        let text = format!(
            "{} {}",
            definition.name,
            definition.arguments.split(' ').next().unwrap_or_default()
        );
        let text = text
            .replace("[accept-removals]", "")
            .replace("[command]", "");
        // Choices are said by leaving them out.
        let text = text.split(" [").next().unwrap_or_default();
        let Parsed::Command(command) = parse(text, true) else {
            panic!("{text}")
        };
        assert_eq!(command.definition().name, definition.name);
    }
}

#[test]
fn an_old_command_is_stale_and_a_future_one_is_not() {
    let limit = 5 * 60 * 1_000;
    let sent = 1_700_000_000_000;
    assert!(!is_stale(sent, sent));
    assert!(!is_stale(sent, sent + limit));
    assert!(is_stale(sent, sent + limit + 1));
    assert!(!is_stale(sent + limit * 100, sent));
    assert!(is_stale(0, u64::MAX));
}

fn candidates() -> Vec<(AgentId, String)> {
    [
        ("agent-e54fc601-4773", "Scout"),
        ("agent-e54fc602-0000", "Sales Bot"),
        ("agent-local-aaaa-bbbb", "Sales Archive"),
        ("agent-11111111", "Twin"),
        ("agent-22222222", "twin"),
        ("agent-33333333", "Émile"),
    ]
    .map(|(id, name)| (AgentId::parse(id).expect("an id"), name.to_owned()))
    .to_vec()
}

#[test]
fn agents_are_found_by_what_people_call_them() {
    let candidates = candidates();
    let cases = [
        ("agent-e54fc601-4773", 0),
        ("AGENT-E54FC601-4773", 0),
        ("agent_e54fc601_4773", 0),
        ("@agent_e54fc601_4773:example.org", 0),
        ("scout", 0),
        ("sc", 0),
        (" Sales bot ", 1),
        ("bot", 1),
        ("archive", 2),
        ("@agent_local_aaaa_bbbb:b.c:8448", 2),
        ("e54fc602", 1),
        ("agent-e54fc602", 1),
        ("ÉMILE", 5),
    ];
    for (query, index) in cases {
        assert_eq!(
            find_agent(query, &candidates),
            Lookup::One(&candidates[index]),
            "{query}"
        );
    }
}

#[test]
fn nobody_is_guessed() {
    let candidates = candidates();
    assert_eq!(
        find_agent("sales", &candidates),
        Lookup::Many(vec![&candidates[1], &candidates[2]])
    );
    assert_eq!(
        find_agent("Twin", &candidates),
        Lookup::Many(vec![&candidates[3], &candidates[4]])
    );
    assert_eq!(
        find_agent("e54fc60", &candidates),
        Lookup::Many(vec![&candidates[0], &candidates[1]])
    );
    assert_eq!(
        find_agent("scuot", &candidates),
        Lookup::None {
            suggestions: vec!["Scout"]
        }
    );
    for query in ["", "  ", "agent-", "nothing like it", "111"] {
        assert_eq!(
            find_agent(query, &candidates),
            Lookup::None {
                suggestions: vec![]
            },
            "{query}"
        );
    }
    let many = vec![candidates[0].clone(); 1_000];
    assert!(
        matches!(find_agent("scout", &many), Lookup::Many(found) if found.len() == MATCHES_MAX)
    );
}

proptest! {
    #[test]
    fn any_text_is_read(text in any::<String>(), in_management_room in any::<bool>()) {
        for text in [text.clone(), format!("!letta {text}"), format!("invite {text}"), format!("!letta agent {text}")] {
            let _ = parse(&text, in_management_room);
        }
        let _ = find_agent(&text, &candidates());
    }
}
