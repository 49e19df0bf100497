//! A gateway's address written in every way that leads to this machine or to a network of its own: nobody is asked there.

use tokio::net::TcpListener;

use super::*;
use crate::{config::Outbound, outbound::GuardedHttpClient};

/// Ways to write this machine's own address.
const LOOPBACK: [&str; 28] = [
    "127.0.0.1",
    "127.0.0.1.",
    "127.1",
    "127.0.1",
    "127.255.255.254",
    "0",
    "0.0.0.0",
    "0x7f.1",
    "0x7f000001",
    "0X7F.0x0.0x0.0x1",
    "0177.0.0.1",
    "017700000001",
    "2130706433",
    "127.0.0.0x1",
    "①②⑦.0.0.1",
    "127。0。0。1",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "%6c%6fcalhost",
    "[::1]",
    "[::]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[2002:7f00:1::]",
];

/// Other networks that are not the internet.
const INWARD: [&str; 14] = [
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.169.254",
    "198.18.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "[fd00::1]",
    "[fe80::1]",
    "[64:ff9b::169.254.169.254]",
    "[64:ff9b:1::a9fe:a9fe]",
    "[2001:0:a9fe:a9fe::]",
];

async fn asks(guarded: &GuardedHttpClient, host: &str, port: u16) -> Result<(), String> {
    let url = format!("http://{host}:{port}/_matrix/push/v1/notify");
    let url = url.parse().map_err(|error| format!("{host}: {error}"))?;
    let request = guarded.request(Method::POST, &url);
    let sent = guarded.send(request.map_err(|error| error.to_string())?);
    sent.await.map(drop).map_err(|error| format!("{error:?}"))
}

#[tokio::test]
async fn no_spelling_of_an_inward_address_reaches_it() {
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let guarded = GuardedHttpClient::new(&Outbound::default());
    for host in LOOPBACK.into_iter().chain(INWARD) {
        let refused = asks(&guarded, host, port).await.unwrap_err();
        // Not every resolver knows every name.
        let named = refused.contains("orbid") || refused.contains("dns error");
        assert!(named, "{host}: {refused}");
    }
    // Nobody came: the first who does is this one.
    let own = tokio::net::TcpStream::connect(("127.0.0.1", port))
        .await
        .unwrap();
    let (_, first) = listener.accept().await.unwrap();
    assert_eq!(first, own.local_addr().unwrap());
}

#[tokio::test]
async fn emptied_denylist_lets_loopback_be_asked() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut outbound = Outbound::default();
    outbound.ip_range_denylist.clear();
    let guarded = GuardedHttpClient::new(&outbound);
    let (asked, ()) = tokio::join!(asks(&guarded, "127.1", port), async {
        drop(listener.accept().await.unwrap());
    });
    assert!(!asked.unwrap_err().contains("orbid"));
}

#[tokio::test]
async fn refused_gateway_is_warned_of_once() {
    let guarded = GuardedHttpClient::new(&Outbound::default());
    for host in [
        "localhost",
        "127.0.0.1",
        "localhost",
        "127.0.0.1",
        "10.0.0.1",
    ] {
        asks(&guarded, host, 9).await.unwrap_err();
    }
    assert_eq!(guarded.refused_places(), 3);
}
