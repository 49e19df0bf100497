//! Files: up, down, and small.
//!
//! Whoever opens a file in a browser opens it on this server's origin, and its uploader is not trusted: nothing in it may run, and
//! only what the specification calls safe is shown instead of saved.
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#content-repository>

use std::time::Duration;

use axum::{Router, middleware::map_response, response::Response};
use http::{HeaderValue, header};
use ruma::{
    OwnedMxcUri, ServerName, UInt,
    api::{
        IncomingResponseExt,
        client::{
            authenticated_media,
            media::{
                create_content, create_content_async, create_mxc_uri, get_content,
                get_content_as_filename, get_content_thumbnail, get_media_config,
            },
        },
    },
    http_headers::{ContentDisposition, ContentDispositionType},
    media::Method,
};

use crate::{
    error::{Error, Result},
    http::{Call, Routes},
    media::{Content, Fit, Size, Upload},
    server::Server,
};

/// What a file is that nobody says anything about.
const UNKNOWN_TYPE: &str = "application/octet-stream";
/// The longest name of a file, in bytes.
const FILE_NAME_MAX_BYTES: usize = 1_024;
/// The longest content type, in bytes.
const CONTENT_TYPE_MAX_BYTES: usize = 255;
/// Files never change: a browser need not ask twice. It keeps them to the one user whom they were given to.
const CACHE: HeaderValue = HeaderValue::from_static("private, max-age=31536000, immutable");
/// Nothing in a file may run or ask for anything.
const POLICY: HeaderValue = HeaderValue::from_static(
    "sandbox; default-src 'none'; script-src 'none'; plugin-types application/pdf; \
     style-src 'unsafe-inline'; object-src 'self';",
);
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

pub(super) fn routes(routes: Routes) -> Routes {
    let files = Routes::default()
        .add(download)
        .add(download_as)
        .add(thumbnail)
        .add(legacy_download)
        .add(legacy_download_as)
        .add(legacy_thumbnail)
        .into_router()
        .layer(map_response(shield));
    routes
        .add(upload)
        .add(create)
        .add(fill)
        .add(config)
        .add(legacy_config)
        .and(|router: Router<Server>| router.merge(files))
}

/// The headers that go with every file.
async fn shield(mut response: Response) -> Response {
    let found = response.status().is_success();
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
        let message = format!("The name of a file can have {FILE_NAME_MAX_BYTES} bytes");
        return Err(Error::invalid(message));
    }
    if content_type.is_some_and(|name| name.len() > CONTENT_TYPE_MAX_BYTES) {
        let message = format!("Content-Type can have {CONTENT_TYPE_MAX_BYTES} bytes");
        return Err(Error::invalid(message));
    }
    Ok(())
}

async fn upload(
    server: Server,
    call: Call<create_content::v3::Request>,
) -> Result<create_content::v3::Response> {
    let create_content::v3::Request {
        filename,
        content_type,
        file,
        ..
    } = call.body;
    check_names(filename.as_ref(), content_type.as_ref())?;
    let upload = Upload {
        bytes: file,
        content_type,
        file_name: filename,
    };
    let uri: OwnedMxcUri = server.media.upload(&call.caller.user_id, upload).await?;
    Ok(create_content::v3::Response::new(uri))
}

async fn create(
    server: Server,
    call: Call<create_mxc_uri::v1::Request>,
) -> Result<create_mxc_uri::v1::Response> {
    let (uri, until) = server
        .media
        .reserve(&call.caller.user_id, call.caller.is_rate_limited())
        .await?;
    let mut response = create_mxc_uri::v1::Response::new(uri);
    response.unused_expires_at = Some(until);
    Ok(response)
}

async fn fill(
    server: Server,
    call: Call<create_content_async::v3::Request>,
) -> Result<create_content_async::v3::Response> {
    let create_content_async::v3::Request {
        server_name,
        media_id,
        file,
        content_type,
        filename,
        ..
    } = call.body;
    own(&server, &server_name)?;
    check_names(filename.as_ref(), content_type.as_ref())?;
    let upload = Upload {
        bytes: file,
        content_type,
        file_name: filename,
    };
    server
        .media
        .fill(&call.caller.user_id, &media_id, upload)
        .await?;
    filled()
}

/// The answer without content, which ruma makes only by reading one.
fn filled() -> Result<create_content_async::v3::Response> {
    let empty = http::Response::new(&b"{}"[..]);
    create_content_async::v3::Response::try_from_http_response(empty)
        .map_err(|error| Error::Broken(format!("an empty answer cannot be made: {error}")))
}

fn upload_size(server: &Server) -> UInt {
    UInt::try_from(server.config.listen.max_request_size.as_len()).unwrap_or(UInt::MAX)
}

async fn config(
    server: Server,
    _: Call<authenticated_media::get_media_config::v1::Request>,
) -> Result<authenticated_media::get_media_config::v1::Response> {
    Ok(authenticated_media::get_media_config::v1::Response::new(
        upload_size(&server),
    ))
}

#[allow(deprecated, reason = "clients from before Matrix 1.11")]
async fn legacy_config(
    server: Server,
    _: Call<get_media_config::v3::Request>,
) -> Result<get_media_config::v3::Response> {
    Ok(get_media_config::v3::Response::new(upload_size(&server)))
}

