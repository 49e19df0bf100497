//! A homeserver for tests: remembers what it was asked, keeps a timeline, and fails on command.
//!
//! It stands behind [`Transport`] in the same process, so that a test may own the clock, or listens
//! on loopback. It knows no more of Matrix than its tests need.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard},
};

use async_trait::async_trait;
use axum::{Router, body::Body};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::{Homeserver, Transport, TransportError};
use crate::config::Secret;

pub(crate) const AS_TOKEN: &str = "as-secret";
pub(crate) const BOT: &str = "@letta:house.test";

/// Stands for no answer at all, until [`Transport::exchange`] makes it one.
const SILENCE: &str = "silence";

/// See the module's documentation. Clones are one homeserver.
#[derive(Clone, Default)]
pub(crate) struct ScriptedHomeserver {
    state: Arc<Mutex<State>>,
    asked: Arc<Notify>,
}

#[derive(Default)]
struct State {
    requests: Vec<RecordedRequest>,
    faults: VecDeque<(&'static str, Fault)>,
    timeline: Vec<Value>,
    /// Whoever acts, and its send id: the event that it became.
    sent: HashMap<(String, String), Value>,
    /// What was uploaded, by its id.
    files: HashMap<String, Bytes>,
}

/// What goes wrong with one request.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    /// It is answered so, and nothing is done.
    Answer(u16, Value),
    /// The same, with a header.
    AnswerWith(u16, &'static str, &'static str),
    /// It is answered in words that are no JSON, and nothing is done.
    Words(u16, &'static str),
    /// It is done, and the answer is one that nobody can read.
    DoneAndGarbled,
    /// It is done, and the connection breaks before the answer.
    DoneAndUnheard,
    /// It is never answered.
    Silence,
    /// It does not arrive.
    Unreached,
    /// Whoever sends it panics.
    Panic,
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct RecordedRequest {
    pub(crate) method: String,
    /// Path and query, percent-decoded.
    pub(crate) target: String,
    /// The `Authorization` header.
    pub(crate) authorization: Option<String>,
    pub(crate) body: Value,
}

impl RecordedRequest {
    pub(crate) fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }
}

impl ScriptedHomeserver {
    /// A client of it in the same process, without a network.
    pub(crate) fn client(&self) -> Homeserver {
        let transport: Arc<dyn Transport> = Arc::new(self.clone());
        Homeserver::new(transport, "http://house.test", Secret::new(AS_TOKEN))
    }

    /// Listens on loopback for as long as the test runs. Answers the address.
    pub(crate) async fn listen(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let this = self.clone();
        let router = Router::new().fallback(move |request: Request<Body>| {
            let this = this.clone();
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect().await.unwrap().to_bytes();
                let answer = this.answer(&Request::from_parts(parts, body));
                answer.map_or_else(
                    |_| Response::builder().status(502).body(Body::empty()).unwrap(),
                    |answer| answer.map(Body::from),
                )
            }
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }

    /// The next requests whose line contains `what` fail so, one fault each.
    pub(crate) fn fails(&self, what: &'static str, faults: impl IntoIterator<Item = Fault>) {
        let faults = faults.into_iter().map(|fault| (what, fault));
        self.lock().faults.extend(faults);
    }

    /// A file that can be downloaded from then on.
    pub(crate) fn upload(&self, id: &str, bytes: Bytes) {
        self.lock().files.insert(id.to_owned(), bytes);
    }

    /// No request fails any more.
    pub(crate) fn heal(&self) {
        self.lock().faults.clear();
    }

    /// Forgets which send ids it has seen, as a homeserver does after a restart or a while.
    pub(crate) fn forget_send_ids(&self) {
        self.lock().sent.clear();
    }

    pub(crate) fn requests(&self) -> Vec<RecordedRequest> {
        self.lock().requests.clone()
    }

    /// The requests so far, a line each.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lock()
            .requests
            .iter()
            .map(RecordedRequest::line)
            .collect()
    }

    pub(crate) fn asked_for(&self, what: &str) -> usize {
        self.lines()
            .iter()
            .filter(|line| line.contains(what))
            .count()
    }

    /// Waits until requests with `what` in their line have come this often.
    pub(crate) async fn until_asked(&self, what: &str, times: usize) {
        loop {
            let asked = self.asked.notified();
            if self.asked_for(what) >= times {
                return;
            }
            asked.await;
        }
    }

    /// What the room shows: sender and body of each message.
    pub(crate) fn timeline(&self) -> Vec<String> {
        let text = |event: &Value| {
            format!(
                "{} {}",
                event["sender"].as_str().unwrap_or_default(),
                super::content::body_and_code(&event["content"])
            )
        };
        self.lock().timeline.iter().map(text).collect()
    }

