//! A wire between two parts: everything on it is recorded, and any moment of it can be held, cut or answered wrongly.
//!
//! A request passes these moments: it *arrived* here, it was *answered* upstream (and the answer is still here), each
//! *chunk* of the answer's body, the *end* of the body. A test that holds a moment decides what the world looks like
//! before it lets go, which is how the bridge is killed exactly between two steps of a turn.

use std::fmt::Write as _;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::body::Body;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::{JoinHandle, JoinSet};

use super::process::{client, free_port};

/// How long a patient wire keeps trying to reach its other end.
const PATIENCE: Duration = Duration::from_secs(30);

type BoxError = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Arrived,
    Answered,
    Chunk,
    End,
}

/// One moment of one request.
#[derive(Debug, Clone)]
pub struct Moment {
    pub stage: Stage,
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
pub enum Verdict {
    Pass,
    /// The connection is closed without a word more.
    Drop,
    /// This is answered instead.
    Answer(StatusCode, Value),
}

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

impl Moment {
    pub fn is(&self, stage: Stage, method: &Method, part_of_path: &str) -> bool {
        self.stage == stage && self.method == *method && self.path.contains(part_of_path)
    }

    pub fn mentions(&self, text: &str) -> bool {
        String::from_utf8_lossy(&self.body).contains(text)
    }
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

type Matches = Box<dyn Fn(&Moment) -> bool + Send>;

enum Rule {
    Hold {
        matches: Matches,
        caught: oneshot::Sender<Moment>,
        verdict: oneshot::Receiver<Verdict>,
    },
    Always {
        id: u64,
        matches: Matches,
        verdict: Verdict,
    },
}

/// A moment that is being waited for, and then held.
pub struct Held {
    caught: oneshot::Receiver<Moment>,
    verdict: oneshot::Sender<Verdict>,
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
    pub fn release(self, verdict: Verdict) {
        let _ = self.verdict.send(verdict);
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
        self.serving = Some(tokio::spawn(serve(listener, Arc::clone(&self.inner))));
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
        verdict: Verdict,
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

async fn serve(listener: TcpListener, inner: Arc<Inner>) {
    // Aborting the wire drops this set, and with it every connection.
    let mut connections = JoinSet::new();
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            continue;
        };
        let _ = stream.set_nodelay(true);
        let inner = Arc::clone(&inner);
        connections.spawn(async move {
            let service = hyper::service::service_fn(|request| carry(Arc::clone(&inner), request));
            let _ = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
        while connections.try_join_next().is_some() {}
    }
}

/// Carries one request. An error closes the connection, which is what `Verdict::Drop` means.
async fn carry(inner: Arc<Inner>, request: Request<Incoming>) -> Result<Response<Body>, BoxError> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let place = {
        let mut exchanges = inner.exchanges.lock().unwrap();
        exchanges.push(Exchange {
            method: parts.method.clone(),
            path: parts.uri.path().to_owned(),
            query: parts.uri.query().unwrap_or_default().to_owned(),
            body: body.clone(),
            status: None,
            at: Instant::now(),
        });
        Place {
            index: exchanges.len() - 1,
            at: exchanges[exchanges.len() - 1].at,
        }
    };
    // A task of its own: what was on the wire arrives even if the one who sent it was killed meanwhile.
    tokio::spawn(async move { forward(inner, parts, body, place).await }).await?
}

/// Where an exchange is in the record; `clear` may have removed it.
struct Place {
    index: usize,
    at: Instant,
}

async fn forward(
    inner: Arc<Inner>,
    parts: http::request::Parts,
    body: Bytes,
    place: Place,
) -> Result<Response<Body>, BoxError> {
    let moment = |stage| Moment {
        stage,
        method: parts.method.clone(),
        path: parts.uri.path().to_owned(),
        body: body.clone(),
        chunk: Bytes::new(),
        chunks_before: 0,
    };
    if let Some(instead) = inner.judge(moment(Stage::Arrived)).await? {
        inner.note(&place, instead.status());
        return Ok(instead);
    }
    let answer = inner.ask(&parts, &body).await?;
    inner.note(&place, answer.status());
    if let Some(instead) = inner.judge(moment(Stage::Answered)).await? {
        return Ok(instead);
    }
    let mut response = Response::new(Body::empty());
    *response.status_mut() = answer.status();
    *response.headers_mut() = end_to_end(answer.headers());
    *response.body_mut() = Body::from_stream(passing(inner, answer, moment(Stage::Chunk)));
    Ok(response)
}

/// The body of an answer, chunk by chunk past the rules.
fn passing(
    inner: Arc<Inner>,
    answer: reqwest::Response,
    moment: Moment,
) -> impl Stream<Item = Result<Bytes, BoxError>> + Send {
    let chunks: Pin<Box<dyn Stream<Item = _> + Send>> = Box::pin(answer.bytes_stream());
    stream::unfold(Some((inner, chunks, moment)), |state| async {
        let (inner, mut chunks, mut moment) = state?;
        let next: Option<reqwest::Result<Bytes>> = chunks.next().await;
        let Some(chunk) = next else {
            moment.stage = Stage::End;
            moment.chunk = Bytes::new();
            return inner.judge(moment).await.err().map(|cut| (Err(cut), None));
        };
        let chunk = match chunk {
            Ok(chunk) => chunk,
            Err(error) => return Some((Err(error.into()), None)),
        };
        moment.chunk = chunk.clone();
        match inner.judge(moment.clone()).await {
            // The head has gone out already, so an answer instead can only be a cut.
            Err(_) | Ok(Some(_)) => return Some((Err("cut by the test".into()), None)),
            Ok(None) => moment.chunks_before += 1,
        }
        Some((Ok(chunk), Some((inner, chunks, moment))))
    })
}

/// A rule that matched.
enum Found {
    Given(Verdict),
    Held(oneshot::Sender<Moment>, oneshot::Receiver<Verdict>),
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
    async fn judge(&self, moment: Moment) -> Result<Option<Response<Body>>, BoxError> {
        let Some(rule) = self.take_rule(&moment) else {
            return Ok(None);
        };
        let verdict = match rule {
            Found::Given(verdict) => verdict,
            Found::Held(caught, verdict) => {
                let _ = caught.send(moment);
                verdict.await.unwrap_or(Verdict::Pass)
            }
        };
        match verdict {
            Verdict::Pass => Ok(None),
            Verdict::Drop => Err("cut by the test".into()),
            Verdict::Answer(status, body) => {
                let response = Response::builder()
                    .status(status)
                    .header("content-type", "application/json");
                Ok(Some(response.body(Body::from(body.to_string()))?))
            }
        }
    }

