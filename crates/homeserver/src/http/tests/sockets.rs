//! The same over a real socket: what is not sent yet is not waited for, and whoever hangs up is forgotten.

use std::time::Duration;

use http::StatusCode;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_util::sync::CancellationToken;

use crate::{
    config::{Listen, OneOrMany},
    listen::Listeners,
    testing::TestServer,
};

/// How long a test waits for what has to come; one that waits longer has failed.
const ANSWER_WAIT_MAX: Duration = Duration::from_secs(30);

/// A server on a port of its own, as long as this lives.
pub(crate) struct Serving {
    pub(crate) at: std::net::SocketAddr,
    _closing: tokio_util::sync::DropGuard,
}

impl Serving {
    pub(crate) async fn start(test: &TestServer) -> Self {
        let listen = Listen {
            address: OneOrMany(vec!["127.0.0.1".parse().unwrap()]),
            port: OneOrMany(vec![0]),
            ..Listen::default()
        };
        let listeners = Listeners::bind(&listen).await.unwrap();
        let at = listeners.addresses()[0];
        let closing = CancellationToken::new();
        let connections = crate::listen::connections(&test.server.config);
        let ended = closing.clone().cancelled_owned();
        tokio::spawn(listeners.serve(test.server.router(), connections, ended));
        Self {
            at,
            _closing: closing.drop_guard(),
        }
    }

    /// Connects and sends this.
    pub(crate) async fn send(&self, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.at).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }
}

/// The status that the server answers.
pub(crate) async fn status(stream: &mut TcpStream) -> StatusCode {
    let mut begin = [0; 12];
    let read = tokio::time::timeout(ANSWER_WAIT_MAX, stream.read_exact(&mut begin)).await;
    read.expect("an answer comes").unwrap();
    let text = std::str::from_utf8(&begin[9..]).unwrap();
    text.parse().unwrap()
}

#[tokio::test]
async fn announced_body_is_refused_before_it_is_sent() {
    let test = TestServer::start().await;
    let serving = Serving::start(&test).await;
    for (path, length) in [
        ("/_matrix/client/v3/login", 24_600_000),
        ("/_matrix/client/v3/login", 65_537),
        ("/_matrix/client/v3/register", 70_000),
        ("/_synapse/admin/v1/register", 16_385),
    ] {
        let head = format!("POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n");
        let mut stream = serving.send(&head).await;
        assert_eq!(
            status(&mut stream).await,
            StatusCode::PAYLOAD_TOO_LARGE,
            "{path}"
        );
    }
}

/// Whoever hangs up in the middle of a body, or while it waits for a permit, holds nothing any more.
#[tokio::test]
async fn abandoned_bodies_release_their_permits() {
    let test = TestServer::start().await;
    let serving = Serving::start(&test).await;
    let anonymous = &test.server.body_pools.anonymous;
    let head =
        "POST /_matrix/client/v3/login HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n{";
    let head = format!("{head}{}", " ".repeat(20_000));
    let mut streams = Vec::new();
    for _ in 0..20 {
        streams.push(serving.send(&head).await);
    }
    until(|| anonymous.held() > 0).await;
    drop(streams);
    until(|| anonymous.held() == 0).await;
}

/// Waits for something that comes about on its own.
pub(crate) async fn until(reached: impl Fn() -> bool) {
    let waiting = async {
        while !reached() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(ANSWER_WAIT_MAX, waiting)
        .await
        .expect("it comes about");
}
