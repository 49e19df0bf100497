//! Who the server is, and whether it lets us in.

use axum::{Router, http::StatusCode, response::Redirect, routing::any};
use letta_client::{
    Advice, Backend, BackendError, BackendInfo, Conversation, ToolPolicy,
    demo::{Demo, DemoServer},
};

use super::{Lab, backend};

/// Serves a router on loopback for as long as the test runs.
pub(crate) async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, router).await });
    url
}

#[tokio::test]
async fn a_server_tells_what_it_is_and_can() {
    let lab = Lab::new().await;
    let expected = BackendInfo {
        kind: "demo".into(),
        version: Some(concat!(env!("CARGO_PKG_VERSION"), "-demo").into()),
        conversations: true,
        idempotent: None,
        approvals: true,
        history: true,
        external_turns: false,
    };
    assert_eq!(lab.backend.info().await.unwrap(), expected);
    lab.turn("$1", "say: hi").await;
    assert_eq!(
        lab.backend.info().await.unwrap(),
        BackendInfo {
            idempotent: Some(true),
            ..expected
        }
    );
}

#[tokio::test]
async fn a_server_from_before_conversations_is_known_by_the_missing_route() {
    let lab = Lab::new().await;
    lab.demo()
        .set_faults(|faults| faults.no_conversations = true);
    let info = lab.backend.info().await.unwrap();
    assert!(!info.conversations);
    assert_eq!(info.idempotent, Some(false));
    let made = lab
        .backend
        .create_conversation(&lab.to.agent, "a room")
        .await
        .unwrap();
    assert_eq!(made, Conversation::Default);
}

#[tokio::test]
async fn a_wrong_key_is_fatal_and_shows_nowhere() {
    let demo = Demo::builder().password("sekrit").build();
    let lab = Lab::of(demo, |config| config.api_key = Some("wr0ng".into())).await;
    for error in [
        lab.backend.info().await.unwrap_err(),
        lab.backend.agents().await.unwrap_err(),
        lab.send("$1", "say: hi").await.err().unwrap(),
        lab.backend.cancel(&lab.to).await.unwrap_err(),
    ] {
        assert!(matches!(error, BackendError::Unauthorized), "{error:?}");
        assert_eq!(error.advice(), Advice::Fatal);
        assert!(!format!("{error} {error:?}").contains("wr0ng"));
    }
    let lab = Lab::of(lab.demo().clone(), |config| {
        config.api_key = Some(" sekrit\n".into());
    })
    .await;
    assert_eq!(lab.turn("$1", "say: hi").await.text(), "hi");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unreachable() {
    let lab = Lab::of(Demo::new(), |config| config.api_key = Some("sekrit".into())).await;
    lab.server.shutdown().await;
    let error = lab.backend.info().await.unwrap_err();
    assert!(
        matches!(error, BackendError::Unreachable { .. }),
        "{error:?}"
    );
    assert_eq!(error.advice(), Advice::Retry);
    assert!(!format!("{error:?}").contains("sekrit"), "{error:?}");
}

#[tokio::test]
async fn a_path_before_the_api_is_kept() {
    let url = serve(Router::new().nest("/letta", Demo::new().router())).await;
    let backend = backend(&format!("{url}/letta/"), |_| {});
    assert_eq!(backend.agents().await.unwrap().len(), 3);
}

#[tokio::test]
async fn the_key_follows_no_redirect_to_another_host() {
    let elsewhere = DemoServer::start(Demo::new(), ([127, 0, 0, 1], 0).into())
        .await
        .unwrap();
    let target = format!("{}/v1/agents/", elsewhere.url());
    let url = serve(Router::new().fallback(any(async move || Redirect::temporary(&target)))).await;
    let backend = backend(&url, |config| config.api_key = Some("sekrit".into()));
    let error = backend.agents().await.unwrap_err();
    assert!(
        matches!(error, BackendError::NotLetta { status: 307, .. }),
        "{error:?}"
    );
    assert_eq!(elsewhere.demo().request_count("GET /v1/agents/"), 0);
}

#[tokio::test]
async fn a_page_of_html_is_no_answer_of_letta() {
    let url = serve(Router::new().fallback(any(async || "<html>hello</html>"))).await;
    let backend = backend(&url, |_| {});
    let error = backend.agents().await.unwrap_err();
    assert!(matches!(error, BackendError::NotLetta { .. }), "{error:?}");
    let to = super::Destination {
        agent: Demo::new().agents()[0].id.clone(),
        conversation: Conversation::Default,
    };
    let error = backend
        .send(&to, &[super::prompt("$1", "hi")], ToolPolicy::default())
        .await
        .err()
        .unwrap();
    assert!(matches!(error, BackendError::NotLetta { .. }), "{error:?}");
}

#[tokio::test]
async fn a_refusal_keeps_its_status_and_advice() {
    let lab = Lab::new().await;
    for (status, advice) in [
        (500, Advice::Retry),
        (503, Advice::Retry),
        (429, Advice::Retry),
        (400, Advice::Refuse),
        (403, Advice::Refuse),
        (402, Advice::Fatal),
    ] {
        lab.demo().set_sends_failing(Some(status));
        let error = lab.send("$1", "say: hi").await.err().unwrap();
        assert_eq!(error.advice(), advice, "{status}: {error:?}");
    }
    lab.demo().set_sends_failing(None);
    assert_eq!(lab.turn("$1", "say: hi").await.text(), "hi");
    assert_eq!(lab.demo().runs("$1"), 1);
}

#[tokio::test]
async fn the_demo_refuses_to_listen_beyond_this_machine() {
    let error = DemoServer::start(Demo::new(), ([0, 0, 0, 0], 0).into())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
    // What is not there is said as V1 says it.
    let lab = Lab::new().await;
    let status = async |path: &str| {
        reqwest::get(format!("{}{path}", lab.server.url()))
            .await
            .unwrap()
            .status()
    };
    assert_eq!(
        status("/v1/agents/nonsense").await,
        StatusCode::UNPROCESSABLE_ENTITY
    );
    assert_eq!(
        status("/v1/agents/agent-00000000-0000-4000-8000-000000000000").await,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        status("/v1/agents").await,
        StatusCode::OK,
        "after a redirect"
    );
    assert_eq!(status("/v1/nothing").await, StatusCode::NOT_FOUND);
}
