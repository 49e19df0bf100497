//! Proof that a request comes from the homeserver.
//!
//! The type can only be made by showing the `hs_token`, in the `Authorization` header or, as before
//! Matrix 1.4 and still in Tuwunel, in the `access_token` parameter
//! ([authorization](https://spec.matrix.org/v1.16/application-service-api/#authorization)).

use axum::{extract::FromRequestParts, http::request::Parts};
use ruma::{
    api::{appservice::HomeserverToken, auth_scheme::AuthScheme},
    exports::http::Request,
};

use super::{AppserviceState, error::ApiError};

/// The homeserver.
pub(super) struct FromHomeserver(());

impl FromRequestParts<AppserviceState> for FromHomeserver {
    type Rejection = ApiError;

    async fn from_request_parts(
        parts: &mut Parts,
        state: &AppserviceState,
    ) -> Result<Self, ApiError> {
        let request = Request::from_parts(parts.clone(), ());
        let shown = HomeserverToken::extract_authentication(&request)
            .map_err(|_| ApiError::MissingToken)?;
        if state.hs_token.matches(&shown) {
            Ok(Self(()))
        } else {
            Err(ApiError::WrongToken)
        }
    }
}
