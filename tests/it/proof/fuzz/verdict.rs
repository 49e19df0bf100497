//! What every answer must be, whatever was asked.

use http::{HeaderMap, StatusCode, header};
use serde_json::Value;

use super::call::Call;
use super::catalogue::Operation;

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    pub fn errcode(&self) -> Option<String> {
        Some(self.json()?["errcode"].as_str()?.to_owned())
    }

    fn is_json(&self) -> bool {
        let media = self.headers.get(header::CONTENT_TYPE);
        media.is_some_and(|media| media.as_bytes().starts_with(b"application/json"))
    }
}

/// What is wrong with an answer, if anything is.
pub fn fault(operation: &Operation, call: &Call, answer: &Answer) -> Option<&'static str> {
    let status = answer.status;
    if answer
        .headers
        .get(header::ACCESS_CONTROL_ALLOW_ORIGIN)
        .is_none()
    {
        return Some("no CORS headers");
    }
    if call.method == "HEAD" || call.method == "OPTIONS" {
        return status.is_server_error().then_some("a fault of the server");
    }
    if status.is_success() {
        let unread = answer.is_json() && answer.json().is_none();
        return unread.then_some("no JSON though it says so");
    }
    if status.is_redirection() {
        let expected = operation.statuses.contains(&status.as_u16());
        return (!expected).then_some("an unexpected redirection");
    }
    let Some(error) = answer.json() else {
        return Some("an error without JSON");
    };
    // Whoever has to prove more is told the ways to do so instead.
    let interactive = status == StatusCode::UNAUTHORIZED && error["flows"].is_array();
    let code = error["errcode"].as_str();
    let standard = code.is_some_and(|code| code.starts_with("M_")) && error["error"].is_string();
    if !standard && !interactive {
        return Some("an error that is no standard error");
    }
    let said = operation.statuses.contains(&status.as_u16()) && code != Some("M_UNKNOWN");
    (status.is_server_error() && !said).then_some("a fault of the server")
}
