//! `docs/limits.md`: every named limit of the program, generated and compared.
//!
//! The limits of the homeserver come from its own table; those of the bridge and of the connection to Letta are read off their
//! constants in the source, so that a value cannot fall behind the code. What one sees when a limit is reached is said here.

use std::{fmt::Write, fs, path::Path};

/// Where the document is.
const DOCUMENT: &str = "docs/limits.md";

/// A limit of the bridge: the file of its constant, the name, and what one sees when it is reached.
type Row = (&'static str, &'static str, &'static str);

const BRIDGE: &[Row] = &[
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
        "src/turns/notice.rs",
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

const LETTA: &[Row] = &[
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

const CONNECTIONS: &[Row] = &[
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

const INTRODUCTION: &str = "# Limits

Generated from the named limits in the code (`UPDATE_EXAMPLES=1 cargo test --lib` rewrites it). Nobody reaches them by talking; they \
are there so that one account, one bridge or one mistake does not stop the others.

## The homeserver that comes along

A request that is refused is answered with the status and error code of the table and a sentence that says what to do; nothing of it \
is stored. What was stored before a limit was there stays readable.
";

/// The first paragraph of a constant's documentation and its value, read off the source.
fn constant(file: &str, name: &str) -> Option<(String, String)> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let text = fs::read_to_string(path).ok()?;
    let mut about = String::new();
    let mut is_first_paragraph = true;
    for line in text.lines() {
        let line = line.trim();
        if let Some(comment) = line.strip_prefix("///") {
            is_first_paragraph &= !comment.trim().is_empty();
            if is_first_paragraph {
                about.push(' ');
                about.push_str(comment.trim());
            }
            continue;
        }
        let declared = line.split_once(&format!("const {name}: "));
        if let Some((_, declared)) = declared {
            let (_, value) = declared.split_once(" = ")?;
            let about = about.trim().trim_end_matches('.');
            let about = about.replace("[`", "`").replace("`]", "`");
            return Some((about, readable(name, value.trim_end_matches(';'))));
        }
        about.clear();
        is_first_paragraph = true;
    }
    None
}

/// A value as people write it: products multiplied, with the unit that the name has.
fn readable(name: &str, value: &str) -> String {
    let product = value
        .split(" * ")
        .map(|factor| factor.replace('_', "").parse::<u64>())
        .try_fold(1, |product, factor| factor.map(|factor| product * factor));
    if let Some(time) = value.strip_prefix("Duration::from_") {
        let (unit, count) = time.split_once('(').unwrap_or_default();
        let unit = match unit {
            "millis" => "ms",
            "secs" => "s",
            "mins" => "min",
            _ => "h",
        };
        return format!("{} {unit}", count.trim_end_matches(')'));
    }
    let Ok(count) = product else {
        return value.to_owned();
    };
    let is_bytes = name.contains("BYTES");
    match count {
        _ if is_bytes && count % (1 << 20) == 0 => format!("{} MiB", count >> 20),
        _ if is_bytes && count % (1 << 10) == 0 => format!("{} KiB", count >> 10),
        _ if is_bytes => format!("{count} bytes"),
        _ if name.contains("CHARS") => format!("{count} characters"),
        _ if count >= 10_000 && count % 1_000 == 0 => format!("{},000", count / 1_000),
        _ => count.to_string(),
    }
}

fn table(rows: &[Row]) -> String {
    let mut text =
        "\n| Limit | Value | When it is reached | Name in the code |\n| --- | --- | --- | --- |\n"
            .to_owned();
    for (file, name, reached) in rows {
        let (about, value) = constant(file, name)
            .unwrap_or_else(|| panic!("{file} has no constant {name} any more"));
        writeln!(
            text,
            "| {about} | {value} | {reached} | `{name}` in `{file}` |"
        )
        .unwrap();
    }
    text
}

#[test]
fn limits_in_the_documentation_are_those_of_the_code() {
    let text = format!(
        "{INTRODUCTION}{}\n## Connections and the disk, of the bridge and of the homeserver\n\nThe times and numbers of connections are set in \
         `appservice.connections` and with the keys `max_connections…` and `client_…_timeout` of `homeserver`.\n{}\n## The bridge\n\nHow often turns, edits and questions happen is set in `config.yaml`, see \
         `config.yaml.example`.\n{}\n## The connection to Letta\n{}",
        homeserver::limits_markdown(),
        table(CONNECTIONS),
        table(BRIDGE),
        table(LETTA),
    );
    crate::architecture::same_as_on_disk(Path::new(DOCUMENT), &text);
}
