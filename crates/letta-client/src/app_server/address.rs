//! Where an App Server is, and getting there: one HTTP client asks who it is and opens sockets, so
//! that both have the same credentials, proxies, certificates and time limits.

use std::time::Duration;

use http::{HeaderValue, header};
use reqwest::{Client, Response, StatusCode, Upgraded};
use tokio::time::timeout;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        handshake::{client::generate_key, derive_accept_key},
        protocol::{Role, WebSocketConfig},
    },
};
use url::Url;

use super::{AppServerConfig, AppServerConfigError, wire::ServerInfo};
use crate::{error::BackendError, rest::api};

/// The longest frame, in bytes. A list of agents holds their whole system prompts, 22 KB each.
pub const FRAME_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The longest answer to who the server is, in bytes.
const INFO_BYTES_MAX: usize = 64 * 1024;

/// An open socket.
pub(super) type Socket = WebSocketStream<Upgraded>;

/// The server's address, and what it wants of us.
pub(super) struct Address {
    client: Client,
    base: Url,
    /// The address for people and logs.
    shown: String,
    authorization: Option<HeaderValue>,
    connect_timeout: Duration,
    request_timeout: Duration,
}

impl Address {
    pub(super) fn new(config: &AppServerConfig) -> Result<Self, AppServerConfigError> {
        let base = base(&config.url)?;
        let authorization = config.token.as_deref().map(|token| {
            let mut value = HeaderValue::from_str(&format!("Bearer {}", token.trim()))
                .map_err(|_| AppServerConfigError::Token)?;
            value.set_sensitive(true);
            Ok(value)
        });
        Ok(Self {
            // A socket is an upgrade of HTTP/1.1.
            client: api::client(config.connect_timeout, &base)
                .http1_only()
                .build()
                .map_err(AppServerConfigError::Client)?,
            shown: api::without_credentials(&base),
            base,
            authorization: authorization.transpose()?,
            connect_timeout: config.connect_timeout,
            request_timeout: config.request_timeout,
        })
    }

    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    fn get(&self, path: &str) -> reqwest::RequestBuilder {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push(path);
        }
        let request = self.client.get(url);
        match &self.authorization {
            Some(value) => request.header(header::AUTHORIZATION, value.clone()),
            None => request,
        }
    }

    /// Who the server is; also the way to find out plainly why a socket would not open.
    pub(super) async fn info(&self) -> Result<ServerInfo, BackendError> {
        let asked = async {
            let answer = self.get("app-server-info").send().await;
            let mut answer = answer.map_err(|error| self.unreachable(error.without_url()))?;
            self.check(answer.status())?;
            let mut body = Vec::new();
            while let Some(bytes) = answer
                .chunk()
                .await
                .map_err(|error| self.unreachable(error.without_url()))?
            {
                body.extend_from_slice(&bytes);
                if body.len() > INFO_BYTES_MAX {
                    return Err(self.is_none(200, "it says too much"));
                }
            }
            let info: ServerInfo = serde_json::from_slice(&body)
                .map_err(|_| self.is_none(200, "its answer is not of this kind"))?;
            match info.kind.as_deref() {
                Some("app_server_info_response") => Ok(info),
                _ => Err(self.is_none(200, "its answer is not of this kind")),
            }
        };
        let after = self.request_timeout;
        let silent = Err(BackendError::Silent { after });
        timeout(after, asked).await.unwrap_or(silent)
    }

    /// Opens a socket.
    pub(super) async fn open(&self) -> Result<Socket, BackendError> {
        let after = self.connect_timeout;
        let silent = Err(BackendError::Silent { after });
        timeout(after, self.upgrade()).await.unwrap_or(silent)
    }

    async fn upgrade(&self) -> Result<Socket, BackendError> {
        let key = generate_key();
        let request = self
            .get("ws")
            .header(header::CONNECTION, "Upgrade")
            .header(header::UPGRADE, "websocket")
            .header(header::SEC_WEBSOCKET_VERSION, "13")
            .header(header::SEC_WEBSOCKET_KEY, &key);
        let answer = request.send().await;
        let answer = answer.map_err(|error| self.unreachable(error.without_url()))?;
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            self.check(answer.status())?;
            return Err(self.is_none(answer.status().as_u16(), "it opens no socket"));
        }
        if !proves(&answer, &key) {
            return Err(self.is_none(answer.status().as_u16(), "it opens no socket"));
        }
        let upgraded = answer.upgrade().await;
        let upgraded = upgraded.map_err(|error| self.unreachable(error.without_url()))?;
        let config = WebSocketConfig::default()
            .max_message_size(Some(FRAME_BYTES_MAX))
            .max_frame_size(Some(FRAME_BYTES_MAX));
        Ok(WebSocketStream::from_raw_socket(upgraded, Role::Client, Some(config)).await)
    }

    fn check(&self, status: StatusCode) -> Result<(), BackendError> {
        match status.as_u16() {
            200..300 => Ok(()),
            401 => Err(BackendError::Unauthorized),
            // An App Server has both paths. A proxy whose server is away may say anything.
            code => Err(self.is_none(code, "an App Server does not say so")),
        }
    }

    /// Something else answers, perhaps only for now.
    fn is_none(&self, status: u16, why: &str) -> BackendError {
        BackendError::NotLetta {
            status,
            detail: format!("no Letta App Server answers at {}: {why}", self.shown),
            retry_after: None,
        }
    }

    /// What a failed connection is called.
    pub(super) fn unreachable(
        &self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> BackendError {
        BackendError::Unreachable {
            url: self.shown.clone(),
            source: source.into(),
        }
    }
}

/// Whether the server has answered our key, and not just anything.
fn proves(answer: &Response, key: &str) -> bool {
    let accept = answer.headers().get(header::SEC_WEBSOCKET_ACCEPT);
    accept.is_some_and(|accept| accept.as_bytes() == derive_accept_key(key.as_bytes()).as_bytes())
}

/// The address that paths are put behind: of HTTP, without the socket's own path.
fn base(url: &str) -> Result<Url, AppServerConfigError> {
    let mut url = Url::parse(url).map_err(AppServerConfigError::Url)?;
    let scheme = match url.scheme() {
        "ws" | "http" => "http",
        "wss" | "https" => "https",
        _ => return Err(AppServerConfigError::Scheme),
    };
    // All four are schemes with a host, so one can take another's place.
    let _ = url.set_scheme(scheme);
    url.set_query(None);
    url.set_fragment(None);
    let path = url.path().trim_end_matches('/');
    let path = path.strip_suffix("/ws").unwrap_or(path).to_owned();
    url.set_path(&path);
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_an_address_is_the_same_server() {
        for (url, expected) in [
            ("ws://127.0.0.1:4500", "http://127.0.0.1:4500/"),
            ("ws://127.0.0.1:4500/ws", "http://127.0.0.1:4500/"),
            ("http://localhost:4500/", "http://localhost:4500/"),
            (
                "wss://letta.example.org/app/ws/",
                "https://letta.example.org/app",
            ),
            (
                "https://letta.example.org/app",
                "https://letta.example.org/app",
            ),
        ] {
            assert_eq!(base(url).unwrap().as_str(), expected, "{url}");
        }
        assert!(matches!(
            base("localhost:4500"),
            Err(AppServerConfigError::Scheme)
        ));
        assert!(matches!(base("letta"), Err(AppServerConfigError::Url(_))));
    }
}
