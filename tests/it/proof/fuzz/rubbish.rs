//! What nobody should send: texts, JSON and bytes that break parsers, and changes that make something right wrong.

use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

/// Longer than any name may be.
const LONG: usize = 300;
/// Longer than an event may be, in bytes.
const HUGE: usize = 70_000;
/// The deepest nesting that is sent.
const DEEP: usize = 20_000;

/// Texts in which something is wrong, odd or dangerous.
pub fn text() -> BoxedStrategy<String> {
    let odd: Vec<String> = [
        "",
        " ",
        "\0",
        "a\0b",
        "..",
        "../../etc/passwd",
        "%00",
        "%",
        "@",
        "@:",
        "!",
        "$",
        "#:x",
        "@a:b:c:d",
        "@A B:embedded",
        "null",
        "true",
        "-1",
        "0.5",
        "1e400",
        "18446744073709551616",
        "-9223372036854775809",
        "s0",
        "s18446744073709551615",
        "s-1_2_3",
        "{}",
        "[",
        "{\"limit\":-1}",
        "{\"room\":{\"timeline\":{\"limit\":1e9}}}",
        "*",
        "**********************b",
        "(a+)+$",
        "\u{202e}\u{feff}",
        "\u{10ffff}",
        "\u{1f468}\u{200d}\u{1f469}",
        "e\u{301}",
        "ﷺ",
        "mxc://",
        "mxc://x/../y",
        "file:///etc/passwd",
        "\r\nX-Injected: yes",
        "<script>",
        "'; --",
    ]
    .map(str::to_owned)
    .to_vec();
    prop_oneof![
        12 => select(odd),
        3 => "\\PC{0,40}",
        1 => Just("a".repeat(LONG)),
        1 => Just("€".repeat(LONG)),
    ]
    .boxed()
}

/// Any JSON at all.
pub fn json() -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(|float| json!(float)),
        text().prop_map(Value::from),
        Just(json!("x".repeat(HUGE))),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(text(), inner, 0..4).prop_map(|map| json!(map)),
        ]
    })
    .boxed()
}

/// One change of a value.
#[derive(Clone, Debug)]
pub enum Change {
    Remove(Index),
    Replace(Index, Value),
    Add(Index, String, Value),
    Wrap(Index),
}

pub fn change() -> BoxedStrategy<Change> {
    prop_oneof![
        2 => any::<Index>().prop_map(Change::Remove),
        4 => (any::<Index>(), json()).prop_map(|(at, value)| Change::Replace(at, value)),
        1 => (any::<Index>(), text(), json()).prop_map(|(at, key, value)| Change::Add(at, key, value)),
        1 => any::<Index>().prop_map(Change::Wrap),
    ]
    .boxed()
}

impl Change {
    pub fn apply(&self, value: &mut Value) {
        let places = places(value);
        let (Self::Remove(at) | Self::Replace(at, _) | Self::Add(at, ..) | Self::Wrap(at)) = self;
        let place = &places[at.index(places.len())];
        match self {
            Self::Remove(_) => remove(value, place),
            Self::Replace(_, other) => replace(value, place, other.clone()),
            Self::Add(_, key, other) => {
                if let Some(fields) = value.pointer_mut(place).and_then(Value::as_object_mut) {
                    fields.insert(key.clone(), other.clone());
                }
            }
            Self::Wrap(_) => {
                let inner = value.pointer(place).cloned().unwrap_or_default();
                replace(value, place, json!([inner]));
            }
        }
    }
}

fn replace(value: &mut Value, place: &str, other: Value) {
    if let Some(old) = value.pointer_mut(place) {
        *old = other;
    }
}

fn remove(value: &mut Value, place: &str) {
    let Some((above, key)) = place.rsplit_once('/') else {
        return;
    };
    let key = key.replace("~1", "/").replace("~0", "~");
    match value.pointer_mut(above) {
        Some(Value::Object(fields)) => drop(fields.remove(&key)),
        Some(Value::Array(items)) => {
            if let Ok(index) = key.parse::<usize>() {
                items.remove(index);
            }
        }
        _ => {}
    }
}

/// Pointers to everything in a value, itself included.
fn places(value: &Value) -> Vec<String> {
    let mut found = vec![String::new()];
    let inner: Vec<(String, &Value)> = match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(key, inner)| (key.replace('~', "~0").replace('/', "~1"), inner))
            .collect(),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .map(|(index, inner)| (index.to_string(), inner))
            .collect(),
        _ => Vec::new(),
    };
    for (key, inner) in inner {
        found.extend(
            places(inner)
                .into_iter()
                .map(|below| format!("/{key}{below}")),
        );
    }
    found
}

/// Bytes that are no JSON, or JSON that no parser should follow to its end.
pub fn bytes() -> BoxedStrategy<Vec<u8>> {
    let fixed: Vec<Vec<u8>> = [
        &b""[..],
        b"{",
        b"{\"a\":}",
        b"\xff\xfe{}",
        b"{\"body\":\"\xc3\x28\"}",
        b"{\"body\":\"\\ud800\",\"msgtype\":\"m.text\"}",
        b"{\"a\":1,\"a\":2,\"msgtype\":1,\"msgtype\":\"m.text\"}",
        b"{\"a\":1e999999}",
        b"{\"a\":-0.0,\"b\":100000000000000000000000000000000}",
        b"nul",
        b"[]",
        b"\"text\"",
        b"17",
        b"{} {}",
        b"a=b&c=d",
        b"--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--x--",
        b"\x1f\x8b\x08\x00\x00",
    ]
    .map(<[u8]>::to_vec)
    .to_vec();
    let deep = (select(vec!["[", "{\"a\":", "[{\"b\":"]), 90..DEEP)
        .prop_map(|(open, levels)| open.repeat(levels).into_bytes());
    let nested = (95_usize..110).prop_map(|levels| {
        format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels)).into_bytes()
    });
    prop_oneof![
        8 => select(fixed),
        2 => prop::collection::vec(any::<u8>(), 0..64),
        1 => deep,
        1 => nested,
    ]
    .boxed()
}
