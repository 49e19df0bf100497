//! Serves routes over sockets, with a limit on everything that a peer can hold open.
//!
//! A connection is *idle* while no request of it is being answered: before its first request, while the head of one is still
//! coming, and between two. An idle connection lives until a deadline, and gives way to a new one when there are too many: first
//! those of the address that has the most of them, the oldest first. So an address that opens all it can does not keep out another.
//! A request that is being worked on is never cut off for that; one whose body is still coming, that waits for something to happen
//! ([`Connection::waits`]), or whose response is not read can give way like an idle connection. Behind an address that many share,
//! the routes say whose request it is ([`Connection::attribute`]), and the client with the most gives way first. A body that does not come, and a response that nobody reads, end
//! their connection by a least rate, not by a total time: large files may take as long as they need.
//!
//! Whoever is answered before its body was read gets the answer all the same: what is still coming is thrown away for a while, since
//! to close the socket with unread bytes in it would reset the connection and take the answer with it (RFC 9112, section 9.6).
//!
//! HTTP/1.1 only: a reverse proxy in front speaks HTTP/2 to the world and HTTP/1.1 to what is behind it.

use std::{net::IpAddr, time::Duration};

pub use ipnet::IpNet;

use crate::descriptors;

mod body;
mod connection;
mod min_rate;
mod progress;
mod registry;
mod serve;
mod stream;
#[cfg(test)]
mod tests;

pub use connection::{Connection, WaitGuard};
pub use serve::{Connections, Listener, serve, serve_plain};

/// Connections at the same time, however many descriptors there are.
pub const CONNECTIONS_MAX: usize = 8_192;
/// Connections of one address at the same time; of IPv6 addresses the first 64 bits count.
pub const PER_ADDRESS_MAX: usize = 512;
/// How long the head of a request may take to come, the handshake of TLS included.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a connection stays open between two requests. Longer than reverse proxies keep theirs, so that they close first.
pub const IDLE_TIMEOUT: Duration = Duration::from_mins(2);
/// How long a body may keep its reader waiting for [`RATE_MIN`] times as many bytes.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(75);
/// The same for a response and whoever reads it.
pub const RESPONSE_TIMEOUT: Duration = Duration::from_mins(2);
/// How long the rest of a refused body is read and thrown away, so that the peer gets to read the refusal.
pub const LINGER_TIMEOUT: Duration = Duration::from_secs(5);
/// The least rate of bodies and responses, in bytes for each second of waiting.
pub const RATE_MIN: u64 = 512;
/// The longest head of a request, in bytes, which is also what is buffered of a connection.
pub const HEAD_BYTES_MAX: usize = 64 * 1024;

/// Who is at the other end of a connection: the address, or nothing behind a socket in the file system. Every request carries it as
/// `ConnectInfo<Peer>`.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub Option<IpAddr>);

/// What peers can hold open.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections at the same time.
    pub connections_max: usize,
    /// Connections of one address at the same time.
    pub per_address_max: usize,
    /// Addresses that many users share, like that of a reverse proxy: only `connections_max` is for them.
    pub shared_addresses: Vec<IpNet>,
    /// How long the head of a request may take.
    pub header_timeout: Duration,
    /// How long a connection stays open between two requests.
    pub idle_timeout: Duration,
    /// How long a body may keep its reader waiting.
    pub body_timeout: Duration,
    /// How long a response may wait for its reader.
    pub response_timeout: Duration,
    /// How long the rest of a refused body is read.
    pub linger_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: CONNECTIONS_MAX,
            per_address_max: PER_ADDRESS_MAX,
            shared_addresses: Vec::new(),
            header_timeout: HEADER_TIMEOUT,
            idle_timeout: IDLE_TIMEOUT,
            body_timeout: BODY_TIMEOUT,
            response_timeout: RESPONSE_TIMEOUT,
            linger_timeout: LINGER_TIMEOUT,
        }
    }
}

impl Limits {
    /// The same with as many connections as fit below this limit of descriptors, and no more than half of them for one address.
    #[must_use]
    pub fn within(mut self, descriptors: u64) -> Self {
        let fitting = descriptors::connections_within(descriptors);
        self.connections_max = self.connections_max.clamp(1, fitting);
        let half = (self.connections_max / 2).max(1);
        self.per_address_max = self.per_address_max.clamp(1, half);
        self
    }

    fn is_shared(&self, ip: IpAddr) -> bool {
        self.shared_addresses.iter().any(|net| net.contains(&ip))
    }
}
