//! What was said last in a room or thread, so that an answer quotes its question only where something else came in between.
//!
//! Kept in memory only: after a restart nothing is known of a room, and the first answer in it is a reply. So is the answer to a message
//! that came late: others may have been said meanwhile that are still to come.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use ruma::{
    EventId, OwnedEventId, OwnedRoomId, OwnedUserId, UserId, events::room::message::Relation,
};

use super::route::{EventContent, IncomingEvent};
use crate::{
    journal::{ConversationKey, TurnId},
    matrix::RoutedKind,
    time::Millis,
};

/// The most rooms and threads that are remembered; then all are forgotten.
const PLACES_MAX: usize = 10_000;
/// How long after it was said a message comes in at most, unless the homeserver was kept from pushing it.
const ON_TIME: Duration = Duration::from_secs(1);
/// The most senders of a place that are remembered, the last first.
const SENDERS_MAX: usize = 4;

type Place = (OwnedRoomId, Option<OwnedEventId>);

/// See the module's documentation.
#[derive(Default)]
pub(super) struct LatestMessages {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// The rooms of which an event has come in.
    rooms: HashSet<OwnedRoomId>,
    places: HashMap<Place, Vec<Message>>,
    /// How many messages have come in.
    messages: u64,
    /// The last answer of each agent in a place, and how many messages had come in before it ended.
    answers: HashMap<ConversationKey, (TurnId, u64)>,
}

struct Message {
    sender: OwnedUserId,
    event: OwnedEventId,
    /// Which of all messages it is.
    number: u64,
    /// Whether what was said after it can be known to be all.
    is_on_time: bool,
}

impl LatestMessages {
    /// Remembers what came in. Edits say nothing new.
    pub(super) fn note(&self, event: &IncomingEvent, admitted_at: Millis) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.rooms.len() >= PLACES_MAX || known.places.len() >= PLACES_MAX {
            *known = Known::default();
        }
        let is_first = known.rooms.insert(event.room_id.clone());
        let Some(place) = place_of_message(event) else {
            return;
        };
        let said_at = Millis(event.origin_server_ts);
        known.messages += 1;
        let message = Message {
            sender: event.sender.clone(),
            event: event.event_id.clone(),
            number: known.messages,
            is_on_time: !is_first && admitted_at.since(said_at) <= ON_TIME,
        };
        let said = known.places.entry(place).or_default();
        said.retain(|one| one.sender != event.sender);
        said.insert(0, message);
        said.truncate(SENDERS_MAX);
    }

    /// Whether nobody but this agent's ghost has said anything after a prompt, as far as can be known.
    pub(super) fn is_last(
        &self,
        place: &ConversationKey,
        prompt: &EventId,
        ghost: &UserId,
    ) -> bool {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .places
            .get(&(place.room.clone(), place.thread.clone()))
            .and_then(|said| said.iter().find(|one| one.sender != ghost))
            .is_some_and(|one| one.event == prompt && one.is_on_time)
    }

    /// An agent has answered here, with messages of these names.
    pub(super) fn note_answer(&self, place: &ConversationKey, segment: TurnId) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.answers.len() >= PLACES_MAX {
            known.answers.clear();
        }
        let after = known.messages;
        known.answers.insert(place.clone(), (segment, after));
    }

    /// The last answer of an agent, if nobody but this user has said anything since, as far as is known.
    pub(super) fn answer_before(&self, place: &ConversationKey, sender: &UserId) -> Option<TurnId> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let (answer, after) = known.answers.get(place)?;
        let said = known
            .places
            .get(&(place.room.clone(), place.thread.clone()));
        let other = said.and_then(|said| said.iter().find(|one| one.sender != sender));
        other
            .is_none_or(|other| other.number <= *after)
            .then(|| answer.clone())
    }
}

/// Where an event says something new, if it does.
pub(super) fn place_of_message(event: &IncomingEvent) -> Option<Place> {
    let kind = RoutedKind::of(&event.event_type, event.state_key.as_deref());
    if !kind.is_some_and(RoutedKind::is_message) {
        return None;
    }
    let thread = match &event.content {
        EventContent::Message(content) => match &content.relates_to {
            Some(Relation::Replacement(_)) => return None,
            _ => event.thread().cloned(),
        },
        EventContent::Unread(relation) => match relation.rel_type.as_deref() {
            Some("m.replace") => return None,
            Some("m.thread") => relation.event_id.clone(),
            _ => None,
        },
        _ => None,
    };
    Some((event.room_id.clone(), thread))
}

