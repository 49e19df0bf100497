//! What a broken server, or something else at its address, does to the connection. The server here is a double: it
//! speaks just enough of the protocol to be wrong about it.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{
        State,
        ws::{Message, WebSocket, WebSocketUpgrade},
    },
    http::{HeaderMap, StatusCode},
    response::{Html, IntoResponse, Response},
    routing::get,
};
use letta_client::{
    Backend, BackendError,
    app_server::{AppServerBackend, AppServerConfig, FRAME_BYTES_MAX},
};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// What the double does with a request on a socket.
#[derive(Clone, Copy, PartialEq)]
enum ServerFault {
    None,
    Silence,
    /// Everything but an answer, and then the answer.
    Garbage,
    /// The first socket breaks, later ones do not.
    Drop,
    /// On the first socket, a frame that is too large.
    Giant,
}

#[derive(Clone)]
struct Double {
    fault: ServerFault,
    sockets: Arc<AtomicUsize>,
}

async fn double(fault: ServerFault) -> SocketAddr {
    let double = Double {
        fault,
        sockets: Arc::default(),
    };
    let router = Router::new()
        .route("/app-server-info", get(info))
        .route("/ws", get(upgrade))
        .with_state(double);
    serve(router).await
}

async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

fn refuses(headers: &HeaderMap) -> Option<StatusCode> {
    if headers.contains_key("origin") {
        return Some(StatusCode::FORBIDDEN);
    }
    let bearer = headers
        .get("authorization")
        .is_some_and(|bearer| bearer == "Bearer open-sesame");
    (!bearer).then_some(StatusCode::UNAUTHORIZED)
}

async fn info(headers: HeaderMap) -> Response {
    match refuses(&headers) {
        Some(status) => status.into_response(),
        None => Json(json!({"type": "app_server_info_response", "success": true, "letta_code_version": "0.0.1",
            "protocol_version": 1, "capabilities": {"agent_management": true}}))
        .into_response(),
    }
}

async fn upgrade(
    State(double): State<Double>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    match refuses(&headers) {
        Some(status) => status.into_response(),
        None => upgrade.on_upgrade(move |socket| double.misbehave(socket)),
    }
}

impl Double {
    async fn misbehave(self, mut socket: WebSocket) {
        let first = self.sockets.fetch_add(1, Ordering::SeqCst) == 0;
        while let Some(Ok(Message::Text(text))) = socket.recv().await {
            let request: Value = serde_json::from_str(&text).unwrap();
            let answer = json!({"type": "agent_list_response", "request_id": request["request_id"], "success": true,
                "agents": [{"id": "agent-1", "name": "Ada", "tags": 7}, {"id": "no agent"}]});
            match self.fault {
                ServerFault::Silence => continue,
                ServerFault::Drop if first => return,
                ServerFault::Giant if first => {
                    let giant = " ".repeat(FRAME_BYTES_MAX + 1);
                    let _ = socket.send(Message::text(giant)).await;
                    continue;
                }
                ServerFault::Garbage => {
                    let event = json!({"type": "stream_delta", "delta": 7, "runtime": {"agent_id": "agent-1",
                        "conversation_id": "c"}});
                    let foreign = json!({"type": "agent_list_response", "request_id": "nobody's", "agents": []});
                    let [event, foreign] = [event, foreign].map(|frame| frame.to_string());
                    for frame in [
                        "",
                        "{",
                        "[]",
                        "{\"type\":7}",
                        "{\"type\":\"news\"}",
                        &event,
                        &foreign,
                    ] {
                        let _ = socket.send(Message::text(frame)).await;
                    }
                    let _ = socket.send(Message::Binary(vec![0, 255].into())).await;
                }
                _ => {}
            }
            let _ = socket.send(Message::text(answer.to_string())).await;
        }
    }
}

fn backend(address: SocketAddr, token: &str) -> AppServerBackend {
    AppServerBackend::new(AppServerConfig {
        token: Some(token.into()),
        request_timeout: Duration::from_secs(3),
        reconnect_delay: Duration::from_millis(10),
        ..AppServerConfig::new(format!("ws://{address}/ws"))
    })
    .unwrap()
}

#[tokio::test]
async fn what_is_no_app_server_is_told_plainly() {
    let address = double(ServerFault::None).await;
    let refused = backend(address, "wrong");
    assert!(matches!(
        refused.info().await,
        Err(BackendError::Unauthorized)
    ));
    assert!(matches!(
        refused.agents().await,
        Err(BackendError::Unauthorized)
    ));
    let lacking = backend(address, "open-sesame").info().await.unwrap();
    assert_eq!(lacking.version.as_deref(), Some("0.0.1"));

    let elsewhere =
        serve(Router::new().fallback(get(|| async { Html("<h1>It works!</h1>") }))).await;
    let elsewhere = backend(elsewhere, "open-sesame");
    for told in [
        elsewhere.info().await.map(drop),
        elsewhere.agents().await.map(drop),
    ] {
        let Err(BackendError::NotLetta { detail, .. }) = told else {
            panic!("{told:?}")
        };
        assert!(
            detail.starts_with("no Letta App Server answers at http://127.0.0.1:"),
            "{detail}"
        );
        assert!(!detail.contains("sesame"), "{detail}");
    }
    let nobody = TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    let nobody = backend(nobody, "open-sesame");
    assert!(matches!(
        nobody.agents().await,
        Err(BackendError::Unreachable { .. })
    ));
}

#[tokio::test]
async fn a_request_that_is_never_answered_ends_by_itself() {
    let silent = backend(double(ServerFault::Silence).await, "open-sesame");
    assert!(matches!(
        silent.agents().await,
        Err(BackendError::Silent { .. })
    ));
}

#[tokio::test]
async fn malformed_frames_are_ignored() {
    let agents = backend(double(ServerFault::Garbage).await, "open-sesame")
        .agents()
        .await
        .unwrap();
    let names: Vec<_> = agents.iter().map(|agent| agent.name.as_str()).collect();
    assert_eq!(names, ["Ada"]);
}

#[tokio::test]
async fn a_socket_that_breaks_is_opened_again() {
    for fault in [ServerFault::Drop, ServerFault::Giant] {
        let backend = backend(double(fault).await, "open-sesame");
        assert!(matches!(
            backend.agents().await,
            Err(BackendError::Unreachable { .. })
        ));
        assert_eq!(backend.agents().await.unwrap().len(), 1);
    }
}
