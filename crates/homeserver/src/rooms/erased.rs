//! Users who were erased: whoever had no sight of their events until then gets redacted copies.
//!
//! Nothing is redacted in the database: those who could read the events before still do. What shapes the room (its name, its power
//! levels) stays for everybody. Spec: <https://spec.matrix.org/v1.19/client-server-api/#post_matrixclientv3accountdeactivate>

use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
};

use ruma::{OwnedUserId, UserId, canonical_json::redact};
use serde_json::value::to_raw_value;

use super::{Pdu, Rooms, visibility::EventVisibility};
use crate::{
    error::{Error, Result},
    store::{Batch, Store, tables},
    stream::Position,
};

/// Who was erased, and behind which position.
#[derive(Debug)]
pub struct ErasedUsers {
    users: RwLock<HashMap<OwnedUserId, Position>>,
}

impl ErasedUsers {
    /// All that the database knows.
    pub fn open(store: &Store) -> Result<Self> {
        let rows = store.scan::<tables::ErasedUsers>(());
        let users = rows.map(|row| row.map(|((user,), position)| (user, position)));
        Ok(Self {
            users: RwLock::new(users.collect::<Result<_, _>>()?),
        })
    }

    fn position_of(&self, user: &UserId) -> Option<Position> {
        let users = self.users.read().unwrap_or_else(PoisonError::into_inner);
        users.get(user).copied()
    }

    /// Erases a user, in the batch that ends the account and in memory, from what is visible now.
    pub fn add(&self, batch: &mut Batch, user: &UserId, position: Position) -> Result<()> {
        batch.put::<tables::ErasedUsers>((user,), &position)?;
        let mut users = self.users.write().unwrap_or_else(PoisonError::into_inner);
        users.insert(user.to_owned(), position);
        Ok(())
    }
}

/// Whether the sender was erased before the user had sight of the event.
pub fn hides(rooms: &Rooms, event_visibility: &EventVisibility, pdu: &Pdu) -> bool {
    is_personal(pdu)
        && rooms
            .erased
            .position_of(&pdu.sender)
            .is_some_and(|erased| !event_visibility.reached_before(pdu, erased))
}

/// The redacted copy that the user gets of the event; nothing if the user gets the event itself.
pub fn redacted_copy(rooms: &Rooms, user: &UserId, pdu: &Pdu) -> Result<Option<Pdu>> {
    let Some(erased) = rooms.erased.position_of(&pdu.sender) else {
        return Ok(None);
    };
    if !is_personal(pdu)
        || EventVisibility::new(rooms, user, &pdu.room_id)?.reached_before(pdu, erased)
    {
        return Ok(None);
    }
    let rules = rooms.rules(&pdu.room_id)?.redaction;
    let object = redact(pdu.object()?, &rules, None)
        .map_err(|error| Error::Broken(format!("an event of our own: {error}")))?;
    let mut stored = pdu.to_stored();
    stored.pdu = to_raw_value(&object)?;
    Pdu::from_stored(stored, &pdu.room_id, pdu.position).map(Some)
}

/// Whether the event is about its sender: a message, or the sender's own name.
fn is_personal(pdu: &Pdu) -> bool {
    pdu.state_key.is_none() || pdu.is_member_event_of(&pdu.sender)
}
