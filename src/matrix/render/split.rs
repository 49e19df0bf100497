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
    clean, to_html,
};

/// A part ends at a paragraph's end unless a line's end makes it more than this many times as long.
const LINE_OVER_PARAGRAPH: usize = 2;

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

fn fits(markdown: &str) -> bool {
    // As `render` cleans it, but without taking a text for short whose HTML is left out as too long.
    let body = clean(markdown).into_owned();
    to_html(&body).is_ok_and(|html| Rendered { body, html }.fits_an_event())
}

/// The best place to end a part, never 0.
fn best_cut(text: &str, blocks: &Blocks<'_>) -> usize {
    let best = |places: &mut dyn Iterator<Item = usize>| {
        let places: Vec<_> = places.filter(|&at| at > 0 && blocks.cut(at).is_some()).collect();
        // Even where a longer part is the smaller one to render, the last place that
        // `partition_point` lets pass is one that was tried and fits.
        let fitting = places.partition_point(|&at| fits(&cut(text, blocks, at).0));
        fitting.checked_sub(1).map(|last| places[last])
    };
    let line = best(&mut text.match_indices('\n').map(|(end, _)| end + 1));
    let paragraph = best(&mut paragraph_ends(text, blocks));
    match (paragraph, line) {
        (Some(paragraph), Some(line)) if line / LINE_OVER_PARAGRAPH <= paragraph => paragraph,
        (_, Some(line)) => line,
        _ => best(&mut text.match_indices(char::is_whitespace).map(|(space, _)| space))
            .or_else(|| best(&mut text.char_indices().map(|(start, _)| start)))
            .unwrap_or_else(|| shortest_cut(text)),
    }
}

/// Where an empty line follows that is not part of code.
fn paragraph_ends<'a>(text: &'a str, blocks: &'a Blocks<'a>) -> impl Iterator<Item = usize> + 'a {
    text.match_indices("\n\n").map(|(end, _)| end + 1).filter(|&at| !blocks.is_code(at))
}

/// For a text of which no good place fits, such as a row that is longer than an event: as much as
/// surely fits, through whatever it goes.
fn shortest_cut(text: &str) -> usize {
    // The densest of texts to render is a table, where a byte becomes `<th></th>`.
    const SURE_BYTES: usize = SOURCE_BYTES_MAX / 16;
    let sure = text.floor_char_boundary(SURE_BYTES);
    text[..sure].rfind(char::is_whitespace).filter(|&space| space > 0).unwrap_or(sure)
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
