//! Which rooms a list is of: filters over what is known of each room. Pure.
//!
//! Spec: <https://github.com/matrix-org/matrix-spec-proposals/pull/4186>

use ruma::{
    OwnedRoomId, api::client::sync::sync_events::v5::request::ListFilters,
    directory::RoomTypeFilter,
};
use serde::Deserialize;

use crate::Position;

/// What filters and order need to know of a room.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Its id.
    pub room_id: OwnedRoomId,
    /// Where the last thing happened that a person would call news.
    pub bump: Position,
    /// Whether the user is invited to it and not in it.
    pub invited: bool,
    /// Whether it is a direct chat of the user.
    pub direct: bool,
    /// Whether it is encrypted.
    pub encrypted: bool,
    /// The type of its create event; nothing for ordinary rooms.
    pub room_type: Option<String>,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// The tags that the user has put on it.
    pub tags: Vec<String>,
    /// The asked spaces that it is in.
    pub spaces: Vec<OwnedRoomId>,
}

/// Filters that ruma's type does not have.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct MoreFilters {
    /// Only rooms that are in one of these spaces.
    pub spaces: Option<Vec<OwnedRoomId>>,
    /// Only rooms with one of these tags.
    pub tags: Option<Vec<String>>,
    /// No room with one of these tags.
    pub not_tags: Option<Vec<String>>,
    /// Only rooms whose name holds this text, in any case.
    pub room_name_like: Option<String>,
}

/// All filters of a list. What is not set filters nothing; what is set has to hold together.
#[derive(Clone, Debug, Default)]
pub struct Filters {
    /// Those of ruma's type.
    pub known: ListFilters,
    /// The others.
    pub more: MoreFilters,
}

impl Filters {
    /// Whether the room is in the list.
    pub fn admit(&self, room: &Candidate) -> bool {
        let is = |asked: Option<bool>, fact: bool| asked.is_none_or(|asked| asked == fact);
        is(self.known.is_dm, room.direct)
            && is(self.known.is_invite, room.invited)
            && is(self.known.is_encrypted, room.encrypted)
            && self.admit_type(room.room_type.as_deref())
            && self.admit_more(room)
    }

    fn admit_type(&self, room_type: Option<&str>) -> bool {
        let names =
            |types: &[RoomTypeFilter]| types.iter().any(|filter| filter.as_str() == room_type);
        let (types, not_types) = (&self.known.room_types, &self.known.not_room_types);
        (types.is_empty() || names(types)) && !names(not_types)
    }

    fn admit_more(&self, room: &Candidate) -> bool {
        let tagged = |tags: &[String]| tags.iter().any(|tag| room.tags.contains(tag));
        let more = &self.more;
        more.spaces
            .as_ref()
            .is_none_or(|spaces| spaces.iter().any(|space| room.spaces.contains(space)))
            && more.tags.as_ref().is_none_or(|tags| tagged(tags))
            && !more.not_tags.as_ref().is_some_and(|tags| tagged(tags))
            && more
                .room_name_like
                .as_ref()
                .is_none_or(|like| room.is_called(like))
    }
}

impl Candidate {
    fn is_called(&self, like: &str) -> bool {
        self.name
            .as_ref()
            .is_some_and(|name| name.to_lowercase().contains(&like.to_lowercase()))
    }
}

#[cfg(test)]
mod tests {
    use ruma::room_id;
    use serde_json::json;

    use super::*;

    fn room() -> Candidate {
        Candidate {
            room_id: room_id!("!a:letta.test").to_owned(),
            bump: Position(1),
            invited: false,
            direct: true,
            encrypted: false,
            room_type: None,
            name: Some("The Kitchen".to_owned()),
            tags: vec!["m.favourite".to_owned()],
            spaces: vec![room_id!("!space:letta.test").to_owned()],
        }
    }

    fn admits(filters: &serde_json::Value) -> bool {
        let filters = Filters {
            known: serde_json::from_value(filters.clone()).unwrap(),
            more: serde_json::from_value(filters.clone()).unwrap(),
        };
        filters.admit(&room())
    }

    #[test]
    fn every_filter_that_is_set_has_to_hold() {
        for yes in [
            json!({}),
            json!({ "is_dm": true, "is_encrypted": false, "is_invite": false }),
            json!({ "room_types": [null] }),
            json!({ "not_room_types": ["m.space"] }),
            json!({ "room_name_like": "kitch" }),
            json!({ "tags": ["m.favourite", "m.lowpriority"], "not_tags": ["m.lowpriority"] }),
            json!({ "spaces": ["!space:letta.test", "!other:letta.test"] }),
        ] {
            assert!(admits(&yes), "{yes}");
        }
        for no in [
            json!({ "is_dm": false }),
            json!({ "is_encrypted": true }),
            json!({ "is_dm": true, "is_invite": true }),
            json!({ "room_types": ["m.space"] }),
            json!({ "room_types": [null], "not_room_types": [null] }),
            json!({ "room_name_like": "garden" }),
            json!({ "tags": [] }),
            json!({ "not_tags": ["m.favourite"] }),
            json!({ "spaces": ["!other:letta.test"] }),
        ] {
            assert!(!admits(&no), "{no}");
        }
    }
}
