//! Whom the client really talks to.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::{Router, routing::get};

use super::*;

/// A client whose look-ups are wrong: every name is said to be here, as by a resolver that is not ours or a socket that was passed on.
fn misled(outbound: &Outbound, here: SocketAddr) -> GuardedHttpClient {
    GuardedHttpClient {
        http: Arc::new(LazyHttpClient::new(move |client| {
            client.resolve("public.example", here)
        })),
        ..GuardedHttpClient::new(outbound)
    }
}

#[tokio::test]
async fn answer_of_a_forbidden_peer_is_not_used_whatever_the_name_led_to() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    let router = Router::new().fallback(get(move || async move {
        counted.fetch_add(1, Ordering::SeqCst);
        "secret"
    }));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let here = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let url = format!("http://public.example:{}/", here.port());
    let url = Url::parse(&url).unwrap();
    let ask = async |outbound: &Outbound| {
        let client = misled(outbound, here);
        let request = client.request(reqwest::Method::GET, &url)?;
        client.send(request).await
    };
    // Without the check of the peer this would be the answer.
    let open = Outbound {
        ip_range_denylist: Vec::new(),
        ..Outbound::default()
    };
    assert_eq!(ask(&open).await.unwrap().text().await.unwrap(), "secret");
    let refused = ask(&Outbound::default()).await;
    assert!(matches!(refused, Err(Refused::Forbidden(peer)) if peer == "127.0.0.1"));
    assert_eq!(asked.load(Ordering::SeqCst), 2, "it was connected to");
}
