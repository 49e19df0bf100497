//! The one writer of a room: turns drafts into events, and writes them with all that follows from them in one batch.
//!
//! The events get their positions at the very end (`commit`), because positions hold back everybody's later changes. If a writer is
//! dropped before [`RoomWriter::commit`], nothing of what it added ever happened.

use std::{collections::HashMap, sync::Arc};

use rand::{Rng, distr::Alphanumeric};
use ruma::{
    CanonicalJsonObject, CanonicalJsonValue, EventId, OwnedEventId, OwnedRoomId, OwnedUserId,
    RoomId, RoomVersionId, UserId,
    canonical_json::to_canonical_value,
    events::{StateEventType, TimelineEventType},
    room_version_rules::RoomVersionRules,
    signatures, state_res,
};
use serde_json::{Value, value::RawValue};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use super::{
    Draft, Head, Pdu, Rooms,
    banned::check_ban,
    joined::check_joined,
    pdu::{room_id_of, unauthorized},
    record::{RoomRecord, StoredEvent},
    redact, rules_of, signing,
};
use crate::{
    clock,
    error::{Error, Result},
    limits::{EVENT_FIELD_MAX_BYTES, EVENT_MAX_BYTES},
    store::{Batch, StoreError},
    stream::{Position, Positions, WakeTarget, Write},
};

mod commit;
mod optional;

/// How many events one write has at most where there can be more: everybody's later changes wait until it is on disk.
pub(crate) const EVENTS_PER_WRITE: usize = 500;
/// How many characters the made-up part of a room id has.
const ROOM_ID_CHARS: usize = 18;

/// The writer of a room. There is only one at a time.
#[derive(Debug)]
#[must_use = "a writer that does not commit writes nothing"]
pub struct RoomWriter {
    rooms: Rooms,
    room_id: OwnedRoomId,
    record: RoomRecord,
    rules: RoomVersionRules,
    head: OwnedMutexGuard<Head>,
    last: Option<(OwnedEventId, u64)>,
    added: Vec<Arc<Pdu>>,
    state: HashMap<(StateEventType, String), Arc<Pdu>>,
    /// Where each of them is in `added`.
    added_by_id: HashMap<OwnedEventId, usize>,
    write: Write,
    rewritten: Vec<Arc<Pdu>>,
    /// Whether the room begins with these events.
    is_new: bool,
}

impl RoomWriter {
    pub(super) async fn existing(rooms: Rooms, room_id: &RoomId) -> Result<Self> {
        let head = rooms.head(room_id).lock_owned().await;
        // Under the lock: whoever held it may have ended the room.
        let record = rooms.record(room_id)?.ok_or_else(super::unknown_room)?;
        let last = match &head.last {
            Some(last) => Some(last.clone()),
            None => rooms
                .events_down(room_id, Position::MAX)
                .next()
                .transpose()?
                .map(|pdu| (pdu.event_id.clone(), pdu.depth)),
        };
        Self::with_head(rooms, room_id.to_owned(), record, head, last)
    }

    pub(super) async fn new_room(
        rooms: Rooms,
        version: RoomVersionId,
        creator: OwnedUserId,
        content: Box<RawValue>,
    ) -> Result<Self> {
        let rules = rules_of(&version)?;
        // Where the room id is made of the create event, this one stands in until that event is built.
        let name: String = rand::rng()
            .sample_iter(Alphanumeric)
            .take(ROOM_ID_CHARS)
            .map(char::from)
            .collect();
        let room_id = OwnedRoomId::try_from(format!("!{name}:{}", rooms.server_name))
            .map_err(|error| Error::Broken(format!("a room id of our own: {error}")))?;
        let record = RoomRecord {
            version,
            creator: creator.clone(),
            created: Position::default(),
            banned: false,
        };
        let head = Arc::new(AsyncMutex::new(Head::default()))
            .lock_owned()
            .await;
        let mut writer = Self::with_head(rooms, room_id, record, head, None)?;
        writer.is_new = true;
        let create = Draft::new_raw_state(creator, &StateEventType::RoomCreate, "", content);
        let (object, event_id) = writer.build(&create)?;
        if rules.authorization.room_create_event_id_as_room_id {
            writer.room_id = room_id_of(&event_id)?;
        }
        writer.head = writer.rooms.head(&writer.room_id).lock_owned().await;
        writer.admit(create, &object, event_id)?;
        Ok(writer)
    }

    fn with_head(
        rooms: Rooms,
        room_id: OwnedRoomId,
        record: RoomRecord,
        head: OwnedMutexGuard<Head>,
        last: Option<(OwnedEventId, u64)>,
    ) -> Result<Self> {
        let rules = rules_of(&record.version)?;
        let write = rooms.stream.begin_write();
        Ok(Self {
            rooms,
            room_id,
            record,
            rules,
            head,
            last,
            added: Vec::new(),
            state: HashMap::new(),
            added_by_id: HashMap::new(),
            write,
            rewritten: Vec::new(),
            is_new: false,
        })
    }

