//! One HTTP request to Letta: its address, its credentials, its limits.

use std::{sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, header};
use reqwest::{Client, ClientBuilder, RequestBuilder, Response, redirect};
use serde::{
    Serialize,
    de::{DeserializeOwned, IgnoredAny},
};
use tokio::time::timeout;
use url::{Host, Url};

use super::{
    RestConfig, RestConfigError, failure::ErrorResponse, outage::OutageTracker, wire::Message,
};
use crate::{error::BackendError, json};

/// The longest answer of a plain call, in bytes. A page of 100 agents with long memories is under
/// 2 MiB.
pub const BODY_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The most redirects that are followed, all within one origin.
pub const REDIRECTS_MAX: usize = 3;

/// Over what stands between two machines, such a probe shows that a silent peer is gone.
const TCP_KEEPALIVE: Duration = Duration::from_secs(30);

/// Letta Cloud's host.
const CLOUD_HOST: &str = "api.letta.com";

/// A server and the way to it.
pub(crate) struct Api {
    client: Client,
    base: Url,
    /// The address for people and logs.
    pub(crate) shown: String,
    authorization: Option<HeaderValue>,
    project: Option<HeaderValue>,
    pub(crate) config: RestConfig,
    pub(crate) outage: OutageTracker,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.config.fmt(f)
    }
}

/// The whole answer of a plain call.
#[derive(Debug)]
pub(crate) struct ResponseBody(Bytes);

impl ResponseBody {
    /// The answer as JSON of a shape.
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, BackendError> {
        json::read_bytes(&self.0).map_err(|error| {
            let detail = format!("unexpected JSON: {error}");
            if json::read_bytes::<IgnoredAny>(&self.0).is_ok() {
                return BackendError::Protocol { detail };
            }
            // A login page, or "be right back".
            BackendError::NotLetta {
                status: 200,
                detail,
                retry_after: None,
            }
        })
    }
}

impl ResponseBody {
    /// The same for a call that only reads: another shape says nothing about what exists.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, BackendError> {
        self.json().map_err(BackendError::into_read_error)
    }

    /// A list of messages.
    pub(crate) fn messages(&self) -> Result<Vec<Message>, BackendError> {
        let messages: Vec<Message> = self.read()?;
        let is_message = |message: &Message| message.message_type.is_some();
        if messages.is_empty() || messages.iter().any(is_message) {
            return Ok(messages);
        }
        Err(BackendError::unexpected_answer(
            "a list of what are no messages",
        ))
    }
}

