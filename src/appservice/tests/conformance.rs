//! Every row: one request to a fresh desk, its answer, and how many events it has journaled.

use std::fmt::Write as _;

use super::*;

/// Where the generated table is.
const DOCUMENT: &str = "docs/conformance.md";

/// How the homeserver shows its token.
#[derive(Clone, Copy)]
enum Shows {
    Header,
    Query,
    Both,
    Nothing,
    Wrong,
    WrongInQuery,
    WrongHeaderRightQuery,
    Basic,
}

/// What is sent along.
enum Sent {
    Nothing,
    Bytes(Vec<u8>),
    /// A transaction of this many bytes in all, with one event in it.
    OfSize(usize),
}

/// The answer that is due.
enum Due {
    Json(Value),
    Code(&'static str),
}

struct Row {
    what: &'static str,
    method: &'static str,
    path: &'static str,
    shows: Shows,
    sent: Sent,
    status: u16,
    due: Due,
    journaled: usize,
}

/// A request with the token in the header, answered `200 {}` unless said otherwise.
fn row(what: &'static str, method: &'static str, path: &'static str) -> Row {
    Row {
        what,
        method,
        path,
        shows: Shows::Header,
        sent: Sent::Nothing,
        status: 200,
        due: Due::Json(json!({})),
        journaled: 0,
    }
}

fn transaction(what: &'static str, body: impl Into<Vec<u8>>) -> Row {
    row(what, "PUT", TRANSACTION).sends(body)
}

/// A transaction with these events.
fn events(what: &'static str, events: &[Value]) -> Row {
    transaction(what, json!({ "events": events }).to_string())
}

impl Row {
    fn sends(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.sent = Sent::Bytes(body.into());
        self
    }

    fn of_size(mut self, bytes: usize) -> Self {
        self.sent = Sent::OfSize(bytes);
        self
    }

    fn shows(mut self, shows: Shows) -> Self {
        self.shows = shows;
        self
    }

    fn refused(mut self, status: u16, code: &'static str) -> Self {
        (self.status, self.due) = (status, Due::Code(code));
        self
    }

    fn answered(mut self, status: u16, body: Value) -> Self {
        (self.status, self.due) = (status, Due::Json(body));
        self
    }

    fn journals(mut self, events: usize) -> Self {
        self.journaled = events;
        self
    }

    fn request(&self) -> http::Request<Body> {
        let query = match self.shows {
            Shows::Query | Shows::Both | Shows::WrongHeaderRightQuery => {
                format!("?access_token={HS_TOKEN}")
            }
            Shows::WrongInQuery => "?access_token=guessed".to_owned(),
            _ => String::new(),
        };
        let header = match self.shows {
            Shows::Header | Shows::Both => Some(format!("Bearer {HS_TOKEN}")),
            Shows::Wrong | Shows::WrongHeaderRightQuery => Some("Bearer guessed".to_owned()),
            Shows::Basic => Some(format!("Basic {HS_TOKEN}")),
            _ => None,
        };
        let mut request = http::Request::builder()
            .method(self.method)
            .uri(format!("{}{query}", self.path));
        if let Some(header) = header {
            request = request.header("authorization", header);
        }
        let body = match &self.sent {
            Sent::Nothing => Body::empty(),
            Sent::Bytes(bytes) => Body::from(bytes.clone()),
            Sent::OfSize(bytes) => {
                let mut body = json!({ "events": [message("$a")], "padding": "" }).to_string();
                let padding = "x".repeat(bytes - body.len());
                body.insert_str(body.len() - 2, &padding);
                assert_eq!(body.len(), *bytes);
                Body::from(body)
            }
        };
        request.body(body).unwrap()
    }

    fn answer(&self) -> String {
        match &self.due {
            Due::Json(body) => format!("{} `{body}`", self.status),
            Due::Code(code) => format!("{} `{code}`", self.status),
        }
    }

