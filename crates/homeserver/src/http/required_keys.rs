//! Keys that an answer has to have, or that clients read without asking whether they are there, and that ruma leaves out while a
//! list is empty or a value is the usual one.
//!
//! One table: which request, which places of its answer, and what stands there if nothing does. The answer is walked over once,
//! as text; what is in it stays as it was written. Endpoints that the table does not name cost nothing.

use std::{borrow::Cow, fmt};

use http::Method;
use ruma::api::{Metadata, path_builder::PathBuilder};
use serde::{
    Deserialize,
    de::{self, DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

/// A place in an answer: names of keys from the outside in, `*` for every key and every item. And the JSON that stands there
/// if nothing does.
pub(super) type RequiredKey = (&'static [&'static str], &'static str);

/// The method and the end of the path of a request, and the keys of its answer.
type Answer = (Method, &'static str, &'static [RequiredKey]);

/// What an object of search results is without any.
const NOTHING_FOUND: &str = r#"{"count":0,"highlights":[],"results":[]}"#;
/// A timeline in which nothing happened.
const NO_TIMELINE: &str = r#"{"events":[],"limited":false}"#;
/// The context of an event that was asked for without any.
const NO_CONTEXT: &str = r#"{"events_after":[],"events_before":[]}"#;

const PUBLIC_ROOMS: &[RequiredKey] = &[(&["chunk", "*", "join_rule"], "\"public\"")];
const ENABLED: &str = r#"{"enabled":true}"#;

const ANSWERS: &[Answer] = &[
    // https://spec.matrix.org/v1.19/client-server-api/#capabilities-negotiation
    (
        Method::GET,
        "/v3/capabilities",
        &[
            (&["capabilities", "m.change_password"], ENABLED),
            (&["capabilities", "m.set_avatar_url"], ENABLED),
            (&["capabilities", "m.set_displayname"], ENABLED),
        ],
    ),
    // https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidcontexteventid
    (
        Method::GET,
        "/context/{event_id}",
        &[
            (&["events_after"], "[]"),
            (&["events_before"], "[]"),
            (&["state"], "[]"),
        ],
    ),
    // https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3keysquery
    (
        Method::POST,
        "/v3/keys/query",
        &[(&["device_keys"], "{}"), (&["failures"], "{}")],
    ),
    (Method::POST, "/v3/keys/claim", &[(&["failures"], "{}")]),
    (
        Method::POST,
        "/v3/keys/signatures/upload",
        &[(&["failures"], "{}")],
    ),
    // https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3pushrules
    (
        Method::GET,
        "/v3/pushrules/",
        &[
            (&["global", "content"], "[]"),
            (&["global", "override"], "[]"),
            (&["global", "room"], "[]"),
            (&["global", "sender"], "[]"),
            (&["global", "underride"], "[]"),
        ],
    ),
    (
        Method::GET,
        "/v3/pushrules/global/",
        &[
            (&["content"], "[]"),
            (&["override"], "[]"),
            (&["room"], "[]"),
            (&["sender"], "[]"),
            (&["underride"], "[]"),
        ],
    ),
    // https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3publicrooms
    (Method::GET, "/v3/publicRooms", PUBLIC_ROOMS),
    (Method::POST, "/v3/publicRooms", PUBLIC_ROOMS),
    // https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3search
    (
        Method::POST,
        "/v3/search",
        &[
            (&["search_categories", "room_events"], NOTHING_FOUND),
            (&["search_categories", "room_events", "highlights"], "[]"),
            (&["search_categories", "room_events", "results"], "[]"),
            (
                &[
                    "search_categories",
                    "room_events",
                    "results",
                    "*",
                    "context",
                ],
                NO_CONTEXT,
            ),
            (
                &[
                    "search_categories",
                    "room_events",
                    "results",
                    "*",
                    "context",
                    "events_after",
                ],
                "[]",
            ),
            (
                &[
                    "search_categories",
                    "room_events",
                    "results",
                    "*",
                    "context",
                    "events_before",
                ],
                "[]",
            ),
        ],
    ),
    // https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3sync
    (
        Method::GET,
        "/v3/sync",
        &[
            (&["rooms", "join", "*", "timeline"], NO_TIMELINE),
            (&["rooms", "join", "*", "timeline", "limited"], "false"),
            (&["rooms", "leave", "*", "timeline", "limited"], "false"),
        ],
    ),
];

/// The keys that answers to `R` have to have.
pub(super) fn of<R: Metadata>() -> &'static [RequiredKey] {
    let is_of = |end: &str| R::PATH_BUILDER.all_paths().any(|path| path.ends_with(end));
    let found = ANSWERS
        .iter()
        .find(|(method, end, _)| *method == R::METHOD && is_of(end));
    found.map_or(&[], |(_, _, keys)| keys)
}

/// The answer with all of the keys.
pub(super) fn complete(keys: &[RequiredKey], body: Vec<u8>) -> Vec<u8> {
    if keys.is_empty() {
        return body;
    }
    let mut missing = Vec::new();
    let object = Object {
        body: &body,
        keys: keys.to_vec(),
        missing: &mut missing,
    };
    let walked = object.deserialize(&mut serde_json::Deserializer::from_slice(&body));
    if walked.is_err() || missing.is_empty() {
        return body;
    }
    missing.sort_by_key(|(place, _)| *place);
    let added: usize = missing.iter().map(|(_, text)| text.len()).sum();
    let mut completed = Vec::with_capacity(body.len() + added);
    let mut copied = 0;
    for (place, text) in missing {
        completed.extend_from_slice(&body[copied..place]);
        completed.extend_from_slice(text.as_bytes());
        copied = place;
    }
    completed.extend_from_slice(&body[copied..]);
    completed
}

/// An object or a list in the answer, and what is required below it. What is missing is noted with the place where it is to be
/// inserted: before the first key of the object. An empty object has none, so it is either left as it is or the whole answer.
struct Object<'a> {
    body: &'a [u8],
    keys: Vec<RequiredKey>,
    missing: &'a mut Vec<(usize, String)>,
}