impl Api {
    pub(crate) fn new(mut config: RestConfig) -> Result<Self, RestConfigError> {
        // `localhost:8283` parses, as a URL of the scheme `localhost`.
        let mut base = Url::parse(&config.url).map_err(RestConfigError::Url)?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(RestConfigError::Scheme);
        }
        base.set_query(None);
        base.set_fragment(None);
        let path = base.path().trim_end_matches('/');
        let path = path.strip_suffix("/v1").unwrap_or(path).to_owned();
        base.set_path(&path);
        let header = |text: &str, what| {
            let mut value =
                HeaderValue::from_str(text).map_err(|_| RestConfigError::Header(what))?;
            value.set_sensitive(true);
            Ok(value)
        };
        let key = config.api_key.take();
        let authorization = key
            .map(|key| header(&format!("Bearer {}", key.trim()), "API key"))
            .transpose()?;
        let project = config
            .project
            .as_deref()
            .map(|name| header(name, "project"))
            .transpose()?;
        Ok(Self {
            client: client(config.connect_timeout, &base)
                .build()
                .map_err(RestConfigError::Client)?,
            shown: without_credentials(&base),
            base,
            authorization,
            project,
            config,
            outage: OutageTracker::default(),
        })
    }

    pub(crate) fn is_cloud(&self) -> bool {
        is_cloud(&self.base)
    }

    /// A path under the base, segment by segment; a last empty one is the slash that V1's
    /// collections want.
    fn url(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    fn prepare(&self, mut request: RequestBuilder) -> RequestBuilder {
        if let Some(value) = &self.authorization {
            request = request.header(header::AUTHORIZATION, value.clone());
        }
        if let Some(value) = &self.project {
            request = request.header("x-project", value.clone());
        }
        request
    }

    pub(crate) fn get(&self, segments: &[&str]) -> RequestBuilder {
        self.prepare(self.client.get(self.url(segments)))
    }

    pub(crate) fn post(&self, segments: &[&str]) -> RequestBuilder {
        self.prepare(self.client.post(self.url(segments)))
    }

    /// The head of an answer, whoever gives it.
    async fn answer(&self, request: RequestBuilder) -> Result<Response, BackendError> {
        match request.send().await {
            Ok(response) => {
                // A gateway says one of these while its server is away.
                if matches!(response.status().as_u16(), 502..=504) {
                    self.outage.note_unreachable();
                } else {
                    self.outage.note_reachable(self.config.away_min);
                }
                Ok(response)
            }
            Err(error) => {
                if error.is_connect() {
                    self.outage.note_unreachable();
                }
                Err(self.unreachable(error))
            }
        }
    }

    /// A plain call, within the time and size that one may take.
    pub(crate) async fn call(
        &self,
        request: RequestBuilder,
    ) -> Result<Result<ResponseBody, ErrorResponse>, BackendError> {
        let call = async {
            let response = self.answer(request).await?;
            if !response.status().is_success() {
                return Ok(Err(self.refusal(response).await));
            }
            let body = self.body(response, BODY_BYTES_MAX).await?;
            Ok(Ok(ResponseBody(body)))
        };
        let after = self.config.call_timeout;
        timeout(after, call)
            .await
            .unwrap_or(Err(BackendError::Silent { after }))
    }

    /// Opens a stream of events: waits for its head, not for its first event.
    pub(crate) async fn open(
        &self,
        segments: &[&str],
        body: &(impl Serialize + Sync),
    ) -> Result<Result<Response, ErrorResponse>, BackendError> {
        self.open_with(self.post(segments).json(body)).await
    }

    /// The same for a request that is prepared already.
    pub(crate) async fn open_with(
        &self,
        request: RequestBuilder,
    ) -> Result<Result<Response, ErrorResponse>, BackendError> {
        let after = self.config.idle_timeout;
        let request = request.header(header::ACCEPT, "text/event-stream");
        let opened = async {
            let response = self.answer(request).await?;
            if !response.status().is_success() {
                return Ok(Err(self.refusal(response).await));
            }
            let kind = response.headers().get(header::CONTENT_TYPE);
            let kind = kind
                .and_then(|kind| kind.to_str().ok())
                .unwrap_or("nothing");
            if !kind.starts_with("text/event-stream") {
                let detail = format!("not a stream of events but {kind}");
                // JSON is what a Letta says that has done something; anything else stands in its place.
                if kind.starts_with("application/json") {
                    return Err(BackendError::Protocol { detail });
                }
                return Err(BackendError::NotLetta {
                    status: response.status().as_u16(),
                    detail,
                    retry_after: None,
                });
            }
            Ok(Ok(response))
        };
        timeout(after, opened)
            .await
            .unwrap_or(Err(BackendError::Silent { after }))
    }

    /// The next bytes of a stream; `None` at its end.
    pub(crate) async fn chunk(&self, stream: &mut Response) -> Result<Option<Bytes>, BackendError> {
        let after = self.config.idle_timeout;
        match timeout(after, stream.chunk()).await {
            Ok(chunk) => chunk.map_err(|error| self.unreachable(error)),
            Err(_) => Err(BackendError::Silent { after }),
        }
    }

    async fn refusal(&self, response: Response) -> ErrorResponse {
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        // A refusal whose words cannot be read is still this refusal.
        let body = self
            .body(response, ErrorResponse::BODY_BYTES_MAX)
            .await
            .unwrap_or_default();
        ErrorResponse::new(status, &headers, &body)
    }

    async fn body(&self, mut response: Response, max: usize) -> Result<Bytes, BackendError> {
        let mut body = BytesMut::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| self.unreachable(error))?
        {
            if body.len() + chunk.len() > max {
                let detail = format!("an answer of more than {max} bytes");
                return Err(BackendError::Protocol { detail });
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    /// What a failed connection is called.
    pub(crate) fn unreachable(
        &self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> BackendError {
        let source = source.into();
        let source = match source.downcast::<reqwest::Error>() {
            Ok(error) => error.without_url().into(),
            Err(source) => source,
        };
        BackendError::Unreachable {
            url: self.shown.clone(),
            source,
        }
    }
}

/// What every way to Letta asks of HTTP.
pub(crate) fn client(connect_timeout: Duration, base: &Url) -> ClientBuilder {
    // The first one in the process wins; that another part has set one already is fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let same_origin = redirect::Policy::custom(|attempt| {
        let last = attempt.previous().last().map(Url::origin);
        if last == Some(attempt.url().origin()) && attempt.previous().len() <= REDIRECTS_MAX {
            attempt.follow()
        } else {
            attempt.stop()
        }
    });
    #[expect(
        clippy::disallowed_methods,
        reason = "this is where clients for Letta are made"
    )]
    let mut builder = Client::builder()
        .user_agent(concat!("letta-client/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(connect_timeout)
        .tcp_keepalive(TCP_KEEPALIVE)
        .redirect(same_origin);
    let loopback = match base.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    };
    if loopback {
        // Who sets a proxy for the internet does not mean a server on this machine.
        builder = builder.no_proxy();
    }
    builder
}

/// Whether an address is Letta Cloud's.
pub(crate) fn is_cloud(url: &Url) -> bool {
    url.host_str() == Some(CLOUD_HOST)
}

/// An address as it may be shown, whatever it is.
pub(crate) fn display_url(url: &str) -> String {
    Url::parse(url).map_or_else(
        |_| "(not a URL)".to_owned(),
        |url| without_credentials(&url),
    )
}

/// An address that may be shown.
pub(crate) fn without_credentials(url: &Url) -> String {
    let mut url = url.clone();
    // Both fail only for addresses that cannot hold credentials.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.to_string()
}

/// An [`Api`] that several streams use.
pub(crate) type SharedApi = Arc<Api>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_keep_their_slashes_under_any_base() {
        for base in [
            "http://h:1",
            "http://h:1/",
            "http://h:1/v1",
            "http://h:1/v1/",
        ] {
            let api = Api::new(RestConfig::new(base)).unwrap();
            assert_eq!(
                api.url(&["v1", "agents", ""]).as_str(),
                "http://h:1/v1/agents/"
            );
        }
        let api = Api::new(RestConfig::new("https://h/letta/")).unwrap();
        assert_eq!(
            api.url(&["v1", "agents", "a"]).as_str(),
            "https://h/letta/v1/agents/a"
        );
    }

    #[test]
    fn no_id_leaves_its_place_in_the_path() {
        let api = Api::new(RestConfig::new("http://h")).unwrap();
        let url = api.url(&["v1", "runs", "a/../../b", "stream"]);
        assert_eq!(url.path(), "/v1/runs/a%2F..%2F..%2Fb/stream");
    }
}
