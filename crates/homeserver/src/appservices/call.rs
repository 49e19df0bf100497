//! Asking an application service: over HTTP or in process, the same request.
//!
//! The `hs_token` goes out in the header and in the query, as Tuwunel sends it and old application services expect it. No error
//! says it: an address that is shown has no query.
//! Spec: <https://spec.matrix.org/v1.19/application-service-api/#authorization>

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use tower::ServiceExt;

use super::{Appservice, Delivery};
use crate::{
    limits::{APPSERVICE_ANSWER_MAX_BYTES, APPSERVICE_ANSWER_TIMEOUT, APPSERVICE_CONNECT_TIMEOUT},
    outbound::LazyHttpClient,
};

/// What is needed of a name to stand in a path.
const PATH: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// What an application service answered.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The body, as far as it is read.
    pub body: Bytes,
}

/// Why an application service gave no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Unreachable {
    /// It has no address.
    #[error("the application service has no url")]
    NoUrl,
    /// No connection, or one that broke.
    #[error("the application service cannot be reached: {0}")]
    Connection(String),
    /// It took too long.
    #[error("the application service did not answer in {} seconds", .0.as_secs())]
    Timeout(Duration),
}

/// The client for requests to application services. They are where the admin says they are: no proxy, no redirects.
pub(super) fn client() -> LazyHttpClient {
    LazyHttpClient::new(|client| client.connect_timeout(APPSERVICE_CONNECT_TIMEOUT))
}

/// A name as a part of a path.
pub(crate) fn path_part(name: &str) -> String {
    percent_encoding::utf8_percent_encode(name, PATH).to_string()
}

impl Appservice {
    /// Sends a request to the path, and gives its answer, whatever it is.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
    ) -> Result<Answer, Unreachable> {
        let answering = async {
            match &self.delivery {
                Delivery::InProcess(router) => {
                    self.call_in_process(router, method, path, body).await
                }
                Delivery::Http => self.call_over_http(method, path, body).await,
            }
        };
        tokio::time::timeout(APPSERVICE_ANSWER_TIMEOUT, answering)
            .await
            .unwrap_or(Err(Unreachable::Timeout(APPSERVICE_ANSWER_TIMEOUT)))
    }

    /// The path with the token in the query, and the token as a header.
    fn authorized(&self, path: &str) -> (String, Result<HeaderValue, Unreachable>) {
        let token = self.registration.file().hs_token.expose();
        let query: String = form_urlencoded::byte_serialize(token.as_bytes()).collect();
        let header = HeaderValue::try_from(format!("Bearer {token}")).map(|mut header| {
            header.set_sensitive(true);
            header
        });
        let header = header.map_err(|_| {
            Unreachable::Connection("its hs_token cannot stand in a header".to_owned())
        });
        let joins = if path.contains('?') { '&' } else { '?' };
        (format!("{path}{joins}access_token={query}"), header)
    }

    async fn call_in_process(
        &self,
        router: &axum::Router,
        method: Method,
        path: &str,
        body: Option<Bytes>,
    ) -> Result<Answer, Unreachable> {
        let (target, token) = self.authorized(path);
        let request = Request::builder()
            .method(method)
            .uri(target)
            .header(header::AUTHORIZATION, token?)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body.unwrap_or_default()))
            .map_err(|error| Unreachable::Connection(error.to_string()))?;
        let Ok(response) = router.clone().oneshot(request).await;
        let status = response.status();
        let read = Limited::new(response.into_body(), APPSERVICE_ANSWER_MAX_BYTES).collect();
        let body = read
            .await
            .map_err(|error| Unreachable::Connection(error.to_string()))?;
        Ok(Answer {
            status,
            body: body.to_bytes(),
        })
    }

    async fn call_over_http(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
    ) -> Result<Answer, Unreachable> {
        let url = self.registration.url().ok_or(Unreachable::NoUrl)?;
        let (target, token) = self.authorized(path);
        let mut request = self
            .http
            .client()
            .map_err(unreachable)?
            .request(method, format!("{}{target}", url.trim_end_matches('/')))
            .header(header::AUTHORIZATION, token?);
        if let Some(body) = body {
            request = request
                .header(header::CONTENT_TYPE, "application/json")
                .body(body);
        }
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let body =
            Limited::new(reqwest::Body::from(response), APPSERVICE_ANSWER_MAX_BYTES).collect();
        let body = body
            .await
            .map_err(|error| Unreachable::Connection(error.to_string()))?;
        Ok(Answer {
            status,
            body: body.to_bytes(),
        })
    }
}

/// The error of the client without the address, which has the token in it.
fn unreachable(error: reqwest::Error) -> Unreachable {
    if error.is_timeout() {
        return Unreachable::Timeout(APPSERVICE_CONNECT_TIMEOUT);
    }
    let error = error.without_url();
    let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
    Unreachable::Connection(format!("{error}{}", cause.unwrap_or_default()))
}
