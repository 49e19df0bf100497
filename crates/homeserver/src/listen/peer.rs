//! Who is at the other end of a connection.

use std::net::IpAddr;

use axum::{extract::connect_info::Connected, serve::IncomingStream};
use tokio::net::UnixListener;

use super::tcp::Tcp;

/// The address of whoever connected; nothing behind a socket in the file system.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub Option<IpAddr>);

impl Connected<IncomingStream<'_, Tcp>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Tcp>) -> Self {
        Self(Some(stream.remote_addr().ip()))
    }
}

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(_: IncomingStream<'_, UnixListener>) -> Self {
        Self(None)
    }
}
