//! Finding out what a server speaks: each kind by its own answers, and none by what was not said.

use std::sync::Arc;

use axum::{
    Json, Router,
    http::StatusCode,
    routing::{any, get},
};
use letta_client::{
    Advice, Backend, BackendError, Conversation,
    demo::{Demo, DemoServer},
    detect::{BackendKind, DetectError, detect},
    detected::DetectedBackend,
    openai::{OpenAiBackend, OpenAiConfig},
    rest::{RestBackend, RestConfig},
};
use serde_json::json;

use super::access::serve;

async fn kind(router: Router) -> Result<BackendKind, BackendError> {
    detect(&serve(router).await, None)
        .await
        .map_err(|error| match error {
            DetectError::Backend(error) => error,
            DetectError::Config(error) => panic!("{error}"),
        })
}

fn models(owner: &str) -> Router {
    let models = json!({ "object": "list", "data": [{ "id": "x", "owned_by": owner }] });
    Router::new().route("/v1/models", get(Json(models)))
}

#[tokio::test]
async fn each_kind_is_known_by_its_answer() {
    let app_server = json!({ "type": "app_server_info_response", "protocol_version": 1 });
    let app_server = models("letta").route("/app-server-info", get(Json(app_server)));
    assert_eq!(kind(app_server).await.unwrap(), BackendKind::AppServer);
    assert_eq!(kind(Demo::new().router()).await.unwrap(), BackendKind::Rest);
    let hidden = Router::new().route("/v1/agents/", get(Json(json!([]))));
    assert_eq!(kind(hidden).await.unwrap(), BackendKind::Rest);
    assert_eq!(kind(models("letta")).await.unwrap(), BackendKind::OpenAi);
    let nothing = json!({ "object": "list", "data": [] });
    let nothing = Router::new().route("/v1/models", get(Json(nothing)));
    assert_eq!(kind(nothing).await.unwrap(), BackendKind::OpenAi);
    // Some addresses say it themselves.
    for (url, kind) in [
        ("ws://localhost:1/ws", BackendKind::AppServer),
        ("wss://letta.example.org", BackendKind::AppServer),
        ("https://api.letta.com", BackendKind::Rest),
    ] {
        assert_eq!(detect(url, None).await.unwrap(), kind, "{url}");
    }
}

#[tokio::test]
async fn what_is_no_letta_is_told_with_every_answer() {
    let page = models("somebody").fallback(any(async || "<html>hello</html>"));
    let error = kind(page).await.unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("(/app-server-info: something else, /v1/health/: something else, /v1/agents/: something else, /v1/models: something else); set `letta.backend`"),
        "{text}"
    );
    assert_eq!(error.advice(), Advice::Fatal);
    let text = kind(Router::new()).await.unwrap_err().to_string();
    assert!(text.contains("/app-server-info: 404"), "{text}");
}

#[tokio::test]
async fn a_server_that_asks_for_a_key_is_not_unknown_but_locked() {
    let locked = Router::new().fallback(any(async || StatusCode::UNAUTHORIZED));
    let error = kind(locked).await.unwrap_err();
    assert!(matches!(error, BackendError::Unauthorized), "{error:?}");
}

#[tokio::test]
async fn a_server_that_fails_has_not_answered() {
    let starting = models("letta").fallback(any(async || StatusCode::BAD_GATEWAY));
    let error = kind(starting).await.unwrap_err();
    assert_eq!(error.advice(), Advice::Retry, "{error:?}");
}

#[tokio::test]
async fn a_letta_that_comes_later_is_found_when_it_comes() {
    let server = DemoServer::start(Demo::new(), ([127, 0, 0, 1], 0).into())
        .await
        .unwrap();
    let (address, url) = (server.address(), server.url());
    let agent = server.demo().agents()[0].id.clone();
    server.shutdown().await;
    let made = url.clone();
    let backend = DetectedBackend::new(&url, None, move |kind| {
        let backend: Arc<dyn Backend> = match kind {
            BackendKind::Rest => Arc::new(RestBackend::new(RestConfig::new(&made))?),
            _ => Arc::new(OpenAiBackend::new(OpenAiConfig::new(&made))?),
        };
        Ok(backend)
    });
    let error = backend.agents().await.unwrap_err();
    assert!(
        matches!(error, BackendError::Unreachable { .. }),
        "{error:?}"
    );
    let error = backend.create_conversation(&agent, "a").await.unwrap_err();
    assert_eq!(error.advice(), Advice::Retry, "{error:?}");
    assert_eq!(backend.home_conversation(), None);

    let server = DemoServer::start(Demo::new(), address).await.unwrap();
    assert_eq!(backend.agents().await.unwrap().len(), 3);
    assert_eq!(backend.home_conversation(), Some(Conversation::Default));
    assert!(backend.create_conversation(&agent, "a").await.is_ok());
    server.shutdown().await;
    // It stays what it was.
    let error = backend.agents().await.unwrap_err();
    assert!(
        matches!(error, BackendError::Unreachable { .. }),
        "{error:?}"
    );
    assert_eq!(backend.home_conversation(), Some(Conversation::Default));
}
