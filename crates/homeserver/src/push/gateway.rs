//! Asking a push gateway to ring.
//!
//! Spec: <https://spec.matrix.org/v1.19/push-gateway-api/>

use ruma::api::push_gateway::send_event_notification::v1::Notification;
use serde::{Deserialize, Serialize};
use url::Url;

use crate::{limits::GATEWAY_ANSWER_MAX_BYTES, outbound::GuardedHttpClient};

/// What is sent.
#[derive(Serialize)]
struct Body {
    notification: Notification,
}

/// What a gateway answers.
#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct Answer {
    rejected: Vec<String>,
}

impl Answer {
    /// Whether the gateway knows nobody with this key any more.
    pub(super) fn rejects(&self, pushkey: &str) -> bool {
        self.rejected.iter().any(|rejected| rejected == pushkey)
    }
}

/// A request that is ready to go out.
pub(super) struct Call {
    http: GuardedHttpClient,
    request: reqwest::RequestBuilder,
}

/// The request to a gateway, or why it may not be asked.
pub(super) fn request(
    http: &GuardedHttpClient,
    url: &str,
    notification: Notification,
) -> Result<Call, String> {
    let url = Url::parse(url).map_err(|error| error.to_string())?;
    let request = http.request(reqwest::Method::POST, &url);
    let request = request.map_err(|error| error.to_string())?;
    Ok(Call {
        http: http.clone(),
        request: request.json(&Body { notification }),
    })
}

/// Asks, and reads the answer.
pub(super) async fn send(call: Call) -> Result<Answer, String> {
    let response = call.http.send(call.request).await;
    let response = response
        .map_err(|error| error.to_string())?
        .error_for_status()
        .map_err(|error| error.to_string())?;
    if response
        .content_length()
        .is_none_or(|length| length > GATEWAY_ANSWER_MAX_BYTES)
    {
        // It took the notification; whatever else it says is too long to be an answer.
        return Ok(Answer::default());
    }
    let bytes = response.bytes().await.map_err(|error| error.to_string())?;
    Ok(serde_json::from_slice(&bytes).unwrap_or_default())
}
