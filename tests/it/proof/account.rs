//! A person at the plainest of clients: one access token, one connection pool, JSON in and out.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, StatusCode};
use serde_json::{Value, json};

pub const PASSWORD: &str = "correct horse battery staple";

/// How long any answer may take; the longest wait that a proof asks for is half of it.
pub const ANSWER_MAX: Duration = Duration::from_mins(1);

#[derive(Clone, Debug)]
pub struct Account {
    http: reqwest::Client,
    url: String,
    pub user_id: String,
    pub device_id: String,
    pub token: String,
}

/// A client that keeps its connections, as those of people do.
pub fn http() -> reqwest::Client {
    http_from(None)
}

/// The same from one of the addresses of this machine.
pub fn http_from(address: Option<IpAddr>) -> reqwest::Client {
    let client = builder().local_address(address).build();
    client.expect("an HTTP client can be built")
}

/// The same with a new connection for each request.
pub fn http_anew_from(address: IpAddr) -> reqwest::Client {
    let client = builder().local_address(address).pool_max_idle_per_host(0);
    client.build().expect("an HTTP client can be built")
}

fn builder() -> reqwest::ClientBuilder {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .no_proxy()
        .timeout(ANSWER_MAX)
        .redirect(reqwest::redirect::Policy::none())
}

/// Asks, and gives the status and the JSON of the answer.
pub async fn ask(
    http: &reqwest::Client,
    token: Option<&str>,
    method: Method,
    url: &str,
    body: Option<&Value>,
) -> reqwest::Result<(StatusCode, Value)> {
    let mut request = http.request(method, url);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    if let Some(body) = body {
        request = request.json(body);
    }
    let answer = request.send().await?;
    let status = answer.status();
    let bytes = answer.bytes().await?;
    Ok((status, serde_json::from_slice(&bytes).unwrap_or_default()))
}

impl Account {
    /// Registers somebody new, with one device.
    pub async fn register(url: &str, name: &str) -> Self {
        let body = json!({
            "username": name, "password": PASSWORD, "auth": { "type": "m.login.dummy" },
        });
        let path = format!("{url}/_matrix/client/v3/register");
        let http = http();
        let answer = ask(&http, None, Method::POST, &path, Some(&body)).await;
        Self::of(http, url, answer).unwrap_or_else(|why| panic!("{name} cannot register: {why}"))
    }

    /// One more device of somebody who has registered.
    pub async fn log_in(url: &str, user_id: &str) -> Result<Self, String> {
        Self::log_in_over(http(), url, user_id).await
    }

    /// The same over this client.
    pub async fn log_in_over(
        http: reqwest::Client,
        url: &str,
        user_id: &str,
    ) -> Result<Self, String> {
        let body = json!({
            "type": "m.login.password", "password": PASSWORD,
            "identifier": { "type": "m.id.user", "user": user_id },
        });
        let path = format!("{url}/_matrix/client/v3/login");
        let answer = ask(&http, None, Method::POST, &path, Some(&body)).await;
        Self::of(http, url, answer)
    }

    fn of(
        http: reqwest::Client,
        url: &str,
        answer: reqwest::Result<(StatusCode, Value)>,
    ) -> Result<Self, String> {
        let (status, answer) = answer.map_err(|error| format!("{error:?}"))?;
        let text = |key: &str| answer[key].as_str().map(str::to_owned);
        match (text("user_id"), text("device_id"), text("access_token")) {
            (Some(user_id), Some(device_id), Some(token)) => Ok(Self {
                http,
                url: url.to_owned(),
                user_id,
                device_id,
                token,
            }),
            _ => Err(format!("{status} {answer}")),
        }
    }

    /// Asks for a path of the homeserver.
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> reqwest::Result<(StatusCode, Value)> {
        let url = format!("{}{path}", self.url);
        ask(&self.http, Some(&self.token), method, &url, body).await
    }

    /// Asks for what must be answered 200.
    pub async fn ok(&self, method: Method, path: &str, body: Option<&Value>) -> Value {
        let (status, answer) = self
            .ask(method.clone(), path, body)
            .await
            .unwrap_or_else(|error| panic!("{method} {path}: {error:?}"));
        assert_eq!(status, StatusCode::OK, "{method} {path}: {answer}");
        answer
    }

    /// Asks with bytes that were JSON before, and reads the answer without looking into it.
    pub async fn send_bytes(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> reqwest::Result<StatusCode> {
        let request = self.http.request(method, format!("{}{path}", self.url));
        let request = request
            .bearer_auth(&self.token)
            .header("content-type", "application/json");
        let answer = request.body(body).send().await?;
        let status = answer.status();
        answer.bytes().await?;
        Ok(status)
    }

    /// A file, as bytes.
    pub async fn bytes(&self, path: &str) -> Vec<u8> {
        let request = self.http.get(format!("{}{path}", self.url));
        let answer = request.bearer_auth(&self.token).send().await;
        let answer = answer.unwrap_or_else(|error| panic!("{path}: {error:?}"));
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        answer.bytes().await.expect("a whole file").to_vec()
    }

    /// Uploads a file, and gives its address without the scheme.
    pub async fn upload(&self, content: Vec<u8>) -> reqwest::Result<String> {
        let url = format!("{}/_matrix/media/v3/upload", self.url);
        let request = self.http.post(url).bearer_auth(&self.token).body(content);
        let answer: Value = request.send().await?.json().await?;
        let address = answer["content_uri"].as_str();
        let address = address.unwrap_or_else(|| panic!("no upload: {answer}"));
        Ok(address.trim_start_matches("mxc://").to_owned())
    }

    pub async fn get(&self, path: &str) -> Value {
        self.ok(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Value {
        self.ok(Method::POST, path, Some(body)).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Value {
        self.ok(Method::PUT, path, Some(body)).await
    }
}

/// One part of a path, with everything escaped that could be taken for something else.
pub fn part(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}
