//! The bytes of a picture as a model takes them: PNG or JPEG, upright, not too large.
//!
//! A picture is untrusted. What it is, is read from its first bytes; how many pixels it has, before one of them is decoded; and all
//! of it is decoded, so that a damaged one is found here and not by the provider of a model, which would fail the turn. Of a moving
//! picture the first frame is taken. A PNG or JPEG that is small enough stays as it is, byte for byte.

use std::io::Cursor;

use bytes::Bytes;
use image::{
    DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbImage,
    codecs::jpeg::JpegEncoder, metadata::Orientation,
};
use letta_client::Image;

use super::NotShown;

/// The longest side of a picture, in pixels. Letta Code, and many providers, make larger ones smaller themselves.
pub(super) const SIDE_MAX: u32 = 2_000;
/// The largest picture, in bytes: as base64 it has 5 MiB, the least that providers take.
pub(super) const PICTURE_BYTES_MAX: usize = 3_840 * 1024;
/// The most pixels of a picture that is made smaller: those of the largest cameras of phones.
const PIXELS_MAX: u64 = 52_000_000;
/// What the pixels of a picture may take in memory, in bytes.
const DECODED_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// The qualities in which a JPEG is tried, in percent.
const JPEG_QUALITIES: [u8; 4] = [85, 70, 55, 40];

/// Makes a picture into what a model takes.
pub(super) fn prepare(bytes: &Bytes) -> Result<Image, NotShown> {
    let (picture, format, is_upright) = decode(bytes)?;
    let fits = picture.width() <= SIDE_MAX && picture.height() <= SIDE_MAX;
    let stays = matches!(format, ImageFormat::Png | ImageFormat::Jpeg);
    if fits && is_upright && stays && bytes.len() <= PICTURE_BYTES_MAX {
        return Ok(image(format, bytes.clone()));
    }
    let picture = if fits {
        picture
    } else {
        picture.thumbnail(SIDE_MAX, SIDE_MAX)
    };
    encode(picture, format).ok_or(NotShown::Unreadable)
}

/// All pixels of a picture, the right way up; what it was, and whether it stood the right way.
fn decode(bytes: &[u8]) -> Result<(DynamicImage, ImageFormat, bool), NotShown> {
    let unreadable = |_| NotShown::Unreadable;
    let mut limits = Limits::default();
    limits.max_alloc = Some(DECODED_BYTES_MAX);
    let mut reader = ImageReader::new(Cursor::new(bytes))
        .with_guessed_format()
        .map_err(|_| NotShown::Unreadable)?;
    reader.limits(limits.clone());
    let format = reader.format().filter(ImageFormat::reading_enabled);
    let format = format.ok_or(NotShown::Unreadable)?;
    let mut decoder = reader.into_decoder().map_err(unreadable)?;
    let (width, height) = decoder.dimensions();
    let too_many = u64::from(width) * u64::from(height) > PIXELS_MAX;
    if too_many || decoder.total_bytes() > DECODED_BYTES_MAX {
        return Err(NotShown::TooManyPixels { width, height });
    }
    decoder.set_limits(limits).map_err(unreadable)?;
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut picture = DynamicImage::from_decoder(decoder).map_err(unreadable)?;
    picture.apply_orientation(orientation);
    Ok((picture, format, orientation == Orientation::NoTransforms))
}

/// A photograph stays one; anything else may be transparent, and becomes a photograph only if it is too large.
fn encode(mut picture: DynamicImage, format: ImageFormat) -> Option<Image> {
    if format != ImageFormat::Jpeg {
        let mut bytes = Cursor::new(Vec::new());
        let png = if picture.color().has_alpha() {
            DynamicImage::ImageRgba8(picture.to_rgba8())
        } else {
            DynamicImage::ImageRgb8(picture.to_rgb8())
        };
        png.write_to(&mut bytes, ImageFormat::Png).ok()?;
        let bytes = bytes.into_inner();
        if bytes.len() <= PICTURE_BYTES_MAX {
            return Some(image(ImageFormat::Png, bytes.into()));
        }
    }
    loop {
        let opaque = on_white(&picture);
        for quality in JPEG_QUALITIES {
            let mut bytes = Vec::new();
            let encoder = JpegEncoder::new_with_quality(&mut bytes, quality);
            opaque.write_with_encoder(encoder).ok()?;
            if bytes.len() <= PICTURE_BYTES_MAX {
                return Some(image(ImageFormat::Jpeg, bytes.into()));
            }
        }
        let side = picture.width().max(picture.height()) / 2;
        if side == 0 {
            return None;
        }
        picture = picture.thumbnail(side, side);
    }
}

/// A picture without what is transparent of it.
fn on_white(picture: &DynamicImage) -> RgbImage {
    if !picture.color().has_alpha() {
        return picture.to_rgb8();
    }
    let over_white = |value: u8, alpha: u8| {
        let (value, alpha) = (u16::from(value), u16::from(alpha));
        u8::try_from((value * alpha + 255 * (255 - alpha)) / 255).unwrap_or(u8::MAX)
    };
    let picture = picture.to_rgba8();
    RgbImage::from_fn(picture.width(), picture.height(), |x, y| {
        let [r, g, b, a] = picture.get_pixel(x, y).0;
        [over_white(r, a), over_white(g, a), over_white(b, a)].into()
    })
}

fn image(format: ImageFormat, bytes: Bytes) -> Image {
    Image {
        mimetype: format.to_mime_type().to_owned(),
        bytes,
    }
}

#[cfg(test)]
mod tests;
