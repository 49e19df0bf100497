//! Where the server listens, and how much it takes in one request.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
};

use serde::{Deserialize, Serialize};

use crate::config::units::{Bytes, Mode, OneOrMany};

/// The port of a Matrix server in Tuwunel's packages. Tuwunel's own built-in default is 8008.
const DEFAULT_PORT: u16 = 6167;

/// The longest body of one request, which is also the largest file that a user can upload.
const DEFAULT_MAX_REQUEST_SIZE: Bytes = Bytes::mebibytes(24);

/// The sockets of the server.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct Listen {
    /// The addresses to listen on. None of them is a name.
    pub address: OneOrMany<IpAddr>,
    /// The ports to listen on, at each of the addresses. 0 lets the system choose.
    pub port: OneOrMany<u16>,
    /// A socket in the file system to listen on, instead of addresses and ports.
    pub unix_socket_path: Option<PathBuf>,
    /// Who may connect to that socket, as the mode of a file: 660 is its owner and its group.
    pub unix_socket_perms: Mode,
    /// The longest body of one request.
    pub max_request_size: Bytes,
    /// The certificate to serve HTTPS with.
    pub tls: Tls,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            address: OneOrMany(vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]),
            port: OneOrMany(vec![DEFAULT_PORT]),
            unix_socket_path: None,
            unix_socket_perms: Mode::default(),
            max_request_size: DEFAULT_MAX_REQUEST_SIZE,
            tls: Tls::default(),
        }
    }
}

impl Listen {
    /// Every address with every port; empty if the server listens on a socket in the file system.
    pub fn sockets(&self) -> Vec<SocketAddr> {
        if self.unix_socket_path.is_some() {
            return Vec::new();
        }
        let ports = |address: &IpAddr| {
            let address = *address;
            self.port
                .0
                .iter()
                .map(move |port| SocketAddr::new(address, *port))
        };
        self.address.0.iter().flat_map(ports).collect()
    }

    /// Whether the addresses are the built-in guess, of which one may be missing on the machine. An
    /// address that the admin wrote must be there.
    pub fn uses_default_addresses(&self) -> bool {
        self.address == Self::default().address
    }
}

/// `[tls]`: the certificate to serve HTTPS with. Both keys or none.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Tls {
    /// The file with the chain of certificates, in PEM.
    pub certs: Option<PathBuf>,
    /// The file with the private key, in PEM.
    pub key: Option<PathBuf>,
    /// Whether plain HTTP is answered at the same addresses, too.
    pub dual_protocol: bool,
}
