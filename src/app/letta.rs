//! The way to Letta: the one that the configuration names, or one that is found out when Letta
//! first answers.

use std::{net::SocketAddr, sync::Arc};

use anyhow::Context;
use letta_client::{
    Backend,
    app_server::{AppServerBackend, AppServerConfig},
    demo::{Demo, DemoServer},
    detect::BackendKind,
    detected::{DetectedBackend, MakeError},
    openai::{OpenAiBackend, OpenAiConfig},
    rest::{RestBackend, RestConfig},
};
use tracing::info;

use crate::config::{Config, Letta};

/// The way to Letta of this configuration; `None` if the bridge brings the agents along.
pub fn letta(config: &Config) -> anyhow::Result<Option<Arc<dyn Backend>>> {
    match config.letta.backend {
        Some(BackendKind::Demo) => Ok(None),
        _ => Ok(Some(backend(config, None)?)),
    }
}

/// The scripted agents, if the bridge brings them along.
pub(super) async fn start_demo(config: &Config) -> anyhow::Result<Option<DemoServer>> {
    if config.letta.backend != Some(BackendKind::Demo) {
        return Ok(None);
    }
    let server = DemoServer::start(Demo::new(), SocketAddr::from(([127, 0, 0, 1], 0)))
        .await
        .context("cannot start the scripted agents")?;
    info!(
        url = server.url(),
        "the agents are scripted: this is a demo, not a model"
    );
    Ok(Some(server))
}

/// The way to Letta, or to the scripted agents in its place.
pub(super) fn backend(
    config: &Config,
    demo: Option<&DemoServer>,
) -> anyhow::Result<Arc<dyn Backend>> {
    let access = Access::of(&config.letta);
    let made = match (demo, config.letta.backend) {
        (Some(demo), _) => Access {
            url: demo.url(),
            api_key: None,
        }
        .backend(BackendKind::Rest),
        (None, Some(kind)) => access.backend(kind),
        (None, None) => {
            let (url, api_key) = (access.url.clone(), access.api_key.clone());
            return Ok(DetectedBackend::new(url, api_key, move |kind| {
                access.backend(kind)
            }));
        }
    };
    made.map_err(anyhow::Error::from_boxed)
        .context("cannot make a client for Letta")
}

/// Where Letta is, and what opens it.
struct Access {
    url: String,
    api_key: Option<String>,
}

impl Access {
    fn of(letta: &Letta) -> Self {
        let api_key = letta.api_key.as_ref();
        Self {
            url: letta.url.to_string(),
            api_key: api_key.map(|key| key.expose().to_owned()),
        }
    }

    fn backend(&self, kind: BackendKind) -> Result<Arc<dyn Backend>, MakeError> {
        let (url, api_key) = (self.url.clone(), self.api_key.clone());
        Ok(match kind {
            BackendKind::Rest | BackendKind::Demo => Arc::new(RestBackend::new(RestConfig {
                api_key,
                ..RestConfig::new(url)
            })?),
            BackendKind::OpenAi => Arc::new(OpenAiBackend::new(OpenAiConfig {
                api_key,
                ..OpenAiConfig::new(url)
            })?),
            BackendKind::AppServer => Arc::new(AppServerBackend::new(AppServerConfig {
                token: api_key,
                ..AppServerConfig::new(url)
            })?),
        })
    }
}
