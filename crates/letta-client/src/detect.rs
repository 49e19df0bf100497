//! Which way to speak to a server, by asking it.
//!
//! | asked | answered so by | way |
//! |---|---|---|
//! | `/app-server-info` | an App Server | [`BackendKind::AppServer`] |
//! | `/v1/health/` | Letta V1, Letta Cloud, the demo | [`BackendKind::Rest`] |
//! | `/v1/agents/` | the same, behind a proxy that hides its health | [`BackendKind::Rest`] |
//! | `/v1/models` | a proxy with OpenAI-compatible routes | [`BackendKind::OpenAi`] |
//!
//! A server that fails has not answered: nothing is concluded from what it did not say, so a Letta
//! that is starting is never taken for another kind. Only reads are asked for.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use crate::{
    error::BackendError,
    rest::{
        RestConfig, RestConfigError,
        api::{Api, is_cloud},
        failure::{ErrorResponse, RequestTarget},
    },
};

/// The longest wait for one answer.
pub const PROBE_MAX: Duration = Duration::from_secs(5);

/// A way to reach Letta. The feature `config` makes it readable from a command line and describable in a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "config", derive(schemars::JsonSchema, clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum BackendKind {
    /// Letta Cloud, and V1 servers.
    Rest,
    /// The App Server: what one hosts oneself today.
    AppServer,
    /// OpenAI-compatible routes: text only, and tools run unasked.
    #[serde(rename = "openai")]
    #[cfg_attr(feature = "config", value(name = "openai"))]
    OpenAi,
    // Never found by asking, and reached as `Rest` is.
    /// Scripted agents in the bridge itself. Never a model.
    Demo,
}

impl fmt::Display for BackendKind {
    /// As it is written in a configuration.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Rest => "rest",
            Self::AppServer => "app-server",
            Self::OpenAi => "openai",
            Self::Demo => "demo",
        })
    }
}

/// What an App Server tells before its socket is opened.
pub(crate) struct AppServer {
    /// The version of Letta Code.
    pub(crate) version: Option<String>,
}

/// Finds out what the server at `url` speaks. `api_key` goes with every question.
///
/// [`BackendError::Unrecognized`] holds what each question was answered with.
pub async fn detect(url: &str, api_key: Option<&str>) -> Result<BackendKind, DetectError> {
    let parsed = Url::parse(url).map_err(RestConfigError::Url)?;
    if matches!(parsed.scheme(), "ws" | "wss") {
        return Ok(BackendKind::AppServer);
    }
    if is_cloud(&parsed) {
        return Ok(BackendKind::Rest);
    }
    let api = Api::new(RestConfig {
        api_key: api_key.map(str::to_owned),
        connect_timeout: PROBE_MAX,
        call_timeout: PROBE_MAX,
        ..RestConfig::new(url)
    })?;
    Ok(ask(&api).await?)
}

/// Why the kind of a server was not found out.
#[derive(Debug, thiserror::Error)]
pub enum DetectError {
    /// The address or the key cannot be used at all.
    #[error(transparent)]
    Config(#[from] RestConfigError),
    /// The server could not be asked, or did not answer as any that is known.
    #[error(transparent)]
    Backend(#[from] BackendError),
}

/// What was heard, for whoever has to fix it.
#[derive(Default)]
struct Log {
    said: Vec<String>,
    /// Something asked for a key that it did not get.
    locked: bool,
}

impl Log {
    /// Writes down what was heard; `true` if it was what such a server says.
    fn note(
        &mut self,
        path: &str,
        heard: Result<bool, ErrorResponse>,
    ) -> Result<bool, BackendError> {
        match heard {
            Ok(true) => return Ok(true),
            Ok(false) => self.said.push(format!("{path}: something else")),
            // The server, or a proxy before it, fails: perhaps it is only starting.
            Err(refusal) if refusal.status >= 500 => {
                return Err(refusal.into_error(RequestTarget::Server("what kind of Letta it is")));
            }
            Err(refusal) => {
                self.locked |= matches!(refusal.status, 401 | 403);
                self.said.push(format!("{path}: {}", refusal.status));
            }
        }
        Ok(false)
    }
}

/// A question that is answered with JSON: its path, whom the right answer shows, and which it is.
type Question = (&'static [&'static str], BackendKind, fn(&Value) -> bool);

const QUESTIONS: [Question; 3] = [
    (&["v1", "health", ""], BackendKind::Rest, is_health),
    (&["v1", "agents", ""], BackendKind::Rest, Value::is_array),
    (&["v1", "models"], BackendKind::OpenAi, is_models),
];

async fn ask(api: &Api) -> Result<BackendKind, BackendError> {
    let mut log = Log::default();
    let heard = app_server(api).await?.map(|found| found.is_some());
    if log.note("/app-server-info", heard)? {
        return Ok(BackendKind::AppServer);
    }
    for (segments, kind, fits) in QUESTIONS {
        let request = api.get(segments).query(&[("limit", "1")]);
        let heard = api.call(request).await?;
        let heard = heard.map(|answer| answer.json().is_ok_and(|json| fits(&json)));
        if log.note(&format!("/{}", segments.join("/")), heard)? {
            return Ok(kind);
        }
    }
    if log.locked {
        return Err(BackendError::Unauthorized);
    }
    Err(BackendError::Unrecognized {
        url: api.shown.clone(),
        said: log.said.join(", "),
    })
}

/// Asks for what only an App Server tells.
pub(crate) async fn app_server(
    api: &Api,
) -> Result<Result<Option<AppServer>, ErrorResponse>, BackendError> {
    #[derive(Deserialize)]
    struct Info {
        r#type: String,
        letta_code_version: Option<String>,
    }
    let heard = api.call(api.get(&["app-server-info"])).await?;
    Ok(heard.map(|answer| {
        let info: Info = answer.json().ok()?;
        (info.r#type == "app_server_info_response").then_some(AppServer {
            version: info.letta_code_version,
        })
    }))
}

fn is_health(json: &Value) -> bool {
    json["status"].is_string() && json["version"].is_string()
}

/// A list of models, of which one is Letta's. Proxies list nothing when they fail.
fn is_models(json: &Value) -> bool {
    let Some(models) = json["data"].as_array() else {
        return false;
    };
    json["object"] == "list"
        && (models.is_empty() || models.iter().any(|model| model["owned_by"] == "letta"))
}