#[cfg(test)]
mod tests {
    use ruma::{event_id, user_id};
    use serde_json::{Value, json};

    use super::*;

    fn said(id: &str, sender: &str, content: &Value) -> IncomingEvent {
        let event = json!({
            "event_id": id, "room_id": "!room:x", "sender": sender, "type": "m.room.message", "content": content,
            "origin_server_ts": 1,
        });
        serde_json::from_str(&event.to_string()).unwrap()
    }

    #[test]
    fn prompt_is_last_until_somebody_else_speaks_in_its_place() {
        let (last, ghost) = (LatestMessages::default(), user_id!("@agent_1:x"));
        let place = |thread: Option<&str>| ConversationKey {
            agent: "agent-1".parse().unwrap(),
            room: "!room:x".try_into().unwrap(),
            thread: thread.map(|id| id.try_into().unwrap()),
        };
        let is_last = |thread, id| last.is_last(&place(thread), id, ghost);
        let note = |event: &IncomingEvent| last.note(event, Millis(1));
        let (one, two) = (event_id!("$1"), event_id!("$2"));
        assert!(!is_last(None, one), "nothing is known");
        note(&said("$0", "@ann:x", &json!({})));
        assert!(
            !is_last(None, event_id!("$0")),
            "something may have come before a restart"
        );
        note(&said("$1", "@ann:x", &json!({})));
        assert!(is_last(None, one));
        note(&said("$a", "@agent_1:x", &json!({})));
        assert!(
            is_last(None, one),
            "its own words are none of somebody else"
        );
        let thread = json!({ "m.relates_to": { "rel_type": "m.thread", "event_id": "$root" } });
        note(&said("$2", "@bob:x", &thread));
        assert!(is_last(None, one) && is_last(Some("$root"), two));
        let edit = json!({ "m.relates_to": { "rel_type": "m.replace", "event_id": "$1" } });
        note(&said("$e", "@ann:x", &edit));
        assert!(is_last(None, one));
        let mut sticker = said("$s", "@bob:x", &json!({}));
        sticker.event_type = "m.reaction".to_owned();
        note(&sticker);
        assert!(is_last(None, one), "a reaction is no message");
        sticker.event_type = "m.sticker".to_owned();
        note(&sticker);
        assert!(!is_last(None, one), "a sticker is one");
        for (id, sender) in [("$3", "@agent_2:x"), ("$4", "@ann:x")] {
            note(&said(id, sender, &json!({})));
            assert!(!is_last(None, one), "{sender}");
        }
    }

    #[test]
    fn answer_is_the_last_until_somebody_else_speaks() {
        let last = LatestMessages::default();
        let place = ConversationKey {
            agent: "agent-1".parse().unwrap(),
            room: "!room:x".try_into().unwrap(),
            thread: None,
        };
        let before = |sender| last.answer_before(&place, sender);
        let (ann, bob) = (user_id!("@ann:x"), user_id!("@bob:x"));
        let answers = [TurnId::named(&["one"]), TurnId::named(&["two"])];
        assert_eq!(before(ann), None, "nothing is known");
        last.note(&said("$0", "@bob:x", &json!({})), Millis(1));
        for answer in &answers {
            last.note_answer(&place, answer.clone());
            last.note(&said("$1", "@ann:x", &json!({})), Millis(1));
            assert_eq!(before(ann).as_ref(), Some(answer));
            assert_eq!(before(bob), None, "Ann has spoken since");
        }
        let thread = json!({ "m.relates_to": { "rel_type": "m.thread", "event_id": "$root" } });
        last.note(&said("$2", "@bob:x", &thread), Millis(1));
        assert!(before(ann).is_some(), "that is elsewhere");
        last.note(&said("$3", "@bob:x", &json!({})), Millis(1));
        assert_eq!(before(ann), None);
    }

    #[test]
    fn what_came_late_is_not_known_to_be_last() {
        let (last, ghost) = (LatestMessages::default(), user_id!("@agent_1:x"));
        let place = ConversationKey {
            agent: "agent-1".parse().unwrap(),
            room: "!room:x".try_into().unwrap(),
            thread: None,
        };
        last.note(&said("$1", "@ann:x", &json!({})), Millis(1));
        for (id, millis, is_last) in [("$2", 900, true), ("$3", 1_100, false), ("$4", 0, true)] {
            let admitted_at = Millis(1).plus(Duration::from_millis(millis));
            last.note(&said(id, "@ann:x", &json!({})), admitted_at);
            let id = id.try_into().unwrap();
            assert_eq!(last.is_last(&place, id, ghost), is_last, "{id}");
        }
    }
}
