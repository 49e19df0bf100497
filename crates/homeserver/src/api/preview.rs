//! Previews of links.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1mediapreview_url>

use ruma::api::client::{authenticated_media, media};

use crate::{
    error::Result,
    http::{Call, Routes},
    services::AppState,
};

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add(preview).add(legacy_preview)
}

async fn preview(
    services: AppState,
    call: Call<authenticated_media::get_media_preview::v1::Request>,
) -> Result<authenticated_media::get_media_preview::v1::Response> {
    let (user, url) = (&call.caller.user_id, &call.body.url);
    let preview = services.previews.get(user, url).await?;
    Ok(authenticated_media::get_media_preview::v1::Response::from_serialize(&preview)?)
}

#[allow(deprecated, reason = "clients from before Matrix 1.11")]
async fn legacy_preview(
    services: AppState,
    call: Call<media::get_media_preview::v3::Request>,
) -> Result<media::get_media_preview::v3::Response> {
    let (user, url) = (&call.caller.user_id, &call.body.url);
    let preview = services.previews.get(user, url).await?;
    Ok(media::get_media_preview::v3::Response::from_serialize(
        &preview,
    )?)
}