    async fn ask(
        &self,
        parts: &http::request::Parts,
        body: &Bytes,
    ) -> Result<reqwest::Response, BoxError> {
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let started = Instant::now();
        loop {
            let request = self
                .http
                .request(parts.method.clone(), format!("{}{path}", self.target))
                .headers(end_to_end(&parts.headers))
                .body(body.clone());
            match request.send().await {
                Err(error)
                    if error.is_connect()
                        && self.patient.load(Ordering::Relaxed)
                        && started.elapsed() < PATIENCE =>
                {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                answer => {
                    return answer.map_err(|error| format!("{}: {error:?}", self.name).into());
                }
            }
        }
    }

    fn note(&self, place: &Place, status: StatusCode) {
        let mut exchanges = self.exchanges.lock().unwrap();
        if let Some(exchange) = exchanges
            .get_mut(place.index)
            .filter(|exchange| exchange.at == place.at)
        {
            exchange.status = Some(status);
        }
    }
}

/// The headers that are meant for the other end and not for the next hop.
fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    let mut kept = headers.clone();
    for hop in [HOST, CONNECTION, TRANSFER_ENCODING] {
        kept.remove(hop);
    }
    kept.remove(CONTENT_LENGTH);
    kept
}

/// An answer for `Verdict::Answer`: a Matrix error.
pub fn matrix_error(status: StatusCode, code: &str) -> Verdict {
    Verdict::Answer(
        status,
        serde_json::json!({"errcode": code, "error": "said by the test"}),
    )
}
