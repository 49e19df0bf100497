//! Connections over TCP: plain ones at once, those with TLS when their handshake is done.

use std::{future::pending, io, net::SocketAddr, time::Duration};

use axum::serve::Listener;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::server::TlsStream;
use tokio_util::either::Either;

use super::tls::Tls;

/// How long a client may take to say what it speaks and to end its handshake.
const HANDSHAKE_MAX: Duration = Duration::from_secs(10);
/// How many handshakes of one address go on at the same time. More wait in the queue of the system.
const HANDSHAKES_AT_ONCE: usize = 1_000;
/// The first byte of a connection with TLS: the type of a handshake record. No method of HTTP begins with it.
const TLS_FIRST_BYTE: u8 = 0x16;

/// A connection, as requests are read from it.
pub(super) type Connection = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// One address that the server listens on.
pub(super) struct Tcp {
    listener: TcpListener,
    tls: Option<Tls>,
    handshakes: JoinSet<Option<(Connection, SocketAddr)>>,
}

impl Tcp {
    pub(super) fn new(listener: TcpListener, tls: Option<Tls>) -> Self {
        Self {
            listener,
            tls,
            handshakes: JoinSet::new(),
        }
    }

    pub(super) fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Listener for Tcp {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            let free = self.handshakes.len() < HANDSHAKES_AT_ONCE;
            let done = async {
                match self.handshakes.join_next().await {
                    Some(done) => done,
                    None => pending().await,
                }
            };
            tokio::select! {
                (stream, peer) = Listener::accept(&mut self.listener), if free => {
                    // An answer is written whole: waiting for more to send with it only costs time.
                    drop(stream.set_nodelay(true));
                    match &self.tls {
                        None => return (Either::Left(stream), peer),
                        Some(tls) => drop(self.handshakes.spawn(handshake(tls.clone(), stream, peer))),
                    }
                }
                done = done => if let Ok(Some(connection)) = done {
                    return connection;
                },
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.address()
    }
}

/// The connection once it is safe; nothing if it does not become so. That is the client's affair: it is told by TLS itself.
async fn handshake(
    tls: Tls,
    stream: TcpStream,
    peer: SocketAddr,
) -> Option<(Connection, SocketAddr)> {
    let begun = async {
        if tls.also_plain && first_byte(&stream).await? != TLS_FIRST_BYTE {
            return Ok(Either::Left(stream));
        }
        let safe = tls.acceptor.accept(stream).await?;
        Ok::<_, io::Error>(Either::Right(Box::new(safe)))
    };
    match tokio::time::timeout(HANDSHAKE_MAX, begun).await {
        Ok(Ok(connection)) => Some((connection, peer)),
        Ok(Err(error)) => {
            tracing::debug!(%peer, %error, "a connection did not become safe");
            None
        }
        Err(_) => None,
    }
}

/// What the client says first, which stays to be read.
async fn first_byte(stream: &TcpStream) -> io::Result<u8> {
    let mut byte = [0];
    match stream.peek(&mut byte).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(byte[0]),
    }
}
