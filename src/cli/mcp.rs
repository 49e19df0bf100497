//! `mcp`: the tools of an agent over standard input and output, for programs that know no other way.
//!
//! Each line is a JSON-RPC message; it goes to the running bridge as it is, and what the bridge answers comes back as one line. The
//! bridge decides everything, so this needs neither its configuration nor its journal.

use std::time::Duration;

use futures_util::StreamExt as _;
use reqwest::{Client, StatusCode, header};
use serde_json::{Value, json};
use tokio::io::{AsyncWriteExt as _, stdin, stdout};
use tokio_util::codec::{FramedRead, LinesCodec, LinesCodecError};

use super::{ExitCode, Failure, McpArgs, Outcome, probe};
use crate::tools::mcp::REQUEST_BYTES_MAX;

/// The variable that holds the token of the agent.
const TOKEN_VARIABLE: &str = "MATRIX_AGENT_TOKEN";
/// How long the bridge may take for one answer.
const ANSWER_MAX: Duration = Duration::from_mins(2);
/// JSON-RPC's code of an error inside a server.
const INTERNAL_ERROR: i32 = -32603;
/// The header that says which revision of the protocol was agreed on.
const VERSION_HEADER: &str = "mcp-protocol-version";

/// Passes lines on until there are no more.
pub(super) async fn serve(arguments: &McpArgs) -> Outcome {
    // Not on the command line, which everybody on this machine can read.
    let Ok(token) = std::env::var(TOKEN_VARIABLE) else {
        return Err(Failure::new(
            ExitCode::Usage,
            format_args!(
                "there is no token; set {TOKEN_VARIABLE} to what `!letta token <agent>` says"
            ),
        ));
    };
    let client = probe::of_this_machine().timeout(ANSWER_MAX).build();
    let client = client.map_err(|error| Failure::new(ExitCode::Other, probe::reason(error)))?;
    let mut lines = FramedRead::new(stdin(), LinesCodec::new_with_max_length(REQUEST_BYTES_MAX));
    let mut out = stdout();
    let mut version = None;
    loop {
        let line = match lines.next().await {
            Some(Ok(line)) => line,
            None => return Ok(()),
            // Who has sent it cannot be named in an answer, since it was not read.
            Some(Err(LinesCodecError::MaxLineLengthExceeded)) => {
                warn_of_long_line();
                continue;
            }
            Some(Err(LinesCodecError::Io(error))) => {
                return Err(Failure::new(
                    ExitCode::Other,
                    format_args!("cannot read standard input: {error}"),
                ));
            }
        };
        if line.trim().is_empty() {
            continue;
        }
        let link = Link {
            client: &client,
            url: arguments.url.as_str(),
            token: token.trim(),
        };
        let Some(answer) = link.pass(&line, &mut version).await else {
            continue;
        };
        let line = format!("{answer}\n");
        if out.write_all(line.as_bytes()).await.is_err() || out.flush().await.is_err() {
            // Who has started this does not read any more.
            return Ok(());
        }
    }
}

fn warn_of_long_line() {
    eprintln!("a message has more than {REQUEST_BYTES_MAX} bytes and was left out");
}

struct Link<'a> {
    client: &'a Client,
    url: &'a str,
    token: &'a str,
}

impl Link<'_> {
    /// What the bridge answers to a message; nothing to one that wants no answer.
    async fn pass(&self, line: &str, version: &mut Option<String>) -> Option<Value> {
        let message = serde_json::from_str::<Value>(line);
        let id = message
            .as_ref()
            .ok()
            .and_then(|message| message.get("id").cloned());
        let failed = |why: String| {
            id.clone().map(|id| {
                json!({ "jsonrpc": "2.0", "id": id, "error": { "code": INTERNAL_ERROR, "message": why } })
            })
        };
        let mut request = self
            .client
            .post(self.url)
            .bearer_auth(self.token)
            .header(header::ACCEPT, "application/json, text/event-stream")
            .header(header::CONTENT_TYPE, "application/json")
            .body(line.to_owned());
        if let Some(version) = version.as_deref() {
            request = request.header(VERSION_HEADER, version);
        }
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => {
                return failed(format!(
                    "the bridge cannot be reached: {}",
                    probe::reason(error)
                ));
            }
        };
        let status = answer.status();
        let Ok(body) = answer.text().await else {
            return failed("the answer of the bridge broke off".to_owned());
        };
        if status == StatusCode::ACCEPTED || status == StatusCode::NO_CONTENT {
            return None;
        }
        let Ok(answer) = serde_json::from_str::<Value>(&body) else {
            return failed(format!("the bridge answers {status}: {}", body.trim()));
        };
        if let Some(agreed) = answer["result"]["protocolVersion"].as_str() {
            *version = Some(agreed.to_owned());
        }
        Some(answer)
    }
}
