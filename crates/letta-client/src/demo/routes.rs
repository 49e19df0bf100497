//! The demo over HTTP: which route is whose, who may in, and how V1 words a refusal.

use axum::{
    Json, Router,
    body::Body,
    extract::{DefaultBodyLimit, Path, Request, State},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, patch, post},
};
use serde_json::{Value, json};

use super::{Demo, ids};

mod agents;
mod command;
mod conversations;
mod runs;
mod send;

/// The largest body that is taken, in bytes: that of a turn with pictures.
const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The most routes that are counted one by one.
const ROUTES_MAX: usize = 100;

pub(super) fn router(demo: Demo) -> Router {
    let v1 = Router::new()
        .route("/v1/agents/", get(agents::list))
        .route("/v1/agents/count", get(agents::count))
        .route("/v1/agents/{agent}", get(agents::get))
        .route(
            "/v1/agents/{agent}/messages",
            get(conversations::agent_history),
        )
        .route("/v1/agents/{agent}/messages/stream", post(send::to_agent))
        .route(
            "/v1/agents/{agent}/messages/cancel",
            post(runs::cancel_agent),
        )
        .route(
            "/v1/conversations/",
            get(conversations::list).post(conversations::create),
        )
        .route("/v1/conversations/{conversation}", get(conversations::get))
        .route(
            "/v1/conversations/{conversation}/messages",
            get(conversations::history).post(send::to_conversation),
        )
        .route(
            "/v1/conversations/{conversation}/stream",
            post(runs::resume_conversation),
        )
        .route(
            "/v1/conversations/{conversation}/cancel",
            post(runs::cancel_conversation),
        )
        .route("/v1/runs/", get(runs::list))
        .route("/v1/runs/{run}", get(runs::get))
        .route("/v1/runs/{run}/stream", post(runs::resume))
        .route("/v1/runs/{run}/messages", get(runs::messages))
        .layer(middleware::from_fn_with_state(demo.clone(), admit));
    Router::new()
        .merge(v1)
        .route("/v1/health/", get(health))
        .route("/v1/{collection}", get(add_slash).post(add_slash))
        .route("/_demo/records", get(command::records))
        .route(
            "/_demo/mischief",
            get(command::faults).patch(command::set_faults),
        )
        .route("/_demo/agents", post(command::add_agent))
        .route(
            "/_demo/agents/{agent}",
            patch(command::rename_agent).delete(command::remove_agent),
        )
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .fallback(async || Failure::no_route())
        .with_state(demo)
}

async fn health() -> Json<Value> {
    Json(json!({ "version": concat!(env!("CARGO_PKG_VERSION"), "-demo"), "status": "ok" }))
}

/// Counts a request, and lets it in if it has the password and its route exists on this server.
async fn admit(State(demo): State<Demo>, request: Request, next: Next) -> Response {
    let path = request.uri().path();
    let admitted = {
        let mut world = demo.shared.world();
        let route = format!("{} {}", request.method(), route_name(path));
        if world.records.requests.len() < ROUTES_MAX || world.records.requests.contains_key(&route)
        {
            world.records.request(route);
        }
        let said = request
            .headers()
            .get(header::AUTHORIZATION)
            .and_then(|v| v.to_str().ok());
        let known = world.password.as_ref().is_none_or(|password| {
            said.and_then(|said| said.strip_prefix("Bearer ")) == Some(password.as_str())
        });
        if !known {
            Err(Failure::new(StatusCode::UNAUTHORIZED, "Unauthorized"))
        } else if world.faults.no_conversations && path.starts_with("/v1/conversations") {
            Err(Failure::no_route())
        } else {
            Ok(())
        }
    };
    match admitted {
        Ok(()) => next.run(request).await,
        Err(failure) => failure.into_response(),
    }
}

