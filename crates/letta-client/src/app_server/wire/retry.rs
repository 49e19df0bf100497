//! What the server tells when it asks a model provider again.

use std::time::Duration;

use serde::Deserialize;

use crate::{failure::FailureKind, rest::wire::lenient};

/// The model provider has failed, and the server asks it again. It does so on two levels: an `event_message` tells of the same
/// request once more, a `retry` of the whole step.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::app_server) struct Retry {
    #[serde(deserialize_with = "lenient")]
    delay_ms: Option<u64>,
    #[serde(deserialize_with = "lenient")]
    message: Option<String>,
    #[serde(deserialize_with = "lenient")]
    reason: Option<String>,
}

impl Retry {
    /// How long the server waits before it asks again.
    pub(in crate::app_server) fn delay(&self) -> Duration {
        Duration::from_millis(self.delay_ms.unwrap_or_default())
    }

    /// How the provider has failed, as far as this tells it.
    pub(in crate::app_server) fn kind(&self) -> FailureKind {
        let word = self.reason.as_deref().unwrap_or("llm_error");
        FailureKind::of_stream(word, self.message.as_deref().unwrap_or_default(), None)
    }
}

/// What happens beside the messages of a turn.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ServerEvent {
    #[serde(deserialize_with = "lenient")]
    event_type: Option<String>,
    #[serde(deserialize_with = "lenient")]
    event_data: Option<Retry>,
}

impl ServerEvent {
    pub(super) fn retry(self) -> Option<Retry> {
        let is_retry = self.event_type.as_deref() == Some("retry");
        is_retry.then(|| self.event_data.unwrap_or_default())
    }
}
