//! Pictures made here: an identicon for each agent, one mark for the bot and the space. Pure.
//!
//! Promises: the picture of an agent depends on its id alone and is the same for ever; what is drawn can be told from its background by
//! everybody (a contrast of at least `CONTRAST_MIN`), in light and dark clients; nothing that matters is cut off where clients show
//! pictures round.

use std::{fmt::Write, io::Cursor};

use image::{ImageFormat, Rgb, RgbImage};
use letta_client::AgentId;
use sha2::{Digest, Sha256};

/// Width and height of a picture, in pixels.
pub const SIZE: u32 = 128;
/// Changes whenever pictures are drawn in another way: then those of earlier versions are replaced.
const STYLE: &str = "1";
/// How many cells a picture has in each direction; the right half mirrors the left.
const CELLS: u32 = 5;
/// Width and height of a cell, in pixels. All cells together lie in the circle that clients cut out.
const CELL: u32 = 16;
/// How many of the 15 cells that are drawn freely are filled at least, and are empty at least.
const CELLS_MIN: u32 = 5;
/// The contrast of drawing and background, as WCAG 2 computes it for large shapes, and more.
const CONTRAST_MIN: f64 = 4.5;

const WHITE: Rgb<u8> = Rgb([255, 255, 255]);
/// The background of the bot and of the space.
const MARK_BACKGROUND: Rgb<u8> = Rgb([38, 38, 54]);

/// A picture that can be uploaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Its bytes: PNG.
    pub png: Vec<u8>,
    /// What it is called.
    pub file_name: &'static str,
}

/// Names the picture that an agent shall have now: another name is another picture.
pub fn agent_picture_hash(id: &AgentId) -> String {
    hex(&digest(id)[..16])
}

/// The picture of an agent.
///
/// # Errors
///
/// If it cannot be encoded.
pub fn agent_picture(id: &AgentId) -> Result<Picture, image::ImageError> {
    let digest = digest(id);
    let mut picture = RgbImage::from_pixel(SIZE, SIZE, background(&digest));
    let pattern = pattern(&digest);
    let margin = (SIZE - CELLS * CELL) / 2;
    for column in 0..CELLS {
        for row in 0..CELLS {
            let mirrored = column.min(CELLS - 1 - column);
            if pattern & (1 << (mirrored * CELLS + row)) != 0 {
                fill(
                    &mut picture,
                    (margin + column * CELL, margin + row * CELL),
                    (CELL, CELL),
                );
            }
        }
    }
    encode(&picture, "agent.png")
}

/// The picture of the bot and of the space: an L.
///
/// # Errors
///
/// If it cannot be encoded.
pub fn mark() -> Result<Picture, image::ImageError> {
    let mut picture = RgbImage::from_pixel(SIZE, SIZE, MARK_BACKGROUND);
    let (left, top, length, thick) = (44, 32, 64, 16);
    fill(&mut picture, (left, top), (thick, length));
    fill(&mut picture, (left, top + length - thick), (44, thick));
    encode(&picture, "letta.png")
}

fn digest(id: &AgentId) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(STYLE);
    hash.update([0]);
    hash.update(id.as_str());
    hash.finalize().into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Which of the 15 free cells are filled, one bit each: enough to be seen, and not all.
fn pattern(digest: &[u8; 32]) -> u16 {
    const ALL: u16 = (1 << 15) - 1;
    let candidates = digest.windows(2).skip(2);
    let mut patterns = candidates.map(|pair| u16::from_be_bytes([pair[0], pair[1]]) & ALL);
    let fits = |pattern: &u16| (CELLS_MIN..=15 - CELLS_MIN).contains(&pattern.count_ones());
    // Nearly every candidate fits, so that none of thirty does never happens.
    patterns.find(fits).unwrap_or(0b10101_01110_11011)
}

/// A color of any hue, as dark as white shapes need it.
fn background(digest: &[u8; 32]) -> Rgb<u8> {
    let hue = f64::from(u16::from_be_bytes([digest[0], digest[1]])) / 65_536.0 * 360.0;
    let saturation = 0.55 + f64::from(digest[2]) / 255.0 * 0.25;
    let mut lightness = 0.5;
    loop {
        let color = rgb(hue, saturation, lightness);
        if lightness <= 0.1 || contrast(color, WHITE) >= CONTRAST_MIN {
            return color;
        }
        lightness -= 0.02;
    }
}

