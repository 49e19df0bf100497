//! Where requests come in: addresses and ports, with TLS or without it, or a socket in the file system.
//!
//! All are bound before the first of them is served, so that a server that cannot listen everywhere says so and ends. A handshake
//! that takes long, or never ends, holds up no other connection. A socket in the file system is taken away when serving ends, and
//! one that a killed server left behind is taken over.

use std::{
    fmt, io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use axum::Router;
use futures_util::{FutureExt, future::try_join_all};
use tokio::net::{TcpListener, UnixListener};

use crate::config::Listen;

mod peer;
mod tcp;
#[cfg(test)]
mod tests;
mod tls;
mod unix;

pub use peer::Peer;
use tcp::Tcp;
pub use tls::CertificateError;

/// Why the server cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// An address cannot be had.
    #[error("cannot listen on {at}: {source}")]
    Bind {
        /// The address, or the path of the socket.
        at: String,
        /// Why.
        source: io::Error,
    },
    /// No address can be had, and none was asked for that must be there.
    #[error("there is no address to listen on: set `address` and `port`")]
    Nowhere,
    /// There is no certificate to serve HTTPS with.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
}

/// Everything that the server listens on.
pub struct Listeners {
    tcp: Vec<Tcp>,
    unix: Option<(UnixListener, PathBuf)>,
}

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listeners")
            .field("addresses", &self.addresses())
            .field("socket", &self.socket())
            .finish()
    }
}

impl Listeners {
    /// Binds everything that the configuration names.
    ///
    /// # Errors
    ///
    /// If an address that the configuration names cannot be had, or the certificate cannot be read.
    pub async fn bind(listen: &Listen) -> Result<Self, ListenError> {
        if let Some(path) = &listen.unix_socket_path {
            let bound = unix::bind(path, listen.unix_socket_perms).await;
            let listener = bound.map_err(|source| refused(path.display(), source))?;
            return Ok(Self {
                tcp: Vec::new(),
                unix: Some((listener, path.clone())),
            });
        }
        let tls = tls::acceptor(&listen.tls)?;
        let mut tcp = Vec::new();
        for address in listen.sockets() {
            match TcpListener::bind(address).await {
                Ok(listener) => tcp.push(Tcp::new(listener, tls.clone())),
                // Many a machine has no IPv6; whoever has not asked for it does not miss it.
                Err(error)
                    if listen.address_is_a_guess()
                        && error.kind() == io::ErrorKind::AddrNotAvailable => {}
                Err(source) => return Err(refused(address, source)),
            }
        }
        if tcp.is_empty() {
            return Err(ListenError::Nowhere);
        }
        Ok(Self { tcp, unix: None })
    }

    /// The addresses, with the ports that the system chose.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let addresses = self.tcp.iter().map(Tcp::address);
        addresses.filter_map(Result::ok).collect()
    }

    /// The socket in the file system.
    pub fn socket(&self) -> Option<&Path> {
        self.unix.as_ref().map(|(_, path)| path.as_path())
    }

    /// Serves the routes until `closing` is ready, and then ends what is being answered.
    pub async fn serve(
        self,
        routes: Router,
        closing: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        let service = routes.into_make_service_with_connect_info::<Peer>();
        if let Some((listener, path)) = self.unix {
            let served = axum::serve(listener, service);
            let outcome = served.with_graceful_shutdown(closing).await;
            unix::remove(&path);
            return outcome;
        }
        let closing = closing.shared();
        let served = self.tcp.into_iter().map(|listener| {
            let served = axum::serve(listener, service.clone());
            served.with_graceful_shutdown(closing.clone()).into_future()
        });
        try_join_all(served).await.map(|_| ())
    }
}

fn refused(at: impl fmt::Display, source: io::Error) -> ListenError {
    ListenError::Bind {
        at: at.to_string(),
        source,
    }
}
