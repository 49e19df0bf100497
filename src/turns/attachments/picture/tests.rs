//! Real pictures, made here, through the real decoders.

use image::{
    ColorType, Frame, ImageEncoder, Rgb, Rgba, RgbaImage,
    codecs::{gif::GifEncoder, png::PngEncoder, webp::WebPEncoder},
};

use super::*;

/// A picture in which neighbors differ, as in a photograph: it cannot be packed into almost nothing.
fn photograph(width: u32, height: u32) -> RgbImage {
    let mut state = 1_u32;
    RgbImage::from_fn(width, height, |x, y| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let [noise, ..] = state.to_be_bytes();
        let value = |at: u32| u8::try_from(at % 200).unwrap() + noise % 50;
        Rgb([value(x / 8), value(y / 8), value((x + y) / 16)])
    })
}

fn encoded(picture: &DynamicImage, format: ImageFormat) -> Bytes {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner().into()
}

fn jpeg(picture: &RgbImage, quality: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    let encoder = JpegEncoder::new_with_quality(&mut bytes, quality);
    picture.write_with_encoder(encoder).unwrap();
    bytes
}

fn red(width: u32, height: u32) -> RgbaImage {
    RgbaImage::from_pixel(width, height, Rgba([255, 0, 0, 255]))
}

/// What came of it: its type, its size in pixels, and itself.
fn prepared(bytes: &Bytes) -> (String, (u32, u32), DynamicImage) {
    let image = prepare(bytes).unwrap();
    assert!(image.bytes.len() <= PICTURE_BYTES_MAX);
    let format = ImageFormat::from_mime_type(&image.mimetype).expect("a known type");
    let picture = image::load_from_memory_with_format(&image.bytes, format).expect("it is whole");
    let size = (picture.width(), picture.height());
    (image.mimetype, size, picture)
}

#[test]
fn small_png_and_jpeg_stay_byte_for_byte() {
    let picture = DynamicImage::ImageRgb8(photograph(300, 200));
    for format in [ImageFormat::Png, ImageFormat::Jpeg] {
        let bytes = encoded(&picture, format);
        let image = prepare(&bytes).unwrap();
        assert_eq!(image.mimetype, format.to_mime_type());
        assert_eq!(image.bytes, bytes);
    }
}

#[test]
fn large_photograph_is_scaled_and_stays_a_photograph() {
    // 12 megapixels, and more bytes than a model takes.
    let bytes = Bytes::from(jpeg(&photograph(4_000, 3_000), 95));
    assert!(bytes.len() > PICTURE_BYTES_MAX, "{} bytes", bytes.len());
    let (mimetype, size, _) = prepared(&bytes);
    assert_eq!((mimetype.as_str(), size), ("image/jpeg", (2_000, 1_500)));
}

#[test]
fn photograph_that_lies_on_its_side_is_turned() {
    let mut bytes = jpeg(&photograph(40, 20), 90);
    // EXIF, with one entry: the top of the picture is on its right (6).
    let exif =
        b"\xff\xe1\x00\x22Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    bytes.splice(2..2, exif.iter().copied());
    let (mimetype, size, _) = prepared(&bytes.into());
    assert_eq!((mimetype.as_str(), size), ("image/jpeg", (20, 40)));
}

#[test]
fn of_a_moving_picture_the_first_frame_is_shown() {
    let mut bytes = Vec::new();
    {
        let mut gif = GifEncoder::new(&mut bytes);
        let blue = RgbaImage::from_pixel(30, 20, Rgba([0, 0, 255, 255]));
        for frame in [red(30, 20), blue] {
            gif.encode_frame(Frame::new(frame)).unwrap();
        }
    }
    let (mimetype, size, picture) = prepared(&bytes.into());
    assert_eq!((mimetype.as_str(), size), ("image/png", (30, 20)));
    let [r, _, b] = picture.to_rgb8().get_pixel(5, 5).0;
    assert!(r > 200 && b < 50, "{r} {b}");
}

