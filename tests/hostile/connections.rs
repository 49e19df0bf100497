//! Peers that hold connections open: more than there are descriptors, with heads, bodies and responses that never end.

use std::net::SocketAddr;
use std::path::Path;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::support::{
    Homeserver, LOOK, PATIENCE, Person, Program, client_from, process::free_port, text,
};

/// The descriptors that the program gets.
const DESCRIPTORS: usize = 256;
/// How many of them connections leave to the store and the journal, at least.
const LEFT_FOR_FILES: usize = 100;
/// More than that.
const HALF_OPEN: usize = 400;
const INNOCENT: &str = "127.0.0.2";
/// The listener, and the three ends of the pair that tokio passes signals through.
const RESTING_SOCKETS: usize = 4;
/// More than the buffers of a connection hold, in bytes.
const LARGE: usize = 22 << 20;
/// What a test is not about.
const PATIENT: &str = "client_header_timeout = \"10m\"\nclient_idle_timeout = \"10m\"\n";
/// No well-behaved client on this machine needs as long.
const SHORT: &str = "client_header_timeout = \"500ms\"\nclient_idle_timeout = \"500ms\"\n\
                     client_receive_timeout = \"500ms\"\nclient_response_timeout = \"500ms\"\n";

async fn half_open(at: SocketAddr, count: usize) -> Vec<TcpStream> {
    let mut streams = Vec::new();
    for _ in 0..count {
        streams.push(TcpStream::connect(at).await.unwrap());
    }
    streams
}