/// 404 for files of other servers: this one does not federate.
fn own(server: &Server, name: &ServerName) -> Result<()> {
    if name == server.config.server_name {
        return Ok(());
    }
    Err(Error::not_found(
        "This server has no files of other servers",
    ))
}

/// 404 for people without an account, unless the configuration serves them as it was before Matrix 1.11.
fn legacy(server: &Server) -> Result<()> {
    if server.config.media.allow_legacy_media {
        return Ok(());
    }
    Err(Error::not_found(
        "Files are served to users only: /_matrix/client/v1/media",
    ))
}

/// A file as it goes out: bytes, type, and whether it is shown or saved.
struct Served(Vec<u8>, String, ContentDisposition);

impl Served {
    fn new(content: Content, file_name: Option<String>) -> Self {
        let content_type = content
            .content_type
            .unwrap_or_else(|| UNKNOWN_TYPE.to_owned());
        let essence = content_type.split(';').next().unwrap_or_default().trim();
        let safe = INLINE.iter().any(|safe| safe.eq_ignore_ascii_case(essence));
        let disposition = if safe {
            ContentDispositionType::Inline
        } else {
            ContentDispositionType::Attachment
        };
        let name = file_name.or(content.file_name);
        Self(
            content.bytes,
            content_type,
            ContentDisposition::new(disposition).with_filename(name),
        )
    }

    async fn file(
        server: &Server,
        (name, id): (&ServerName, &str),
        file_name: Option<String>,
        patience: Duration,
    ) -> Result<Self> {
        own(server, name)?;
        let content = server.media.download(id, patience).await?;
        Ok(Self::new(content, file_name))
    }

    async fn small(
        server: &Server,
        (name, id): (&ServerName, &str),
        (width, height, method): (UInt, UInt, Option<Method>),
        patience: Duration,
    ) -> Result<Self> {
        own(server, name)?;
        if width == UInt::MIN || height == UInt::MIN {
            return Err(Error::invalid("A thumbnail has a width and a height"));
        }
        let fit = match method {
            Some(Method::Crop) => Fit::Crop,
            _ => Fit::Scale,
        };
        let size = Size::rounded(width.into(), height.into(), fit);
        let content = server.media.thumbnail(id, size, patience).await?;
        Ok(Self::new(content, None))
    }
}

async fn download(
    server: Server,
    call: Call<authenticated_media::get_content::v1::Request>,
) -> Result<authenticated_media::get_content::v1::Response> {
    let body = call.body;
    let media = (&*body.server_name, &*body.media_id);
    let Served(bytes, kind, how) = Served::file(&server, media, None, body.timeout_ms).await?;
    Ok(authenticated_media::get_content::v1::Response::new(
        bytes, kind, how,
    ))
}

async fn download_as(
    server: Server,
    call: Call<authenticated_media::get_content_as_filename::v1::Request>,
) -> Result<authenticated_media::get_content_as_filename::v1::Response> {
    let body = call.body;
    let media = (&*body.server_name, &*body.media_id);
    let name = Some(body.filename);
    let Served(bytes, kind, how) = Served::file(&server, media, name, body.timeout_ms).await?;
    Ok(authenticated_media::get_content_as_filename::v1::Response::new(bytes, kind, how))
}

async fn thumbnail(
    server: Server,
    call: Call<authenticated_media::get_content_thumbnail::v1::Request>,
) -> Result<authenticated_media::get_content_thumbnail::v1::Response> {
    let body = call.body;
    let media = (&*body.server_name, &*body.media_id);
    let size = (body.width, body.height, body.method);
    let Served(bytes, kind, how) = Served::small(&server, media, size, body.timeout_ms).await?;
    Ok(authenticated_media::get_content_thumbnail::v1::Response::new(bytes, kind, how))
}

#[allow(deprecated, reason = "clients from before Matrix 1.11")]
async fn legacy_download(
    server: Server,
    call: Call<get_content::v3::Request>,
) -> Result<get_content::v3::Response> {
    legacy(&server)?;
    let body = call.body;
    let media = (&*body.server_name, &*body.media_id);
    let Served(bytes, kind, how) = Served::file(&server, media, None, body.timeout_ms).await?;
    Ok(get_content::v3::Response::new(bytes, kind, how))
}

#[allow(deprecated, reason = "clients from before Matrix 1.11")]
async fn legacy_download_as(
    server: Server,
    call: Call<get_content_as_filename::v3::Request>,
) -> Result<get_content_as_filename::v3::Response> {
    legacy(&server)?;
    let body = call.body;
    let media = (&*body.server_name, &*body.media_id);
    let name = Some(body.filename);
    let Served(bytes, kind, how) = Served::file(&server, media, name, body.timeout_ms).await?;
    Ok(get_content_as_filename::v3::Response::new(bytes, kind, how))
}

#[allow(deprecated, reason = "clients from before Matrix 1.11")]
async fn legacy_thumbnail(
    server: Server,
    call: Call<get_content_thumbnail::v3::Request>,
) -> Result<get_content_thumbnail::v3::Response> {
    legacy(&server)?;
    let body = call.body;
    let media = (&*body.server_name, &*body.media_id);
    let size = (body.width, body.height, body.method);
    let Served(bytes, kind, how) = Served::small(&server, media, size, body.timeout_ms).await?;
    Ok(get_content_thumbnail::v3::Response::new(bytes, kind, how))
}
