//! A text that one event cannot hold, as several.
//!
//! Every part is Markdown of its own and renders within [`EVENT_BYTES_MAX`] as an edit. While an
//! agent writes, the parts before the last stay as they are: a part ends at the last good place
//! that fits, and what comes later does not fit.
//!
//! [`EVENT_BYTES_MAX`]: super::EVENT_BYTES_MAX

use super::{
    Rendered, SOURCE_BYTES_MAX,
    blocks::{Blocks, Cut},
    clean, to_html, to_raw_html,
};

/// A part ends at a paragraph's end unless a line's end makes it more than this many times as long.
const LINE_OVER_PARAGRAPH: usize = 2;

/// If a place that promised to fit does not, the last one in so many before it are given up.
const STEP_BACK: usize = 16;

/// Cuts Markdown into parts that each fit one event, in order and none empty. A text without
/// words has no parts.
///
/// A cut is at the end of a paragraph, else of a line, else of a word, else of a character. A
/// code block that is cut is closed and opened again with its language, a table that is cut
/// repeats its header and keeps its rows whole (unless one row is longer than an event).
pub fn split(markdown: &str) -> Vec<String> {
    let mut parts = Vec::new();
    let mut text = clean(markdown).into_owned();
    while !text.trim().is_empty() {
        if fits(&text) {
            parts.push(text);
            break;
        }
        let window = &text[..text.floor_char_boundary(SOURCE_BYTES_MAX)];
        let blocks = Blocks::of(window);
        let at = best_cut(window, &blocks);
        let (part, rest) = cut(&text, &blocks, at);
        parts.push(part);
        text = rest;
    }
    parts
}

/// Whether [`render`](super::render) can show this part with its HTML, and an event can hold it.
fn fits(part: &str) -> bool {
    let body = clean(part).into_owned();
    to_html(&body).is_ok_and(|html| Rendered { body, html }.fits_an_event())
}

/// The same to a first look, which is ten times as fast.
fn may_fit(part: &str) -> bool {
    to_raw_html(&clean(part)).is_ok()
}

/// The best place to end a part, never 0.
fn best_cut(text: &str, blocks: &Blocks<'_>) -> usize {
    let allowed = |at: &usize| *at > 0 && blocks.cut(*at).is_some();
    let lines: Vec<_> = text
        .match_indices('\n')
        .map(|(end, _)| end + 1)
        .filter(allowed)
        .collect();
    if let Some(line) = last_fitting(text, blocks, &lines) {
        let paragraphs: Vec<_> = paragraph_ends(&text[..line], blocks)
            .filter(allowed)
            .collect();
        let paragraph = last_below(text, blocks, &paragraphs);
        return paragraph
            .filter(|&end| line / LINE_OVER_PARAGRAPH <= end)
            .unwrap_or(line);
    }
    let spaces = text
        .match_indices(char::is_whitespace)
        .map(|(space, _)| space);
    last_fitting(text, blocks, &spaces.filter(allowed).collect::<Vec<_>>())
        .or_else(|| {
            let characters = text.char_indices().map(|(start, _)| start);
            last_fitting(
                text,
                blocks,
                &characters.filter(allowed).collect::<Vec<_>>(),
            )
        })
        .unwrap_or_else(|| shortest_cut(text))
}

/// The last of these places, which are in order, before which a part fits.
fn last_fitting(text: &str, blocks: &Blocks<'_>, places: &[usize]) -> Option<usize> {
    let fitting = places.partition_point(|&at| may_fit(&cut(text, blocks, at).0));
    last_below(text, blocks, &places[..fitting])
}

/// The same for places of which the last most likely fits.
///
/// Not every text is larger than a shorter one once it is rendered, so the last one is tried, and
/// if it does not fit, one in [`STEP_BACK`] is given up.
fn last_below(text: &str, blocks: &Blocks<'_>, places: &[usize]) -> Option<usize> {
    let mut left = places;
    while let Some(&last) = left.last() {
        if fits(&cut(text, blocks, last).0) {
            return Some(last);
        }
        left = &left[..left.len() - left.len().div_ceil(STEP_BACK)];
    }
    None
}

/// Where an empty line follows that is not part of code.
fn paragraph_ends<'a>(text: &'a str, blocks: &'a Blocks<'a>) -> impl Iterator<Item = usize> + 'a {
    text.match_indices("\n\n")
        .map(|(end, _)| end + 1)
        .filter(|&at| !blocks.is_code(at))
}

/// For a text of which no good place fits, such as a row that is longer than an event: as much as
/// surely fits, through whatever it goes.
fn shortest_cut(text: &str) -> usize {
    // The densest of texts to render is a table, where a byte becomes `<th></th>`.
    const SURE_BYTES: usize = SOURCE_BYTES_MAX / 16;
    let sure = text.floor_char_boundary(SURE_BYTES);
    text[..sure]
        .rfind(char::is_whitespace)
        .filter(|&space| space > 0)
        .unwrap_or(sure)
}

/// The part before a cut, and the text that is left.
fn cut(text: &str, blocks: &Blocks<'_>, at: usize) -> (String, String) {
    let (before, after) = text.split_at(at);
    match blocks.cut(at) {
        Some(Cut::Through { close, reopen }) if reopen.len() < at => {
            let mut part = before.trim_end_matches('\n').to_owned();
            if !close.is_empty() {
                part.push('\n');
                part.push_str(&close);
            }
            (part, reopen + after)
        }
        // Without its indent, or the first line would be code if it was deep in a list.
        _ => (before.trim_end().to_owned(), after.trim_start().to_owned()),
    }
}

#[cfg(test)]
mod tests;