    /// The room.
    pub fn room_id(&self) -> &RoomId {
        &self.room_id
    }

    /// What is known of it besides its events.
    pub fn record(&self) -> &RoomRecord {
        &self.record
    }

    /// The rules of its version.
    pub fn rules(&self) -> &RoomVersionRules {
        &self.rules
    }

    /// The last event of the room.
    pub fn last_event(&self) -> Option<&EventId> {
        self.last.as_ref().map(|(id, _)| &**id)
    }

    /// All rooms.
    pub fn rooms(&self) -> &Rooms {
        &self.rooms
    }

    /// What was added so far. The events have no positions yet.
    pub fn added(&self) -> &[Arc<Pdu>] {
        &self.added
    }

    /// The batch, for what has to happen together with the events.
    pub fn batch(&mut self) -> &mut Batch {
        self.write.batch()
    }

    /// A row that needs the positions of the events.
    pub fn add_row(
        &mut self,
        row: impl FnOnce(&mut Batch, Positions) -> Result<(), StoreError> + Send + 'static,
    ) {
        self.write.add_row(row);
    }

    /// Wakes somebody else, too, once this is written.
    pub fn wake_after_commit(&mut self, touch: WakeTarget) {
        self.write.wake_after_commit([touch]);
    }

    /// A state event as it is after what was added so far.
    pub fn state(&self, kind: &StateEventType, key: &str) -> Result<Option<Arc<Pdu>>> {
        #[cfg(test)]
        self.rooms.work.add(1);
        match self.state.get(&(kind.clone(), key.to_owned())) {
            Some(pdu) => Ok(Some(pdu.clone())),
            None => self.rooms.state(&self.room_id).get(kind, key),
        }
    }

    /// Makes an event of the draft, if the room's rules allow it, and adds it to what is committed.
    ///
    /// # Errors
    ///
    /// 403 `M_FORBIDDEN` if the rules refuse it, 413 `M_TOO_LARGE` if it is too large, 400 if it is no event.
    pub fn add(&mut self, draft: Draft) -> Result<Arc<Pdu>> {
        check_ban(&self.record, &draft)?;
        check_joined(&self.rooms, &self.room_id, &draft)?;
        let (object, event_id) = self.build(&draft)?;
        self.admit(draft, &object, event_id)
    }

    /// Adds a state event with this content.
    ///
    /// # Errors
    ///
    /// As for [`Self::add`].
    pub fn add_state(
        &mut self,
        sender: &UserId,
        kind: &str,
        key: &str,
        content: &Value,
    ) -> Result<()> {
        let draft = Draft::state(sender.to_owned(), &StateEventType::from(kind), key, content)?;
        self.add(draft).map(drop)
    }

    /// Hashes and signs the event.
    fn build(&self, draft: &Draft) -> Result<(CanonicalJsonObject, OwnedEventId)> {
        check_sizes(draft)?;
        let rules = &self.rules;
        let auth = self.auth_events(draft)?;
        let mut object = CanonicalJsonObject::new();
        let mut set = |key: &str, value: CanonicalJsonValue| {
            object.insert(key.into(), value);
        };
        set("type", CanonicalJsonValue::String(draft.kind.to_string()));
        set(
            "sender",
            CanonicalJsonValue::String(draft.sender.to_string()),
        );
        set("content", canonical(&draft.content)?);
        set(
            "origin_server_ts",
            value(&draft.time.unwrap_or_else(clock::now))?,
        );
        set(
            "depth",
            value(&self.last.as_ref().map_or(1, |(_, depth)| depth + 1))?,
        );
        set(
            "prev_events",
            value(&self.last.iter().map(|(id, _)| id).collect::<Vec<_>>())?,
        );
        set("auth_events", value(&auth)?);
        if let Some(key) = &draft.state_key {
            set("state_key", CanonicalJsonValue::String(key.clone()));
        }
        if let Some(redacts) = draft
            .redacts
            .as_ref()
            .filter(|_| !rules.redaction.content_field_redacts)
        {
            set("redacts", CanonicalJsonValue::String(redacts.to_string()));
        }
        let is_create = draft.kind == TimelineEventType::RoomCreate;
        if !(is_create && rules.authorization.room_create_event_id_as_room_id) {
            set(
                "room_id",
                CanonicalJsonValue::String(self.room_id.to_string()),
            );
        }
        signatures::hash_and_sign_event(
            self.rooms.server_name.as_str(),
            &self.rooms.key,
            &mut object,
            &rules.redaction,
        )
        .map_err(signing::unsignable)?;
        let hash = signatures::reference_hash(&object, rules).map_err(signing::unsignable)?;
        let event_id = OwnedEventId::try_from(format!("${hash}"))
            .map_err(|error| Error::Broken(format!("an event id of our own: {error}")))?;
        Ok((object, event_id))
    }

