//! What help says, word by word.

use super::*;
use crate::config::Level;

#[test]
fn help_shows_what_one_may_use() {
    assert_snapshot!(help(None, Level::Talk, false), @"
    **Commands**

    - `!letta help [command]`: Says which commands there are, or how one of them is used.
    - `!letta stop`: Stops the answer that the agent is writing here.
    - `!letta approve [reason]`: Lets the tools run that the agent asks about here.
    - `!letta deny [reason]`: Denies the tools that the agent asks about here, and tells it why.
    - `!letta failed`: Lists the messages that got no answer and were set aside here, and the agents that are paused.
    - `!letta retry <number>`: Tries a message again that was set aside.
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
    - `failed`: Lists the messages that got no answer and were set aside here, and the agents that are paused.
    - `retry <number>`: Tries a message again that was set aside.
    - `detail [none|brief|full]`: Says or sets how much this room sees of tools and reasoning.
    - `allowed-tools [agent]`: Lists the tools that an agent may use without asking.
    - `status`: Says how the bridge, the homeserver and Letta do.
    - `ping`: Answers at once, so that you know that the bridge hears you.
    - `version`: Says which version of the bridge this is.
    - `invite <agent> [@user:domain]`: Invites somebody, or you, to the room of an agent.
    - `sync [accept-removals]`: Makes Matrix match Letta now: users, rooms, names, the space.
    - `resume <agent>`: Asks an agent again at once that is paused because of credits, a key or a limit.
    - `allow-tool <tool> [agent]`: Lets an agent use a tool always, without asking anybody.
    - `revoke-tool <tool> [agent]`: Lets an agent ask again before it uses a tool.
    - `token <agent>`: Makes a token with which a program acts as an agent over MCP.
    - `revoke-tokens <agent>`: Ends all tokens of an agent.
    - `mode [standard|accept-edits|strict|unrestricted]`: Says or sets when agents ask in this room before they use a tool.
    - `chat-only [on|off]`: Says or sets whether agents may only talk in this room, without any tool.

    `help [command]` tells more about one of them. In other rooms, put `!letta` in front.
    ");
}

/// The help about each of these commands.
fn pages(definitions: &[Definition]) -> String {
    let page = |definition: &Definition| help(Some(&definition.name), Level::Talk, false);
    definitions
        .iter()
        .map(page)
        .collect::<Vec<_>>()
        .join("\n---\n")
}

#[test]
fn help_about_agents() {
    assert_snapshot!(pages(&Definition::all()[..4]), @"
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
    ");
}

#[test]
fn help_about_turns() {
    assert_snapshot!(pages(&Definition::all()[4..9]), @"
    `!letta stop`

    Stops the answer that the agent is writing here.

    Only who asked for the answer, or an admin, can stop it. A reaction 🛑 to the answer does the same.

    Also: `cancel`.

    Needs the level `talk`.
    ---
    `!letta approve [reason]`

    Lets the tools run that the agent asks about here.

    Only who asked the agent, or an admin, decides, and who asked approves only with the level that `turns.approve_level` names. A reaction to the agent's message does the same: ✅ or ❌.

    Needs the level `talk`.
    ---
    `!letta deny [reason]`

    Denies the tools that the agent asks about here, and tells it why.

    Only who asked the agent, or an admin, decides, and who asked approves only with the level that `turns.approve_level` names. A reaction to the agent's message does the same: ✅ or ❌.

    Also: `reject`.

    Needs the level `talk`.
    ---
    `!letta failed`

    Lists the messages that got no answer and were set aside here, and the agents that are paused.

    In the management room it lists those of all rooms. Who asked sees their own, admins see all.

    Needs the level `talk`.
    ---
    `!letta retry <number>`

    Tries a message again that was set aside.

    `failed` lists them with their numbers. Who asked, or an admin, can try them again.

    Needs the level `talk`.
    ");
}

#[test]
fn help_about_the_bridge() {
    assert_snapshot!(pages(&Definition::all()[9..13]), @"
    `!letta detail [none|brief|full]`

    Says or sets how much this room sees of tools and reasoning.

    `brief` folds away which tools were used, `full` also the reasoning and what tools returned.

    Needs the level `user`.
    ---
    `!letta allowed-tools [agent]`

    Lists the tools that an agent may use without asking.

    Without an agent it is the one whose room this is. The bridge approves such calls and says so; what Letta itself knows of the tool stays as it is.

    Needs the level `user`.
    ---
    `!letta status`

    Says how the bridge, the homeserver and Letta do.

    Needs the level `user`.
    ---
    `!letta ping`

    Answers at once, so that you know that the bridge hears you.

    Needs the level `talk`.
    ");
}

#[test]
fn help_about_what_agents_may_do() {
    assert_snapshot!(pages(&Definition::all()[13..]), @"
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
    `!letta resume <agent>`

    Asks an agent again at once that is paused because of credits, a key or a limit.

    Without it one waiting message is tried by itself, after a minute at first and an hour at last.

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
    `!letta token <agent>`

    Makes a token with which a program acts as an agent over MCP.

    It is shown once, so this works in the management room only. `revoke-tokens` ends it.

    Needs the level `admin`.
    ---
    `!letta revoke-tokens <agent>`

    Ends all tokens of an agent.

    An agent is named by its name, the beginning of its name if no other begins so, its id, or its user id.

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
    assert_snapshot!(refusal(Definition::find("sync").unwrap(), Level::Talk), @"You may not use `sync`: it needs the level `admin`, and you have `talk`. The `permissions` of the bridge decide that.");
}
