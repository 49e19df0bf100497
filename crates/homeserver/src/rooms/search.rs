//! Searching the words of messages, room names and topics.
//!
//! Every word of such an event is a row under its room, so a search reads only the rows of its rarest word in each room. What is
//! encrypted cannot be found. Spec: <https://spec.matrix.org/v1.19/client-server-api/#server-side-search>

use std::{collections::BTreeSet, sync::Arc};

use homeserver_model::words::{asked_words, words};
use ruma::{
    RoomId,
    api::client::search::search_events::v3::SearchKeys,
    events::{TimelineEventType, relation::RelationType},
};
use serde::Deserialize;

use super::{Derived, DerivedWrite, Pdu, RoomWriter, Rooms};
use crate::{
    error::Result,
    limits::{
        SEARCH_ROOM_MAX_LOOKS, SEARCH_TERM_WORDS_MAX, SEARCH_WORD_FORMS_MAX, SEARCH_WORDS_PER_EVENT,
    },
    rooms::relations::{newest_edit, relates_to},
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

/// The words of a search, each once.
pub fn search_words(text: &str) -> BTreeSet<String> {
    let words = asked_words(text).into_iter();
    words.take(SEARCH_TERM_WORDS_MAX).collect()
}

/// The texts of an event that are searched, of those that are asked for. Of an edit it is what it makes of the original.
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
    let edit = pdu
        .content_as::<Edit>()
        .filter(|edit| edit.relates_to.rel_type == RelationType::Replacement);
    let texts: Texts = match edit {
        Some(edit) => edit.new_content,
        None => pdu.content_as().unwrap_or_default(),
    };
    let (key, text) = match pdu.kind {
        TimelineEventType::RoomMessage => (SearchKeys::ContentBody, texts.body),
        TimelineEventType::RoomName => (SearchKeys::ContentName, texts.name),
        TimelineEventType::RoomTopic => (SearchKeys::ContentTopic, texts.topic),
        _ => return Vec::new(),
    };
    let asked = keys.is_none_or(|keys| keys.contains(&key));
    text.filter(|_| asked).into_iter().collect()
}

/// The content of an edit.
#[derive(Deserialize)]
struct Edit {
    #[serde(rename = "m.relates_to")]
    relates_to: EditRelation,
    #[serde(rename = "m.new_content", default)]
    new_content: Texts,
}

#[derive(Deserialize)]
struct EditRelation {
    rel_type: RelationType,
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

/// An event that was found, and how closely it matches.
#[derive(Debug)]
pub struct Found {
    /// How much of what it says the words of the search are.
    pub rank: f64,
    /// The event; of one that was edited it is the original.
    pub pdu: Arc<Pdu>,
}

/// The events of a room that say all these words now, newest first, each once. Those behind `until` are left out.
pub fn find(
    rooms: &Rooms,
    room: &RoomId,
    term: &BTreeSet<String>,
    keys: Option<&[SearchKeys]>,
    until: Position,
) -> Result<Vec<Found>> {
    let mut rarest: Option<BTreeSet<Position>> = None;
    for word in term {
        let most = rarest.as_ref().map_or(SEARCH_ROOM_MAX_LOOKS, BTreeSet::len);
        let positions = positions(rooms, room, word, most)?;
        if rarest
            .as_ref()
            .is_none_or(|least| positions.len() < least.len())
        {
            rarest = Some(positions);
        }
    }
    let (mut found, mut seen) = (Vec::new(), BTreeSet::new());
    let end = until.min(rooms.stream.visible());
    for position in rarest.unwrap_or_default().into_iter().rev() {
        if position > end {
            continue;
        }
        let Some(original) = original_at(rooms, room, position)? else {
            continue;
        };
        if seen.insert(original.event_id.clone())
            && let Some(rank) = rank(rooms, &original, term, keys)?
        {
            found.push(Found {
                rank,
                pdu: original,
            });
        }
    }
    Ok(found)
}

/// Where in a room there are words that begin so: of each the newest places, and in all as many as are looked at.
fn positions(rooms: &Rooms, room: &RoomId, begin: &str, most: usize) -> Result<BTreeSet<Position>> {
    let forms = forms(rooms, room, begin)?;
    let mut positions = BTreeSet::new();
    for word in &forms {
        let rows = rooms
            .store
            .scan_back::<tables::Words>((room, word.as_str()));
        for key in rows.keys().take(most) {
            let (_, _, position) = key?;
            positions.insert(position);
        }
    }
    while positions.len() > SEARCH_ROOM_MAX_LOOKS {
        positions.pop_first();
    }
    Ok(positions)
}

/// The words of a room that begin so. Rows are in the order of the lengths of words (see [`crate::store::key`]), so the words of each
/// length are found by one seek, and lengths that no word has are passed over.
fn forms(rooms: &Rooms, room: &RoomId, begin: &str) -> Result<BTreeSet<String>> {
    let mut forms = BTreeSet::new();
    // The least word of this length that begins so.
    let least =
        |length: usize| format!("{begin}{}", "\0".repeat(length.saturating_sub(begin.len())));
    let (mut word, mut after) = (least(begin.len()), Position::default());
    while forms.len() < SEARCH_WORD_FORMS_MAX {
        let from = (room, word.as_str(), after);
        let mut rows = rooms.store.scan_from::<tables::Words>((room,), from);
        let Some(row) = rows.next() else { break };
        let ((_, next, _), _) = row?;
        if next.starts_with(begin) {
            (word, after) = (next.clone(), Position::MAX);
            forms.insert(next);
        } else {
            let length = next.len().max(word.len() + 1);
            (word, after) = (least(length), Position::default());
        }
    }
    Ok(forms)
}

/// The event there; of an edit, the event that it edits.
fn original_at(rooms: &Rooms, room: &RoomId, position: Position) -> Result<Option<Arc<Pdu>>> {
    let Some(pdu) = rooms.event_at(room, position)? else {
        return Ok(None);
    };
    let edited = relates_to(&pdu).filter(|to| to.rel_type == RelationType::Replacement);
    match edited {
        Some(edited) => {
            let original = rooms.event(&edited.event_id)?;
            let is_there =
                |original: &Arc<Pdu>| original.room_id == room && original.redacted_by.is_none();
            Ok(original.filter(is_there))
        }
        None => Ok(Some(pdu)),
    }
}

/// How closely an event matches: how much of what it says now the words of the search are. Nothing if it does not say all of them.
fn rank(
    rooms: &Rooms,
    original: &Pdu,
    term: &BTreeSet<String>,
    keys: Option<&[SearchKeys]>,
) -> Result<Option<f64>> {
    let edit = newest_edit(rooms, original)?;
    let texts = texts(edit.as_deref().unwrap_or(original), keys);
    let said: Vec<String> = texts.iter().flat_map(|text| words(text)).collect();
    let is_asked = |word: &String| term.iter().any(|asked| word.starts_with(&**asked));
    let says = |asked: &String| said.iter().any(|word| word.starts_with(&**asked));
    if !term.iter().all(says) {
        return Ok(None);
    }
    let hits = said.iter().filter(|word| is_asked(word)).count();
    let share = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    Ok((hits > 0).then(|| share(hits) / share(said.len())))
}
