//! Peers of all kinds, over real sockets.

mod giving_way;
mod heads;
mod lingering;

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Extension, Router, body::Body, http::HeaderMap, routing::get, routing::post};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::Notify,
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use super::{Connection, Connections, Limits, Listener, Peer, serve_plain};

/// Short, so that a test need not wait; a peer that does what it should is much faster.
const SHORT: Duration = Duration::from_millis(300);
/// Long, for limits that a test is not about.
const LONG: Duration = Duration::from_mins(5);
/// How long something may take that has to happen, on a machine under load.
const PATIENCE: Duration = Duration::from_mins(1);
/// More than the buffers of a connection hold, in bytes.
const LARGE: usize = 64 << 20;

const ATTACKER: &str = "127.0.0.1";
const INNOCENT: &str = "127.0.0.2";

fn limits() -> Limits {
    Limits {
        connections_max: 20,
        per_address_max: 20,
        shared_addresses: Vec::new(),
        header_timeout: LONG,
        idle_timeout: LONG,
        body_timeout: LONG,
        response_timeout: LONG,
        linger_timeout: SHORT,
    }
}

struct Served {
    at: SocketAddr,
    connections: Connections,
    closing: CancellationToken,
    ended: JoinHandle<()>,
    /// Lets every `/wait` be answered.
    answer: Arc<Notify>,
    waiting: Arc<AtomicUsize>,
}

async fn start(limits: Limits) -> Served {
    let (answer, waiting) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
    let (notify, count) = (Arc::clone(&answer), Arc::clone(&waiting));
    let wait = move || async move {
        let notified = notify.notified();
        count.fetch_add(1, Ordering::SeqCst);
        notified.await;
        "waited"
    };
    let (notify, count) = (Arc::clone(&answer), Arc::clone(&waiting));
    // Like a long poll of the user whom a header names.
    let poll = move |Extension(connection): Extension<Connection>, headers: HeaderMap| async move {
        let user = headers.get("user").map(|user| user.as_bytes().to_vec());
        connection.attribute(&user);
        let notified = notify.notified();
        let _waits = connection.waits();
        count.fetch_add(1, Ordering::SeqCst);
        notified.await;
        "polled"
    };
    let echo = |body: axum::body::Bytes| async move { body.len().to_string() };
    let who = |axum::extract::ConnectInfo(Peer(ip)): axum::extract::ConnectInfo<Peer>| async move {
        format!("{ip:?}")
    };
    let routes = Router::new()
        .route("/", get(|| async { "hello" }))
        .route("/who", get(who))
        .route("/wait", get(wait))
        .route("/poll", get(poll))
        .route("/large", get(|| async { Body::from(vec![b'x'; LARGE]) }))
        .route("/echo", post(echo))
        .layer(axum::extract::DefaultBodyLimit::disable());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = listener.local_addr().unwrap();
    let (connections, closing) = (Connections::new(limits), CancellationToken::new());
    let served = serve_plain(
        listener,
        routes,
        connections.clone(),
        closing.clone().cancelled_owned(),
    );
    Served {
        at,
        connections,
        closing,
        ended: tokio::spawn(served),
        answer,
        waiting,
    }
}

