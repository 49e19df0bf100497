//! Single questions to a homeserver, for the commands that look before the bridge runs.
//!
//! No retries: a person waits for the answer, and a failure is the answer.

use std::{error::Error, time::Duration};

use reqwest::{Client, ClientBuilder, RequestBuilder, StatusCode, header};
use serde_json::Value;
use url::Url;

use crate::config::{Config, Secret, http_url};

/// How long one question may take. The homeserver's own attempt to reach the bridge is part of some.
const TIMEOUT: Duration = Duration::from_secs(15);

/// A client that asks once.
#[expect(
    clippy::disallowed_methods,
    reason = "this is where clients are made for commands that look before the bridge runs"
)]
pub(super) fn client() -> Result<Client, String> {
    Client::builder().timeout(TIMEOUT).build().map_err(reason)
}

/// A client for the bridge on this machine, which no proxy stands before.
pub(super) fn client_of_this_machine() -> Result<Client, String> {
    of_this_machine().build().map_err(reason)
}

/// The same, for whoever needs more than that.
#[expect(
    clippy::disallowed_methods,
    reason = "this is where clients are made for commands that look before the bridge runs"
)]
pub(super) fn of_this_machine() -> ClientBuilder {
    Client::builder().timeout(TIMEOUT).no_proxy()
}

/// What is at the bottom of a failed request, in a few words, without its URL.
pub(super) fn reason(error: reqwest::Error) -> String {
    if error.is_timeout() {
        return format!("no answer in {}", humantime::format_duration(TIMEOUT));
    }
    let error = error.without_url();
    let mut cause: &dyn Error = &error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// What a homeserver answered.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Value,
    /// What it calls itself in the `Server` header.
    server: Option<String>,
}

impl Answer {
    /// The Matrix error code, or an empty text.
    pub(super) fn errcode(&self) -> &str {
        self.body["errcode"].as_str().unwrap_or_default()
    }

    /// The status and the error code for people.
    pub(super) fn in_words(&self) -> String {
        format!("{} {}", self.status, self.errcode())
            .trim_end()
            .to_owned()
    }
}

/// The homeserver, asked as the bridge's bot.
pub(super) struct Homeserver {
    client: Client,
    address: Url,
    token: Secret,
}

impl Homeserver {
    /// The homeserver of this configuration.
    pub(super) fn new(config: &Config) -> Result<Self, String> {
        Ok(Self {
            client: client()?,
            address: config.homeserver.address.clone(),
            token: config.appservice.as_token.clone(),
        })
    }

    /// Where it is, for people.
    pub(super) fn address(&self) -> &str {
        http_url::text(&self.address)
    }

    /// Asks without saying who we are.
    pub(super) async fn get(&self, path: &str) -> Result<Answer, String> {
        answer(self.client.get(format!("{}{path}", self.address()))).await
    }

    /// Asks as the bot.
    pub(super) async fn get_as_bot(&self, path: &str) -> Result<Answer, String> {
        let request = self.client.get(format!("{}{path}", self.address()));
        answer(request.bearer_auth(self.token.expose())).await
    }

    /// Posts as the bot.
    pub(super) async fn post_as_bot(&self, path: &str, body: &Value) -> Result<Answer, String> {
        let request = self.client.post(format!("{}{path}", self.address()));
        answer(request.bearer_auth(self.token.expose()).json(body)).await
    }

    /// The name of the software, such as `Synapse`, if it says: to other servers, at Tuwunel's own path, which it answers
    /// without federation too, or in the header of every answer.
    pub(super) async fn software(&self) -> Option<String> {
        let federation = self.get("/_matrix/federation/v1/version").await.ok()?;
        if let Some(name) = federation.body["server"]["name"].as_str() {
            return Some(name.to_owned());
        }
        if let Ok(own) = self.get("/_tuwunel/server_version").await
            && let Some(name) = own.body["name"].as_str()
        {
            return Some(name.to_owned());
        }
        let header = federation.server.as_deref()?.split('/').next();
        header.map(str::to_owned)
    }
}

async fn answer(request: RequestBuilder) -> Result<Answer, String> {
    let response = request.send().await.map_err(reason)?;
    let status = response.status();
    let server = response.headers().get(header::SERVER);
    let server = server
        .and_then(|name| name.to_str().ok())
        .map(str::to_owned);
    // A proxy's error page is no JSON; the status says enough then.
    let body = response.json().await.unwrap_or_default();
    Ok(Answer {
        status,
        body,
        server,
    })
}
