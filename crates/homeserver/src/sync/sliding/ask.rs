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
    list::{List, Wanted},
    required::RequiredState,
};
use crate::{
    caller::Caller,
    error::{Error, Result},
    limits::{
        LIST_NAME_MAX_BYTES, LIST_RANGES_MAX, LISTS_MAX, REQUIRED_STATE_MAX, SUBSCRIPTIONS_MAX,
    },
    rooms::present::Viewer,
};

/// How many events of a timeline are sent at once, however many are asked for.
const TIMELINE_MAX: usize = 200;

/// What a client asks for.
#[derive(Debug)]
pub(super) struct Ask {
    /// Who asks, and with which device.
    pub(super) viewer: Viewer,
    /// To tell the request from others, for the client.
    pub(super) txn_id: Option<String>,
    /// Lists, by name.
    pub(super) lists: BTreeMap<String, List>,
    /// Rooms that the client looks at.
    pub(super) subscriptions: BTreeMap<OwnedRoomId, Wanted>,
    /// What it wants besides rooms.
    pub(super) extensions: request::Extensions,
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

impl Ask {
    /// Reads a request; `bytes` are its body.
    ///
    /// # Errors
    ///
    /// 400 `M_INVALID_PARAM` if it asks for more than one request can, 400 `M_BAD_JSON` if a filter is not in its form.
    pub(super) fn new(caller: &Caller, request: Request, bytes: &[u8]) -> Result<Self> {
        at_most("lists", request.lists.len(), LISTS_MAX)?;
        at_most(
            "room_subscriptions",
            request.room_subscriptions.len(),
            SUBSCRIPTIONS_MAX,
        )?;
        let user = &caller.user_id;
        let mut more: MoreRequest =
            serde_json::from_slice(bytes).map_err(|error| Error::bad_json(error.to_string()))?;
        let mut lists = BTreeMap::new();
        for (name, list) in request.lists {
            // The name of a list is kept for as long as the connection.
            if name.len() > LIST_NAME_MAX_BYTES {
                return Err(Error::invalid(format!(
                    "The name of a list can have {LIST_NAME_MAX_BYTES} bytes"
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
            viewer: Viewer::from(caller),
            txn_id: request.txn_id,
            lists,
            subscriptions,
            extensions: request.extensions,
        })
    }

    /// Who asks.
    pub(super) fn user(&self) -> &OwnedUserId {
        &self.viewer.user_id
    }
}

fn list(list: request::List, more: MoreList, user: &UserId) -> Result<List> {
    at_most("ranges", list.ranges.len(), LIST_RANGES_MAX)?;
    let details = &list.room_details;
    Ok(List {
        wanted: wanted(details.timeline_limit, &details.required_state, user)?,
        ranges: list.ranges,
        filters: Filters {
            known: list.filters.unwrap_or_default(),
            more: more.filters.unwrap_or_default(),
        },
    })
}

fn wanted(limit: UInt, required: &[(StateEventType, String)], user: &UserId) -> Result<Wanted> {
    at_most("required_state", required.len(), REQUIRED_STATE_MAX)?;
    Ok(Wanted {
        timeline_limit: usize::try_from(limit)
            .unwrap_or(TIMELINE_MAX)
            .min(TIMELINE_MAX),
        required: RequiredState::new(required, user),
    })
}

fn at_most(what: &str, count: usize, limit: usize) -> Result<()> {
    if count > limit {
        return Err(Error::invalid(format!(
            "{what} can have {limit} entries, not {count}"
        )));
    }
    Ok(())
}
