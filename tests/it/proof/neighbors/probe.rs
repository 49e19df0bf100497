//! An innocent user: how long each kind of request takes, and whether it is answered rightly.
//!
//! What is asked stays below the limits of one user: 100 messages (200 at once, ten a second), and four logins.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::proof::account::{Account, http_anew_from, http_from, part};

/// After how many rounds somebody logs in again.
const LOGIN_EVERY: usize = 25;
/// Longer than this no innocent user is asked to wait: all rounds beside one flood together.
pub const LIMIT: Duration = Duration::from_mins(1);
/// Between the beginnings of two rounds of a measurement, so that it sees some seconds of a flood.
const PACE: Duration = Duration::from_millis(25);
/// How often somebody syncs until their own message is there.
const SYNCS_MAX: usize = 5;
/// What is asked, in the order of the report.
///
/// For the versions each time over a new connection, for all else over one that is kept.
pub const KINDS: [&str; 5] = ["versions", "whoami", "message", "sync", "login"];
const VERSIONS_PATH: &str = "versions";
const VERSIONS: usize = 0;
const WHOAMI: usize = 1;
const MESSAGE: usize = 2;
const SYNC: usize = 3;
const LOGIN: usize = 4;

/// The address that the innocent user has.
fn home() -> IpAddr {
    Ipv4Addr::new(127, 0, 2, 1).into()
}

#[derive(Clone)]
pub struct Innocent {
    url: String,
    user: String,
    room: String,
}

/// How long each kind of request took, and what was answered wrongly.
#[derive(Default)]
pub struct Figures {
    waits: [Vec<Duration>; KINDS.len()],
    pub wrong: Vec<String>,
}

impl Figures {
    /// The 50th and the 99th percentile of one kind, if it was asked.
    pub fn percentiles(&self, kind: usize) -> Option<[Duration; 2]> {
        let mut waits = self.waits[kind].clone();
        waits.sort();
        let at = |percent: usize| waits.get((waits.len() * percent).div_ceil(100).max(1) - 1);
        Some([*at(50)?, *at(99)?])
    }

    pub fn asked(&self) -> usize {
        self.waits.iter().map(Vec::len).sum()
    }
}

impl Innocent {
    pub fn new(url: &str, account: &Account, room: &str) -> Self {
        Self {
            url: url.to_owned(),
            user: account.user_id.clone(),
            room: room.to_owned(),
        }
    }

    /// Asks from a thread of its own, over new connections: what a flood has to read here does not count.
    pub async fn probe(&self, rounds: usize, paced: bool, when: String) -> Figures {
        let innocent = self.clone();
        let asking = tokio::task::spawn_blocking(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            runtime.block_on(innocent.ask_often(rounds, paced, &when))
        });
        asking.await.expect("figures")
    }

    async fn ask_often(&self, rounds: usize, paced: bool, when: &str) -> Figures {
        let mut probe = Probe {
            innocent: self,
            kept: http_from(Some(home())),
            anew: http_anew_from(home()),
            token: String::new(),
            since: String::new(),
            started: Instant::now(),
            figures: Figures::default(),
        };
        let mut pace = tokio::time::interval(PACE);
        let mut logged_in = false;
        for number in 0..rounds {
            if paced {
                pace.tick().await;
            }
            if probe.started.elapsed() >= LIMIT {
                break;
            }
            probe.versions().await;
            if !logged_in || number % LOGIN_EVERY == 0 {
                logged_in = probe.login().await;
            }
            if logged_in {
                probe.whoami().await;
                if let Some(event) = probe.message(&format!("{when}-{number}")).await {
                    probe.sync(&event).await;
                }
            }
        }
        probe.figures
    }
}

struct Probe<'a> {
    innocent: &'a Innocent,
    kept: reqwest::Client,
    anew: reqwest::Client,
    token: String,
    since: String,
    started: Instant,
    figures: Figures,
}

