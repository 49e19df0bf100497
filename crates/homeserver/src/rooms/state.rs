//! The state of a room, now or at any position, read from the temporal index.

use std::sync::Arc;

use ruma::{
    OwnedEventId, OwnedRoomId, OwnedUserId, UserId,
    events::{StateEventType, room::power_levels::RoomPowerLevels},
    room_version_rules::RoomVersionRules,
};
use serde::de::DeserializeOwned;

use super::{Pdu, Rooms};
use crate::{error::Result, store::tables, stream::Position};

/// The state of a room at one position.
#[derive(Clone, Debug)]
pub struct RoomState {
    pub(super) rooms: Rooms,
    pub(super) room_id: OwnedRoomId,
    /// Nothing: as it is now.
    pub(super) at: Option<Position>,
}

impl RoomState {
    /// The state event with this type and key.
    pub fn get(&self, kind: &StateEventType, key: &str) -> Result<Option<Arc<Pdu>>> {
        let place = match self.at {
            None => self
                .rooms
                .store
                .get::<tables::CurrentState>((&*self.room_id, kind, key))?,
            Some(at) => {
                let from = (&*self.room_id, kind, key, at);
                let mut rows = self
                    .rooms
                    .store
                    .scan_back_from::<tables::State>((&*self.room_id, kind, key), from);
                rows.next()
                    .transpose()?
                    .map(|((_, _, _, position), event)| (position, event))
            }
        };
        match place {
            Some((position, event)) => {
                self.rooms
                    .event_at_position(&self.room_id, position, &event)
            }
            None => Ok(None),
        }
    }

    /// The content of a state event as a type; nothing if there is none, or none of that shape.
    pub fn content<C: DeserializeOwned>(
        &self,
        kind: &StateEventType,
        key: &str,
    ) -> Result<Option<C>> {
        Ok(self.get(kind, key)?.and_then(|pdu| pdu.content_as()))
    }

    /// The member event of a user.
    pub fn member(&self, user: &UserId) -> Result<Option<Arc<Pdu>>> {
        self.get(&StateEventType::RoomMember, user.as_str())
    }

    /// Everything, in the order of type and key.
    pub fn all(&self) -> Result<Vec<Arc<Pdu>>> {
        self.events(self.places(None)?)
    }

    /// Everything of one type, in the order of the keys.
    pub fn all_of(&self, kind: &StateEventType) -> Result<Vec<Arc<Pdu>>> {
        self.events(self.places(Some(kind))?)
    }

    /// Everything that came after a position, in the order of type and key.
    pub fn all_after(&self, known: Position) -> Result<Vec<Arc<Pdu>>> {
        let mut places = self.places(None)?;
        places.retain(|(position, _)| *position > known);
        self.events(places)
    }

    fn events(&self, places: Vec<(Position, OwnedEventId)>) -> Result<Vec<Arc<Pdu>>> {
        let events = places.into_iter().map(|(position, event)| {
            let found = self
                .rooms
                .event_at_position(&self.room_id, position, &event);
            found.transpose()
        });
        events.flatten().collect()
    }

    /// Where the state events are, optionally only those of one type.
    fn places(&self, kind: Option<&StateEventType>) -> Result<Vec<(Position, OwnedEventId)>> {
        let store = &self.rooms.store;
        let Some(at) = self.at else {
            let rows = match kind {
                Some(kind) => store.scan::<tables::CurrentState>((&*self.room_id, kind)),
                None => store.scan::<tables::CurrentState>((&*self.room_id,)),
            };
            return rows.map(|row| Ok(row?.1)).collect();
        };
        let rows = match kind {
            Some(kind) => store.scan::<tables::State>((&*self.room_id, kind)),
            None => store.scan::<tables::State>((&*self.room_id,)),
        };
        // The rows of one type and key follow each other in the order of their positions: the last that is not too late counts.
        let mut places = Vec::new();
        let mut last: Option<(StateEventType, String)> = None;
        for row in rows {
            let ((_, kind, state_key, position), event) = row?;
            if position > at {
                continue;
            }
            let same = last
                .as_ref()
                .is_some_and(|(k, s)| *k == kind && *s == state_key);
            if same {
                places.pop();
            } else {
                last = Some((kind, state_key));
            }
            places.push((position, event));
        }
        Ok(places)
    }

    /// Who may do what.
    pub fn power_levels(&self, rules: &RoomVersionRules) -> Result<RoomPowerLevels> {
        let content = self.get(&StateEventType::RoomPowerLevels, "")?;
        let creators = self.creators(rules)?;
        Ok(RoomPowerLevels::new(
            match content.and_then(|pdu| pdu.content_as()) {
                Some(content) => {
                    ruma::events::room::power_levels::RoomPowerLevelsSource::Original(content)
                }
                None => ruma::events::room::power_levels::RoomPowerLevelsSource::None,
            },
            &rules.authorization,
            creators,
        ))
    }

    /// Who made the room, and who else counts as its creator (room version 12 and later).
    pub fn creators(&self, rules: &RoomVersionRules) -> Result<Vec<OwnedUserId>> {
        #[derive(serde::Deserialize)]
        struct Create {
            #[serde(default)]
            additional_creators: Vec<OwnedUserId>,
        }
        let Some(create) = self.get(&StateEventType::RoomCreate, "")? else {
            return Ok(Vec::new());
        };
        let mut creators = vec![create.sender.clone()];
        if rules.authorization.additional_room_creators {
            creators.extend(
                create
                    .content_as::<Create>()
                    .map(|content| content.additional_creators)
                    .unwrap_or_default(),
            );
        }
        Ok(creators)
    }
}
