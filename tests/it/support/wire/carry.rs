//! Carries requests over a wire, past its rules, and notes what was on it.

use std::pin::Pin;
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
use tokio::task::JoinSet;

use super::rules::{Moment, Stage};
use super::{BoxError, Exchange, Inner};

/// How long a patient wire keeps trying to reach its other end.
const PATIENCE: Duration = Duration::from_secs(30);

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