    fn auth_events(&self, draft: &Draft) -> Result<Vec<OwnedEventId>> {
        let rules = &self.rules.authorization;
        let types = state_res::auth_types_for_event(
            &draft.kind,
            &draft.sender,
            draft.state_key.as_deref(),
            &draft.content,
            rules,
        )
        .map_err(Error::bad_json)?;
        let mut events = Vec::new();
        for (kind, key) in types {
            // The create event is named by the room id there.
            if rules.room_create_event_id_as_room_id && kind == StateEventType::RoomCreate {
                continue;
            }
            events.extend(self.state(&kind, &key)?.map(|pdu| pdu.event_id.clone()));
        }
        Ok(events)
    }

    /// Authorizes the event, and writes it and what follows from it into the batch.
    fn admit(
        &mut self,
        draft: Draft,
        object: &CanonicalJsonObject,
        event_id: OwnedEventId,
    ) -> Result<Arc<Pdu>> {
        let json = serde_json::value::to_raw_value(object)?;
        if json.get().len() > EVENT_MAX_BYTES {
            return Err(Error::too_large(format!(
                "Event too large (max {EVENT_MAX_BYTES} bytes)"
            )));
        }
        let state = draft
            .state_key
            .map(|key| (StateEventType::from(draft.kind.to_string()), key));
        let replaces = match &state {
            Some((kind, key)) => self.state(kind, key)?.map(|pdu| pdu.event_id.clone()),
            None => None,
        };
        let stored = StoredEvent {
            id: event_id,
            pdu: json,
            send_id: draft.send_id,
            replaces,
            redacted_by: None,
        };
        let pdu = Pdu::from_stored(stored, &self.room_id, Position::default())?;
        self.authorize(&pdu)?;
        if pdu.kind == TimelineEventType::RoomRedaction {
            redact::apply(self, &pdu)?;
        }
        let pdu = Arc::new(pdu);
        self.last = Some((pdu.event_id.clone(), pdu.depth));
        if let Some(key) = state {
            self.state.insert(key, pdu.clone());
        }
        let index = self.added.len();
        self.added_by_id.insert(pdu.event_id.clone(), index);
        self.added.push(pdu.clone());
        Ok(pdu)
    }

    fn authorize(&self, pdu: &Pdu) -> Result<()> {
        let rules = &self.rules.authorization;
        let broken = std::cell::RefCell::new(None);
        let fetched = |found: Result<Option<Arc<Pdu>>>| match found {
            Ok(found) => found,
            Err(error) => {
                broken.replace(Some(error));
                None
            }
        };
        let independent =
            state_res::check_state_independent_auth_rules(rules, pdu, |id| fetched(self.event(id)));
        let outcome = independent.and_then(|()| {
            state_res::check_state_dependent_auth_rules(rules, pdu, |kind, key| {
                fetched(self.state(kind, key))
            })
        });
        if let Some(error) = broken.take() {
            return Err(error);
        }
        outcome.map_err(|reason| unauthorized(&reason))
    }

    pub(super) fn event(&self, id: &EventId) -> Result<Option<Arc<Pdu>>> {
        #[cfg(test)]
        self.rooms.work.add(1);
        match self.added_by_id.get(id) {
            Some(&index) => Ok(self.added.get(index).cloned()),
            None => self.rooms.event(id),
        }
    }
}

pub(super) fn check_sizes(draft: &Draft) -> Result<()> {
    let too_long = |what: &str| {
        Error::too_large(format!(
            "The {what} of an event is too long (max {EVENT_FIELD_MAX_BYTES} bytes)"
        ))
    };
    if draft.kind.to_string().len() > EVENT_FIELD_MAX_BYTES {
        return Err(too_long("type"));
    }
    if draft
        .state_key
        .as_ref()
        .is_some_and(|key| key.len() > EVENT_FIELD_MAX_BYTES)
    {
        return Err(too_long("state key"));
    }
    if draft.content.get().len() > EVENT_MAX_BYTES {
        return Err(Error::too_large(format!(
            "Event too large (max {EVENT_MAX_BYTES} bytes)"
        )));
    }
    Ok(())
}

fn value(value: &impl serde::Serialize) -> Result<CanonicalJsonValue> {
    to_canonical_value(value).map_err(|error| Error::Broken(format!("JSON of our own: {error}")))
}

/// The content as canonical JSON, which knows no fractions and no large numbers.
fn canonical(content: &RawValue) -> Result<CanonicalJsonValue> {
    let content: CanonicalJsonValue = serde_json::from_str(content.get())
        .map_err(|error| Error::bad_json(format!("the content is not canonical JSON: {error}")))?;
    match content {
        CanonicalJsonValue::Object(_) => Ok(content),
        _ => Err(Error::bad_json("the content of an event is an object")),
    }
}
