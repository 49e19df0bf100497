//! The desk against the specification: a table of single requests, and stories of several.
//!
//! `docs/conformance.md` is generated from both.

mod conformance;
mod stories;

use std::{
    path::Path,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use axum::{body::Body, http};
use http_body_util::BodyExt as _;
use ruma::{EventId, server_name};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt as _;

use super::*;
use crate::{journal::JournalLimits, time::Millis};

const HS_TOKEN: &str = "hs-secret";
const TRANSACTION: &str = "/_matrix/app/v1/transactions/1";

/// In place of discovery and Letta: one agent exists, `agent-known`.
#[derive(Default)]
struct OneAgent {
    looked: AtomicUsize,
    ghosts: Mutex<Vec<String>>,
}

#[async_trait]
impl Provision for OneAgent {
    async fn ensure_ghost(&self, agent: &AgentId) -> bool {
        let known = agent.as_str() == "agent-known";
        if known {
            self.ghosts.lock().unwrap().push(agent.to_string());
        }
        known
    }

    async fn ensure_room(&self, agent: &AgentId) -> bool {
        agent.as_str() == "agent-known"
    }

    fn look_now(&self) {
        self.looked.fetch_add(1, Ordering::SeqCst);
    }
}

/// A desk with a real journal, and what stands around it.
struct TestAppservice {
    state: AppserviceState,
    agents: Arc<OneAgent>,
    ready: watch::Sender<bool>,
    folder: TempDir,
}

impl TestAppservice {
    fn open() -> Self {
        Self::with(JournalLimits::default())
    }

    fn with(limits: JournalLimits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(folder.path(), limits).unwrap();
        let agents = Arc::new(OneAgent::default());
        let (ready, is_ready) = watch::channel(false);
        let identity = Identity::new(
            server_name!("house.test"),
            "agent_{id}".parse().unwrap(),
            "letta",
            "letta_agents",
        );
        let conditions = vec![journal.condition().clone()];
        let state = AppserviceState {
            encryption: Encryption::default(),
            hs_token: Secret::new(HS_TOKEN),
            identity: identity.unwrap(),
            journal,
            arrived: Arc::new(Notify::new()),
            provision: Arc::clone(&agents) as Arc<dyn Provision>,
            pings: Pings::default(),
            start_echo: StartEcho::default(),
            ready: is_ready,
            conditions,
        };
        Self {
            state,
            agents,
            ready,
            folder,
        }
    }

    async fn answer(&self, request: http::Request<Body>) -> (u16, Value) {
        let response = router(self.state.clone()).oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let body = serde_json::from_slice(&body)
            .unwrap_or_else(|_| Value::from(String::from_utf8_lossy(&body)));
        (status, body)
    }

    /// Sends a transaction as the homeserver does.
    async fn transaction(&self, id: &str, events: &[Value]) -> (u16, Value) {
        let request = http::Request::put(format!("/_matrix/app/v1/transactions/{id}"))
            .header("authorization", format!("Bearer {HS_TOKEN}"))
            .body(Body::from(json!({ "events": events }).to_string()))
            .unwrap();
        self.answer(request).await
    }

    /// The ids of the events that wait to be routed, in order.
    fn journaled(&self) -> Vec<String> {
        journaled(&self.state.journal)
    }
}

fn journaled(journal: &Journal) -> Vec<String> {
    let id = |event: &RawEvent| -> String {
        let event: Value = serde_json::from_str(event.get()).unwrap();
        event["event_id"].as_str().unwrap().to_owned()
    };
    let waiting = journal.waiting_events(usize::MAX).unwrap();
    waiting.iter().map(|(_, it)| id(&it.event)).collect()
}

type RawEvent = serde_json::value::RawValue;

/// A message of a person.
fn message(id: &str) -> Value {
    json!({
        "type": "m.room.message",
        "event_id": id,
        "room_id": "!room:house.test",
        "sender": "@alice:house.test",
        "origin_server_ts": 1,
        "content": { "msgtype": "m.text", "body": "hello" },
    })
}

/// The folder as it would be found if the machine lost its power now.
fn as_after_a_crash(folder: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    copy_into(folder, copy.path());
    copy
}

fn copy_into(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_into(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test]
async fn unwritable_journal_is_not_ready_and_refuses_transactions() {
    let service = TestAppservice::open();
    service.ready.send(true).unwrap();
    let ready = || {
        let request = http::Request::get("/_matrix/mau/ready");
        service.answer(request.body(Body::empty()).unwrap())
    };
    assert_eq!(ready().await, (200, json!({ "ready": true })));
    let condition = service.state.journal.condition();
    for (failure, shown) in [
        (
            "cannot append to /var/lib/letta/journal/db: boom",
            "it cannot be written; the log says why",
        ),
        (
            "cannot append to /var/lib/letta/journal/db: No space left on device (os error 28)",
            "No space left on device",
        ),
    ] {
        condition.recovered();
        condition.failed(&std::io::Error::other(failure));
        let expected = json!({ "ready": false, "unwritable": { "journal": shown } });
        assert_eq!(ready().await, (503, expected));
    }
    let (status, body) = service.transaction("1", &[message("$a")]).await;
    assert_eq!((status, &body["errcode"]), (503, &json!("M_UNKNOWN")));
    assert!(service.journaled().is_empty());
}
