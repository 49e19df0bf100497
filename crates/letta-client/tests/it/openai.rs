//! The OpenAI-compatible backend against a double of such servers, over real sockets on loopback.
//!
//! The double answers as an App Server with `--openai-api` does, and can be told to do what proxies
//! do instead: list nothing, never say `[DONE]`, break off, fall silent.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use futures_util::{StreamExt, stream};
use letta_client::{
    AgentId, Backend, BackendError, Conversation, Destination, Image, Part, RunId, StopReason,
    ToolPolicy, TurnEvent,
    openai::{OpenAiBackend, OpenAiConfig},
};
use serde_json::{Value, json};

use super::{Turn, access::serve, prompt};

/// What the double does otherwise than it should.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Faults {
    #[default]
    None,
    ListsNothing,
    NeverDone,
    BreaksOff,
    FallsSilent,
    HangsOnAfterTheEnd,
    SaysNothing,
    AsksForAKey,
}

/// The conversation's key and the body of a request.
type RecordedRequests = (Option<String>, Value);

#[derive(Clone, Default)]
struct Double {
    faults: Faults,
    /// An App Server tells who it is, a proxy does not.
    is_proxy: bool,
    asked: Arc<Mutex<Vec<RecordedRequests>>>,
}

impl Double {
    fn doing(faults: Faults) -> Self {
        Self {
            faults,
            ..Self::default()
        }
    }

    async fn start(&self) -> OpenAiBackend {
        let router = Router::new()
            .route("/app-server-info", get(info))
            .route("/v1/models", get(models))
            .route("/v1/chat/completions", post(chat))
            .with_state(self.clone());
        let config = OpenAiConfig {
            idle_timeout: Duration::from_millis(300),
            api_key: Some("sekrit".into()),
            ..OpenAiConfig::new(serve(router).await)
        };
        OpenAiBackend::new(config).unwrap()
    }

    fn asked(&self) -> Vec<RecordedRequests> {
        self.asked.lock().unwrap().clone()
    }
}

async fn info(State(double): State<Double>) -> Response {
    if double.is_proxy {
        return StatusCode::NOT_FOUND.into_response();
    }
    Json(json!({ "type": "app_server_info_response", "letta_code_version": "0.34.12" }))
        .into_response()
}

async fn models(State(double): State<Double>, headers: HeaderMap) -> Response {
    if double.faults == Faults::AsksForAKey && headers["authorization"] != "Bearer other" {
        let error = json!({ "error": { "message": "invalid websocket bearer token" } });
        return (StatusCode::UNAUTHORIZED, Json(error)).into_response();
    }
    let model = |id: &str| json!({ "id": id, "object": "model", "owned_by": "letta" });
    let models = match double.faults {
        Faults::ListsNothing => vec![],
        _ => vec![model("Ada"), model("agent-local-7"), model("Ada")],
    };
    Json(json!({ "object": "list", "data": models })).into_response()
}

async fn chat(State(double): State<Double>, headers: HeaderMap, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap();
    let key = headers.get("x-letta-chat-key");
    let key = key.map(|key| key.to_str().unwrap().to_owned());
    if body["model"] == "agent-gone" {
        let error = json!({ "error": { "message": "no such model", "code": "model_not_found" } });
        return (StatusCode::NOT_FOUND, Json(error)).into_response();
    }
    double.asked.lock().unwrap().push((key, body));
    let chunk = |delta: Value, reason: Value| {
        let chunk =
            json!({ "id": "chatcmpl-1", "choices": [{ "delta": delta, "finish_reason": reason }] });
        format!("data: {chunk}\n\n")
    };
    let mut chunks = vec![
        chunk(json!({ "role": "assistant", "content": "" }), Value::Null),
        chunk(json!({ "content": "hi " }), Value::Null),
        chunk(json!({ "content": "there" }), Value::Null),
        chunk(json!({}), json!("stop")),
        "data: [DONE]\n\n".to_owned(),
    ];
    chunks.truncate(match double.faults {
        Faults::NeverDone | Faults::HangsOnAfterTheEnd => 4,
        Faults::BreaksOff | Faults::FallsSilent => 2,
        Faults::SaysNothing => 0,
        _ => 5,
    });
    let chunks = stream::iter(chunks.into_iter().map(Ok::<_, std::io::Error>));
    let end = match double.faults {
        Faults::BreaksOff => stream::once(async {
            // What breaks in the same breath would take the chunks before it along.
            tokio::time::sleep(Duration::from_millis(50)).await;
            Err(std::io::Error::other("broken"))
        })
        .boxed(),
        Faults::FallsSilent | Faults::HangsOnAfterTheEnd => stream::pending().boxed(),
        _ => stream::empty().boxed(),
    };
    let body = Body::from_stream(chunks.chain(end));
    ([("content-type", "text/event-stream")], body).into_response()
}

