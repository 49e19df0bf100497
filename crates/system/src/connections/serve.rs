//! Accepts connections and answers their requests.

use std::{
    convert::Infallible,
    fmt, io,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::ConnectInfo,
    http::{Request, Response, StatusCode, header},
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;

use super::{
    Connection, HEAD_BYTES_MAX, Limits, Peer,
    body::{BodyOutcome, MinRateBody, TrackedResponseBody},
    min_rate::MinRate,
    progress::ConnectionProgress,
    registry::{Permit, Registry},
    stream::TrackedStream,
};

/// How long no connection is accepted after the system has refused one, unless one is closed before.
const ACCEPT_PAUSE: Duration = Duration::from_secs(1);
/// How often the log says that connections are refused.
const LOG_EVERY: Duration = Duration::from_mins(1);
/// What is answered when a body does not come.
const LATE: &str = r#"{"errcode":"M_UNKNOWN","error":"The request body did not come in time"}"#;

/// Where connections come from.
pub trait Listener: Send + 'static {
    /// A connection.
    type Stream: Send + 'static;

    /// The next connection, and the address that it comes from.
    fn accept(&mut self)
    -> impl Future<Output = io::Result<(Self::Stream, Option<IpAddr>)>> + Send;
}

impl Listener for TcpListener {
    type Stream = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, Option<IpAddr>)> {
        let (stream, peer) = Self::accept(self).await?;
        // A response is written whole: waiting for more to send with it only costs time.
        drop(stream.set_nodelay(true));
        Ok((stream, Some(peer.ip().to_canonical())))
    }
}

impl Listener for UnixListener {
    type Stream = UnixStream;

    async fn accept(&mut self) -> io::Result<(UnixStream, Option<IpAddr>)> {
        let (stream, _) = Self::accept(self).await?;
        Ok((stream, None))
    }
}

/// All connections of a server, over all that it listens on. Clones are the same.
#[derive(Clone)]
pub struct Connections {
    limits: Arc<Limits>,
    registry: Arc<Registry>,
    /// When the log last said that connections are refused.
    logged: Arc<Mutex<Option<Instant>>>,
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections")
            .field("open", &self.open())
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Connections {
    /// No connection yet.
    pub fn new(limits: Limits) -> Self {
        let limits = Arc::new(limits);
        Self {
            registry: Arc::new(Registry::new(Arc::clone(&limits))),
            limits,
            logged: Arc::default(),
        }
    }

    /// How many are open.
    pub fn open(&self) -> usize {
        self.registry.connections()
    }

    /// The limits.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Whether it is time to say again that connections are refused.
    fn may_log(&self) -> bool {
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        let may = logged.is_none_or(|last| last.elapsed() >= LOG_EVERY);
        if may {
            *logged = Some(Instant::now());
        }
        may
    }

    /// The next connection and its place. Errors of the system are logged and waited out.
    async fn next<L: Listener>(&self, listener: &mut L) -> (L::Stream, Option<IpAddr>, Permit) {
        loop {
            // Before a connection is accepted, so that it has a descriptor.
            let slot = self.registry.acquire_slot().await;
            match listener.accept().await {
                Ok((stream, ip)) => match self.registry.admit(slot, ip) {
                    Some(permit) => return (stream, ip, permit),
                    None if self.may_log() => tracing::warn!(
                        peer = ?ip,
                        limit = self.limits.per_address_max,
                        "connection refused: too many requests of this address are being answered"
                    ),
                    None => {}
                },
                Err(error) if is_of_peer(&error) => {}
                Err(error) => {
                    if self.may_log() {
                        tracing::error!(%error, open = self.open(), "could not accept a connection");
                    }
                    let room = self.registry.make_room();
                    drop(tokio::time::timeout(ACCEPT_PAUSE, room).await);
                }
            }
        }
    }
}

/// Whether the peer has gone before its connection was accepted.
fn is_of_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

/// Serves the routes until `closing` is ready, and returns when everything that was begun is answered.
///
/// Each connection goes through `secure` first, which may make the handshake of TLS. Its errors close the connection.
pub async fn serve<L, U, F, S>(
    mut listener: L,
    secure: U,
    routes: Router,
    connections: Connections,
    closing: impl Future<Output = ()> + Send,
) where
    L: Listener,
    U: Fn(L::Stream) -> F + Clone + Send + 'static,
    F: Future<Output = io::Result<S>> + Send + 'static,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (tasks, ending) = (TaskTracker::new(), CancellationToken::new());
    tokio::pin!(closing);
    loop {
        let (stream, ip, permit) = tokio::select! {
            () = &mut closing => break,
            next = connections.next(&mut listener) => next,
        };
        let limits = Arc::clone(&connections.limits);
        let progress = Arc::new(ConnectionProgress::new(limits, permit));
        let (secured, routes) = (secure(stream), routes.clone());
        let (limits, ending) = (Arc::clone(&connections.limits), ending.clone());
        drop(tasks.spawn(async move {
            let conversation = async {
                match secured.await {
                    Ok(stream) => {
                        converse(stream, ip, routes, &limits, &progress, &ending).await;
                    }
                    Err(error) => tracing::debug!(peer = ?ip, %error, "handshake failed"),
                }
            };
            tokio::select! {
                () = conversation => {}
                () = progress.until_overdue() => {}
            }
        }));
    }
    drop(listener);
    ending.cancel();
    tasks.close();
    tasks.wait().await;
}

