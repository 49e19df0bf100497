//! Inputs that are made of a corpus: pieces moved, repeated, left out, put between others; values of JSON replaced by worse ones.

use std::fmt;

use fuzz::Target;
use proptest::prelude::*;
use serde_json::{Value, json};

/// The most changes to one input of the corpus.
const CHANGES_MAX: usize = 6;
/// The most bytes that repeating a piece makes.
const REPEATED_BYTES_MAX: usize = 8_192;
/// The most times that a piece is repeated.
const REPEATS_MAX: usize = 200;

/// An input, which a failed test shows as text.
pub(crate) struct Input(pub(crate) Vec<u8>);

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "b\"{}\"", self.0.escape_ascii())
    }
}

/// A change to an input. Places are parts of 65,536 of its length.
#[derive(Clone, Debug)]
enum Change {
    Word(u16, usize),
    Repeat(u16, u16, usize),
    Remove(u16, u16),
    Splice(u16, usize, u16),
    Bytes(u16, Vec<u8>),
    Json(u16, usize),
}

fn change() -> impl Strategy<Value = Change> {
    let number = 0..usize::MAX;
    prop_oneof![
        3 => (any::<u16>(), number.clone()).prop_map(|(at, word)| Change::Word(at, word)),
        1 => (any::<u16>(), any::<u16>(), 1..REPEATS_MAX).prop_map(|(at, to, times)| Change::Repeat(at, to, times)),
        2 => (any::<u16>(), any::<u16>()).prop_map(|(at, to)| Change::Remove(at, to)),
        1 => (any::<u16>(), number.clone(), any::<u16>()).prop_map(|(at, other, from)| Change::Splice(at, other, from)),
        2 => (any::<u16>(), prop::collection::vec(any::<u8>(), 1..5)).prop_map(|(at, bytes)| Change::Bytes(at, bytes)),
        5 => (any::<u16>(), number).prop_map(|(at, value)| Change::Json(at, value)),
    ]
}

/// Inputs for a target, of at most so many bytes: longer ones are among the hostile texts.
pub(crate) fn inputs(
    target: &Target,
    corpus: Vec<Vec<u8>>,
    bytes_max: usize,
) -> impl Strategy<Value = Input> + use<> {
    let words = target.words;
    let changes = prop::collection::vec(change(), 0..CHANGES_MAX);
    (0..corpus.len(), changes).prop_map(move |(first, changes)| {
        let mut input = corpus[first].clone();
        input.truncate(bytes_max);
        for change in &changes {
            apply(change, &mut input, &corpus, words);
            input.truncate(bytes_max);
        }
        Input(input)
    })
}

fn apply(change: &Change, input: &mut Vec<u8>, corpus: &[Vec<u8>], words: &[&str]) {
    let place = |at: u16| input.len() * usize::from(at) / (usize::from(u16::MAX) + 1);
    match change {
        Change::Word(at, word) => {
            let (at, word) = (place(*at), words[word % words.len()]);
            input.splice(at..at, word.bytes());
        }
        Change::Repeat(at, to, times) => {
            let (from, to) = ordered(place(*at), place(*to));
            let piece =
                input[from..to].repeat((*times).min(REPEATED_BYTES_MAX / (to - from).max(1)));
            input.splice(to..to, piece);
        }
        Change::Remove(at, to) => {
            let (from, to) = ordered(place(*at), place(*to));
            // Mostly little: what is left has to mean something.
            input.drain(from..to.min(from + 24));
        }
        Change::Splice(at, other, from) => {
            let at = place(*at);
            let other = &corpus[other % corpus.len()];
            let from = other.len() * usize::from(*from) / (usize::from(u16::MAX) + 1);
            input.splice(at..at, other[from..].iter().copied().take(512));
        }
        Change::Bytes(at, bytes) => {
            let at = place(*at);
            input.splice(at..at, bytes.iter().copied());
        }
        Change::Json(at, value) => worsen(input, place(*at), *value, words),
    }
}

fn ordered(one: usize, other: usize) -> (usize, usize) {
    (one.min(other), one.max(other))
}

/// Replaces a value of the JSON that stands at this place: of the whole input, or of the line.
fn worsen(input: &mut Vec<u8>, at: usize, number: usize, words: &[&str]) {
    let whole = serde_json::from_slice::<Value>(input).ok();
    let (from, to) = if whole.is_some() {
        (0, input.len())
    } else {
        let start = input[..at].iter().rposition(|byte| *byte == b'\n');
        let start = start.map_or(0, |end| end + 1);
        let end = input[at..].iter().position(|byte| *byte == b'\n');
        let end = end.map_or(input.len(), |end| at + end);
        let opens = input[start..end].iter().position(|byte| *byte == b'{');
        (opens.map_or(end, |opens| start + opens), end)
    };
    let read = whole.or_else(|| serde_json::from_slice(&input[from..to]).ok());
    let Some(mut json) = read else { return };
    let values = count(&json);
    let mut left = number % values;
    replace(&mut json, &mut left, &worse(number / values, words));
    input.splice(from..to, json.to_string().into_bytes());
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(list) => list.iter().map(count).sum(),
        Value::Object(fields) => fields.values().map(count).sum::<usize>(),
        _ => 0,
    }
}

/// Replaces the value that so many others stand before.
fn replace(value: &mut Value, left: &mut usize, by: &Value) -> bool {
    if *left == 0 {
        *value = by.clone();
        return true;
    }
    *left -= 1;
    match value {
        Value::Array(list) => list.iter_mut().any(|inner| replace(inner, left, by)),
        Value::Object(fields) => fields.values_mut().any(|inner| replace(inner, left, by)),
        _ => false,
    }
}

/// A value that nobody expects.
fn worse(number: usize, words: &[&str]) -> Value {
    let word = words[number / 24 % words.len()];
    match number % 24 {
        0 => Value::Null,
        1 => json!(true),
        2 => json!(0),
        3 => json!(-1),
        4 => json!(1.5),
        5 => json!(1e300),
        6 => json!(u64::MAX),
        7 => json!(i64::MIN),
        8 => json!(9_007_199_254_740_993_u64),
        9 => json!([]),
        10 => json!({}),
        11 => json!(""),
        12 => json!("\0\u{202e}\u{fffd}\u{10d800}"),
        13 => json!("*?".repeat(100)),
        14 => json!("a.".repeat(300)),
        15 => json!("x".repeat(600)),
        16 => (0..90).fold(json!("x"), |inner, _| json!([inner])),
        17 => (0..90).fold(json!("x"), |inner, _| json!({ "a": inner })),
        18 => json!(vec![word; 40]),
        19 => json!({ word: word }),
        20 => json!([[word, word], [word, ""]]),
        21 => json!("@alice:example.org"),
        22 => json!("!1:example.org"),
        _ => json!(word),
    }
}
