//! Files: up here, down and small in [`serve`].
//!
//! Whoever opens a file in a browser opens it on this server's origin, and its uploader is not trusted: nothing in it may run, and
//! only what the specification calls safe is shown instead of saved.
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#content-repository>

use axum::{
    Json, body::Body, middleware::map_response, response::IntoResponse, response::Response,
};
use http::{HeaderValue, StatusCode, header};
use ruma::{
    ServerName, UInt,
    api::client::{
        authenticated_media,
        media::{create_content, create_content_async, create_mxc_uri, get_media_config},
    },
};
use serde_json::json;

use crate::{
    caller::Caller,
    error::{Error, Result},
    http::{Call, Routes, body_chunks, response},
    limits::{CONTENT_TYPE_MAX_BYTES, FILE_NAME_MAX_BYTES},
    media::Upload,
    rooms,
    services::{AppState, Services},
};

mod range;
mod serve;

/// Files never change: a browser need not ask twice. It keeps them to the one user whom they were given to.
const CACHE: HeaderValue = HeaderValue::from_static("private, max-age=31536000, immutable");
/// Nothing in a file may run or ask for anything.
const POLICY: HeaderValue = HeaderValue::from_static(
    "sandbox; default-src 'none'; script-src 'none'; plugin-types application/pdf; \
     style-src 'unsafe-inline'; object-src 'self';",
);
pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .add_streamed(upload)
        .add(create)
        .add_streamed(fill)
        .add_light(config)
        .add_light(legacy_config)
        .merge_layered(serve::routes(Routes::default()), |router| {
            router.layer(map_response(shield))
        })
}

/// The headers that go with every file.
async fn shield(mut response: Response) -> Response {
    let status = response.status();
    let found = status.is_success() || status == StatusCode::NOT_MODIFIED;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, POLICY);
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(
        "cross-origin-resource-policy",
        HeaderValue::from_static("cross-origin"),
    );
    if found {
        headers.insert(header::CACHE_CONTROL, CACHE);
    }
    response
}

fn check_names(file_name: Option<&String>, content_type: Option<&String>) -> Result<()> {
    if file_name.is_some_and(|name| name.len() > FILE_NAME_MAX_BYTES) {
        let message = format!("File name too long (max {FILE_NAME_MAX_BYTES} bytes)");
        return Err(Error::invalid(message));
    }
    if content_type.is_some_and(|name| name.len() > CONTENT_TYPE_MAX_BYTES) {
        let message = format!("Content-Type too long (max {CONTENT_TYPE_MAX_BYTES} bytes)");
        return Err(Error::invalid(message));
    }
    Ok(())
}

/// What is uploaded, if its names are none that cannot be given back.
fn uploaded(
    services: &Services,
    caller: &Caller,
    body: Body,
    (file_name, content_type): (Option<String>, Option<String>),
) -> Result<Upload> {
    rooms::check_not_suspended(&services.rooms, caller)?;
    check_names(file_name.as_ref(), content_type.as_ref())?;
    Ok(Upload {
        pieces: body_chunks(body, services.config.listen.max_request_size.as_len()),
        content_type,
        file_name,
        exempt: !caller.is_rate_limited(),
    })
}

async fn upload(
    services: AppState,
    call: Call<create_content::v3::Request>,
    body: Body,
) -> Result<Response<Body>> {
    let names = (call.body.filename, call.body.content_type);
    let upload = uploaded(&services, &call.caller, body, names)?;
    let uri = services.media.upload(&call.caller.user_id, upload).await?;
    Ok(response(Ok(create_content::v3::Response::new(uri))))
}

async fn create(
    services: AppState,
    call: Call<create_mxc_uri::v1::Request>,
) -> Result<create_mxc_uri::v1::Response> {
    rooms::check_not_suspended(&services.rooms, &call.caller)?;
    let (uri, until) = services
        .media
        .create_pending_mxc(&call.caller.user_id, call.caller.is_rate_limited())
        .await?;
    let mut response = create_mxc_uri::v1::Response::new(uri);
    response.unused_expires_at = Some(until);
    Ok(response)
}

async fn fill(
    services: AppState,
    call: Call<create_content_async::v3::Request>,
    body: Body,
) -> Result<Response<Body>> {
    own(&services, &call.body.server_name)?;
    let (user, id) = (&call.caller.user_id, &call.body.media_id);
    let names = (call.body.filename, call.body.content_type);
    let upload = uploaded(&services, &call.caller, body, names)?;
    services.media.upload_pending(user, id, upload).await?;
    Ok(Json(json!({})).into_response())
}

fn upload_size(services: &Services) -> UInt {
    UInt::try_from(services.config.listen.max_request_size.as_len()).unwrap_or(UInt::MAX)
}

async fn config(
    services: AppState,
    _: Call<authenticated_media::get_media_config::v1::Request>,
) -> Result<authenticated_media::get_media_config::v1::Response> {
    Ok(authenticated_media::get_media_config::v1::Response::new(
        upload_size(&services),
    ))
}

#[allow(deprecated, reason = "clients from before Matrix 1.11")]
async fn legacy_config(
    services: AppState,
    _: Call<get_media_config::v3::Request>,
) -> Result<get_media_config::v3::Response> {
    Ok(get_media_config::v3::Response::new(upload_size(&services)))
}

/// 404 for files of other servers: this one does not federate.
fn own(services: &Services, name: &ServerName) -> Result<()> {
    if name == services.config.server_name {
        return Ok(());
    }
    Err(Error::not_found(
        "This server has no files of other servers",
    ))
}
