//! A journal that cannot be written: transactions are refused so that they come again, readiness tells why, and what was acknowledged
//! is there afterwards.

use std::path::Path;

use matrix_appservice_letta::journal::{Journal, JournalLimits};
use reqwest::Client;
use serde_json::{Value, json};

use super::disk::SmallDisk;
use super::support::{LOOK, PATIENCE, Program, client_from, process::free_port, text};

const STORE_LOST: i32 = 74;
/// Transactions that fit nowhere here.
const TRANSACTIONS_MAX: usize = 4_000;
/// The size of the event in each, in bytes.
const EVENT_BYTES: usize = 50_000;

struct Bridge {
    program: Program,
    url: String,
    client: Client,
    hs_token: String,
    acknowledged: Vec<String>,
    next: usize,
}

impl Bridge {
    /// A bridge beside a homeserver that is not there: the test is the homeserver.
    async fn start(dir: &Path, journal: &Path) -> Self {
        let port = free_port();
        let config = dir.join("config.yaml");
        let mut program = Program::new(&["run", "-c", text(&config)], &dir.join("bridge.log"))
            .with("BRIDGE_APPSERVICE__PORT", &port.to_string())
            .with("BRIDGE_JOURNAL__PATH", text(journal));
        let nowhere = format!("http://127.0.0.1:{}", free_port());
        let init = [
            "init",
            "--dir",
            text(dir),
            "--homeserver",
            "synapse",
            "--address",
            &nowhere,
        ];
        let flags = [
            "--domain",
            "letta.test",
            "--backend",
            "demo",
            "--admin",
            "@alice:letta.test",
        ];
        program.run(&[init.as_slice(), &flags].concat()).await;
        let url = format!("http://127.0.0.1:{port}");
        program.start(&format!("{url}/_matrix/mau/live")).await;
        let registration = std::fs::read_to_string(dir.join("registration.yaml")).unwrap();
        let registration: Value = serde_yaml::from_str(&registration).unwrap();
        Self {
            program,
            url,
            client: client_from("127.0.0.1"),
            hs_token: registration["hs_token"].as_str().unwrap().to_owned(),
            acknowledged: Vec::new(),
            next: 0,
        }
    }

    /// Sends one event. Whether it was acknowledged.
    async fn send(&mut self) -> bool {
        let number = self.next;
        self.next += 1;
        let event_id = format!("$event{number}");
        let event = json!({
            "type": "m.room.message", "event_id": event_id, "room_id": "!room:letta.test",
            "sender": "@alice:letta.test", "origin_server_ts": 1,
            "content": { "msgtype": "m.text", "body": "x".repeat(EVENT_BYTES) },
        });
        let url = format!("{}/_matrix/app/v1/transactions/{number}", self.url);
        let request = self.client.put(url).bearer_auth(&self.hs_token);
        let sent = request.json(&json!({ "events": [event] })).send().await;
        let Ok(response) = sent else { return false };
        let status = response.status();
        if status.is_success() {
            self.acknowledged.push(event_id);
            return true;
        }
        let answer: Value = response.json().await.unwrap();
        assert_eq!(status, 503, "{answer}");
        assert_eq!(answer["errcode"], "M_UNKNOWN");
        false
    }

    async fn send_until_refused(&mut self) {
        for _ in 0..TRANSACTIONS_MAX {
            if !self.send().await {
                return;
            }
        }
        panic!("{TRANSACTIONS_MAX} transactions were acknowledged");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn full_disk_refuses_transactions_and_loses_nothing_that_was_acknowledged() {
    let dir = tempfile::tempdir().unwrap();
    let disk = SmallDisk::at(&dir.path().join("disk"));
    let journal = disk.folder().join("journal");
    let mut bridge = Bridge::start(dir.path(), &journal).await;
    for _ in 0..10 {
        assert!(bridge.send().await, "there is room");
    }
    disk.fill(&mut bridge.program);
    bridge.send_until_refused().await;
    if let SmallDisk::Mounted { .. } = disk {
        for _ in 0..5 {
            assert!(!bridge.send().await, "the disk is still full");
        }
        let ready = format!("{}/_matrix/mau/ready", bridge.url);
        let ready = bridge.client.get(ready).send().await.unwrap();
        assert_eq!(ready.status(), 503);
        let ready: Value = ready.json().await.unwrap();
        let reason = ready["unwritable"]["journal"].as_str().unwrap();
        assert!(reason.contains("No space left on device"), "{reason}");
    }
    disk.free();
    let ended = async {
        loop {
            if let Some(status) = bridge.program.ended() {
                return status;
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    let status = tokio::time::timeout(PATIENCE, ended).await.unwrap();
    assert_eq!(status.code(), Some(STORE_LOST), "{status}");
    let log = bridge.program.log_text();
    assert!(log.contains("store cannot be written"), "{log}");
    assert!(log.contains("must be opened anew"), "{log}");

    let live = format!("{}/_matrix/mau/live", bridge.url);
    bridge.program.start(&live).await;
    assert!(bridge.send().await, "it can be written");
    bridge.program.stop().await;
    let journal = Journal::open(&journal, JournalLimits::default()).unwrap();
    let waiting = journal.waiting_events(usize::MAX).unwrap();
    let found = waiting.iter().map(|(_, admitted)| {
        let event: Value = serde_json::from_str(admitted.event.get()).unwrap();
        event["event_id"].as_str().unwrap().to_owned()
    });
    let found: Vec<_> = found.collect();
    let missing: Vec<_> = bridge
        .acknowledged
        .iter()
        .filter(|id| !found.contains(id))
        .collect();
    assert!(missing.is_empty(), "acknowledged and lost: {missing:?}");
    drop(journal);
}
