//! Carries requests over a wire, past its rules, and notes what was on it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use axum::body::Body;
use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, stream};
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::rules::{ExchangePhase, Moment};
use super::{BoxError, Exchange, Inner};

/// How long a patient wire keeps trying to reach its other end.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long an answer may still come to its end after the one who asked has gone. Then its sender sees that, too.
const FAREWELL: Duration = Duration::from_millis(250);

pub(super) async fn serve(listener: TcpListener, inner: Arc<Inner>) {
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

/// Carries one request. An error closes the connection, which is what `RuleAction::Drop` means.
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
    if let Some(instead) = inner.judge(moment(ExchangePhase::Arrived)).await? {
        inner.note(&place, instead.status());
        return Ok(instead);
    }
    let answer = inner.ask(&parts, &body).await?;
    inner.note(&place, answer.status());
    if let Some(instead) = inner.judge(moment(ExchangePhase::Answered)).await? {
        return Ok(instead);
    }
    let mut response = Response::new(Body::empty());
    *response.status_mut() = answer.status();
    *response.headers_mut() = end_to_end(answer.headers());
    *response.body_mut() = Body::from_stream(passing(inner, answer, moment(ExchangePhase::Chunk)));
    Ok(response)
}

/// The body of an answer, chunk by chunk past the rules.
fn passing(
    inner: Arc<Inner>,
    answer: reqwest::Response,
    moment: Moment,
) -> impl Stream<Item = Result<Bytes, BoxError>> + Send {
    let (near, passed) = mpsc::channel(1);
    // A task of its own: who has read all goes away, and the end comes to pass all the same.
    tokio::spawn(pump(inner, answer, moment, near));
    stream::unfold(passed, |mut passed| async {
        let next = passed.recv().await?;
        Some((next, passed))
    })
}

async fn pump(
    inner: Arc<Inner>,
    answer: reqwest::Response,
    mut moment: Moment,
    near: mpsc::Sender<Result<Bytes, BoxError>>,
) {
    let mut chunks = answer.bytes_stream();
    let mut left = std::pin::pin!(async {
        near.closed().await;
        tokio::time::sleep(FAREWELL).await;
    });
    loop {
        let next = tokio::select! {
            biased;
            () = &mut left => return,
            next = chunks.next() => next,
        };
        let passed = match next {
            None => {
                moment.stage = ExchangePhase::End;
                moment.chunk = Bytes::new();
                if let Err(cut) = inner.judge(moment).await {
                    _ = near.send(Err(cut)).await;
                }
                return;
            }
            Some(Err(error)) => Err(error.into()),
            Some(Ok(chunk)) => {
                moment.chunk = chunk.clone();
                match inner.judge(moment.clone()).await {
                    Ok(None) => Ok(chunk),
                    // The head has gone out already, so an answer instead can only be a cut.
                    Err(_) | Ok(Some(_)) => Err("cut by the test".into()),
                }
            }
        };
        moment.chunks_before += 1;
        let over = passed.is_err();
        // Nobody may be there to read it.
        _ = near.send(passed).await;
        if over {
            return;
        }
    }
}

impl Inner {
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