/// Waits until the program has no more sockets than these.
async fn until_sockets(program: &mut Program, count: usize) {
    let reached = async {
        while program.sockets() > count {
            tokio::time::sleep(LOOK).await;
        }
    };
    let timely = tokio::time::timeout(PATIENCE, reached).await;
    assert!(timely.is_ok(), "{} sockets, not {count}", program.sockets());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_half_open_connections_than_descriptors_stop_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Homeserver::new(dir.path(), &dir.path().join("database"), PATIENT);
    server.program = server.program.under(&format!("ulimit -n {DESCRIPTORS}"));
    server.start().await;
    let attack = half_open(SocketAddr::from(([127, 0, 0, 1], server.port)), HALF_OPEN).await;

    let innocent = Person::register(client_from(INNOCENT), &server.url(), "innocent").await;
    let room = innocent.create_room().await;
    for number in 0..50 {
        // Each over a connection of its own.
        let innocent = innocent.again(client_from(INNOCENT));
        let (status, answer) = innocent.send(&room, number, 10).await.unwrap();
        assert_eq!(status, 200, "{answer}");
        let open = server.program.descriptors();
        assert!(open + LEFT_FOR_FILES <= DESCRIPTORS, "{open} descriptors");
    }
    // Enough to make the store open new files, while connections are held.
    for number in 50..400 {
        let (status, answer) = innocent.send(&room, number, 50_000).await.unwrap();
        assert_eq!(status, 200, "{answer}");
    }
    drop(attack);
    let ready = innocent.ok("GET", "/health", &json!({})).await;
    assert_eq!(ready["ready"], true);
    assert_eq!(innocent.numbers(&room).await.len(), 400);
    let log = server.program.log_text();
    assert!(log.contains("file descriptor limit"), "{log}");
    server.program.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_heads_bodies_readers_and_idle_connections_are_let_go() {
    let dir = tempfile::tempdir().unwrap();
    let mut server = Homeserver::new(dir.path(), &dir.path().join("database"), SHORT);
    server.start().await;
    let innocent = Person::register(client_from(INNOCENT), &server.url(), "innocent").await;
    let file = innocent.upload(vec![b'x'; LARGE]).await;
    let download = innocent.raw_get(&format!(
        "/_matrix/client/v1/media/download/{}",
        file.trim_start_matches("mxc://")
    ));
    let at = SocketAddr::from(([127, 0, 0, 1], server.port));
    let mut slow = half_open(at, 20).await;
    for stream in &mut slow[..5] {
        stream
            .write_all(b"GET / HTTP/1.1\r\nhost: a\r\nx-")
            .await
            .unwrap();
    }
    for stream in &mut slow[5..10] {
        let login =
            "POST /_matrix/client/v3/login HTTP/1.1\r\nhost: a\r\ncontent-length: 500\r\n\r\n{";
        stream.write_all(login.as_bytes()).await.unwrap();
    }
    for stream in &mut slow[10..15] {
        let versions = "GET /_matrix/client/versions HTTP/1.1\r\nhost: a\r\n\r\n";
        stream.write_all(versions.as_bytes()).await.unwrap();
        let mut piece = [0; 12];
        stream.read_exact(&mut piece).await.unwrap();
        assert_eq!(&piece, b"HTTP/1.1 200");
    }
    for stream in &mut slow[15..] {
        stream.write_all(download.as_bytes()).await.unwrap();
    }
    let again = innocent.again(client_from(INNOCENT));
    again.create_room().await;
    until_sockets(&mut server.program, RESTING_SOCKETS).await;
    for stream in &mut slow[5..10] {
        let mut answer = String::new();
        drop(stream.read_to_string(&mut answer).await);
        assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    }
    server.program.stop().await;
}

/// The bridge beside a homeserver that is not there: it waits for it, and listens.
async fn bridge(dir: &Path, connections: &[(&str, &str)]) -> (Program, u16) {
    let port = free_port();
    let config = dir.join("config.yaml");
    let mut program = Program::new(&["run", "-c", text(&config)], &dir.join("bridge.log"))
        .with("BRIDGE_APPSERVICE__PORT", &port.to_string())
        .under(&format!("ulimit -n {DESCRIPTORS}"));
    for (key, value) in connections {
        program = program.with(&format!("BRIDGE_APPSERVICE__CONNECTIONS__{key}"), value);
    }
    let nowhere = format!("http://127.0.0.1:{}", free_port());
    let init = [
        "init",
        "--dir",
        text(dir),
        "--homeserver",
        "synapse",
        "--address",
        &nowhere,
    ];
    let flags = [
        "--domain",
        "letta.test",
        "--backend",
        "demo",
        "--admin",
        "@alice:letta.test",
    ];
    program.run(&[init.as_slice(), &flags].concat()).await;
    program
        .start(&format!("http://127.0.0.1:{port}/_matrix/mau/live"))
        .await;
    (program, port)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appservice_port_is_served_beside_half_open_connections() {
    let dir = tempfile::tempdir().unwrap();
    let patient = [("HEADER_TIMEOUT", "10m"), ("IDLE_TIMEOUT", "10m")];
    let (mut program, port) = bridge(dir.path(), &patient).await;
    let attack = half_open(SocketAddr::from(([127, 0, 0, 1], port)), HALF_OPEN).await;
    for _ in 0..20 {
        let url = format!("http://127.0.0.1:{port}/_matrix/mau/live");
        let answer = client_from(INNOCENT).get(url).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let open = program.descriptors();
        assert!(open + LEFT_FOR_FILES <= DESCRIPTORS, "{open} descriptors");
    }
    drop(attack);
    program.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appservice_port_lets_slow_peers_go() {
    let dir = tempfile::tempdir().unwrap();
    let short = ["HEADER", "IDLE", "BODY", "RESPONSE"].map(|name| format!("{name}_TIMEOUT"));
    let short: Vec<_> = short.iter().map(|key| (key.as_str(), "500ms")).collect();
    let (mut program, port) = bridge(dir.path(), &short).await;
    let registration = std::fs::read_to_string(dir.path().join("registration.yaml")).unwrap();
    let registration: serde_json::Value = serde_yaml::from_str(&registration).unwrap();
    // The body of somebody without a token is never read.
    let token = registration["hs_token"].as_str().unwrap();
    let mut slow = half_open(SocketAddr::from(([127, 0, 0, 1], port)), 20).await;
    for stream in &mut slow[..10] {
        let transaction = format!(
            "PUT /_matrix/app/v1/transactions/1 HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {token}\r\n\
             content-length: 500\r\n\r\n{{"
        );
        stream.write_all(transaction.as_bytes()).await.unwrap();
    }
    for (number, mut stream) in slow.into_iter().enumerate() {
        let mut answer = Vec::new();
        let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await;
        drop(read.expect("the connection is closed"));
        let answer = String::from_utf8_lossy(&answer);
        assert_eq!(answer.starts_with("HTTP/1.1 408"), number < 10, "{answer}");
    }
    program.stop().await;
}
