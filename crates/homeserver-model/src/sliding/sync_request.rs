//! A request as it is worked with: limits checked, `$ME` filled in, and the filters read that ruma's types do not carry.

use std::collections::BTreeMap;

use ruma::{
    OwnedRoomId, OwnedUserId, UInt, UserId,
    api::client::sync::sync_events::v5::{Request, request},
    events::StateEventType,
};
use serde::Deserialize;

use super::{
    filter::{Filters, MoreFilters},
    list::{List, RoomRequest},
    required::RequiredState,
};
use crate::{
    Refusal, Viewer,
    limits::{
        CONNECTION_NAME_MAX_BYTES, LIST_FILTER_ENTRIES_MAX, LIST_NAME_MAX_BYTES, LIST_RANGES_MAX,
        LISTS_MAX, REQUIRED_STATE_MAX, ROOM_NAME_LIKE_MAX_BYTES, SLIDING_TIMELINE_MAX,
        SUBSCRIPTIONS_MAX,
    },
};

/// The result of reading a part of a request.
type Result<T> = std::result::Result<T, Refusal>;

/// What a client asks for.
#[derive(Debug)]
pub struct SyncRequest {
    /// Who asks, and with which device.
    pub viewer: Viewer,
    /// To tell the request from others, for the client.
    pub txn_id: Option<String>,
    /// Lists, by name.
    pub lists: BTreeMap<String, List>,
    /// Rooms that the client looks at.
    pub subscriptions: BTreeMap<OwnedRoomId, RoomRequest>,
    /// What it wants besides rooms.
    pub extensions: request::Extensions,
}

/// The name of the connection that a request is part of.
///
/// # Errors
///
/// 400 `M_INVALID_PARAM` if it is too long.
pub fn connection_name(request: &Request) -> Result<String> {
    let name = request.conn_id.clone().unwrap_or_default();
    if name.len() > CONNECTION_NAME_MAX_BYTES {
        return Err(Refusal::invalid(format!(
            "conn_id too long (max {CONNECTION_NAME_MAX_BYTES} bytes)"
        )));
    }
    Ok(name)
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct MoreRequest {
    lists: BTreeMap<String, MoreList>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct MoreList {
    filters: Option<MoreFilters>,
}

impl SyncRequest {
    /// Reads a request; `bytes` are its body.
    ///
    /// # Errors
    ///
    /// 400 `M_INVALID_PARAM` if it asks for more than one request can, 400 `M_BAD_JSON` if a filter is not in its form.
    pub fn new(viewer: Viewer, request: Request, bytes: &[u8]) -> Result<Self> {
        at_most("lists", request.lists.len(), LISTS_MAX)?;
        at_most(
            "room_subscriptions",
            request.room_subscriptions.len(),
            SUBSCRIPTIONS_MAX,
        )?;
        let user = &viewer.user_id;
        let mut more: MoreRequest =
            serde_json::from_slice(bytes).map_err(|error| Refusal::bad_json(error.to_string()))?;
        let mut lists = BTreeMap::new();
        for (name, list) in request.lists {
            // The name of a list is kept for as long as the connection.
            if name.len() > LIST_NAME_MAX_BYTES {
                return Err(Refusal::invalid(format!(
                    "List name too long (max {LIST_NAME_MAX_BYTES} bytes)"
                )));
            }
            let more = more.lists.remove(&name).unwrap_or_default();
            lists.insert(name, self::list(list, more, user)?);
        }
        let mut subscriptions = BTreeMap::new();
        for (room, details) in request.room_subscriptions {
            let wanted = wanted(details.timeline_limit, &details.required_state, user)?;
            subscriptions.insert(room, wanted);
        }
        Ok(Self {
            txn_id: request.txn_id,
            lists,
            subscriptions,
            extensions: request.extensions,
            viewer,
        })
    }

    /// Who asks.
    pub fn user(&self) -> &OwnedUserId {
        &self.viewer.user_id
    }
}

fn list(list: request::List, more: MoreList, user: &UserId) -> Result<List> {
    at_most("ranges", list.ranges.len(), LIST_RANGES_MAX)?;
    let filters = Filters {
        known: list.filters.unwrap_or_default(),
        more: more.filters.unwrap_or_default(),
    };
    check(&filters)?;
    let details = &list.room_details;
    Ok(List {
        wanted: wanted(details.timeline_limit, &details.required_state, user)?,
        ranges: list.ranges,
        filters,
    })
}

/// Every room of the user meets the filters, one after the other.
fn check(filters: &Filters) -> Result<()> {
    let (known, more) = (&filters.known, &filters.more);
    let entries = |list: &Option<Vec<String>>| list.as_ref().map_or(0, Vec::len);
    for (what, count) in [
        ("tags", entries(&more.tags)),
        ("not_tags", entries(&more.not_tags)),
        ("spaces", more.spaces.as_ref().map_or(0, Vec::len)),
        ("room_types", known.room_types.len()),
        ("not_room_types", known.not_room_types.len()),
    ] {
        at_most(what, count, LIST_FILTER_ENTRIES_MAX)?;
    }
    let like = more.room_name_like.as_ref().map_or(0, String::len);
    if like > ROOM_NAME_LIKE_MAX_BYTES {
        return Err(Refusal::invalid(format!(
            "room_name_like can have {ROOM_NAME_LIKE_MAX_BYTES} bytes"
        )));
    }
    Ok(())
}

fn wanted(
    limit: UInt,
    required: &[(StateEventType, String)],
    user: &UserId,
) -> Result<RoomRequest> {
    at_most("required_state", required.len(), REQUIRED_STATE_MAX)?;
    Ok(RoomRequest {
        timeline_limit: usize::try_from(limit)
            .unwrap_or(SLIDING_TIMELINE_MAX)
            .min(SLIDING_TIMELINE_MAX),
        required: RequiredState::new(required, user),
    })
}

fn at_most(what: &str, count: usize, limit: usize) -> Result<()> {
    if count > limit {
        return Err(Refusal::invalid(format!(
            "{what}: too many entries (max {limit}, got {count})"
        )));
    }
    Ok(())
}