impl Probe<'_> {
    async fn versions(&mut self) {
        let answer = self.timed(VERSIONS, Method::GET, VERSIONS_PATH, None).await;
        self.right(VERSIONS, answer, "versions");
    }

    async fn whoami(&mut self) {
        let path = "v3/account/whoami";
        let answer = self.timed(WHOAMI, Method::GET, path, None).await;
        let answer = self.right(WHOAMI, answer, "user_id");
        if let Some(other) = answer.filter(|user| *user != self.innocent.user) {
            self.figures.wrong.push(format!("whoami: {other}"));
        }
    }

    /// Logs in, and syncs once; the device before is logged out. Tells whether there is a device.
    async fn login(&mut self) -> bool {
        if !self.token.is_empty() {
            let path = "v3/logout";
            let answer = self.ask(Method::POST, path, Some(&json!({}))).await;
            if answer.is_err() {
                return true;
            }
        }
        let body = json!({
            "type": "m.login.password", "password": crate::proof::account::PASSWORD,
            "identifier": { "type": "m.id.user", "user": self.innocent.user },
        });
        let answer = self
            .timed(LOGIN, Method::POST, "v3/login", Some(&body))
            .await;
        let Some(token) = self.right(LOGIN, answer, "access_token") else {
            self.token.clear();
            return false;
        };
        token
            .as_str()
            .unwrap_or_default()
            .clone_into(&mut self.token);
        let first = self.ask(Method::GET, "v3/sync?timeout=0", None).await;
        match self.right(SYNC, first, "next_batch") {
            Some(next) => {
                next.as_str()
                    .unwrap_or_default()
                    .clone_into(&mut self.since);
                true
            }
            None => false,
        }
    }

    async fn message(&mut self, id: &str) -> Option<Value> {
        let room = part(&self.innocent.room);
        let path = format!("v3/rooms/{room}/send/m.room.message/{id}");
        let body = json!({ "msgtype": "m.text", "body": "hello" });
        let answer = self.timed(MESSAGE, Method::PUT, &path, Some(&body)).await;
        self.right(MESSAGE, answer, "event_id")
    }

    /// Syncs until the message is there.
    async fn sync(&mut self, event: &Value) {
        let begun = Instant::now();
        for _ in 0..SYNCS_MAX {
            let path = format!("v3/sync?timeout=1000&since={}", part(&self.since));
            let answer = self.ask(Method::GET, &path, None).await;
            let room = answer
                .as_ref()
                .ok()
                .map(|(_, answer)| answer["rooms"]["join"][&self.innocent.room].clone());
            let Some(next) = self.right(SYNC, answer, "next_batch") else {
                self.figures.waits[SYNC].push(begun.elapsed());
                return;
            };
            next.as_str()
                .unwrap_or_default()
                .clone_into(&mut self.since);
            let timeline = room.unwrap_or_default()["timeline"]["events"].take();
            let mut timeline = timeline.as_array().into_iter().flatten();
            if timeline.any(|one| one["event_id"] == *event) {
                self.figures.waits[SYNC].push(begun.elapsed());
                return;
            }
        }
        self.figures.waits[SYNC].push(begun.elapsed());
        let wrong = format!("sync: {event} is not there");
        self.figures.wrong.push(wrong);
    }

    async fn timed(
        &mut self,
        kind: usize,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(StatusCode, Value), String> {
        let begun = Instant::now();
        let answer = self.ask(method, path, body).await;
        self.figures.waits[kind].push(begun.elapsed());
        answer
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(StatusCode, Value), String> {
        let url = format!("{}/_matrix/client/{path}", self.innocent.url);
        let token = Some(self.token.as_str()).filter(|token| !token.is_empty());
        let http = match path {
            VERSIONS_PATH => &self.anew,
            _ => &self.kept,
        };
        let asking = crate::proof::account::ask(http, token, method, &url, body);
        let rest = LIMIT.saturating_sub(self.started.elapsed());
        match tokio::time::timeout(rest, asking).await {
            Ok(answer) => answer.map_err(|error| format!("{error:?}")),
            Err(_) => Err(format!("no answer {LIMIT:?} after the first request")),
        }
    }

    /// The part of an answer that has to be there.
    fn right(
        &mut self,
        kind: usize,
        answer: Result<(StatusCode, Value), String>,
        key: &str,
    ) -> Option<Value> {
        let wrong = match answer {
            Ok((StatusCode::OK, mut answer)) if !answer[key].is_null() => {
                return Some(answer[key].take());
            }
            Ok((status, answer)) => format!("{}: {status} {answer}", KINDS[kind]),
            Err(error) => format!("{}: {error}", KINDS[kind]),
        };
        self.figures.wrong.push(wrong);
        None
    }
}
