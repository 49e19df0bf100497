//! `POST /_matrix/app/v1/ping`
//! ([spec](https://spec.matrix.org/v1.16/application-service-api/#post_matrixappv1ping)).
//!
//! Ours is to answer, and to note the transaction, so that whoever asked the homeserver to ping
//! knows that it was this bridge that heard it and not another one at the same address.

use std::sync::{Arc, Mutex, PoisonError};

use axum::{Json, body::Bytes, extract::State};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{AppserviceState, caller::FromHomeserver};

/// The transaction of the last ping.
#[derive(Clone, Debug, Default)]
pub struct Pings(Arc<Mutex<Option<String>>>);

impl Pings {
    /// Whether the last ping that came in was this one.
    pub fn has_received(&self, transaction: &str) -> bool {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_deref()
            == Some(transaction)
    }

    fn note(&self, transaction: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(transaction);
    }
}

#[derive(Default, Deserialize)]
struct Body {
    #[serde(default)]
    transaction_id: Option<String>,
}

pub(super) async fn handle(
    _caller: FromHomeserver,
    State(state): State<AppserviceState>,
    body: Bytes,
) -> Json<Value> {
    // A ping without a readable transaction is a ping all the same.
    let body: Body = serde_json::from_slice(&body).unwrap_or_default();
    if let Some(transaction) = body.transaction_id {
        state.pings.note(transaction);
    }
    Json(json!({}))
}
