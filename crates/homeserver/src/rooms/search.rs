//! Searching the words of messages, room names and topics.
//!
//! Every word of such an event is a row under its room, so a search reads only the rows of its rarest word in each room. What is
//! encrypted cannot be found. Spec: <https://spec.matrix.org/v1.19/client-server-api/#server-side-search>

use std::{collections::BTreeSet, sync::Arc};

use ruma::{RoomId, api::client::search::search_events::v3::SearchKeys, events::TimelineEventType};
use serde::Deserialize;

use super::{Derived, DerivedWrite, Pdu, RoomWriter, Rooms};
use crate::{
    error::Result,
    limits::{
        SEARCH_ROOM_MAX_LOOKS, SEARCH_TERM_WORDS_MAX, SEARCH_WORD_MAX_CHARS, SEARCH_WORDS_PER_EVENT,
    },
    store::{Exists, tables},
    stream::{Position, Slot},
};

/// The parts of a content that are searched.
#[derive(Default, Deserialize)]
struct Texts {
    body: Option<String>,
    name: Option<String>,
    topic: Option<String>,
}

/// The words of a text, in lower case.
pub fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split(|character: char| !character.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(|word| {
            word.chars()
                .flat_map(char::to_lowercase)
                .take(SEARCH_WORD_MAX_CHARS)
                .collect()
        })
}

/// The words of a search, each once.
pub fn search_words(text: &str) -> BTreeSet<String> {
    words(text).take(SEARCH_TERM_WORDS_MAX).collect()
}

/// The texts of an event that are searched, of those that are asked for.
fn texts(pdu: &Pdu, keys: Option<&[SearchKeys]>) -> Vec<String> {
    // What only looks like one of these is no text of the room.
    let key = pdu.state_key.as_deref();
    let is_meant = match pdu.kind {
        TimelineEventType::RoomMessage => key.is_none(),
        _ => key == Some(""),
    };
    if !is_meant {
        return Vec::new();
    }
    let texts: Texts = pdu.content_as().unwrap_or_default();
    let (key, text) = match pdu.kind {
        TimelineEventType::RoomMessage => (SearchKeys::ContentBody, texts.body),
        TimelineEventType::RoomName => (SearchKeys::ContentName, texts.name),
        TimelineEventType::RoomTopic => (SearchKeys::ContentTopic, texts.topic),
        _ => return Vec::new(),
    };
    let asked = keys.is_none_or(|keys| keys.contains(&key));
    text.filter(|_| asked).into_iter().collect()
}

fn indexed_words(pdu: &Pdu) -> BTreeSet<String> {
    let texts = texts(pdu, None);
    let words = texts.iter().flat_map(|text| words(text));
    words.take(SEARCH_WORDS_PER_EVENT).collect()
}

/// The words of messages, derived from every event.
#[derive(Debug)]
pub struct SearchIndex;

impl Derived for SearchIndex {
    fn begin(&self, _: &RoomWriter) -> Result<Box<dyn DerivedWrite>> {
        Ok(Box::new(Self))
    }
}

impl DerivedWrite for SearchIndex {
    fn next(&mut self, writer: &mut RoomWriter, pdu: &Arc<Pdu>, slot: Slot) -> Result<()> {
        note(writer, pdu, slot);
        Ok(())
    }
}

/// Makes a new event findable.
fn note(writer: &mut RoomWriter, pdu: &Pdu, slot: Slot) {
    let words = indexed_words(pdu);
    if words.is_empty() {
        return;
    }
    let room = pdu.room_id.clone();
    writer.add_row(move |batch, positions| {
        let position = positions.of(slot);
        words.iter().try_for_each(|word| {
            batch.put::<tables::Words>((&*room, word.as_str(), position), &Exists {})
        })
    });
}

/// A redacted event is not found any more.
pub(super) fn remove_redacted(writer: &mut RoomWriter, target: &Pdu) -> Result<()> {
    for word in indexed_words(target) {
        let key = (&*target.room_id, word.as_str(), target.position);
        writer.batch().delete::<tables::Words>(key)?;
    }
    Ok(())
}

/// The events of a room that have all these words, newest first.
pub fn find(rooms: &Rooms, room: &RoomId, term: &BTreeSet<String>) -> Result<Vec<Arc<Pdu>>> {
    let Some(first) = rarest(rooms, room, term) else {
        return Ok(Vec::new());
    };
    let visible = rooms.stream.visible();
    let mut found = Vec::new();
    for key in rooms
        .store
        .scan_back::<tables::Words>((room, first))
        .keys()
        .take(SEARCH_ROOM_MAX_LOOKS)
    {
        let (_, _, position) = key?;
        if position <= visible && has_all(rooms, room, term, position)? {
            found.extend(rooms.event_at(room, position)?);
        }
    }
    Ok(found)
}

/// The word that the fewest events have, as far as that can be told soon.
fn rarest<'a>(rooms: &Rooms, room: &RoomId, term: &'a BTreeSet<String>) -> Option<&'a str> {
    let mut rarest: Option<(usize, &str)> = None;
    for word in term {
        let most = rarest.map_or(SEARCH_ROOM_MAX_LOOKS, |(count, _)| count);
        let rows = rooms.store.scan::<tables::Words>((room, word.as_str()));
        let count = rows.keys().take(most).count();
        if rarest.is_none_or(|(least, _)| count < least) {
            rarest = Some((count, word));
        }
    }
    rarest.filter(|(count, _)| *count > 0).map(|(_, word)| word)
}

fn has_all(
    rooms: &Rooms,
    room: &RoomId,
    term: &BTreeSet<String>,
    position: Position,
) -> Result<bool> {
    for word in term {
        let key = (room, word.as_str(), position);
        if !rooms.store.contains::<tables::Words>(key)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// How closely an event matches: how much of its text the words of the search are. Nothing if what was asked for has none of them.
pub fn rank(pdu: &Pdu, term: &BTreeSet<String>, keys: Option<&[SearchKeys]>) -> Option<f64> {
    let texts = texts(pdu, keys);
    let (mut hits, mut all) = (0_u32, 0_u32);
    for word in texts.iter().flat_map(|text| words(text)) {
        all += 1;
        hits += u32::from(term.contains(&word));
    }
    (hits > 0).then(|| f64::from(hits) / f64::from(all))
}
