//! Files on their way out: what is asked for, found, and said about it.

use std::time::Duration;

use axum::{body::Body, response::Response};
use http::header;
use ruma::{
    OwnedServerName, UInt,
    api::{
        IncomingRequest, Metadata,
        auth_scheme::{AccessToken, NoAccessToken},
        client::{
            authenticated_media,
            media::{get_content, get_content_as_filename, get_content_thumbnail},
        },
    },
    http_headers::{ContentDisposition, ContentDispositionType},
    media::Method,
};

use super::{own, range};
use crate::{
    caller::RequestMetadata,
    error::{Error, Result},
    holder::Holder,
    http::{Call, Routes},
    media::{Content, Fit, Size},
    services::{AppState, Services},
};

/// What a file is that nobody says anything about.
const UNKNOWN_TYPE: &str = "application/octet-stream";
/// What a browser may show in its own window.
/// Spec: <https://spec.matrix.org/v1.19/client-server-api/#serving-inline-content>
const INLINE: [&str; 26] = [
    "text/css",
    "text/plain",
    "text/csv",
    "application/json",
    "application/ld+json",
    "image/jpeg",
    "image/gif",
    "image/png",
    "image/apng",
    "image/webp",
    "image/avif",
    "video/mp4",
    "video/webm",
    "video/ogg",
    "video/quicktime",
    "audio/mp4",
    "audio/webm",
    "audio/aac",
    "audio/mpeg",
    "audio/ogg",
    "audio/wave",
    "audio/wav",
    "audio/x-wav",
    "audio/x-pn-wav",
    "audio/flac",
    "audio/x-flac",
];

/// Which file is asked for, and how.
struct Wanted {
    server_name: OwnedServerName,
    id: String,
    form: Form,
    patience: Duration,
}

enum Form {
    /// As it is, under this name or its own.
    File(Option<String>),
    /// Small: width, height, and how it is fitted in.
    Thumbnail(UInt, UInt, Option<Method>),
}

/// The same from each of ruma's types for it.
macro_rules! wanted {
    ($($endpoint:path, |$request:ident| $form:expr;)*) => {$(
        #[allow(deprecated, reason = "clients from before Matrix 1.11")]
        impl From<$endpoint> for Wanted {
            fn from($request: $endpoint) -> Self {
                Self {
                    form: $form,
                    server_name: $request.server_name,
                    id: $request.media_id,
                    patience: $request.timeout_ms,
                }
            }
        }
    )*};
}

wanted! {
    authenticated_media::get_content::v1::Request, |asked| Form::File(None);
    authenticated_media::get_content_as_filename::v1::Request, |asked| Form::File(Some(asked.filename));
    authenticated_media::get_content_thumbnail::v1::Request, |asked| Form::Thumbnail(asked.width, asked.height, asked.method);
    get_content::v3::Request, |asked| Form::File(None);
    get_content_as_filename::v3::Request, |asked| Form::File(Some(asked.filename));
    get_content_thumbnail::v3::Request, |asked| Form::Thumbnail(asked.width, asked.height, asked.method);
}

#[allow(deprecated, reason = "clients from before Matrix 1.11")]
pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .add_streamed(authenticated::<authenticated_media::get_content::v1::Request>)
        .add_streamed(authenticated::<authenticated_media::get_content_as_filename::v1::Request>)
        .add_streamed(authenticated::<authenticated_media::get_content_thumbnail::v1::Request>)
        .add_streamed(legacy::<get_content::v3::Request>)
        .add_streamed(legacy::<get_content_as_filename::v3::Request>)
        .add_streamed(legacy::<get_content_thumbnail::v3::Request>)
}

async fn authenticated<R>(services: AppState, call: Call<R>, _: Body) -> Result<Response>
where
    R: IncomingRequest + Metadata<Authentication = AccessToken> + Into<Wanted>,
{
    let holder = call.caller.holder();
    serve(&services, call.body.into(), &call.facts, &holder).await
}

/// 404 for people without an account, unless the configuration serves them as it was before Matrix 1.11.
async fn legacy<R>(services: AppState, call: Call<R>, _: Body) -> Result<Response>
where
    R: IncomingRequest + Metadata<Authentication = NoAccessToken> + Into<Wanted>,
{
    if services.config.media.allow_legacy_media {
        let holder = call.facts.anonymous_holder();
        return serve(&services, call.body.into(), &call.facts, &holder).await;
    }
    Err(Error::not_found(
        "Files are served to users only: /_matrix/client/v1/media",
    ))
}

async fn serve(
    services: &Services,
    wanted: Wanted,
    facts: &RequestMetadata,
    holder: &Holder,
) -> Result<Response> {
    own(services, &wanted.server_name)?;
    let (id, patience) = (&*wanted.id, wanted.patience);
    let (content, name) = match wanted.form {
        Form::File(name) => (services.media.download(id, patience).await?, name),
        Form::Thumbnail(width, height, fit) => {
            let size = size(width, height, fit.as_ref())?;
            let small = services.media.thumbnail(id, size, patience, holder);
            (small.await?, None)
        }
    };
    let (content_type, disposition) = described(&content, name);
    let mut response = range::respond(content, &facts.headers).await?;
    let headers = response.headers_mut();
    for (header, text) in [
        (header::CONTENT_TYPE, content_type),
        (header::CONTENT_DISPOSITION, disposition),
    ] {
        let value = text
            .try_into()
            .map_err(|_| Error::Broken(format!("what is stored of a file cannot be a {header}")))?;
        headers.insert(header, value);
    }
    Ok(response)
}

fn size(width: UInt, height: UInt, fit: Option<&Method>) -> Result<Size> {
    if width == UInt::MIN || height == UInt::MIN {
        return Err(Error::invalid("A thumbnail has a width and a height"));
    }
    let fit = match fit {
        Some(Method::Crop) => Fit::Crop,
        _ => Fit::Scale,
    };
    Ok(Size::rounded(width.into(), height.into(), fit))
}

/// What a file is, and whether it is shown or saved.
fn described(content: &Content, name: Option<String>) -> (String, String) {
    let content_type = content.content_type.as_deref().unwrap_or(UNKNOWN_TYPE);
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let safe = INLINE.iter().any(|safe| safe.eq_ignore_ascii_case(essence));
    let how = if safe {
        ContentDispositionType::Inline
    } else {
        ContentDispositionType::Attachment
    };
    let name = name.or_else(|| content.file_name.clone());
    let disposition = ContentDisposition::new(how).with_filename(name);
    (content_type.to_owned(), disposition.to_string())
}
