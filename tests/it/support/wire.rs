//! A wire between two parts: everything on it is recorded, and any moment of it can be held, cut or answered wrongly.
//!
//! A request passes these moments: it *arrived* here, it was *answered* upstream (and the answer is still here), each
//! *chunk* of the answer's body, the *end* of the body. A test that holds a moment decides what the world looks like
//! before it lets go, which is how the bridge is killed exactly between two steps of a turn.

mod carry;
mod rules;

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use self::rules::Rule;
pub use self::rules::{ExchangePhase, Held, Moment, RuleAction, matrix_error};
use super::process::{client, free_port};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What was on the wire.
#[derive(Debug, Clone)]
pub struct Exchange {
    pub method: Method,
    pub path: String,
    pub query: String,
    pub body: Bytes,
    /// `None` while it is under way, or when it was cut.
    pub status: Option<StatusCode>,
    pub at: Instant,
}

impl Exchange {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// The user that an appservice acted as.
    pub fn acts_as(&self) -> Option<String> {
        let mut pairs = url::form_urlencoded::parse(self.query.as_bytes());
        pairs
            .find(|(key, _)| key == "user_id")
            .map(|(_, user)| user.into_owned())
    }
}

struct Inner {
    name: &'static str,
    target: String,
    http: reqwest::Client,
    exchanges: Mutex<Vec<Exchange>>,
    rules: Mutex<Vec<Rule>>,
    patient: AtomicBool,
}

pub struct Wire {
    inner: Arc<Inner>,
    port: u16,
    serving: Option<JoinHandle<()>>,
}

impl Wire {
    /// Opens a wire to `target`, a base URL.
    pub async fn to(name: &'static str, target: &str) -> Self {
        let inner = Inner {
            name,
            target: target.trim_end_matches('/').to_owned(),
            http: client(),
            exchanges: Mutex::default(),
            rules: Mutex::default(),
            patient: AtomicBool::new(false),
        };
        let mut wire = Self {
            inner: Arc::new(inner),
            port: free_port(),
            serving: None,
        };
        wire.open().await;
        wire
    }

    /// The base URL of this end.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Listens again after `close`.
    pub async fn open(&mut self) {
        let listener = TcpListener::bind(("127.0.0.1", self.port))
            .await
            .expect("the port of a wire is free");
        self.serving = Some(tokio::spawn(carry::serve(
            listener,
            Arc::clone(&self.inner),
        )));
    }

    /// Refuses connections and cuts those that are open.
    pub async fn close(&mut self) {
        if let Some(serving) = self.serving.take() {
            serving.abort();
            let _ = serving.await;
        }
    }

    /// Whether a request waits while the other end does not listen, as behind a proxy that tries again.
    pub fn set_patient(&self, patient: bool) {
        self.inner.patient.store(patient, Ordering::Relaxed);
    }

    /// Holds the next moment that matches, once.
    pub fn hold(&self, matches: impl Fn(&Moment) -> bool + Send + 'static) -> Held {
        let (caught, catch) = oneshot::channel();
        let (verdict, decide) = oneshot::channel();
        self.inner.rules.lock().unwrap().push(Rule::Hold {
            matches: Box::new(matches),
            caught,
            verdict: decide,
        });
        Held {
            caught: catch,
            verdict,
        }
    }

    /// Gives every moment that matches the same verdict, until `forget`.
    pub fn always(
        &self,
        verdict: RuleAction,
        matches: impl Fn(&Moment) -> bool + Send + 'static,
    ) -> u64 {
        let mut rules = self.inner.rules.lock().unwrap();
        let id = rules
            .iter()
            .filter_map(|rule| {
                if let Rule::Always { id, .. } = rule {
                    Some(*id)
                } else {
                    None
                }
            })
            .max();
        let id = id.unwrap_or(0) + 1;
        rules.push(Rule::Always {
            id,
            matches: Box::new(matches),
            verdict,
        });
        id
    }

    pub fn forget(&self, rule: u64) {
        self.inner
            .rules
            .lock()
            .unwrap()
            .retain(|kept| !matches!(kept, Rule::Always { id, .. } if *id == rule));
    }

    pub fn exchanges(&self) -> Vec<Exchange> {
        self.inner.exchanges.lock().unwrap().clone()
    }

    pub fn count(&self, matches: impl Fn(&Exchange) -> bool) -> usize {
        self.inner
            .exchanges
            .lock()
            .unwrap()
            .iter()
            .filter(|exchange| matches(exchange))
            .count()
    }

    /// The last requests, to read when a test failed.
    pub fn page(&self, lines: usize) -> String {
        let exchanges = self.exchanges();
        let mut page = format!("--- {} ---\n", self.inner.name);
        for one in &exchanges[exchanges.len().saturating_sub(lines)..] {
            let status = one
                .status
                .map_or("no answer".to_owned(), |status| status.to_string());
            let body: String = String::from_utf8_lossy(&one.body)
                .chars()
                .take(200)
                .collect();
            let ago = one.at.elapsed().as_secs_f32();
            let (method, path) = (&one.method, &one.path);
            let _ = writeln!(page, "{ago:7.2}s ago {method} {path} {status} {body}");
        }
        page
    }

    /// Forgets what was recorded.
    pub fn clear(&self) {
        self.inner.exchanges.lock().unwrap().clear();
    }

    /// The requests whose path has this as a whole segment.
    pub fn with_segment(&self, segment: &str) -> Vec<Exchange> {
        let mut exchanges = self.exchanges();
        exchanges.retain(|exchange| exchange.path.split('/').any(|part| part == segment));
        exchanges
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if let Some(serving) = &self.serving {
            serving.abort();
        }
    }
}