impl Served {
    async fn connect(&self, from: &str) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        let from: IpAddr = from.parse().unwrap();
        socket.bind(SocketAddr::new(from, 0)).unwrap();
        socket.connect(self.at).await.unwrap()
    }

    /// Waits until so many connections are open.
    async fn until_open(&self, count: usize) {
        let reached = async {
            while self.connections.open() != count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let timely = tokio::time::timeout(PATIENCE, reached).await;
        assert!(timely.is_ok(), "{} are open", self.connections.open());
    }

    async fn until_waiting(&self, count: usize) {
        while self.waiting.load(Ordering::SeqCst) != count {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn end(self) {
        self.closing.cancel();
        tokio::time::timeout(PATIENCE, self.ended)
            .await
            .unwrap()
            .unwrap();
    }
}

fn head(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")
}

/// Sends a request and reads the first piece of the response.
async fn ask(stream: &mut TcpStream, path: &str) -> io::Result<String> {
    stream.write_all(head(path).as_bytes()).await?;
    first_piece(stream).await
}

async fn first_piece(stream: &mut TcpStream) -> io::Result<String> {
    let mut piece = vec![0; 4_096];
    let read = tokio::time::timeout(PATIENCE, stream.read(&mut piece))
        .await
        .expect("a response")?;
    Ok(String::from_utf8_lossy(&piece[..read]).into_owned())
}

/// Waits until the server has closed the connection.
async fn closed(mut stream: TcpStream) {
    let mut rest = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await;
    // A reset is a close, too.
    drop(read.expect("the connection is closed"));
}

#[tokio::test]
async fn half_open_connections_of_one_address_do_not_keep_out_another() {
    let served = start(limits()).await;
    let mut half_open = Vec::new();
    for _ in 0..100 {
        half_open.push(served.connect(ATTACKER).await);
    }
    for _ in 0..5 {
        let mut innocent = served.connect(INNOCENT).await;
        let answer = ask(&mut innocent, "/").await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        half_open.push(innocent);
    }
    let open = served.connections.open();
    assert!(open <= 20, "{open} connections");
    drop(half_open);
    served.until_open(0).await;
    served.end().await;
}

#[tokio::test]
async fn request_in_flight_never_gives_way_to_new_connections() {
    let served = start(limits()).await;
    let mut asked = served.connect(INNOCENT).await;
    asked.write_all(head("/wait").as_bytes()).await.unwrap();
    served.until_waiting(1).await;
    let mut half_open = Vec::new();
    for _ in 0..100 {
        half_open.push(served.connect(ATTACKER).await);
    }
    served.until_open(19).await;
    served.answer.notify_waiters();
    let answer = first_piece(&mut asked).await.unwrap();
    assert!(answer.ends_with("waited"), "{answer}");
    drop((half_open, asked));
    served.end().await;
}

#[tokio::test]
async fn slow_head_and_silence_are_closed() {
    let served = start(Limits {
        header_timeout: SHORT,
        ..limits()
    })
    .await;
    let silent = served.connect(ATTACKER).await;
    let mut trickles = served.connect(ATTACKER).await;
    let trickle = async {
        for byte in head("/").bytes().cycle() {
            // Its last byte never comes.
            if byte != b'\n' && trickles.write_all(&[byte]).await.is_err() {
                return;
            }
            tokio::time::sleep(SHORT / 10).await;
        }
    };
    tokio::time::timeout(PATIENCE, trickle).await.unwrap();
    closed(silent).await;
    served.until_open(0).await;
    served.end().await;
}

#[tokio::test]
async fn idle_connection_is_closed_and_a_waiting_request_is_not() {
    let served = start(Limits {
        idle_timeout: SHORT,
        ..limits()
    })
    .await;
    let mut waits = served.connect(INNOCENT).await;
    waits.write_all(head("/wait").as_bytes()).await.unwrap();
    served.until_waiting(1).await;
    let mut idle = served.connect(ATTACKER).await;
    assert!(ask(&mut idle, "/").await.unwrap().ends_with("hello"));
    closed(idle).await;
    served.until_open(1).await;
    served.answer.notify_waiters();
    assert!(first_piece(&mut waits).await.unwrap().ends_with("waited"));
    closed(waits).await;
    served.end().await;
}

#[tokio::test]
async fn response_says_that_the_connection_ends_if_the_body_was_not_read() {
    let served = start(limits()).await;
    for (head, body, closes) in [
        (
            "POST /ping HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n",
            "",
            true,
        ),
        (
            "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\n",
            "12345",
            false,
        ),
        ("GET /ping HTTP/1.1\r\nhost: a\r\n\r\n", "", false),
    ] {
        let mut stream = served.connect(INNOCENT).await;
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(body.as_bytes()).await.unwrap();
        let answer = first_piece(&mut stream).await.unwrap();
        let says = answer.to_lowercase().contains("connection: close");
        assert_eq!(says, closes, "{head}: {answer}");
        if closes {
            closed(stream).await;
        }
    }
    served.until_open(0).await;
    served.end().await;
}

#[tokio::test]
async fn slow_body_is_answered_408_and_a_whole_one_is_not() {
    let served = start(Limits {
        body_timeout: SHORT,
        ..limits()
    })
    .await;
    let post = "POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 100000\r\n\r\n";
    let mut slow = served.connect(ATTACKER).await;
    slow.write_all(post.as_bytes()).await.unwrap();
    let (mut reading, mut writing) = slow.into_split();
    let trickle = tokio::spawn(async move {
        while writing.write_all(b"x").await.is_ok() {
            tokio::time::sleep(SHORT / 10).await;
        }
    });
    let mut answer = String::new();
    let read = tokio::time::timeout(PATIENCE, reading.read_to_string(&mut answer)).await;
    drop(read.expect("an answer"));
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("did not come in time"), "{answer}");
    drop(reading);
    trickle.await.unwrap();

    let mut steady = served.connect(INNOCENT).await;
    steady.write_all(post.as_bytes()).await.unwrap();
    steady.write_all(&vec![b'x'; 100_000]).await.unwrap();
    let answer = first_piece(&mut steady).await.unwrap();
    assert!(answer.ends_with("100000"), "{answer}");
    drop(steady);
    served.until_open(0).await;
    served.end().await;
}

#[tokio::test]
async fn response_that_nobody_reads_ends_its_connection() {
    let served = start(Limits {
        response_timeout: SHORT,
        ..limits()
    })
    .await;
    let mut deaf = served.connect(ATTACKER).await;
    deaf.write_all(head("/large").as_bytes()).await.unwrap();
    served.until_open(1).await;
    served.until_open(0).await;
    // Whoever reads gets all of it.
    let mut reads = served.connect(INNOCENT).await;
    let request = head("/large").replace("host: a", "host: a\r\nconnection: close");
    reads.write_all(request.as_bytes()).await.unwrap();
    let mut all = Vec::new();
    reads.read_to_end(&mut all).await.unwrap();
    assert!(all.len() > LARGE);
    drop(deaf);
    served.end().await;
}

#[tokio::test]
async fn closing_answers_what_was_begun_and_closes_what_is_idle() {
    let served = start(limits()).await;
    let mut asked = served.connect(INNOCENT).await;
    asked.write_all(head("/wait").as_bytes()).await.unwrap();
    served.until_waiting(1).await;
    let mut idle = served.connect(ATTACKER).await;
    assert!(ask(&mut idle, "/").await.unwrap().ends_with("hello"));
    served.closing.cancel();
    closed(idle).await;
    served.answer.notify_waiters();
    assert!(first_piece(&mut asked).await.unwrap().ends_with("waited"));
    served.end().await;
}

/// A test double: a system that has no descriptor left until it is told that it has.
struct Exhausted {
    inner: TcpListener,
    calls: Arc<AtomicUsize>,
    refusals: usize,
}

impl Listener for Exhausted {
    type Stream = TcpStream;

    async fn accept(&mut self) -> io::Result<(TcpStream, Option<IpAddr>)> {
        const EMFILE: i32 = 24;
        if self.calls.fetch_add(1, Ordering::SeqCst) < self.refusals {
            return Err(io::Error::from_raw_os_error(EMFILE));
        }
        Listener::accept(&mut self.inner).await
    }
}

#[tokio::test(start_paused = true)]
async fn exhausted_descriptors_neither_spin_nor_end_the_listener() {
    let inner = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at = inner.local_addr().unwrap();
    let calls = Arc::new(AtomicUsize::new(0));
    let listener = Exhausted {
        inner,
        calls: Arc::clone(&calls),
        refusals: 5,
    };
    let routes = Router::new().route("/", get(|| async { "hello" }));
    let served = serve_plain(
        listener,
        routes,
        Connections::new(limits()),
        std::future::pending(),
    );
    let began = tokio::time::Instant::now();
    let served = tokio::spawn(served);
    let mut stream = TcpStream::connect(at).await.unwrap();
    stream.write_all(head("/").as_bytes()).await.unwrap();
    let mut piece = [0; 12];
    stream.read_exact(&mut piece).await.unwrap();
    assert_eq!(&piece, b"HTTP/1.1 200");
    assert!(
        began.elapsed() >= Duration::from_secs(5),
        "one try a second"
    );
    assert!(calls.load(Ordering::SeqCst) <= 7);
    served.abort();
}

#[test]
fn limits_stay_below_the_descriptors() {
    let of = |descriptors| {
        let limits = Limits::default().within(descriptors);
        (limits.connections_max, limits.per_address_max)
    };
    assert_eq!(of(1_024), (256, 128));
    assert_eq!(of(1 << 20), (8_192, 512));
    assert_eq!(of(0), (16, 8));
}
