//! Refusals in all the shapes that Letta gives them, and what they mean.
//!
//! `detail` is a string or an object with a `message`; failures of a model come as
//! `{"error":{…}}`; proxies send HTML. Conflicts are told apart by their words, as Letta's own
//! apps do, because no code names them everywhere.

use std::{sync::LazyLock, time::Duration};

use http::{HeaderMap, header};
use regex::Regex;
use serde_json::Value;

use crate::{error::BackendError, id::RunId};

/// How much of a server's words an error keeps, in characters.
pub const DETAIL_CHARS_MAX: usize = 500;

/// The longest `Retry-After` that is believed.
pub const RETRY_AFTER_MAX: Duration = Duration::from_hours(1);

/// Reasons for a 429 that no waiting mends.
/// Source: Letta Code, which stops retrying at the same words.
const PERMANENT_REASONS: [&str; 7] = [
    "agents-limit-exceeded",
    "exceeded-quota",
    "free-usage-exceeded",
    "premium-usage-exceeded",
    "standard-usage-exceeded",
    "basic-usage-exceeded",
    "not-enough-credits",
];

#[expect(
    clippy::expect_used,
    reason = "the pattern is a constant that a test compiles"
)]
static RUN_ID: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"run_id=([A-Za-z0-9_-]+)").expect("a valid pattern"));

/// An answer whose status is not a success.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    retry_after: Option<Duration>,
    /// All that was said, for the words that are looked for in it.
    body: String,
    /// What was said for people, cut.
    detail: String,
    /// Letta spoke, not a proxy before it.
    from_letta: bool,
    run: Option<RunId>,
}

impl Refusal {
    /// How much of a refusal is read, in bytes.
    pub(crate) const BODY_BYTES_MAX: usize = 64 * 1024;

    pub(crate) fn new(status: u16, headers: &HeaderMap, body: &[u8]) -> Self {
        let json: Option<Value> = serde_json::from_slice(body).ok();
        let body = String::from_utf8_lossy(body).into_owned();
        let said = json.as_ref().and_then(said);
        let run = json.as_ref().and_then(|json| json["run_id"].as_str());
        let run = run.and_then(|run| run.parse().ok());
        let mut detail = cut(said.as_deref().unwrap_or(&body), DETAIL_CHARS_MAX);
        if let Some(location) = headers.get(header::LOCATION).and_then(|v| v.to_str().ok()) {
            detail = cut(&format!("redirected to {location}"), DETAIL_CHARS_MAX);
        }
        let retry_after = headers.get(header::RETRY_AFTER).and_then(|value| {
            // The other form, a date, is nothing that Letta sends.
            let seconds = value.to_str().ok()?.trim().parse::<f64>().ok()?;
            let wait = Duration::try_from_secs_f64(seconds).ok()?;
            Some(wait.min(RETRY_AFTER_MAX))
        });
        Self {
            status,
            retry_after,
            from_letta: said.is_some(),
            body,
            detail,
            run,
        }
    }

    /// V1 without Redis was asked for a background run. A proxy's 503 is something else: behind it
    /// the send may have been accepted.
    pub(crate) fn is_no_background(&self) -> bool {
        self.status == 503 && self.from_letta
    }

    /// Nothing was running.
    pub(crate) fn is_nothing_to_cancel(&self) -> bool {
        self.status == 409 && self.body.contains("No active runs")
    }

    /// The error for a caller; `what` is what was asked for.
    pub(crate) fn into_error(self, what: &str) -> BackendError {
        let Self { status, detail, .. } = self;
        match status {
            401 => BackendError::Unauthorized,
            402 => BackendError::QuotaExceeded {
                reason: "payment-required".to_owned(),
            },
            404 | 410 => BackendError::NotFound {
                what: what.to_owned(),
            },
            // A decision on nothing is no conflict to V1 but a mistake.
            400 | 409 => {
                conflict(&self.body, self.run).unwrap_or(BackendError::Refused { status, detail })
            }
            429 => match PERMANENT_REASONS
                .iter()
                .find(|reason| self.body.contains(**reason))
            {
                Some(reason) => BackendError::QuotaExceeded {
                    reason: (*reason).to_owned(),
                },
                None => BackendError::RateLimited {
                    retry_after: self.retry_after,
                },
            },
            // A request that came too slowly may come again.
            408 | 500.. => BackendError::ServerError { status, detail },
            _ => BackendError::Refused { status, detail },
        }
    }
}

/// What a body says for people.
fn said(json: &Value) -> Option<String> {
    let detail = &json["detail"];
    if let Some(text) = detail.as_str().or_else(|| detail["message"].as_str()) {
        return Some(text.to_owned());
    }
    if !detail.is_null() {
        return Some(detail.to_string());
    }
    let error = &json["error"];
    let parts = [&error["message"], &error["detail"], error, &json["message"]];
    let parts: Vec<_> = parts.into_iter().filter_map(Value::as_str).collect();
    (!parts.is_empty()).then(|| parts.join(": "))
}

