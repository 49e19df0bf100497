//! Pictures made small, once for each size, and kept.
//!
//! A picture is untrusted: nothing of it is read before its turn, its size is read before its pixels are, what the decoder may
//! allocate is limited, and it works off the async threads, with few others at the same time, of which one user has a share. The
//! turn is over when the thread is done, also if whoever asked has hung up. Of a moving picture the first frame is taken.
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#thumbnails>

use std::{
    fs::File,
    io::{BufReader, Cursor},
    time::Duration,
};

use http::StatusCode;
use image::{
    DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, codecs::jpeg::JpegEncoder,
    metadata::Orientation,
};
use ruma::api::error::ErrorKind;

use super::{Content, Media, Upload, record::Thumbnail, unknown_media};
use crate::{
    error::{Error, Result},
    holder::Holder,
    store::{StoreError, tables},
};

/// The sizes that thumbnails are made in, smallest first: those of the specification. What is asked for is rounded up to one.
const SIZES: [(u32, u32); 5] = [(32, 32), (96, 96), (320, 240), (640, 480), (800, 600)];
/// What a decoder may allocate for each pixel that a picture may have, in bytes: four channels of 16 bits.
const BYTES_PER_PIXEL: u64 = 8;
/// The quality of a JPEG, in percent.
const JPEG_QUALITY: u8 = 80;

/// How a picture is fitted into a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// It fills the size, and what stands out is cut off.
    Crop,
    /// It is all there and stays within the size.
    Scale,
}

/// One of the sizes that thumbnails are made in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    width: u32,
    height: u32,
    fit: Fit,
}

impl Size {
    /// The size that is served for what was asked.
    pub fn rounded(width: u64, height: u64, fit: Fit) -> Self {
        let large_enough =
            |size: &&(u32, u32)| u64::from(size.0) >= width && u64::from(size.1) >= height;
        let largest = SIZES[SIZES.len() - 1];
        let (width, height) = SIZES.iter().find(large_enough).copied().unwrap_or(largest);
        Self { width, height, fit }
    }

    /// How it is called in the database and on disk.
    fn name(self) -> String {
        let fit = match self.fit {
            Fit::Crop => "crop",
            Fit::Scale => "scale",
        };
        format!("{}x{}-{fit}", self.width, self.height)
    }
}

/// What came of a picture.
enum Made {
    /// It is small enough as it is.
    AsItIs,
    /// A smaller one.
    Smaller(&'static str, Vec<u8>),
}

impl Media {
    /// A small version of a picture. A picture that is small already, or of a kind that only clients can read, is given as it is.
    ///
    /// # Errors
    ///
    /// As [`Media::download`]; 400 `M_UNKNOWN` if it is no picture, 413 if it has too many pixels.
    pub async fn thumbnail(
        &self,
        id: &str,
        size: Size,
        patience: Duration,
        holder: &Holder,
    ) -> Result<Content> {
        let original = self.wait_for(id, patience).await?;
        if let Some(made) = self.made(id, size).await? {
            return Ok(made);
        }
        let turn = self.inner.thumbnails.acquire(holder, 1).await?;
        // Somebody else may have asked for the same one meanwhile.
        if let Some(made) = self.made(id, size).await? {
            return Ok(made);
        }
        let (disk, name) = (self.inner.disk.clone(), id.to_owned());
        let max_pixels = self.inner.limits.media_thumbnail_max_pixels;
        let working = tokio::task::spawn_blocking(move || {
            let file = disk.open_blocking(&name).transpose();
            let made = file
                .ok_or_else(unknown_media)
                .flatten()
                .and_then(|file| make(file, original.content_type.as_deref(), size, max_pixels));
            (made, turn)
        });
        let working = working.await.map_err(|_| Error::Store(StoreError::Lost))?;
        // Held until the thumbnail is kept, so that whoever waits for the same one finds it.
        let (made, _turn) = working;
        match made? {
            Made::AsItIs => self.download(id, Duration::ZERO).await,
            Made::Smaller(content_type, bytes) => {
                self.keep_thumbnail(id, size, content_type, bytes).await?;
                self.made(id, size).await?.ok_or_else(unknown_media)
            }
        }
    }

    /// A thumbnail that was made before.
    async fn made(&self, id: &str, size: Size) -> Result<Option<Content>> {
        let name = size.name();
        let row = self.inner.store.get::<tables::Thumbnails>((id, &*name))?;
        let Some(row) = row else { return Ok(None) };
        let tag = file_of(id, &name);
        let file = self.inner.disk.open_file(&tag).await?;
        Ok(file.map(|file| Content {
            file,
            bytes: row.bytes,
            tag,
            content_type: Some(row.content_type),
            file_name: None,
        }))
    }

