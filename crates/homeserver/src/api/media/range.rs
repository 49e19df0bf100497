//! How much of a file is sent: all of it, one range, or nothing, because the client has it already.
//!
//! A file never changes, so its tag is good for ever. Several ranges in one request are answered with all of it, as is a range that
//! cannot be read; both are allowed. Spec: <https://www.rfc-editor.org/rfc/rfc9110#name-range-requests>,
//! <https://www.rfc-editor.org/rfc/rfc9110#name-if-none-match>

use std::{io::SeekFrom, ops::RangeInclusive};

use axum::{body::Body, response::Response};
use http::{HeaderMap, HeaderName, StatusCode, header};
use http_range_header::parse_range_header;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

use crate::{
    error::{Error, Result},
    media::Content,
    store::StoreError,
};

/// How much of a file is in memory at a time, in bytes.
const PIECE_BYTES: usize = 64 << 10;

/// What is sent.
#[derive(Debug, PartialEq, Eq)]
enum ByteRange {
    /// The client has it.
    Nothing,
    /// All of it.
    Whole,
    /// These bytes, the last one included.
    Range(RangeInclusive<u64>),
    /// The file is shorter than that.
    Beyond,
}

/// The answer to a request with these headers.
pub(super) async fn respond(content: Content, headers: &HeaderMap) -> Result<Response> {
    let (tag, bytes) = (format!("\"{}\"", content.tag), content.bytes);
    let mut response = match part(headers, &tag, bytes) {
        ByteRange::Nothing => status(StatusCode::NOT_MODIFIED),
        ByteRange::Whole => send(content, 0, bytes).await?,
        ByteRange::Range(range) => {
            let length = range.end() - range.start() + 1;
            let mut response = send(content, *range.start(), length).await?;
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            let sent = format!("bytes {}-{}/{bytes}", range.start(), range.end());
            set(&mut response, header::CONTENT_RANGE, &sent)?;
            response
        }
        ByteRange::Beyond => {
            let mut response = status(StatusCode::RANGE_NOT_SATISFIABLE);
            set(
                &mut response,
                header::CONTENT_RANGE,
                &format!("bytes */{bytes}"),
            )?;
            response
        }
    };
    set(&mut response, header::ETAG, &tag)?;
    set(&mut response, header::ACCEPT_RANGES, "bytes")?;
    Ok(response)
}

fn part(headers: &HeaderMap, tag: &str, bytes: u64) -> ByteRange {
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if text(header::IF_NONE_MATCH).is_some_and(|known| names(known, tag)) {
        return ByteRange::Nothing;
    }
    // A range of another file is of no use to the client.
    if text(header::IF_RANGE).is_some_and(|known| known.trim() != tag) {
        return ByteRange::Whole;
    }
    // Of an empty file all there is is nothing: no range of it could be said.
    if bytes == 0 {
        return ByteRange::Whole;
    }
    let Some(Ok(ranges)) = text(header::RANGE).map(parse_range_header) else {
        return ByteRange::Whole;
    };
    match ranges.validate(bytes).as_deref() {
        Ok([range]) => ByteRange::Range(range.clone()),
        Ok(_) => ByteRange::Whole,
        Err(_) => ByteRange::Beyond,
    }
}

/// Whether a list of tags has this one. Weak ones count: what they promise less does not matter to a file that never changes.
fn names(list: &str, tag: &str) -> bool {
    list.split(',')
        .map(str::trim)
        .any(|known| known == "*" || known.trim_start_matches("W/") == tag)
}

async fn send(mut content: Content, from: u64, length: u64) -> Result<Response> {
    let found = content.file.seek(SeekFrom::Start(from)).await;
    found.map_err(StoreError::File)?;
    let pieces = ReaderStream::with_capacity(content.file.take(length), PIECE_BYTES);
    let mut response = Response::new(Body::from_stream(pieces));
    set(&mut response, header::CONTENT_LENGTH, &length.to_string())?;
    Ok(response)
}

fn status(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

fn set(response: &mut Response, name: HeaderName, text: &str) -> Result<()> {
    let value = text
        .try_into()
        .map_err(|_| Error::Broken(format!("{text} cannot be a {name}")))?;
    response.headers_mut().insert(name, value);
    Ok(())
}
