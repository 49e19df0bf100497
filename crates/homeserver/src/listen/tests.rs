//! Clients that connect to everything that the server can listen on.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, time::Duration};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_util::sync::CancellationToken;

use super::Listeners;
use crate::{
    config::{Listen, Mode, OneOrMany},
    testing::TestServer,
};

/// A name that only the certificate and the client of a test know.
const NAME: &str = "home.test";
/// What everybody may ask.
const ASKED: &str = "/_matrix/client/versions";

/// A certificate for [`NAME`] and its key, in two files, and the authority that signed it.
fn certificate(folder: &Path) -> reqwest::Certificate {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![NAME.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &authority).unwrap();
    fs::write(folder.join("tls.crt"), certificate.pem()).unwrap();
    fs::write(folder.join("tls.key"), key.serialize_pem()).unwrap();
    reqwest::Certificate::from_pem(authority.pem().as_bytes()).unwrap()
}

fn with_tls(folder: &Path, dual_protocol: bool) -> Listen {
    let mut listen = Listen {
        address: OneOrMany(vec!["127.0.0.1".parse().unwrap()]),
        port: OneOrMany(vec![0]),
        ..Listen::default()
    };
    listen.tls.certs = Some(folder.join("tls.crt"));
    listen.tls.key = Some(folder.join("tls.key"));
    listen.tls.dual_protocol = dual_protocol;
    listen
}

/// A server that listens, until the token is cancelled.
struct Serving {
    addresses: Vec<std::net::SocketAddr>,
    closing: CancellationToken,
    ended: tokio::task::JoinHandle<()>,
}

impl Serving {
    async fn start(test: &TestServer, listen: &Listen) -> Self {
        let listeners = Listeners::bind(listen).await.unwrap();
        let addresses = listeners.addresses();
        let closing = CancellationToken::new();
        let connections = super::connections(&test.server.config);
        let ending = closing.clone().cancelled_owned();
        let served = listeners.serve(test.server.router(), connections, ending);
        Self {
            addresses,
            closing,
            ended: tokio::spawn(served),
        }
    }

    async fn end(self) {
        self.closing.cancel();
        self.ended.await.unwrap();
    }
}

/// Chooses the cryptography of the clients, as the program around the server does.
fn provide_cryptography() {
    drop(rustls::crypto::ring::default_provider().install_default());
}

fn client(authority: reqwest::Certificate, at: std::net::SocketAddr) -> reqwest::Client {
    provide_cryptography();
    let client = reqwest::Client::builder().no_proxy().resolve(NAME, at);
    client.tls_certs_only([authority]).build().unwrap()
}

#[tokio::test]
async fn https_is_served_with_the_certificate_of_the_configuration() {
    let test = TestServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let authority = certificate(folder.path());
    let serving = Serving::start(&test, &with_tls(folder.path(), false)).await;
    let at = serving.addresses[0];

    // Somebody who says nothing holds up nobody.
    let silent = TcpStream::connect(at).await.unwrap();
    let client = client(authority, at);
    let url = format!("https://{NAME}:{}{ASKED}", at.port());
    let answer = client.get(&url).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.text().await.unwrap().contains("v1.11"));

    let plain = client.get(url.replace("https", "http")).send().await;
    assert!(plain.is_err(), "plain HTTP is not answered: {plain:?}");
    drop((silent, client));
    serving.end().await;
}

#[tokio::test]
async fn both_protocols_are_answered_at_one_address_if_asked_for() {
    let test = TestServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let authority = certificate(folder.path());
    let serving = Serving::start(&test, &with_tls(folder.path(), true)).await;
    let at = serving.addresses[0];
    let client = client(authority, at);
    for scheme in ["https", "http"] {
        let url = format!("{scheme}://{NAME}:{}{ASKED}", at.port());
        assert_eq!(
            client.get(url).send().await.unwrap().status(),
            200,
            "{scheme}"
        );
    }
    drop(client);
    serving.end().await;
}

