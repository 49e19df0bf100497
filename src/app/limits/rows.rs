//! Which constants are limits, and what one sees when one is reached.

/// A limit of the bridge: the file of its constant, the name, and what one sees when it is reached.
pub(super) type Row = (&'static str, &'static str, &'static str);

pub(super) const BRIDGE: &[Row] = &[
    (
        "src/appservice.rs",
        "BODY_BYTES_MAX",
        "413; the homeserver sends the transaction again",
    ),
    (
        "src/appservice/inbound.rs",
        "ID_BYTES_MAX",
        "the event is ignored",
    ),
    (
        "src/commands/parse.rs",
        "TEXT_BYTES_MAX",
        "the answer says that it is too long for a command",
    ),
    (
        "src/commands.rs",
        "COMMAND_AGE_MAX",
        "the command is answered with why it was not run",
    ),
    (
        "src/journal/turns.rs",
        "PROMPTS_PER_TURN_MAX",
        "the others are answered in the next turn",
    ),
    (
        "src/journal/turns.rs",
        "PROMPT_BYTES_PER_TURN_MAX",
        "the others are answered in the next turn",
    ),
    ("src/journal/flush.rs", "WAITING_MAX", "others wait"),
    (
        "src/agents/discovery.rs",
        "PROVISIONS_MAX",
        "other agents wait",
    ),
    (
        "src/tools/arguments.rs",
        "TEXT_BYTES_MAX",
        "the agent is told to send it in parts",
    ),
    (
        "src/tools/arguments.rs",
        "USERS_MAX",
        "the agent is told how many are possible",
    ),
    (
        "src/tools/arguments.rs",
        "MESSAGES_MAX",
        "the agent is told how many are possible",
    ),
    (
        "src/tools/messages.rs",
        "BODY_CHARS_MAX",
        "the text that the agent reads is cut",
    ),
    (
        "src/tools/rooms.rs",
        "ROOMS_MAX",
        "others are not listed; `total` says how many there are",
    ),
    (
        "src/tools/rooms.rs",
        "MEMBERS_MAX",
        "others are not listed; `total` says how many there are",
    ),
    (
        "src/tools/agents.rs",
        "AGENTS_MAX",
        "others are not listed; `total` says how many there are",
    ),
    ("src/tools/mcp.rs", "REQUEST_BYTES_MAX", "413"),
    (
        "src/tools/token.rs",
        "TOKENS_MAX",
        "`!letta token` says that others have to be revoked first",
    ),
    (
        "src/turns/attachments.rs",
        "PICTURE_DOWNLOAD_BYTES_MAX",
        "the sender is told that it is too large",
    ),
    (
        "src/turns/attachments.rs",
        "AUDIO_BYTES_MAX",
        "the sender is told that it is too large",
    ),
    (
        "src/turns/attachments.rs",
        "SENDS_MAX",
        "other turns with files wait",
    ),
    (
        "src/turns/attachments.rs",
        "DECODES_MAX",
        "other pictures wait",
    ),
    (
        "src/turns/attachments/picture.rs",
        "PIXELS_MAX",
        "the sender is told that it has too many pixels",
    ),
    (
        "src/turns/attachments/picture.rs",
        "SIDE_MAX",
        "the picture is made smaller",
    ),
    (
        "src/turns/attachments/picture.rs",
        "PICTURE_BYTES_MAX",
        "the picture is made smaller",
    ),
    (
        "src/turns/attachments/picture.rs",
        "DECODED_BYTES_MAX",
        "the sender is told that it is damaged",
    ),
    (
        "src/journal/record/attachment.rs",
        "TEXT_FILE_BYTES_MAX",
        "the file is described, and not read",
    ),
    (
        "src/journal/turns.rs",
        "PICTURES_PER_TURN_MAX",
        "the others are answered in the next turn",
    ),
    (
        "src/journal/turns.rs",
        "AUDIO_PER_TURN_MAX",
        "the others are answered in the next turn",
    ),
    (
        "src/turns/attachments.rs",
        "FILES_TIME_MAX",
        "the agent is asked without the rest, and their sender is told",
    ),
    (
        "src/turns/attachments.rs",
        "FILE_WORDS_BYTES_MAX",
        "the file is described, and its sender is told to send it by itself",
    ),
    (
        "src/turns/attachments.rs",
        "LOADED_FILES_MAX",
        "the oldest are fetched again when they are needed",
    ),
    (
        "src/turns/attachment_debounce.rs",
        "COMPANION_WAIT",
        "pictures without words are sent",
    ),
    ("src/turns/quote.rs", "QUOTE_CHARS_MAX", "the quote is cut"),
    (
        "src/transcription.rs",
        "CONNECT_TIMEOUT",
        "the sender is told that it could not be turned into text",
    ),
    (
        "src/transcription.rs",
        "ANSWER_TIMEOUT",
        "the sender is told that it could not be turned into text",
    ),
    (
        "src/transcription.rs",
        "ANSWER_BYTES_MAX",
        "the sender is told that it could not be turned into text",
    ),
    (
        "src/tools/messages.rs",
        "KEY_BYTES_MAX",
        "the agent is told that it has to be one emoji",
    ),
    (
        "src/tools/rooms.rs",
        "NAME_CHARS_MAX",
        "the agent is told how many are possible",
    ),
    (
        "src/tools/rooms.rs",
        "TOPIC_CHARS_MAX",
        "the agent is told how many are possible",
    ),
    (
        "src/agents/room_changes.rs",
        "REPAIRS_PER_ROOM_MAX",
        "the room is left as it is until the hour is over, and the log says so",
    ),
    ("src/agents/plan.rs", "NAME_CHARS_MAX", "the name is cut"),
    (
        "src/agents/room_changes.rs",
        "REPAIRS_PER_ROOM_MAX",
        "what others change stays as they want it for an hour",
    ),
    (
        "src/agents/provision/presence.rs",
        "SHOWN_AGENTS_MAX",
        "the others are not seen as online",
    ),
    (
        "src/config/rooms.rs",
        "GREETING_CHARS_MAX",
        "the configuration is refused",
    ),
    (
        "src/matrix/render.rs",
        "EVENT_BYTES_MAX",
        "the answer goes on in another message",
    ),
    (
        "src/matrix/content.rs",
        "MENTIONS_MAX",
        "others are not notified",
    ),
    (
        "src/matrix/client.rs",
        "REQUESTS_IN_FLIGHT_MAX",
        "others wait",
    ),
    (
        "src/matrix/client.rs",
        "ATTEMPTS_MAX",
        "the error is in the log; what is in the outbox is sent later",
    ),
    (
        "src/matrix/client.rs",
        "RETRY_AFTER_MAX",
        "the request is sent again then",
    ),
    (
        "src/matrix/transport.rs",
        "ANSWER_TIMEOUT",
        "the request is sent again",
    ),
    (
        "src/matrix/transport.rs",
        "ANSWER_BYTES_MAX",
        "the request fails",
    ),
    (
        "src/turns/budget.rs",
        "SENDS_MAX",
        "the message is set aside, and the room is told",
    ),
    (
        "src/turns/budget.rs",
        "RUNS_MAX",
        "the message is set aside, and the room is told",
    ),
    (
        "src/turns/budget.rs",
        "FAILURES_MAX",
        "the message is set aside, and the room is told",
    ),
    (
        "src/turns/budget.rs",
        "RESTARTS_MAX",
        "the message is set aside, and the room is told",
    ),
    (
        "src/turns/budget.rs",
        "WAIT_MAX",
        "the message is set aside, and the room is told",
    ),
    (
        "src/turns/wait_notice.rs",
        "TELL_AFTER",
        "the room is told, and the message is kept",
    ),
    (
        "src/turns/external_turns.rs",
        "WAITING_MAX",
        "others are not shown in the room",
    ),
    (
        "src/turns/approval_message.rs",
        "EXCERPT_CHARS_MAX",
        "the rest is not shown, and the request can only be denied",
    ),
    (
        "src/turns/approval_message.rs",
        "EXCERPT_CALLS_MAX",
        "the rest is not shown, and the request can only be denied",
    ),
    (
        "src/commands/actions.rs",
        "LISTED_MAX",
        "the answer says how many more there are",
    ),
];

pub(super) const LETTA: &[Row] = &[
    (
        "crates/letta-client/src/id.rs",
        "ID_BYTES_MAX",
        "the id is refused",
    ),
    (
        "crates/letta-client/src/sse.rs",
        "LINE_BYTES_MAX",
        "the stream counts as broken",
    ),
    (
        "crates/letta-client/src/sse.rs",
        "EVENT_BYTES_MAX",
        "the stream counts as broken",
    ),
    (
        "crates/letta-client/src/rest/decoder.rs",
        "TEXT_BYTES_MAX",
        "the turn ends in an error",
    ),
    (
        "crates/letta-client/src/rest/decoder.rs",
        "EVENTS_MAX",
        "the turn ends in an error",
    ),
    (
        "crates/letta-client/src/rest/decoder.rs",
        "TOOL_ARGUMENT_BYTES_MAX",
        "the turn ends in an error",
    ),
    (
        "crates/letta-client/src/rest/decoder/calls.rs",
        "CALLS_MAX",
        "the turn ends in an error",
    ),
    (
        "crates/letta-client/src/rest/decoder/calls.rs",
        "TOOL_RETURN_BYTES_MAX",
        "the rest is cut off",
    ),
    (
        "crates/letta-client/src/rest/api.rs",
        "BODY_BYTES_MAX",
        "the request fails",
    ),
    (
        "crates/letta-client/src/rest/api.rs",
        "REDIRECTS_MAX",
        "the request fails",
    ),
    (
        "crates/letta-client/src/rest/listing.rs",
        "AGENTS_PAGES_MAX",
        "the list is an error",
    ),
    (
        "crates/letta-client/src/rest/turn.rs",
        "RECONNECTS_MAX",
        "the stream counts as broken for good",
    ),
    (
        "crates/letta-client/src/rest/turn.rs",
        "RESENDS_MAX",
        "the turn's own budget decides, see `SENDS_MAX`",
    ),
    (
        "crates/letta-client/src/app_server/address.rs",
        "FRAME_BYTES_MAX",
        "the connection is made anew",
    ),
    (
        "crates/letta-client/src/app_server/hub.rs",
        "RECONNECTS_MAX",
        "turns are told that the server is away",
    ),
    (
        "crates/letta-client/src/app_server/hub.rs",
        "CALLS_MAX",
        "others wait",
    ),
    (
        "crates/letta-client/src/openai/models.rs",
        "MODELS_MAX",
        "the list is an error",
    ),
];

pub(super) const CONNECTIONS: &[Row] = &[
    (
        "crates/system/src/connections.rs",
        "CONNECTIONS_MAX",
        "the oldest one that waits for a request is closed, of the address that has the most; if none waits, the new one does",
    ),
    (
        "crates/system/src/descriptors.rs",
        "RESERVE",
        "there are fewer connections: each counts as two descriptors",
    ),
    (
        "crates/system/src/connections.rs",
        "PER_ADDRESS_MAX",
        "the oldest one of the address that waits for a request is closed; if none waits, the new one is",
    ),
    (
        "crates/system/src/connections.rs",
        "HEADER_TIMEOUT",
        "the connection is closed",
    ),
    (
        "crates/system/src/connections.rs",
        "IDLE_TIMEOUT",
        "the connection is closed",
    ),
    (
        "crates/system/src/connections.rs",
        "BODY_TIMEOUT",
        "408, and the connection is closed",
    ),
    (
        "crates/system/src/connections.rs",
        "RESPONSE_TIMEOUT",
        "the connection is closed",
    ),
    (
        "crates/system/src/connections.rs",
        "LINGER_TIMEOUT",
        "the connection is closed",
    ),
    (
        "crates/system/src/connections.rs",
        "RATE_MIN",
        "the two times above run",
    ),
    (
        "crates/system/src/connections.rs",
        "HEAD_BYTES_MAX",
        "431, and the connection is closed",
    ),
    (
        "crates/system/src/disk.rs",
        "ROOM_BYTES_MIN",
        "503: nothing is acknowledged until there is as much",
    ),
];
