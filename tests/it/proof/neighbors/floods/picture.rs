//! A picture of a given size in bytes.

use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ExtendedColorType, ImageEncoder};

/// A gray square as PNG without compression, of about three times `side * side` bytes.
pub fn png(side: u32) -> Vec<u8> {
    let pixels = vec![0x7f; 3 * side as usize * side as usize];
    let mut file = Vec::new();
    PngEncoder::new_with_quality(
        &mut file,
        CompressionType::Uncompressed,
        FilterType::NoFilter,
    )
    .write_image(&pixels, side, side, ExtendedColorType::Rgb8)
    .expect("a picture");
    file
}