#[test]
fn other_kinds_become_png_and_stay_transparent() {
    let mut clear = red(16, 8);
    clear.put_pixel(0, 0, Rgba([0, 0, 0, 0]));
    let mut bytes = Vec::new();
    let encoder = WebPEncoder::new_lossless(&mut bytes);
    let pixels = clear.as_raw();
    encoder
        .encode(pixels, 16, 8, ColorType::Rgba8.into())
        .unwrap();
    let (mimetype, size, picture) = prepared(&bytes.into());
    assert_eq!((mimetype.as_str(), size), ("image/png", (16, 8)));
    assert_eq!(picture.to_rgba8().get_pixel(0, 0).0[3], 0);
}

#[test]
fn picture_that_packs_badly_becomes_a_photograph_on_white() {
    let noise = photograph(1_900, 1_900);
    let mut state = 7_u32;
    let noise = RgbaImage::from_fn(1_900, 1_900, |x, y| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let [r, g, _] = noise.get_pixel(x, y).0;
        Rgba([r, g, state.to_be_bytes()[0], u8::from(x > 16) * 255])
    });
    let bytes = encoded(&DynamicImage::ImageRgba8(noise), ImageFormat::Png);
    assert!(bytes.len() > PICTURE_BYTES_MAX, "{} bytes", bytes.len());
    let (mimetype, _, picture) = prepared(&bytes);
    assert_eq!(mimetype, "image/jpeg");
    let [r, g, b] = picture.to_rgb8().get_pixel(2, 2).0;
    assert!(r > 230 && g > 230 && b > 230, "{r} {g} {b}");
}

#[test]
fn broken_pictures_are_found_before_a_model_sees_them() {
    let picture = DynamicImage::ImageRgb8(photograph(64, 64));
    let whole = encoded(&picture, ImageFormat::Png);
    let cut = whole.slice(..whole.len() / 2);
    let mut flipped = whole.to_vec();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x55;
    for bytes in [
        cut,
        whole.slice(..30),
        flipped.into(),
        Bytes::from_static(b"GIF89a"),
        Bytes::from_static(b"%PDF-1.7"),
        Bytes::from_static(b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
        Bytes::from_static(b"RIFF\x10\0\0\0WEBPVP8L"),
        Bytes::new(),
    ] {
        let begin = &bytes[..bytes.len().min(12)];
        assert_eq!(prepare(&bytes), Err(NotShown::Unreadable), "{begin:?}");
    }
}

/// A PNG that says it is so large and has next to nothing in it.
fn claims(width: u32, height: u32) -> Bytes {
    let mut bytes = Vec::new();
    let encoder = PngEncoder::new(&mut bytes);
    encoder
        .write_image(&[0, 0, 0], 1, 1, ColorType::Rgb8.into())
        .unwrap();
    // The first chunk's width and height, and its checksum.
    bytes[16..20].copy_from_slice(&width.to_be_bytes());
    bytes[20..24].copy_from_slice(&height.to_be_bytes());
    let sum = crc32(&bytes[12..29]);
    bytes[29..33].copy_from_slice(&sum.to_be_bytes());
    bytes.into()
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut sum = u32::MAX;
    for byte in bytes {
        sum ^= u32::from(*byte);
        for _ in 0..8 {
            let bit = sum & 1;
            sum = (sum >> 1) ^ (bit * 0xedb8_8320);
        }
    }
    !sum
}

#[test]
fn decompression_bomb_is_refused_by_its_header() {
    // Each would take gigabytes; that it is refused at once shows that no pixel was decoded.
    for (width, height) in [(50_000, 50_000), (60_000, 60_000), (1, 60_000_000)] {
        let refused = prepare(&claims(width, height));
        assert_eq!(refused, Err(NotShown::TooManyPixels { width, height }));
    }
    // A GIF whose screen is as large as one can be.
    let gif = b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x02\x02L\x01\0;";
    let refused = prepare(&Bytes::from_static(gif));
    let (width, height) = (65_535, 65_535);
    assert_eq!(refused, Err(NotShown::TooManyPixels { width, height }));
    // What is long and thin, but no bomb, is made small.
    let thin = DynamicImage::ImageRgba8(red(20_000, 1));
    let (_, size, _) = prepared(&encoded(&thin, ImageFormat::Png));
    assert_eq!(size, (2_000, 1));
}
