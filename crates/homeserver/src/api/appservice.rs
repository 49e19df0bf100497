//! What application services ask of the server about themselves.
//!
//! Spec: <https://spec.matrix.org/v1.19/application-service-api/#post_matrixclientv1appserviceappserviceidping>

use http::StatusCode;
use ruma::api::{
    client::appservice::request_ping,
    error::{BadStatusErrorData, ErrorKind},
};

use crate::{
    appservices::Unreachable,
    error::{Error, Result},
    http::{Call, Routes},
    services::AppState,
};

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add(ping)
}

async fn ping(
    _: AppState,
    call: Call<request_ping::v1::Request>,
) -> Result<request_ping::v1::Response> {
    let appservice = call.caller;
    if appservice.id() != call.body.appservice_id {
        return Err(Error::forbidden(
            "Appservices can only ping themselves (wrong appservice ID).",
        ));
    }
    let id = call.body.transaction_id.as_ref().map(|id| id.as_str());
    let (answer, duration) = appservice
        .ping(id)
        .await
        .map_err(|error| no_answer(&error))?;
    if !answer.status.is_success() {
        let mut data = BadStatusErrorData::new();
        data.status = Some(answer.status);
        data.body = Some(String::from_utf8_lossy(&answer.body).into_owned());
        return Err(Error::refused(
            StatusCode::BAD_GATEWAY,
            ErrorKind::BadStatus(data),
            format!("The appservice answered {}", answer.status),
        ));
    }
    Ok(request_ping::v1::Response::new(duration))
}

fn no_answer(error: &Unreachable) -> Error {
    let (status, kind) = match error {
        Unreachable::NoUrl => (StatusCode::BAD_REQUEST, ErrorKind::UrlNotSet),
        Unreachable::Connection(_) => (StatusCode::BAD_GATEWAY, ErrorKind::ConnectionFailed),
        Unreachable::Timeout(_) => (StatusCode::GATEWAY_TIMEOUT, ErrorKind::ConnectionTimeout),
    };
    Error::refused(status, kind, error.to_string())
}
