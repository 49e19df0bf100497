//! What was said last in a room or thread, so that an answer quotes its question only where something else came in between.
//!
//! Kept in memory only: after a restart nothing is known of a room, and an answer is a reply.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use ruma::{EventId, OwnedEventId, OwnedRoomId, OwnedUserId, UserId};
use serde::Deserialize;

use super::route::IncomingEvent;
use crate::{journal::ConversationKey, matrix::RoutedKind};

/// The most rooms and threads that are remembered; then all are forgotten.
const PLACES_MAX: usize = 10_000;
/// The most senders of a place that are remembered, the last first.
const SENDERS_MAX: usize = 4;

type Place = (OwnedRoomId, Option<OwnedEventId>);

/// See the module's documentation.
#[derive(Default)]
pub(super) struct LastSaid {
    places: Mutex<HashMap<Place, Vec<(OwnedUserId, OwnedEventId)>>>,
}

#[derive(Deserialize)]
struct Content {
    #[serde(rename = "m.relates_to", default)]
    relates_to: Option<Relation>,
}

#[derive(Deserialize)]
struct Relation {
    #[serde(default)]
    rel_type: Option<String>,
    #[serde(default)]
    event_id: Option<OwnedEventId>,
}

impl LastSaid {
    /// Remembers a message. Edits say nothing new.
    pub(super) fn note(&self, event: &IncomingEvent) {
        let kind = RoutedKind::of(&event.event_type, event.state_key.as_deref());
        if !kind.is_some_and(RoutedKind::is_message) {
            return;
        }
        let content = serde_json::from_str::<Content>(event.content.get());
        let relation = content.ok().and_then(|content| content.relates_to);
        let (kind, target) = relation.map_or((None, None), |one| (one.rel_type, one.event_id));
        if kind.as_deref() == Some("m.replace") {
            return;
        }
        let thread = target.filter(|_| kind.as_deref() == Some("m.thread"));
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if places.len() >= PLACES_MAX {
            places.clear();
        }
        let said = places.entry((event.room_id.clone(), thread)).or_default();
        said.retain(|(sender, _)| *sender != event.sender);
        said.insert(0, (event.sender.clone(), event.event_id.clone()));
        said.truncate(SENDERS_MAX);
    }

    /// Whether nobody but this agent's ghost is known to have said anything after a prompt.
    pub(super) fn is_last(
        &self,
        place: &ConversationKey,
        prompt: &EventId,
        ghost: &UserId,
    ) -> bool {
        let places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        places
            .get(&(place.room.clone(), place.thread.clone()))
            .and_then(|said| said.iter().find(|(sender, _)| sender != ghost))
            .is_some_and(|(_, event)| event == prompt)
    }
}

#[cfg(test)]
mod tests {
    use ruma::{event_id, user_id};
    use serde_json::{Value, json};

    use super::*;

    fn said(id: &str, sender: &str, content: &Value) -> IncomingEvent {
        let event = json!({
            "event_id": id, "room_id": "!room:x", "sender": sender, "type": "m.room.message", "content": content,
        });
        serde_json::from_str(&event.to_string()).unwrap()
    }

    #[test]
    fn prompt_is_last_until_somebody_else_speaks_in_its_place() {
        let (last, ghost) = (LastSaid::default(), user_id!("@agent_1:x"));
        let place = |thread: Option<&str>| ConversationKey {
            agent: "agent-1".parse().unwrap(),
            room: "!room:x".try_into().unwrap(),
            thread: thread.map(|id| id.try_into().unwrap()),
        };
        let is_last = |thread, id| last.is_last(&place(thread), id, ghost);
        let (one, two) = (event_id!("$1"), event_id!("$2"));
        assert!(!is_last(None, one), "nothing is known");
        last.note(&said("$1", "@ann:x", &json!({})));
        assert!(is_last(None, one));
        last.note(&said("$a", "@agent_1:x", &json!({})));
        assert!(
            is_last(None, one),
            "its own words are none of somebody else"
        );
        let thread = json!({ "m.relates_to": { "rel_type": "m.thread", "event_id": "$root" } });
        last.note(&said("$2", "@bob:x", &thread));
        assert!(is_last(None, one) && is_last(Some("$root"), two));
        let edit = json!({ "m.relates_to": { "rel_type": "m.replace", "event_id": "$1" } });
        last.note(&said("$e", "@ann:x", &edit));
        assert!(is_last(None, one));
        let mut sticker = said("$s", "@bob:x", &json!({}));
        sticker.event_type = "m.reaction".to_owned();
        last.note(&sticker);
        assert!(is_last(None, one), "a reaction is no message");
        sticker.event_type = "m.sticker".to_owned();
        last.note(&sticker);
        assert!(!is_last(None, one), "a sticker is one");
        for (id, sender) in [("$3", "@agent_2:x"), ("$4", "@ann:x")] {
            last.note(&said(id, sender, &json!({})));
            assert!(!is_last(None, one), "{sender}");
        }
    }
}
