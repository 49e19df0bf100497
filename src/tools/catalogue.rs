//! All tools: their names, what a model reads about them, and what they do.

use futures_util::future::BoxFuture;
use serde_json::{Map, Value};

use super::{Caller, ToolContext, ToolError, agents, arguments, messages, rooms};

type Run = for<'a> fn(
    &'a ToolContext,
    &'a Caller,
    Map<String, Value>,
) -> BoxFuture<'a, Result<Value, ToolError>>;

/// A tool.
pub struct Tool {
    /// What it is called.
    pub name: &'static str,
    /// What a model reads about it.
    pub description: &'static str,
    /// Whether it changes nothing.
    pub is_read_only: bool,
    schema: fn() -> Map<String, Value>,
    run: Run,
}

impl Tool {
    /// The JSON schema of its arguments.
    pub fn schema(&self) -> Map<String, Value> {
        (self.schema)()
    }

    pub(super) async fn run(
        &self,
        ctx: &ToolContext,
        caller: &Caller,
        arguments: Map<String, Value>,
    ) -> Result<Value, ToolError> {
        (self.run)(ctx, caller, arguments).await
    }
}

/// One line of the catalogue: the arguments' type, and the function that takes them.
macro_rules! tool {
    ($name:literal, $reads:literal, $arguments:ty, $run:path, $description:literal) => {
        Tool {
            name: $name,
            description: $description,
            is_read_only: $reads,
            schema: arguments::schema::<$arguments>,
            run: |ctx, caller, given| {
                Box::pin(async move {
                    let given: $arguments = arguments::read(given)?;
                    $run(ctx, caller, given).await
                })
            },
        }
    };
}

static TOOLS: [Tool; 16] = [
    tool!(
        "matrix_send",
        false,
        arguments::Send,
        messages::send,
        "Says something in a Matrix room that you are in, now, and not as your answer to the current message: for news, reminders, \
         or another room. What you write as your answer is shown by itself; do not send it again."
    ),
    tool!(
        "matrix_reply",
        false,
        arguments::Reply,
        messages::reply,
        "Replies to one message of a room, so that people see what it is about."
    ),
    tool!(
        "matrix_react",
        false,
        arguments::React,
        messages::react,
        "Reacts to a message with one emoji."
    ),
    tool!(
        "matrix_edit",
        false,
        arguments::Edit,
        messages::edit,
        "Replaces the text of a message that you have sent."
    ),
    tool!(
        "matrix_redact",
        false,
        arguments::Redact,
        messages::redact,
        "Takes back a message or reaction that you have sent."
    ),
    tool!(
        "matrix_read",
        true,
        arguments::Read,
        messages::read,
        "Reads the newest messages of a room, oldest first; with `before` those before an earlier page."
    ),
    tool!(
        "matrix_rooms",
        true,
        arguments::Rooms,
        rooms::list,
        "Lists the rooms that you are in, with their names, page by page."
    ),
    tool!(
        "matrix_room_info",
        true,
        arguments::Room,
        rooms::info,
        "Tells name, topic and alias of a room, how many members it has, and whether it is encrypted."
    ),
    tool!(
        "matrix_members",
        true,
        arguments::Room,
        rooms::members,
        "Lists who is in a room, with display names."
    ),
    tool!(
        "matrix_create_room",
        false,
        arguments::CreateRoom,
        rooms::create,
        "Makes a private room and invites people to it."
    ),
    tool!(
        "matrix_invite",
        false,
        arguments::Invite,
        rooms::invite,
        "Invites somebody to a room that you are in."
    ),
    tool!(
        "matrix_join",
        false,
        arguments::Join,
        rooms::join,
        "Joins a room to which you are invited, or that everybody may join."
    ),
    tool!(
        "matrix_leave",
        false,
        arguments::Room,
        rooms::leave,
        "Leaves a room."
    ),
    tool!(
        "matrix_set_topic",
        false,
        arguments::SetTopic,
        rooms::set_topic,
        "Changes the topic of a room, where you are allowed to."
    ),
    tool!(
        "matrix_typing",
        false,
        arguments::Room,
        rooms::typing,
        "Shows for half a minute that you are typing."
    ),
    tool!(
        "list_agents",
        true,
        arguments::ListAgents,
        agents::list,
        "Lists the agents of this server, with the Matrix users that they are."
    ),
];

/// All tools.
pub fn list() -> &'static [Tool] {
    &TOOLS
}

/// The tool of this name.
pub fn find(name: &str) -> Option<&'static Tool> {
    TOOLS.iter().find(|tool| tool.name == name)
}
