//! Answers with another status of success than that of ruma's type.

use http::{Response, StatusCode};
use ruma::api::{OutgoingResponse, error::IntoHttpError};

/// The answer `A` with this status.
#[derive(Debug)]
pub(super) struct WithStatus<A>(pub(super) StatusCode, pub(super) A);

impl<A: OutgoingResponse> OutgoingResponse for WithStatus<A> {
    type Body = A::Body;

    fn try_into_http_response_inner(self) -> Result<Response<A::Body>, IntoHttpError> {
        let mut response = self.1.try_into_http_response_inner()?;
        *response.status_mut() = self.0;
        Ok(response)
    }
}
