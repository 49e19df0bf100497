//! Every row: one request to a fresh desk, its answer, and how many events it has journaled.
//!
//! Here is what a row is and how it is tried out; the rows are by theme.

mod events;
mod others;
mod queries;
mod transactions;

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
        let service = TestAppservice::open();
        let (status, body) = service.answer(self.request()).await;
        let as_due = match &self.due {
            Due::Json(due) => body == *due,
            Due::Code(code) => body["errcode"] == *code && body["error"].is_string(),
        };
        let journaled = service.journaled().len();
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
        ("Authorization", transactions::authorization()),
        ("Transactions", transactions::transactions()),
        ("Events in a transaction", events::single_events()),
        ("Beside events", transactions::beside_events()),
        ("Queries", queries::queries()),
        ("Ping", others::pings()),
        ("Third-party networks", queries::thirdparty()),
        ("Everything else", others::others()),
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
    text.push_str(include_str!("conformance/homeserver.md"));
    crate::architecture::same_as_on_disk(Path::new(DOCUMENT), &text);
}
