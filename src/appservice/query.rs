//! `GET /_matrix/app/v1/users/{userId}` and `GET /_matrix/app/v1/rooms/{roomAlias}`
//! ([spec](https://spec.matrix.org/v1.16/application-service-api/#querying)).
//!
//! `200` promises that the user or the room exists when the homeserver reads the answer.

use axum::{
    Json,
    extract::{Path, State, rejection::PathRejection},
};
use ruma::{RoomAliasId, UserId};
use serde_json::{Value, json};

use super::{AppserviceState, caller::FromHomeserver, error::ApiError};

/// Whether a user of our namespace exists.
pub(super) async fn user(
    _caller: FromHomeserver,
    State(state): State<AppserviceState>,
    user: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, ApiError> {
    let Path(user) = user.map_err(|_| ApiError::NotFound("user"))?;
    let user = <&UserId>::try_from(user.as_str()).map_err(|_| ApiError::NotFound("user"))?;
    if user == state.identity.bot() {
        return Ok(Json(json!({})));
    }
    let agent = state
        .identity
        .agent_of(user)
        .ok_or(ApiError::NotFound("user"))?;
    if state.provision.ensure_ghost(&agent).await {
        Ok(Json(json!({})))
    } else {
        Err(ApiError::NotFound("user"))
    }
}

/// Whether an alias of our namespace exists.
pub(super) async fn room(
    _caller: FromHomeserver,
    State(state): State<AppserviceState>,
    alias: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, ApiError> {
    let Path(alias) = alias.map_err(|_| ApiError::NotFound("room"))?;
    let alias = <&RoomAliasId>::try_from(alias.as_str()).map_err(|_| ApiError::NotFound("room"))?;
    let agent = state
        .identity
        .agent_of_alias(alias)
        .ok_or(ApiError::NotFound("room"))?;
    if state.provision.ensure_room(&agent).await {
        Ok(Json(json!({})))
    } else {
        Err(ApiError::NotFound("room"))
    }
}