    async fn keep_thumbnail(
        &self,
        id: &str,
        size: Size,
        content_type: &str,
        bytes: Vec<u8>,
    ) -> Result<()> {
        let name = size.name();
        let upload = Upload::whole(bytes, None);
        let received = self.inner.disk.receive(upload.pieces).await?;
        let row = Thumbnail {
            content_type: content_type.to_owned(),
            bytes: received.bytes,
        };
        self.inner.disk.keep(received, &file_of(id, &name)).await?;
        let key = (id, &*name);
        Ok(self
            .inner
            .store
            .put::<tables::Thumbnails>(key, &row)
            .await?)
    }
}

/// How the thumbnail of this size is called on disk.
fn file_of(id: &str, size: &str) -> String {
    format!("{id}.{size}")
}

fn unreadable() -> Error {
    Error::bad_request(
        ErrorKind::Unknown,
        "The file is no picture that this server can make a thumbnail of",
    )
}

/// Width and height of a picture in pixels, read without decoding it; nothing if it is none.
pub(super) fn dimensions(bytes: &[u8]) -> Option<(u32, u32)> {
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format();
    reader.ok()?.into_dimensions().ok()
}

/// Whether it is said to be a picture of a kind that only clients can read: they can show it, as it is.
fn is_foreign_picture(content_type: Option<&str>) -> bool {
    content_type.is_some_and(|kind| {
        kind.starts_with("image/")
            && !ImageFormat::from_mime_type(kind).is_some_and(|format| format.reading_enabled())
    })
}

/// Decodes the picture within the limits, and makes it small.
fn make(file: File, content_type: Option<&str>, size: Size, max_pixels: u64) -> Result<Made> {
    let reader = ImageReader::new(BufReader::new(file)).with_guessed_format();
    let reader = reader.map_err(|_| unreadable())?;
    let Some(format) = reader.format().filter(ImageFormat::reading_enabled) else {
        return if is_foreign_picture(content_type) {
            Ok(Made::AsItIs)
        } else {
            Err(unreadable())
        };
    };
    let mut decoder = reader.into_decoder().map_err(|_| unreadable())?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > max_pixels {
        return Err(Error::refused(
            StatusCode::PAYLOAD_TOO_LARGE,
            ErrorKind::TooLarge,
            format!("The picture has {width} times {height} pixels; {max_pixels} is the most"),
        ));
    }
    let mut limits = Limits::default();
    limits.max_alloc = Some(max_pixels.saturating_mul(BYTES_PER_PIXEL));
    decoder.set_limits(limits).map_err(|_| unreadable())?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    if width <= size.width && height <= size.height && orientation == Orientation::NoTransforms {
        return Ok(Made::AsItIs);
    }
    let mut picture = DynamicImage::from_decoder(decoder).map_err(|_| unreadable())?;
    picture.apply_orientation(orientation);
    encode(&shrink(&picture, size), format)
}

/// Cuts first and shrinks then, so that nothing is ever larger than the picture was, however long and thin it is.
fn shrink(picture: &DynamicImage, size: Size) -> DynamicImage {
    let (width, height) = (picture.width(), picture.height());
    match size.fit {
        Fit::Crop => {
            // A side of what is left is never longer than that of the picture, which fits into 32 bits.
            let part = |side: u32, of: u32, to: u32| {
                let part = u64::from(side) * u64::from(of) / u64::from(to);
                u32::try_from(part).unwrap_or(u32::MAX).max(1)
            };
            let cut_width = part(height, size.width, size.height).min(width);
            let cut_height = part(width, size.height, size.width).min(height);
            let (left, top) = ((width - cut_width) / 2, (height - cut_height) / 2);
            picture
                .crop_imm(left, top, cut_width, cut_height)
                .thumbnail_exact(size.width, size.height)
        }
        // Nothing is made larger than it is.
        Fit::Scale => picture.thumbnail(size.width.min(width), size.height.min(height)),
    }
}

/// A photograph stays one; everything else may be transparent.
fn encode(picture: &DynamicImage, format: ImageFormat) -> Result<Made> {
    let mut bytes = Vec::new();
    let (content_type, written) = if format == ImageFormat::Jpeg {
        let encoder = JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY);
        ("image/jpeg", picture.to_rgb8().write_with_encoder(encoder))
    } else {
        let mut cursor = Cursor::new(&mut bytes);
        let picture = DynamicImage::ImageRgba8(picture.to_rgba8());
        ("image/png", picture.write_to(&mut cursor, ImageFormat::Png))
    };
    written.map_err(|error| Error::Broken(format!("a thumbnail cannot be written: {error}")))?;
    Ok(Made::Smaller(content_type, bytes))
}