/// [`serve`] without TLS.
pub async fn serve_plain<L>(
    listener: L,
    routes: Router,
    connections: Connections,
    closing: impl Future<Output = ()> + Send,
) where
    L: Listener,
    L::Stream: AsyncRead + AsyncWrite + Unpin,
{
    let secure = |stream| std::future::ready(Ok(stream));
    serve(listener, secure, routes, connections, closing).await;
}

/// Answers the requests of one connection.
async fn converse<S>(
    stream: S,
    ip: Option<IpAddr>,
    routes: Router,
    limits: &Limits,
    progress: &Arc<ConnectionProgress>,
    ending: &CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let unread = MinRate::new(limits.response_timeout);
    let stream = TrackedStream::new(stream, Arc::clone(progress), unread);
    let body_timeout = limits.body_timeout;
    let service = service_fn(|request| answer(request, ip, routes.clone(), progress, body_timeout));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        // `ConnectionProgress` has the deadlines, for heads and between requests.
        .header_read_timeout(None)
        .max_buf_size(HEAD_BYTES_MAX);
    let connection = http.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = ending.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(peer = ?ip, %error, "connection ended early");
    }
}

async fn answer(
    request: Request<Incoming>,
    ip: Option<IpAddr>,
    routes: Router,
    progress: &Arc<ConnectionProgress>,
    body_timeout: Duration,
) -> Result<Response<Body>, Infallible> {
    let answering = progress.answer();
    let fate = Arc::new(BodyOutcome::default());
    let mut request = request.map(|body| {
        let body = MinRateBody::new(body, body_timeout, Arc::clone(&fate), progress);
        Body::new(body)
    });
    let extensions = request.extensions_mut();
    extensions.insert(ConnectInfo(Peer(ip)));
    extensions.insert(Connection::new(progress));
    let response = if head_bytes(&request) > HEAD_BYTES_MAX {
        head_too_long()
    } else {
        routes.oneshot(request).await?
    };
    let mut response = if fate.late.load(Ordering::Acquire) {
        too_late()
    } else {
        response
    };
    if !fate.read.load(Ordering::Acquire) {
        progress.leave_body_unread();
        // The connection ends with this response, since the rest of the body may still come. Who is not told so sends the next
        // request into it.
        let close = header::HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    Ok(response.map(|inner| {
        Body::new(TrackedResponseBody {
            inner,
            _answering: answering,
        })
    }))
}

/// How long the head of a request was, in bytes. hyper gives up on one that does not fit its buffer, but the buffer can be larger.
fn head_bytes<B>(request: &Request<B>) -> usize {
    const LINE_END: usize = "\r\n".len();
    let line = request.method().as_str().len() + " HTTP/1.1 ".len() + LINE_END;
    let target = request
        .uri()
        .path_and_query()
        .map_or(0, |target| target.as_str().len());
    let headers = request.headers().iter();
    let headers =
        headers.map(|(name, value)| name.as_str().len() + ": ".len() + value.len() + LINE_END);
    line + target + headers.sum::<usize>() + LINE_END
}

/// 431, as hyper answers longer ones.
fn head_too_long() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    let close = header::HeaderValue::from_static("close");
    response.headers_mut().insert(header::CONNECTION, close);
    response
}

/// 408, and the end of the connection: the rest of the body would be read as the next request.
fn too_late() -> Response<Body> {
    let mut response = Response::new(Body::from(LATE));
    *response.status_mut() = StatusCode::REQUEST_TIMEOUT;
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("application/json"),
    );
    response
}