    /// What the room shows now: the body of each message, as its last edit has it.
    pub(crate) fn shown(&self) -> Vec<String> {
        let mut shown: Vec<(Value, String)> = Vec::new();
        for event in &self.lock().timeline {
            let content = &event["content"];
            let relation = &content["m.relates_to"];
            let edited = (relation["rel_type"] == "m.replace").then(|| &relation["event_id"]);
            let known = shown.iter_mut().find(|(id, _)| Some(id) == edited);
            let body = super::content::body_and_code;
            match known {
                Some((_, text)) => *text = body(&content["m.new_content"]),
                None => shown.push((event["event_id"].clone(), body(content))),
            }
        }
        shown.into_iter().map(|(_, text)| text).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn answer(&self, request: &Request<Bytes>) -> Result<Response<Bytes>, TransportError> {
        let target = request.uri().path_and_query().map_or("", |it| it.as_str());
        let target = percent_encoding::percent_decode_str(target).decode_utf8_lossy();
        let header = request.headers().get("authorization");
        let seen = RecordedRequest {
            method: request.method().to_string(),
            target: target.into_owned(),
            authorization: header.map(|it| it.to_str().unwrap().to_owned()),
            body: serde_json::from_slice(request.body()).unwrap_or_default(),
        };
        let mut state = self.lock();
        let line = seen.line();
        state.requests.push(seen.clone());
        let fault = state
            .faults
            .iter()
            .position(|(what, _)| line.contains(what));
        let fault = fault.and_then(|at| state.faults.remove(at));
        let answer = match fault.map(|(_, fault)| fault) {
            None if line.contains("/download/") => Ok(state.download(&seen)),
            None => Ok(json_answer(200, &state.grant(&seen))),
            Some(Fault::Answer(status, body)) => Ok(json_answer(status, &body)),
            Some(Fault::AnswerWith(status, name, value)) => {
                let mut answer = json_answer(status, &json!("slow down"));
                answer.headers_mut().insert(name, value.parse().unwrap());
                Ok(answer)
            }
            Some(Fault::Words(status, text)) => Ok(Response::builder()
                .status(status)
                .body(Bytes::from(text))
                .unwrap()),
            Some(Fault::DoneAndGarbled) => {
                state.grant(&seen);
                Ok(Response::new(Bytes::from("<html>Welcome</html>")))
            }
            Some(Fault::DoneAndUnheard) => {
                state.grant(&seen);
                Err(TransportError::Unreachable("the connection broke".into()))
            }
            Some(Fault::Silence) => Err(TransportError::Unreachable(SILENCE.into())),
            Some(Fault::Panic) => {
                drop(state);
                panic!("a request panicked");
            }
            Some(Fault::Unreached) => Err(TransportError::Unreachable("connection refused".into())),
        };
        drop(state);
        self.asked.notify_waiters();
        answer
    }
}

impl State {
    fn download(&self, seen: &RecordedRequest) -> Response<Bytes> {
        let path = seen.target.split('?').next().unwrap_or_default();
        let id = path.rsplit('/').next().unwrap_or_default();
        match self.files.get(id) {
            Some(bytes) => Response::new(bytes.clone()),
            None => json_answer(
                404,
                &json!({ "errcode": "M_NOT_FOUND", "error": "no file" }),
            ),
        }
    }

    /// Does what is asked.
    fn grant(&mut self, seen: &RecordedRequest) -> Value {
        let (path, query) = seen.target.split_once('?').unwrap_or((&seen.target, ""));
        let actor = query
            .split('&')
            .find_map(|pair| pair.strip_prefix("user_id="));
        let actor = actor.unwrap_or(BOT).to_owned();
        let last = path.rsplit('/').next().unwrap_or_default();
        if path.contains("/send/") {
            return self.send(&actor, last, &seen.body);
        }
        if path.ends_with("/messages") {
            let chunk: Vec<_> = self.timeline.iter().rev().cloned().collect();
            return json!({ "start": "t1", "chunk": chunk });
        }
        match last {
            "versions" => json!({ "versions": ["v1.1", "v1.7", "v1.11"] }),
            "whoami" | "register" => json!({ "user_id": actor }),
            "ping" => json!({ "duration_ms": 3 }),
            "upload" => json!({ "content_uri": "mxc://house.test/picture" }),
            "createRoom" => json!({ "room_id": "!created:house.test" }),
            "join" => json!({ "room_id": "!room:house.test" }),
            _ if path.contains("/directory/room/") => {
                json!({ "room_id": "!found:house.test", "servers": ["house.test"] })
            }
            _ if path.contains("/state/") => json!({ "event_id": "$state" }),
            _ => json!({}),
        }
    }

    fn send(&mut self, actor: &str, send_id: &str, content: &Value) -> Value {
        let key = (actor.to_owned(), send_id.to_owned());
        if let Some(event_id) = self.sent.get(&key) {
            return json!({ "event_id": event_id });
        }
        let event_id = json!(format!("$event{}", self.timeline.len()));
        self.sent.insert(key, event_id.clone());
        self.timeline.push(json!({
            "type": "m.room.message", "event_id": event_id, "sender": actor,
            "room_id": "!room:house.test", "origin_server_ts": 1, "content": content,
        }));
        json!({ "event_id": event_id })
    }
}

fn json_answer(status: u16, body: &Value) -> Response<Bytes> {
    let body = Bytes::from(body.to_string());
    Response::builder()
        .status(status)
        .header("content-type", "application/json")
        .body(body)
        .unwrap()
}

#[async_trait]
impl Transport for ScriptedHomeserver {
    async fn exchange(
        &self,
        request: Request<Bytes>,
        bytes_max: usize,
    ) -> Result<Response<Bytes>, TransportError> {
        let answer = self.answer(&request);
        if matches!(&answer, Err(TransportError::Unreachable(why)) if why.to_string() == SILENCE) {
            return std::future::pending().await;
        }
        let answer = answer?;
        if answer.body().len() > bytes_max {
            return Err(TransportError::TooLarge { bytes_max });
        }
        Ok(answer)
    }
}
