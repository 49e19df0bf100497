//! `GET /_matrix/app/v1/thirdparty/…`
//! ([spec](https://spec.matrix.org/v1.16/application-service-api/#third-party-networks)).
//!
//! Agents are found in the space, not through a third-party network: there is no protocol of ours,
//! and no user or location of one, which the specification answers with `404`.

use super::{caller::FromHomeserver, error::ApiError};

/// A protocol: we have none.
pub(super) async fn protocol(_caller: FromHomeserver) -> ApiError {
    ApiError::NotFound("protocol")
}

/// A user: we have none.
pub(super) async fn user(_caller: FromHomeserver) -> ApiError {
    ApiError::NotFound("user")
}

/// A location: we have none.
pub(super) async fn location(_caller: FromHomeserver) -> ApiError {
    ApiError::NotFound("location")
}