/// What a conflict's words mean. Streams carry the same words in an error event.
pub(crate) fn conflict(text: &str, run: Option<RunId>) -> Option<BackendError> {
    if text.contains("waiting for approval") {
        return Some(BackendError::ApprovalPending);
    }
    if text.contains("No tool call is currently awaiting approval") {
        return Some(BackendError::NotPending);
    }
    let busy = [
        "is currently being processed",
        "busy with another active run",
    ];
    busy.iter().any(|words| text.contains(words)).then(|| {
        let named = || RUN_ID.captures(text)?.get(1)?.as_str().parse().ok();
        BackendError::Busy {
            run: run.or_else(named),
        }
    })
}

/// The beginning of a text, at most `max` characters.
pub(crate) fn cut(text: &str, max: usize) -> String {
    match text.char_indices().nth(max) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(status: u16, body: &str) -> BackendError {
        Refusal::new(status, &HeaderMap::new(), body.as_bytes()).into_error("agent a")
    }

    /// The bodies are those of a V1 server, shortened.
    #[test]
    fn every_shape_becomes_its_error() {
        let shown = |status, body| format!("{:?}", error(status, body));
        insta::assert_snapshot!(
            shown(422, r#"{"trace_id":"","detail":"[{'type': 'list_type'}]","examples":["x"]}"#), @r#"Refused { status: 422, detail: "[{'type': 'list_type'}]" }"#);
        insta::assert_snapshot!(
            shown(404, r#"{"detail":"Agent not found with id='x' for actor='id='user-1'"}"#), @r#"NotFound { what: "agent a" }"#);
        insta::assert_snapshot!(shown(409, r#"{"detail":"CONFLICT: Cannot send a new message: Another request (run_id=run-9d4f) is currently being processed for this conversation.","run_id":"run-9d4f"}"#), @"Busy { run: Some(run-9d4f) }");
        insta::assert_snapshot!(shown(409, r#"{"detail":"CONFLICT: busy with another active run (run_id=run-1)"}"#), @"Busy { run: Some(run-1) }");
        insta::assert_snapshot!(shown(409, r#"{"detail":{"code":"PENDING_APPROVAL","message":"CONFLICT: The agent is waiting for approval on a tool call.","pending_request_id":"message-1"}}"#), @"ApprovalPending");
        insta::assert_snapshot!(shown(409, r#"{"detail":"CONFLICT: something new"}"#), @r#"Refused { status: 409, detail: "CONFLICT: something new" }"#);
        insta::assert_snapshot!(shown(500, r#"{"error":{"type":"llm_error","message":"An error occurred.","detail":"INTERNAL_SERVER_ERROR: x"}}"#), @r#"ServerError { status: 500, detail: "An error occurred.: INTERNAL_SERVER_ERROR: x" }"#);
        insta::assert_snapshot!(shown(502, "<html>bad gateway</html>"), @r#"ServerError { status: 502, detail: "<html>bad gateway</html>" }"#);
        insta::assert_snapshot!(shown(401, r#"{"detail":"Unauthorized"}"#), @"Unauthorized");
        insta::assert_snapshot!(shown(429, r#"{"error":"limited","reasons":["not-enough-credits"]}"#), @r#"QuotaExceeded { reason: "not-enough-credits" }"#);
        insta::assert_snapshot!(shown(429, r#"{"error":"limited"}"#), @"RateLimited { retry_after: None }");
    }

    #[test]
    fn retry_after_is_read_and_bounded() {
        for (said, expected) in [
            ("7", Some(7.0)),
            ("0.5", Some(0.5)),
            ("999999", Some(3600.0)),
            ("-1", None),
            ("Wed, 1", None),
        ] {
            let headers = HeaderMap::from_iter([(header::RETRY_AFTER, said.parse().unwrap())]);
            let error = Refusal::new(429, &headers, b"{}").into_error("x");
            let BackendError::RateLimited { retry_after } = error else {
                panic!("{error:?}")
            };
            assert_eq!(retry_after, expected.map(Duration::from_secs_f64), "{said}");
        }
    }

    #[test]
    fn a_long_detail_is_cut_between_characters() {
        let BackendError::Refused { detail, .. } = error(400, &"ü".repeat(5000)) else {
            panic!()
        };
        assert_eq!(detail.chars().count(), DETAIL_CHARS_MAX + 1);
    }

    #[test]
    fn only_letta_itself_can_say_that_it_has_no_background_mode() {
        let refusal = |body: &[u8]| Refusal::new(503, &HeaderMap::new(), body);
        assert!(refusal(br#"{"detail":"Redis is required"}"#).is_no_background());
        assert!(!refusal(b"<html>no upstream</html>").is_no_background());
    }
}
