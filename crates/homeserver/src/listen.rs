//! Where requests come in: addresses and ports, with TLS or without it, or a socket in the file system.
//!
//! All are bound before the first of them is served, so that a server that cannot listen everywhere says so and ends. What a peer can
//! hold open has limits, see [`system::connections`]; the handshake of TLS is within them. A socket in the file system is taken away
//! when serving ends, and one that a killed server left behind is taken over.

use std::{
    fmt, io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use axum::Router;
use futures_util::{FutureExt, future::join_all};
use system::{
    connections::{self, Connections},
    descriptors,
};
use tokio::net::{TcpListener, UnixListener};

use crate::config::{Config, Listen};

#[cfg(test)]
mod tests;
mod tls;
mod unix;

pub use tls::CertificateError;
use tls::Tls;

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
    tcp: Vec<TcpListener>,
    tls: Option<Tls>,
    unix: Option<(UnixListener, PathBuf)>,
}

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listeners")
            .field("addresses", &self.addresses())
            .field("socket", &self.unix_socket_path())
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
                tls: None,
                unix: Some((listener, path.clone())),
            });
        }
        let tls = tls::acceptor(&listen.tls)?;
        let mut tcp = Vec::new();
        for address in listen.sockets() {
            match TcpListener::bind(address).await {
                Ok(listener) => tcp.push(listener),
                // Many a machine has no IPv6; whoever has not asked for it does not miss it.
                Err(error)
                    if listen.uses_default_addresses()
                        && error.kind() == io::ErrorKind::AddrNotAvailable => {}
                Err(source) => return Err(refused(address, source)),
            }
        }
        if tcp.is_empty() {
            return Err(ListenError::Nowhere);
        }
        let unix = None;
        Ok(Self { tcp, tls, unix })
    }

    /// The addresses, with the ports that the system chose.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let addresses = self.tcp.iter().map(TcpListener::local_addr);
        addresses.filter_map(Result::ok).collect()
    }

    /// The socket in the file system.
    pub fn unix_socket_path(&self) -> Option<&Path> {
        self.unix.as_ref().map(|(_, path)| path.as_path())
    }

    /// Serves the routes until `closing` is ready, and then ends what is being answered. All listeners share the limits of
    /// `connections`.
    pub async fn serve(
        self,
        routes: Router,
        connections: Connections,
        closing: impl Future<Output = ()> + Send + 'static,
    ) {
        if let Some((listener, path)) = self.unix {
            connections::serve_plain(listener, routes, connections, closing).await;
            unix::remove(&path);
            return;
        }
        let (tls, closing) = (self.tls, closing.shared());
        let served = self.tcp.into_iter().map(|listener| {
            let (tls, routes, closing) = (tls.clone(), routes.clone(), closing.clone());
            let connections = connections.clone();
            async move {
                match tls {
                    None => connections::serve_plain(listener, routes, connections, closing).await,
                    Some(tls) => {
                        let secure = move |stream| tls.clone().handshake(stream);
                        connections::serve(listener, secure, routes, connections, closing).await;
                    }
                }
            }
        });
        join_all(served).await;
    }
}

/// The connections of a server, as many as the configuration and the system allow.
pub fn connections(config: &Config) -> Connections {
    let limits = config
        .connections
        .limits(&config.proxies, descriptors::soft_limit());
    tracing::info!(
        max = limits.connections_max,
        per_address_max = limits.per_address_max,
        descriptors = descriptors::soft_limit(),
        "connection limits"
    );
    Connections::new(limits)
}

fn refused(at: impl fmt::Display, source: io::Error) -> ListenError {
    ListenError::Bind {
        at: at.to_string(),
        source,
    }
}