/// The color with this hue in degrees, saturation and lightness.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between 0 and 255"
)]
fn rgb(hue: f64, saturation: f64, lightness: f64) -> Rgb<u8> {
    let amplitude = saturation * lightness.min(1.0 - lightness);
    let channel = |offset: f64| {
        let k = (offset + hue / 30.0) % 12.0;
        let value = lightness - amplitude * (k - 3.0).min(9.0 - k).clamp(-1.0, 1.0);
        (value * 255.0).round().clamp(0.0, 255.0) as u8
    };
    Rgb([channel(0.0), channel(8.0), channel(4.0)])
}

/// How well two colors can be told apart, from 1 to 21
/// ([WCAG 2](https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio)).
fn contrast(one: Rgb<u8>, other: Rgb<u8>) -> f64 {
    let (one, other) = (luminance(one), luminance(other));
    (one.max(other) + 0.05) / (one.min(other) + 0.05)
}

fn luminance(color: Rgb<u8>) -> f64 {
    let linear = color.0.map(|channel| {
        let value = f64::from(channel) / 255.0;
        if value <= 0.04045 {
            value / 12.92
        } else {
            ((value + 0.055) / 1.055).powf(2.4)
        }
    });
    0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
}

fn fill(picture: &mut RgbImage, (left, top): (u32, u32), (width, height): (u32, u32)) {
    for x in left..left + width {
        for y in top..top + height {
            picture.put_pixel(x, y, WHITE);
        }
    }
}

fn encode(picture: &RgbImage, file_name: &'static str) -> Result<Picture, image::ImageError> {
    let mut png = Cursor::new(Vec::new());
    picture.write_to(&mut png, ImageFormat::Png)?;
    let png = png.into_inner();
    Ok(Picture { png, file_name })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn id(number: u32) -> AgentId {
        format!("agent-{number:08x}-4773-4e6d-9a5c-2f1b0a9c8d7e")
            .parse()
            .unwrap()
    }

    #[test]
    fn picture_of_an_agent_is_its_own_for_ever() {
        let made: BTreeSet<Vec<u8>> = (0..200)
            .map(|n| agent_picture(&id(n)).unwrap().png)
            .collect();
        assert_eq!(made.len(), 200);
        assert_eq!(
            agent_picture(&id(7)).unwrap(),
            agent_picture(&id(7)).unwrap()
        );
        assert_eq!(agent_picture_hash(&id(7)).len(), 32);
        insta::assert_snapshot!(agent_picture_hash(&id(7)), @"e38baef81f6a1319de500cba8ddc04b4");
    }

    #[test]
    fn shapes_can_be_told_from_their_background_and_lie_in_the_circle() {
        let radius = f64::from(SIZE) / 2.0;
        let from_center = |x: u32, y: u32| {
            let (x, y) = (f64::from(x) + 0.5 - radius, f64::from(y) + 0.5 - radius);
            x.hypot(y)
        };
        let pictures = (0..500).map(|number| agent_picture(&id(number)).unwrap());
        for picture in pictures.chain([mark().unwrap()]) {
            let read = image::load_from_memory(&picture.png).unwrap().to_rgb8();
            assert_eq!(read.dimensions(), (SIZE, SIZE));
            let background = *read.get_pixel(0, 0);
            assert!(
                contrast(background, WHITE) >= CONTRAST_MIN,
                "{background:?}"
            );
            let shape: Vec<_> = read
                .enumerate_pixels()
                .filter(|pixel| *pixel.2 == WHITE)
                .collect();
            let share = shape.len() * 100 / (SIZE * SIZE) as usize;
            assert!((7..=32).contains(&share), "{share} % are filled");
            assert!(shape.iter().all(|(x, y, _)| from_center(*x, *y) < radius));
            assert!(picture.png.len() < 10_000);
        }
    }

    #[test]
    fn colors_are_computed_as_css_does() {
        for ((hue, saturation, lightness), color) in [
            ((0.0, 1.0, 0.5), [255, 0, 0]),
            ((120.0, 1.0, 0.25), [0, 128, 0]),
            ((240.0, 1.0, 0.5), [0, 0, 255]),
            ((210.0, 0.5, 0.4), [51, 102, 153]),
        ] {
            assert_eq!(rgb(hue, saturation, lightness).0, color);
        }
        assert!((contrast(Rgb([0, 0, 0]), WHITE) - 21.0).abs() < 0.01);
    }
}