#[tokio::test]
async fn several_ports_are_served_and_all_let_go() {
    let test = TestServer::start().await;
    let listen = Listen {
        address: OneOrMany(vec![
            "127.0.0.1".parse().unwrap(),
            "127.0.0.2".parse().unwrap(),
        ]),
        port: OneOrMany(vec![0, 0]),
        ..Listen::default()
    };
    let serving = Serving::start(&test, &listen).await;
    let addresses = serving.addresses.clone();
    assert_eq!(addresses.len(), 4);
    for at in &addresses {
        let mut stream = TcpStream::connect(at).await.unwrap();
        let asked = format!("GET {ASKED} HTTP/1.1\r\nhost: {NAME}\r\nconnection: close\r\n\r\n");
        stream.write_all(asked.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    let taken = Listen {
        port: OneOrMany(vec![addresses[0].port()]),
        ..listen
    };
    let refused = Listeners::bind(&taken).await.unwrap_err();
    assert!(
        refused.to_string().contains(&addresses[0].to_string()),
        "{refused}"
    );
    serving.end().await;
    Listeners::bind(&taken).await.unwrap();
}

#[tokio::test]
async fn a_socket_in_the_file_system_is_served_to_whom_it_is_for() {
    let test = TestServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("homeserver.sock");
    let listen = Listen {
        unix_socket_path: Some(path.clone()),
        unix_socket_perms: Mode(0o600),
        ..Listen::default()
    };
    // What a killed server left behind is taken over.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let serving = Serving::start(&test, &listen).await;
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    provide_cryptography();
    let client = reqwest::Client::builder()
        .no_proxy()
        .unix_socket(path.clone())
        .build()
        .unwrap();
    let answer = client
        .get(format!("http://{NAME}{ASKED}"))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    // What another server listens on is not.
    Listeners::bind(&listen).await.unwrap_err();
    drop(client);
    serving.end().await;
    assert!(!path.exists());
}

#[tokio::test]
async fn unfinished_tls_handshake_is_closed() {
    tokio::time::pause();
    let folder = tempfile::tempdir().unwrap();
    certificate(folder.path());
    let listeners = Listeners::bind(&with_tls(folder.path(), true))
        .await
        .unwrap();
    let at = listeners.addresses()[0];
    let connections = super::connections(&crate::config::Config::new(
        ruma::server_name!("letta.test").to_owned(),
    ));
    let routes = axum::Router::new();
    let serving = tokio::spawn(listeners.serve(routes, connections, std::future::pending()));
    let mut silent = TcpStream::connect(at).await.unwrap();
    let read = tokio::time::timeout(Duration::from_mins(1), silent.read(&mut [0])).await;
    assert_eq!(read.unwrap().unwrap(), 0);
    serving.abort();
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_is_said_with_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let missing = Listeners::bind(&with_tls(folder.path(), false))
        .await
        .unwrap_err();
    assert!(
        missing.to_string().starts_with("`tls.certs`: cannot read"),
        "{missing}"
    );
    certificate(folder.path());
    fs::write(
        folder.path().join("tls.key"),
        KeyPair::generate().unwrap().serialize_pem(),
    )
    .unwrap();
    let unfit = Listeners::bind(&with_tls(folder.path(), false))
        .await
        .unwrap_err();
    assert!(unfit.to_string().contains("cannot be used"), "{unfit}");
}

/// Sends a request without the end of its head, which holds the connection open.
async fn begin_request(from: &str, at: std::net::SocketAddr) -> TcpStream {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(format!("{from}:0").parse().unwrap()).unwrap();
    let mut stream = socket.connect(at).await.unwrap();
    let head = format!("GET {ASKED} HTTP/1.1\r\nhost: {NAME}\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

/// Ends the heads of the requests; how many of them are answered.
async fn count_answered(streams: Vec<TcpStream>) -> usize {
    let mut answered = 0;
    for mut stream in streams {
        let mut begin = [0; 12];
        let sent = stream.write_all(b"\r\n").await;
        let read = sent.is_ok() && stream.read_exact(&mut begin).await.is_ok();
        answered += usize::from(read && begin.ends_with(b"200"));
    }
    answered
}

#[tokio::test]
async fn trusted_proxy_is_exempt_from_the_limit_of_one_address() {
    const PER_ADDRESS: usize = 3;
    let test = TestServer::start_with(|config| {
        config.connections.max_connections_per_ip = PER_ADDRESS;
        config.connections.max_connections_per_ip_exempt.clear();
        let trusted = ["127.0.0.2", "127.0.1.0/24"];
        let trusted = trusted.map(|text| {
            let address = text.parse::<std::net::IpAddr>().map(Into::into);
            address.unwrap_or_else(|_| text.parse().unwrap())
        });
        config.proxies.trusted_proxies = trusted.into();
    })
    .await;
    let listen = Listen {
        address: OneOrMany(vec!["127.0.0.1".parse().unwrap()]),
        port: OneOrMany(vec![0]),
        ..Listen::default()
    };
    let serving = Serving::start(&test, &listen).await;
    let at = serving.addresses[0];
    for (from, passes) in [
        ("127.0.0.2", 3 * PER_ADDRESS),
        ("127.0.1.7", 3 * PER_ADDRESS),
        ("127.0.0.3", PER_ADDRESS),
    ] {
        let mut streams = Vec::new();
        for _ in 0..3 * PER_ADDRESS {
            streams.push(begin_request(from, at).await);
        }
        assert_eq!(count_answered(streams).await, passes, "{from}");
    }
    serving.end().await;
}