/// A path with its ids replaced by what they are ids of.
fn route_name(path: &str) -> String {
    let name = |part: &str| {
        [
            ("agent-", "{agent}"),
            ("conv-", "{conversation}"),
            ("run-", "{run}"),
        ]
        .into_iter()
        .find(|(prefix, _)| part.starts_with(prefix))
        .map_or_else(|| part.to_owned(), |(_, name)| name.to_owned())
    };
    path.split('/').map(name).collect::<Vec<_>>().join("/")
}

/// V1's collections end with a slash; without it they redirect to an absolute address.
async fn add_slash(Path(collection): Path<String>, request: Request) -> Response {
    if !["agents", "conversations", "runs", "health"].contains(&collection.as_str()) {
        return Failure::no_route().into_response();
    }
    let host = request
        .headers()
        .get(header::HOST)
        .and_then(|v| v.to_str().ok());
    let query = request
        .uri()
        .query()
        .map(|query| format!("?{query}"))
        .unwrap_or_default();
    let location = format!(
        "http://{}/v1/{collection}/{query}",
        host.unwrap_or_default()
    );
    (
        StatusCode::TEMPORARY_REDIRECT,
        [(header::LOCATION, location)],
    )
        .into_response()
}

/// A refusal as V1 words it.
#[derive(Debug)]
struct Failure {
    status: StatusCode,
    body: Value,
}

impl Failure {
    fn new(status: StatusCode, detail: impl Into<Value>) -> Self {
        Self {
            status,
            body: json!({ "detail": detail.into() }),
        }
    }

    /// What V1's framework says where nothing is.
    fn no_route() -> Self {
        Self::new(StatusCode::NOT_FOUND, "Not Found")
    }

    fn commanded(status: u16) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self::new(status, "failing on command")
    }

    /// V1 says for whom it looked, in Python's words.
    fn not_found(kind: &str, id: &str) -> Self {
        let detail = format!(
            "{kind} not found with id='['{id}']', access level in ['read'] for \
             actor='id='user-00000000-0000-4000-8000-000000000000'"
        );
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    fn unprocessable(loc: &str, why: &str) -> Self {
        let detail = format!("[{{'type': 'value_error', 'loc': ({loc}), 'msg': \"{why}\"}}]");
        Self {
            status: StatusCode::UNPROCESSABLE_ENTITY,
            body: json!({ "trace_id": "", "detail": detail }),
        }
    }

    fn conflict(why: &str) -> Self {
        Self::new(StatusCode::CONFLICT, format!("CONFLICT: {why}"))
    }

    fn busy(run: &str) -> Self {
        let mut failure = Self::conflict(&format!(
            "Cannot send a new message: Another request (run_id={run}) is currently being \
             processed for this conversation. Please wait for it to complete."
        ));
        failure.body["run_id"] = run.into();
        failure
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.status, Json(self.body)).into_response()
    }
}

/// Takes an id of a path if it has the shape that V1 asks for.
fn shaped(id: &str, prefix: &str) -> Result<(), Failure> {
    if ids::is_shaped(id, prefix) {
        Ok(())
    } else {
        Err(Failure::unprocessable(
            "'path', 'id'",
            &format!("String should match pattern '{prefix}{{uuid4}}'"),
        ))
    }
}

fn known_agent(demo: &Demo, id: &str) -> Result<(), Failure> {
    shaped(id, "agent-")?;
    match demo.shared.world().agent(id) {
        Some(_) => Ok(()),
        None => Err(Failure::new(
            StatusCode::NOT_FOUND,
            format!("Agent with ID {id} not found"),
        )),
    }
}

/// A body that is a JSON object; an empty one is `{}`.
fn parse_body<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, Failure> {
    let bytes = if bytes.is_empty() { b"{}" } else { bytes };
    serde_json::from_slice(bytes)
        .map_err(|error| Failure::unprocessable("'body',", &error.to_string().replace('"', "'")))
}

/// A stream of frames.
fn event_stream(
    frames: impl futures_util::Stream<Item = Result<bytes::Bytes, std::io::Error>> + Send + 'static,
) -> Response {
    let content_type = [(header::CONTENT_TYPE, "text/event-stream; charset=utf-8")];
    (content_type, Body::from_stream(frames)).into_response()
}