    /// What is wrong with the answer, if anything is.
    async fn try_out(&self) -> Result<(), String> {
        let office = Office::open();
        let (status, body) = office.answer(self.request()).await;
        let as_due = match &self.due {
            Due::Json(due) => body == *due,
            Due::Code(code) => body["errcode"] == *code && body["error"].is_string(),
        };
        let journaled = office.journaled().len();
        if status == self.status && as_due && journaled == self.journaled {
            return Ok(());
        }
        Err(format!(
            "{}: due is {} and {} journaled; came {status} `{body}` and {journaled}",
            self.what,
            self.answer(),
            self.journaled
        ))
    }
}

fn rows() -> Vec<(&'static str, Vec<Row>)> {
    vec![
        ("Authorization", authorization()),
        ("Transactions", transactions()),
        ("Events in a transaction", single_events()),
        ("Beside events", beside_events()),
        ("Queries", queries()),
        ("Ping", pings()),
        ("Third-party networks", thirdparty()),
        ("Everything else", others()),
    ]
}

fn authorization() -> Vec<Row> {
    let ask = |what, shows| events(what, &[message("$a")]).shows(shows);
    vec![
        ask("token in the header", Shows::Header).journals(1),
        ask("token in the query, as before Matrix 1.4", Shows::Query).journals(1),
        ask("token in both, as Tuwunel sends it", Shows::Both).journals(1),
        ask("no token", Shows::Nothing).refused(401, "M_MISSING_TOKEN"),
        ask("another kind of credentials", Shows::Basic).refused(401, "M_MISSING_TOKEN"),
        ask("wrong token", Shows::Wrong).refused(403, "M_FORBIDDEN"),
        ask("wrong token in the query", Shows::WrongInQuery).refused(403, "M_FORBIDDEN"),
        ask(
            "wrong in the header, right in the query: the header counts",
            Shows::WrongHeaderRightQuery,
        )
        .refused(403, "M_FORBIDDEN"),
        row(
            "wrong token and a body that is too large: it is not read",
            "PUT",
            TRANSACTION,
        )
        .of_size(BODY_BYTES_MAX + 1)
        .shows(Shows::Wrong)
        .refused(403, "M_FORBIDDEN"),
        row(
            "user query without token",
            "GET",
            "/_matrix/app/v1/users/@agent_known:house.test",
        )
        .shows(Shows::Nothing)
        .refused(401, "M_MISSING_TOKEN"),
        row(
            "alias query with a wrong token",
            "GET",
            "/_matrix/app/v1/rooms/%23agent_known:house.test",
        )
        .shows(Shows::Wrong)
        .refused(403, "M_FORBIDDEN"),
        row("ping without token", "POST", "/_matrix/app/v1/ping")
            .shows(Shows::Nothing)
            .refused(401, "M_MISSING_TOKEN"),
        row(
            "third-party look-up without token",
            "GET",
            "/_matrix/app/v1/thirdparty/user",
        )
        .shows(Shows::Nothing)
        .refused(401, "M_MISSING_TOKEN"),
    ]
}

fn transactions() -> Vec<Row> {
    vec![
        events("one message", &[message("$a")]).journals(1),
        events("no events", &[]),
        transaction("an empty object", "{}"),
        row("legacy path without a prefix", "PUT", "/transactions/1")
            .sends(json!({ "events": [message("$a")] }).to_string())
            .journals(1),
        row(
            "a transaction id with odd characters",
            "PUT",
            "/_matrix/app/v1/transactions/%2F%20%C3%A9%FF",
        )
        .sends(json!({ "events": [message("$a")] }).to_string())
        .journals(1),
        transaction("no body", "").refused(400, "M_NOT_JSON"),
        transaction("a body that is not JSON", "{events:").refused(400, "M_NOT_JSON"),
        transaction("a body cut short", r#"{"events":[{"#).refused(400, "M_NOT_JSON"),
        transaction("a body that is an array", "[]").refused(400, "M_BAD_JSON"),
        transaction("`events` is not a list", r#"{"events":{}}"#).refused(400, "M_BAD_JSON"),
        transaction("`events` is null", r#"{"events":null}"#).refused(400, "M_BAD_JSON"),
        row("a body of 50 MiB", "PUT", TRANSACTION)
            .of_size(BODY_BYTES_MAX)
            .journals(1),
        row("a body of 50 MiB and a byte", "PUT", TRANSACTION)
            .of_size(BODY_BYTES_MAX + 1)
            .refused(413, "M_TOO_LARGE"),
    ]
}

/// A good event, changed in one place.
fn with(field: &str, value: Value) -> Value {
    let mut event = message("$x");
    event[field] = value;
    event
}

fn without(field: &str) -> Value {
    let mut event = message("$x");
    event.as_object_mut().unwrap().remove(field);
    event
}

/// One malformed event between two good ones.
fn among_good(what: &'static str, bad: Value) -> Row {
    events(what, &[message("$a"), bad, message("$b")]).journals(2)
}

#[expect(
    clippy::too_many_lines,
    reason = "a table is read row by row, and is one thing"
)]
fn single_events() -> Vec<Row> {
    let deep = "[".repeat(100_000) + &"]".repeat(100_000);
    let raw = |bad: &str| {
        let (a, b) = (message("$a"), message("$b"));
        format!(r#"{{"events":[{a},{bad},{b}]}}"#)
    };
    let mut not_utf8 = raw(&message("$x").to_string()).into_bytes();
    let at = not_utf8
        .windows(5)
        .rposition(|part| part == b"hello")
        .unwrap();
    not_utf8[at] = 0xFF;
    let member = |who: &str, sender: &str| {
        let mut event = with("type", json!("m.room.member"));
        event["state_key"] = json!(who);
        event["sender"] = json!(sender);
        event["content"] = json!({ "membership": "invite" });
        event
    };
    vec![
        among_good("an event that is null, among good ones", json!(null)),
        among_good("a number in place of an event", json!(7)),
        among_good(
            "an array in place of an event",
            json!(["$x", "!r:x", "@a:x", "m.room.message", null, {}]),
        ),
        among_good("an event without an id", without("event_id")),
        among_good("an event without a room", without("room_id")),
        among_good("an event without a sender", without("sender")),
        among_good("an event without a type", without("type")),
        among_good("an event without content", without("content")),
        among_good("an event whose id is a number", with("event_id", json!(1))),
        among_good("an event whose id is none", with("event_id", json!("x"))),
        among_good(
            "an event id of 300 bytes",
            with("event_id", json!(format!("${}", "x".repeat(300)))),
        ),
        among_good(
            "a room id of 300 bytes",
            with("room_id", json!(format!("!{}", "x".repeat(300)))),
        ),
        among_good(
            "an event whose sender is none",
            with("sender", json!("alice")),
        ),
        among_good(
            "an event whose content is a text",
            with("content", json!("hello")),
        ),
        among_good(
            "an event whose state key is a number",
            with("state_key", json!(1)),
        ),
        transaction(
            "an event 100,000 arrays deep",
            raw(&format!(r#"{{"content":{deep}}}"#)),
        )
        .journals(2),
        transaction(
            "a number that no type holds",
            raw(r#"{"content":{"a":1e999}}"#),
        )
        .journals(2),
        transaction(
            "an event with bytes that are no UTF-8: they are replaced",
            not_utf8,
        )
        .journals(3),
        events(
            "an event without `origin_server_ts`, which nobody needs",
            &[without("origin_server_ts")],
        )
        .journals(1),
        events(
            "a room id without a server, as in room version 12",
            &[with(
                "room_id",
                json!("!31hneApxJ_1o-63DmFrpeqnkFfWppnzWso1JvH3ogLM"),
            )],
        )
        .journals(1),
        events(
            "a message of a ghost: our own echo",
            &[with("sender", json!("@agent_known:house.test"))],
        ),
        events(
            "a message of the bot: our own echo",
            &[with("sender", json!("@letta:house.test"))],
        ),
        events(
            "a message of a user elsewhere with a ghost's name",
            &[with("sender", json!("@agent_known:else.test"))],
        )
        .journals(1),
        events(
            "a ghost is invited by a person",
            &[member("@agent_known:house.test", "@alice:house.test")],
        )
        .journals(1),
        events(
            "a ghost is invited by the bot: our own doing",
            &[member("@agent_known:house.test", "@letta:house.test")],
        ),
        events(
            "a person is invited by the bot",
            &[member("@alice:house.test", "@letta:house.test")],
        )
        .journals(1),
        events(
            "a type that nobody routes",
            &[with("type", json!("m.room.topic"))],
        ),
        events("a reaction", &[with("type", json!("m.reaction"))]).journals(1),
        events("a redaction", &[with("type", json!("m.room.redaction"))]).journals(1),
        events(
            "an encrypted message",
            &[with("type", json!("m.room.encrypted"))],
        )
        .journals(1),
    ]
}

fn beside_events() -> Vec<Row> {
    let body =
        |key: &str, value: Value| json!({ "events": [message("$a")], key: value }).to_string();
    let typing = json!([{ "type": "m.typing", "room_id": "!room:house.test", "content": { "user_ids": [] } }]);
    let device = json!([{
        "type": "m.room_key_request", "sender": "@alice:house.test", "content": {},
        "to_user_id": "@letta:house.test", "to_device_id": "X",
    }]);
    let keys = json!({ "@letta:house.test": { "X": { "signed_curve25519": 5 } } });
    let only = |key: &str| json!({ "events": [], key: typing }).to_string();
    vec![
        transaction("`ephemeral`", body("ephemeral", typing.clone())).journals(1),
        transaction(
            "`de.sorunome.msc2409.ephemeral`",
            body("de.sorunome.msc2409.ephemeral", typing.clone()),
        )
        .journals(1),
        transaction("nothing but `ephemeral`", only("ephemeral")),
        transaction(
            "`ephemeral` that is not a list",
            body("ephemeral", json!(1)),
        )
        .journals(1),
        transaction("`to_device`", body("to_device", device.clone())).journals(1),
        transaction(
            "`de.sorunome.msc2409.to_device`",
            body("de.sorunome.msc2409.to_device", device),
        )
        .journals(1),
        transaction(
            "`device_lists`",
            body("device_lists", json!({ "changed": ["@alice:house.test"] })),
        )
        .journals(1),
        transaction(
            "`org.matrix.msc3202.device_lists`",
            body("org.matrix.msc3202.device_lists", json!({ "changed": [] })),
        )
        .journals(1),
        transaction(
            "`device_one_time_keys_count`",
            body("device_one_time_keys_count", keys.clone()),
        )
        .journals(1),
        transaction(
            "`org.matrix.msc3202.device_one_time_keys_count`",
            body("org.matrix.msc3202.device_one_time_keys_count", keys),
        )
        .journals(1),
        transaction(
            "`device_unused_fallback_key_types`",
            body("device_unused_fallback_key_types", json!({})),
        )
        .journals(1),
        transaction(
            "a key that nobody knows yet",
            body("org.example.new", json!([1])),
        )
        .journals(1),
    ]
}

fn queries() -> Vec<Row> {
    let ask = |what, path| row(what, "GET", path);
    vec![
        ask(
            "a ghost of an agent that Letta has",
            "/_matrix/app/v1/users/@agent_known:house.test",
        ),
        ask(
            "the same, percent-encoded",
            "/_matrix/app/v1/users/%40agent_known%3Ahouse.test",
        ),
        ask(
            "the same under the legacy path",
            "/users/@agent_known:house.test",
        ),
        ask("the bot", "/_matrix/app/v1/users/@letta:house.test"),
        ask(
            "a ghost of an agent that Letta has not",
            "/_matrix/app/v1/users/@agent_none:house.test",
        )
        .refused(404, "M_NOT_FOUND"),
        ask(
            "a user outside the namespace",
            "/_matrix/app/v1/users/@alice:house.test",
        )
        .refused(404, "M_NOT_FOUND"),
        ask(
            "a ghost's name elsewhere",
            "/_matrix/app/v1/users/@agent_known:else.test",
        )
        .refused(404, "M_NOT_FOUND"),
        ask("what is no user id", "/_matrix/app/v1/users/agent_known").refused(404, "M_NOT_FOUND"),
        ask("a user id that is not UTF-8", "/_matrix/app/v1/users/%FF").refused(404, "M_NOT_FOUND"),
        ask(
            "the alias of an agent that Letta has",
            "/_matrix/app/v1/rooms/%23agent_known:house.test",
        ),
        ask(
            "the same under the legacy path",
            "/rooms/%23agent_known:house.test",
        ),
        ask(
            "the alias of an agent that Letta has not",
            "/_matrix/app/v1/rooms/%23agent_none:house.test",
        )
        .refused(404, "M_NOT_FOUND"),
        ask(
            "an alias outside the namespace",
            "/_matrix/app/v1/rooms/%23lobby:house.test",
        )
        .refused(404, "M_NOT_FOUND"),
        ask("what is no alias", "/_matrix/app/v1/rooms/lobby").refused(404, "M_NOT_FOUND"),
        ask("an alias that is not UTF-8", "/_matrix/app/v1/rooms/%FF").refused(404, "M_NOT_FOUND"),
    ]
}

fn pings() -> Vec<Row> {
    let ping = |what, body: &str| row(what, "POST", "/_matrix/app/v1/ping").sends(body);
    vec![
        ping("with a transaction id", r#"{"transaction_id":"1"}"#),
        ping("without one", "{}"),
        ping("without a body", ""),
        ping(
            "with a transaction id that is a number",
            r#"{"transaction_id":1}"#,
        ),
    ]
}

fn thirdparty() -> Vec<Row> {
    let ask = |what, path| row(what, "GET", path).refused(404, "M_NOT_FOUND");
    vec![
        ask("a protocol", "/_matrix/app/v1/thirdparty/protocol/letta"),
        ask(
            "users of a protocol",
            "/_matrix/app/v1/thirdparty/user/letta?name=x",
        ),
        ask(
            "who a user is",
            "/_matrix/app/v1/thirdparty/user?userid=@alice:house.test",
        ),
        ask(
            "locations of a protocol",
            "/_matrix/app/v1/thirdparty/location/letta?name=x",
        ),
        ask(
            "what a room is",
            "/_matrix/app/v1/thirdparty/location?alias=%23lobby:house.test",
        ),
        ask(
            "a protocol, unstable path",
            "/_matrix/app/unstable/thirdparty/protocol/letta",
        ),
        ask(
            "users of a protocol, unstable path",
            "/_matrix/app/unstable/thirdparty/user/letta",
        ),
        ask(
            "who a user is, unstable path",
            "/_matrix/app/unstable/thirdparty/user",
        ),
        ask(
            "locations of a protocol, unstable path",
            "/_matrix/app/unstable/thirdparty/location/letta",
        ),
        ask(
            "what a room is, unstable path",
            "/_matrix/app/unstable/thirdparty/location",
        ),
    ]
}

fn others() -> Vec<Row> {
    vec![
        row("a path that nobody knows", "GET", "/_matrix/app/v1/nothing")
            .refused(404, "M_UNRECOGNIZED"),
        row(
            "a version that is not there yet",
            "PUT",
            "/_matrix/app/v2/transactions/1",
        )
        .refused(404, "M_UNRECOGNIZED"),
        row("a transaction that is posted", "POST", TRANSACTION).refused(405, "M_UNRECOGNIZED"),
        row(
            "a user that is put",
            "PUT",
            "/_matrix/app/v1/users/@agent_known:house.test",
        )
        .refused(405, "M_UNRECOGNIZED"),
        row("a ping that is got", "GET", "/_matrix/app/v1/ping").refused(405, "M_UNRECOGNIZED"),
        row("is it alive", "GET", "/_matrix/mau/live")
            .shows(Shows::Nothing)
            .answered(200, json!({ "live": true })),
        row(
            "is it ready, before the start-up checks",
            "GET",
            "/_matrix/mau/ready",
        )
        .shows(Shows::Nothing)
        .answered(503, json!({ "ready": false })),
        row("there is a new agent", "POST", "/webhook/new-agent")
            .shows(Shows::Nothing)
            .answered(202, json!({})),
    ]
}

#[tokio::test]
async fn the_desk_keeps_to_every_row() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for (section, rows) in rows() {
        for row in rows {
            let outcome = row.try_out().await;
            let sign = if outcome.is_ok() { "ok" } else { "NOT" };
            println!("{sign:3} {section}: {} -> {}", row.what, row.answer());
            wrong.extend(outcome.err());
            count += 1;
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {count} rows:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
}

#[test]
fn the_table_in_the_repository_is_the_generated_one() {
    let mut text = "# How the bridge keeps to the Application Service API\n\n\
        Every row is a test: one request to a fresh desk with a real journal. *Journaled* counts the events that wait on \
        disk after it. The specification is that of [Matrix 1.16]\
        (https://spec.matrix.org/v1.16/application-service-api/).\n\n\
        Generated from `src/appservice/tests/`; rewrite it with `UPDATE_EXAMPLES=1 cargo test --lib`.\n"
        .to_owned();
    for (section, rows) in rows() {
        write!(
            text,
            "\n## {section}\n\n| what | request | answer | journaled |\n|---|---|---|---|\n"
        )
        .unwrap();
        for row in rows {
            let path = row.path.split('?').next().unwrap_or_default();
            let (what, answer) = (row.what, row.answer());
            let journaled = row.journaled;
            writeln!(
                text,
                "| {what} | `{} {path}` | {answer} | {journaled} |",
                row.method
            )
            .unwrap();
        }
    }
    text.push_str("\n## Over several requests\n\n");
    let names = include_str!("stories.rs")
        .lines()
        .filter_map(|line| line.strip_prefix("async fn ")?.strip_suffix("() {"));
    for name in names {
        writeln!(text, "* {}", name.replace('_', " ")).unwrap();
    }
    crate::house::same_as_on_disk(Path::new(DOCUMENT), &text);
}
