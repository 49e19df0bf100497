//! The tools as an MCP server: [Streamable HTTP](https://modelcontextprotocol.io/specification/2025-11-25/basic/transports), at [`PATH`].
//!
//! No request needs one before it, so there are no sessions: after a restart a client goes on as if nothing had been. The caller is
//! who shows the token, never who is named in the arguments.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header, request::Parts},
    middleware::{Next, from_fn_with_state},
    response::{IntoResponse, Response},
};
use rmcp::{
    ErrorData, RoleServer, ServerHandler,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Implementation,
        ListToolsResult, PaginatedRequestParams, ServerCapabilities, ServerConfig, ToolAnnotations,
    },
    service::RequestContext,
    transport::streamable_http_server::{
        StreamableHttpServerConfig, StreamableHttpService, session::never::NeverSessionManager,
    },
};
use serde_json::Value;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::error;

use super::{Caller, Tool, ToolError, Tools};

/// Where it is.
pub const PATH: &str = "/mcp";
/// The largest request, in bytes.
pub const REQUEST_BYTES_MAX: usize = 256 * 1024;
/// The header in which Letta names the agent that calls.
const AGENT_HEADER: &str = "x-agent-id";

/// What a model reads before it calls anything.
const INSTRUCTIONS: &str = "You are a user of a Matrix homeserver. These tools let you act there by yourself: speak in rooms that \
     you are in, react, read what was said. What you answer to a message is shown in its room without any tool.";

/// The server, for callers who show the token of an agent.
pub fn router(tools: Tools) -> Router {
    // Whoever has no token learns nothing, so it does not matter by which name they reach us.
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_max_request_body_bytes(REQUEST_BYTES_MAX)
        .disable_allowed_hosts();
    let server = McpServer {
        tools: tools.clone(),
    };
    let service = StreamableHttpService::new(
        move || Ok(server.clone()),
        Arc::new(NeverSessionManager::default()),
        config,
    );
    Router::new()
        .route_service(PATH, service)
        .layer(from_fn_with_state(tools, authenticate))
        .layer(CatchPanicLayer::new())
}

/// Lets only those in who show the token of an agent.
async fn authenticate(State(tools): State<Tools>, mut request: Request, next: Next) -> Response {
    let Some(token) = bearer(request.headers()) else {
        return error_response(
            StatusCode::UNAUTHORIZED,
            "Show the token of an agent: `Authorization: Bearer mal_…`. An admin makes one with `!letta token <agent>`.",
        );
    };
    let caller = match tools.authenticate(token) {
        Ok(Some(caller)) => caller,
        Ok(None) => {
            return error_response(
                StatusCode::UNAUTHORIZED,
                "This token is not valid. An admin makes a new one with `!letta token <agent>`.",
            );
        }
        Err(failure) => {
            error!(
                error = &failure as &dyn std::error::Error,
                "could not look up a token"
            );
            return error_response(
                StatusCode::SERVICE_UNAVAILABLE,
                "The bridge cannot read its journal.",
            );
        }
    };
    let named = request.headers().get(AGENT_HEADER);
    if named.is_some_and(|named| named.as_bytes() != caller.agent.as_str().as_bytes()) {
        return error_response(
            StatusCode::FORBIDDEN,
            "This token is that of another agent than `X-Agent-Id` names.",
        );
    }
    request.extensions_mut().insert(caller);
    next.run(request).await
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let shown = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = shown.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn error_response(status: StatusCode, why: &'static str) -> Response {
    let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
    match status {
        StatusCode::UNAUTHORIZED => (status, challenge, why).into_response(),
        _ => (status, why).into_response(),
    }
}

#[derive(Clone)]
struct McpServer {
    tools: Tools,
}

impl ServerHandler for McpServer {
    fn get_info(&self) -> ServerConfig {
        let capabilities = ServerCapabilities::builder().enable_tools().build();
        let mut info = ServerConfig::new(capabilities);
        info.server_info = Implementation::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
        info.instructions = Some(INSTRUCTIONS.to_owned());
        info
    }

    async fn list_tools(
        &self,
        _: Option<PaginatedRequestParams>,
        _: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        let tools = self.tools.allowed().map(tool_definition).collect();
        Ok(ListToolsResult::with_all_items(tools))
    }

    async fn call_tool(
        &self,
        call: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let parts = context.extensions.get::<Parts>();
        let Some(caller) = parts.and_then(|parts| parts.extensions.get::<Caller>()) else {
            return Err(ErrorData::invalid_request("nobody has shown a token", None));
        };
        let arguments = call.arguments.unwrap_or_default();
        match self.tools.call(caller, &call.name, arguments).await {
            Ok(value) => Ok(tool_result(&value).into()),
            Err(unknown @ ToolError::Unknown { .. }) => {
                Err(ErrorData::invalid_params(unknown.to_string(), None))
            }
            Err(failure) => {
                let text = ContentBlock::text(failure.to_string());
                Ok(CallToolResult::error(vec![text]).into())
            }
        }
    }
}

/// A result, as text for models and as JSON for programs.
fn tool_result(value: &Value) -> CallToolResult {
    let mut result = CallToolResult::success(vec![ContentBlock::text(value.to_string())]);
    result.structured_content = Some(value.clone());
    result
}

fn tool_definition(tool: &Tool) -> rmcp::model::Tool {
    rmcp::model::Tool::new(tool.name, tool.description, tool.schema())
        .with_annotations(ToolAnnotations::new().read_only(tool.is_read_only))
}
