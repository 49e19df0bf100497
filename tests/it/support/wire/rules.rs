//! What a test says about moments on a wire: hold this one, always answer that one so.

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{Method, Response, StatusCode};
use serde_json::Value;
use tokio::sync::oneshot;

use super::{BoxError, Inner};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExchangePhase {
    Arrived,
    Answered,
    Chunk,
    End,
}

/// One moment of one request.
#[derive(Debug, Clone)]
pub struct Moment {
    pub stage: ExchangePhase,
    pub method: Method,
    pub path: String,
    /// The body of the request.
    pub body: Bytes,
    /// The chunk that is about to pass, and how many passed before it.
    pub chunk: Bytes,
    pub chunks_before: usize,
}

/// What becomes of a request at a moment.
#[derive(Debug, Clone)]
pub enum RuleAction {
    Pass,
    /// The connection is closed without a word more.
    Drop,
    /// This is answered instead.
    Answer(StatusCode, Value),
}

impl Moment {
    pub fn is(&self, stage: ExchangePhase, method: &Method, part_of_path: &str) -> bool {
        self.stage == stage && self.method == *method && self.path.contains(part_of_path)
    }

    pub fn mentions(&self, text: &str) -> bool {
        String::from_utf8_lossy(&self.body).contains(text)
    }
}

pub(super) type Matches = Box<dyn Fn(&Moment) -> bool + Send>;

pub(super) enum Rule {
    Hold {
        matches: Matches,
        caught: oneshot::Sender<Moment>,
        verdict: oneshot::Receiver<RuleAction>,
    },
    Always {
        id: u64,
        matches: Matches,
        verdict: RuleAction,
    },
}

/// A moment that is being waited for, and then held.
pub struct Held {
    pub(super) caught: oneshot::Receiver<Moment>,
    pub(super) verdict: oneshot::Sender<RuleAction>,
}

impl Held {
    /// Waits until the moment came. From here on the request stands still.
    pub async fn caught(&mut self, timeout: Duration) -> Moment {
        let caught = tokio::time::timeout(timeout, &mut self.caught).await;
        let caught =
            caught.unwrap_or_else(|_| panic!("the moment to hold did not come within {timeout:?}"));
        caught.expect("the wire lives as long as the test")
    }

    /// Lets the request go on, in one way or another.
    pub fn release(self, verdict: RuleAction) {
        let _ = self.verdict.send(verdict);
    }
}

/// A rule that matched.
enum Found {
    Given(RuleAction),
    Held(oneshot::Sender<Moment>, oneshot::Receiver<RuleAction>),
}

impl Inner {
    /// The first rule that matches. A hold is for one moment only, so it is taken out.
    fn take_rule(&self, moment: &Moment) -> Option<Found> {
        let mut rules = self.rules.lock().unwrap();
        let index = rules.iter().position(|rule| match rule {
            Rule::Hold { matches, .. } | Rule::Always { matches, .. } => matches(moment),
        })?;
        if let Rule::Always { verdict, .. } = &rules[index] {
            return Some(Found::Given(verdict.clone()));
        }
        match rules.remove(index) {
            Rule::Hold {
                caught, verdict, ..
            } => Some(Found::Held(caught, verdict)),
            Rule::Always { verdict, .. } => Some(Found::Given(verdict)),
        }
    }

    /// What the rules say: go on (`None`), answer this instead, or cut (an error).
    pub(super) async fn judge(&self, moment: Moment) -> Result<Option<Response<Body>>, BoxError> {
        let Some(rule) = self.take_rule(&moment) else {
            return Ok(None);
        };
        let verdict = match rule {
            Found::Given(verdict) => verdict,
            Found::Held(caught, verdict) => {
                let _ = caught.send(moment);
                verdict.await.unwrap_or(RuleAction::Pass)
            }
        };
        match verdict {
            RuleAction::Pass => Ok(None),
            RuleAction::Drop => Err("cut by the test".into()),
            RuleAction::Answer(status, body) => {
                let response = Response::builder()
                    .status(status)
                    .header("content-type", "application/json");
                Ok(Some(response.body(Body::from(body.to_string()))?))
            }
        }
    }
}

/// An answer for `RuleAction::Answer`: a Matrix error.
pub fn matrix_error(status: StatusCode, code: &str) -> RuleAction {
    RuleAction::Answer(
        status,
        serde_json::json!({"errcode": code, "error": "said by the test"}),
    )
}