fn at_home(agent: &AgentId) -> Destination {
    Destination {
        agent: agent.clone(),
        conversation: Conversation::Default,
    }
}

async fn turn(backend: &OpenAiBackend) -> Turn {
    let ada = backend.agents().await.unwrap().remove(0);
    let prompts = [prompt("$1", "one"), prompt("$2", "two")];
    let to = at_home(&ada.id);
    let sent = backend.send(&to, &prompts, ToolPolicy::default()).await;
    Turn::read(sent.unwrap()).await
}

#[tokio::test]
async fn every_model_is_an_agent_once() {
    let agents = Double::default().start().await.agents().await.unwrap();
    let agents: Vec<_> = agents
        .iter()
        .map(|agent| (agent.id.as_str(), agent.name.as_str()))
        .collect();
    assert_eq!(
        agents,
        [
            ("agent-named-ada-99a563ab2f6e21e96998f9fddd2a2bab", "Ada"),
            ("agent-local-7", "agent-local-7")
        ]
    );
}

#[tokio::test]
async fn an_empty_list_is_an_error() {
    let backend = Double::doing(Faults::ListsNothing).start().await;
    let error = backend.agents().await.unwrap_err();
    assert!(matches!(error, BackendError::EmptyList), "{error:?}");
    assert!(
        backend.info().await.is_ok(),
        "the server is there all the same"
    );
}

#[tokio::test]
async fn all_prompts_are_one_message_in_the_agents_own_conversation() {
    let double = Double::default();
    let backend = double.start().await;
    let turn = turn(&backend).await;
    assert_eq!(
        (turn.text().as_str(), turn.stop()),
        ("hi there", &StopReason::EndTurn)
    );
    assert_eq!(turn.run().as_str(), "chatcmpl-1");
    let (key, body) = double.asked().remove(0);
    let agent = &backend.agents().await.unwrap()[0].id;
    assert_eq!(key.as_deref(), Some(agent.as_str()));
    let expected = json!({
        "model": "Ada",
        "messages": [{ "role": "user", "content": "one\n\ntwo" }],
        "stream": true,
    });
    assert_eq!(body, expected);
}

#[tokio::test]
async fn picture_is_a_data_url_beside_the_words() {
    let double = Double::default();
    let backend = double.start().await;
    let agent = backend.agents().await.unwrap().remove(0);
    let mut look = prompt("$1", "look");
    look.parts.push(Part::Image(Image {
        mimetype: "image/png".into(),
        bytes: Bytes::from_static(b"\x89PNG"),
    }));
    let prompts = [look, prompt("$2", "well?")];
    let turn = backend
        .send(&at_home(&agent.id), &prompts, ToolPolicy::default())
        .await;
    assert_eq!(Turn::read(turn.unwrap()).await.stop(), &StopReason::EndTurn);
    let (_, body) = double.asked().remove(0);
    let expected = json!([
        { "type": "text", "text": "look" },
        { "type": "image_url", "image_url": { "url": "data:image/png;base64,iVBORw==" } },
        { "type": "text", "text": "well?" },
    ]);
    assert_eq!(
        body["messages"],
        json!([{ "role": "user", "content": expected }])
    );
}

