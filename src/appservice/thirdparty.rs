//! `GET /_matrix/app/v1/thirdparty/…`
//! ([spec](https://spec.matrix.org/v1.16/application-service-api/#third-party-networks)).
//!
//! Agents are found in the space, not through a third-party network: there is no protocol of ours,
//! and no user or location of one.

use axum::Json;
use serde_json::{Value, json};

use super::{caller::FromHomeserver, error::ApiError};

/// A protocol: we have none.
pub(super) async fn protocol(_caller: FromHomeserver) -> ApiError {
    ApiError::NotFound("protocol")
}

/// Users and locations: none, which is an answer and not an error.
pub(super) async fn none(_caller: FromHomeserver) -> Json<Value> {
    Json(json!([]))
}