impl Object<'_> {
    /// Where this text begins in the answer. A key with escapes was copied out of it.
    fn place_of(&self, text: &str) -> Option<usize> {
        let place = text
            .as_ptr()
            .addr()
            .checked_sub(self.body.as_ptr().addr())?;
        (place < self.body.len()).then_some(place)
    }

    /// What is required below this key.
    fn below(&self, name: &str) -> Vec<RequiredKey> {
        let inside = self.keys.iter().filter_map(|(place, default)| {
            let (first, rest) = place.split_first()?;
            let goes_on = !rest.is_empty() && (*first == name || *first == "*");
            goes_on.then_some((rest, *default))
        });
        inside.collect()
    }
}

impl<'de> DeserializeSeed<'de> for Object<'_> {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// The name of a key where it stands.
#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Visitor<'de> for Object<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or a list")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (mut first, mut there) = (None, Vec::new());
        while let Some(Key(name)) = map.next_key()? {
            // Before the quote.
            first = first.or_else(|| self.place_of(&name)?.checked_sub(1));
            let below = self.below(&name);
            if below.is_empty() {
                map.next_value::<IgnoredAny>()?;
            } else {
                map.next_value_seed(Object {
                    body: self.body,
                    keys: below,
                    missing: &mut *self.missing,
                })?;
            }
            there.push(name);
        }
        let is_empty_answer = there.is_empty() && self.body == b"{}";
        let Some(place) = first.or_else(|| is_empty_answer.then_some(1)) else {
            return Ok(());
        };
        let missing = self.keys.iter().filter_map(|(names, default)| match names {
            [name] if *name != "*" && !there.iter().any(|there| there == name) => {
                Some(format!("\"{name}\":{default}"))
            }
            _ => None,
        });
        let missing: Vec<String> = missing.collect();
        if !missing.is_empty() {
            let comma = if is_empty_answer { "" } else { "," };
            self.missing.push((place, missing.join(",") + comma));
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let below = self.below("*");
        loop {
            let item = Object {
                body: self.body,
                keys: below.clone(),
                missing: &mut *self.missing,
            };
            if items.next_element_seed(item)?.is_none() {
                return Ok(());
            }
        }
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYNC: &[RequiredKey] = &[
        (&["rooms", "join", "*", "timeline"], NO_TIMELINE),
        (&["rooms", "join", "*", "timeline", "limited"], "false"),
    ];

    fn completed(keys: &[RequiredKey], body: &str) -> String {
        String::from_utf8(complete(keys, body.as_bytes().to_vec())).unwrap()
    }

    #[test]
    fn missing_keys_are_inserted_where_they_belong() {
        for (body, meant) in [
            (
                r#"{"rooms":{"join":{"!a":{"timeline":{"events":[{"limited":1.50}]}},"!b":{"state":{}}}}}"#,
                r#"{"rooms":{"join":{"!a":{"timeline":{"limited":false,"events":[{"limited":1.50}]}},"!b":{"timeline":{"events":[],"limited":false},"state":{}}}}}"#,
            ),
            (
                r#"{"rooms":{"join":{"!a":{"timeline":{"limited":true,"events":[]}}},"leave":{"!a":{}}}}"#,
                r#"{"rooms":{"join":{"!a":{"timeline":{"limited":true,"events":[]}}},"leave":{"!a":{}}}}"#,
            ),
            (r#"{"next_batch":"1"}"#, r#"{"next_batch":"1"}"#),
            (r#"{"rooms":null}"#, r#"{"rooms":null}"#),
        ] {
            assert_eq!(completed(SYNC, body), meant);
        }
        let lists: &[RequiredKey] = &[(&["a"], "[]"), (&["b"], "{}"), (&["items", "*", "c"], "0")];
        for (body, meant) in [
            ("{}", r#"{"a":[],"b":{}}"#),
            (r#"{"b":1}"#, r#"{"a":[],"b":1}"#),
            (
                r#"{"a":1,"b":2,"items":[{"d":3},{"c":4},{},7]}"#,
                r#"{"a":1,"b":2,"items":[{"c":0,"d":3},{"c":4},{},7]}"#,
            ),
            ("[]", "[]"),
            ("no JSON", "no JSON"),
        ] {
            assert_eq!(completed(lists, body), meant);
        }
    }

    #[test]
    fn paths_and_defaults_are_those_of_routes_and_json() {
        let routes = crate::api::routes();
        for (method, end, keys) in ANSWERS {
            let is_it =
                |route: &crate::http::Route| route.method == *method && route.path.ends_with(end);
            assert!(routes.table().iter().any(is_it), "no route {method} {end}");
            for (_, default) in *keys {
                serde_json::from_str::<serde_json::Value>(default).unwrap();
            }
        }
    }
}