#[tokio::test]
async fn an_app_server_keeps_conversations_apart_and_a_proxy_has_one() {
    let double = Double::default();
    let backend = double.start().await;
    let agent = backend.agents().await.unwrap().remove(1).id;
    let one = backend.create_conversation(&agent, "a").await.unwrap();
    let two = backend.create_conversation(&agent, "a").await.unwrap();
    assert_ne!(one, two);
    let to = Destination {
        agent: agent.clone(),
        conversation: one.clone(),
    };
    let prompts = [prompt("$1", "hi")];
    let sent = backend.send(&to, &prompts, ToolPolicy::default()).await;
    Turn::read(sent.unwrap()).await;
    let (key, _) = double.asked().remove(0);
    assert_eq!(
        key.map(|key| key.parse().unwrap()).map(Conversation::Own),
        Some(one)
    );

    let proxy = Double {
        is_proxy: true,
        ..Double::default()
    };
    let made = proxy.start().await.create_conversation(&agent, "a").await;
    assert_eq!(made.unwrap(), Conversation::Default);
}

#[tokio::test]
async fn an_answer_ends_however_the_server_ends_it() {
    for faults in [Faults::NeverDone, Faults::HangsOnAfterTheEnd] {
        let turn = turn(&Double::doing(faults).start().await).await;
        assert_eq!(
            (turn.text().as_str(), turn.stop()),
            ("hi there", &StopReason::EndTurn),
            "{faults:?}"
        );
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_kept_and_never_asked_for_again() {
    for faults in [Faults::BreaksOff, Faults::FallsSilent, Faults::SaysNothing] {
        let double = Double::doing(faults);
        let turn = turn(&double.start().await).await;
        assert_eq!(turn.code(), "STREAM_INCOMPLETE", "{faults:?}");
        let expected = if faults == Faults::SaysNothing {
            ""
        } else {
            "hi "
        };
        assert_eq!(turn.text(), expected, "{faults:?}");
        assert_eq!(double.asked().len(), 1, "{faults:?}");
    }
}

#[tokio::test]
async fn what_it_cannot_do_it_says() {
    let double = Double::default();
    let backend = double.start().await;
    let info = backend.info().await.unwrap();
    assert_eq!(info.version.as_deref(), Some("0.34.12"));
    assert_eq!(info.idempotent, Some(false));
    assert!(!info.approvals && !info.history && !info.external_turns);
    let ada = at_home(&backend.agents().await.unwrap()[0].id);
    assert_eq!(backend.history(&ada, 9).await.unwrap(), []);
    assert_eq!(backend.pending_approval(&ada).await.unwrap(), None);
    let error = backend.cancel(&ada).await.unwrap_err();
    assert!(
        matches!(error, BackendError::Unsupported { .. }),
        "{error:?}"
    );
    let run = RunId::parse("chatcmpl-1").unwrap();
    let lost = Turn::read(backend.resume(&ada, &run).await.unwrap()).await;
    assert!(matches!(lost.events[..], [TurnEvent::Finished(_)]));
    assert_eq!(
        (lost.code(), double.asked().len()),
        ("STREAM_INCOMPLETE", 0)
    );
}

#[tokio::test]
async fn an_agent_that_is_gone_and_a_key_that_is_wrong_are_told_apart() {
    let backend = Double::default().start().await;
    for id in ["agent-gone", "agent-named-nobody-00"] {
        let to = at_home(&AgentId::parse(id).unwrap());
        let prompts = [prompt("$1", "hi")];
        let sent = backend.send(&to, &prompts, ToolPolicy::default()).await;
        let error = sent.err().unwrap();
        assert!(matches!(error, BackendError::NotFound { .. }), "{error:?}");
    }
    let backend = Double::doing(Faults::AsksForAKey).start().await;
    let error = backend.agents().await.unwrap_err();
    assert!(matches!(error, BackendError::Unauthorized), "{error:?}");
    assert!(!format!("{error:?} {backend:?}").contains("sekrit"));
}
