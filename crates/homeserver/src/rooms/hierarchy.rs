//! A space, its rooms, their spaces and so on, as a list from the top down.
//!
//! A page's token is how far into the walk it begins; every page walks again, so that nothing is kept for who never asks for the
//! next one. Spec: <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidhierarchy>

use std::collections::HashSet;

use ruma::{
    OwnedRoomId, RoomId, UserId,
    api::client::space::SpaceHierarchyRoomsChunk,
    events::{StateEventType, space::child::HierarchySpaceChildEvent},
    room::RoomType,
    serde::Raw,
};
use serde_json::{json, value::to_raw_value};

use super::{Rooms, summary};
use crate::{
    error::{Error, Result},
    limits::{SPACE_DEPTH_MAX, SPACE_PAGE_MAX, SPACE_WALK_MAX},
};

/// What is asked for.
#[derive(Debug)]
pub struct Query {
    /// The token of the page.
    pub from: Option<String>,
    /// How many rooms at most.
    pub limit: Option<u64>,
    /// How many levels below the first room.
    pub max_depth: Option<u64>,
    /// Whether only rooms that the space suggests.
    pub suggested_only: bool,
}

/// A page, and the token of the next one.
pub type Page = (Vec<SpaceHierarchyRoomsChunk>, Option<String>);

/// A child, in the order of its parent.
struct Child {
    event: HierarchySpaceChildEvent,
    raw: Raw<HierarchySpaceChildEvent>,
}

/// A page of the walk that begins at this room.
///
/// # Errors
///
/// 403 if the user may not know of the room, 400 if the token is not one of ours.
pub fn page(rooms: &Rooms, user: &UserId, root: &RoomId, query: &Query) -> Result<Page> {
    if !rooms.exists(root)? || !summary::may_know(rooms, Some(user), root)? {
        return Err(Error::forbidden("You may not see this room"));
    }
    let start: usize = match &query.from {
        Some(token) => token
            .parse()
            .map_err(|_| Error::invalid("from is no token of this server"))?,
        None => 0,
    };
    let limit = query.limit.and_then(|limit| usize::try_from(limit).ok());
    let limit = limit.unwrap_or(SPACE_PAGE_MAX).clamp(1, SPACE_PAGE_MAX);
    let depth_max = query
        .max_depth
        .unwrap_or(SPACE_DEPTH_MAX)
        .min(SPACE_DEPTH_MAX);
    let mut seen = HashSet::from([root.to_owned()]);
    let mut open: Vec<(OwnedRoomId, u64)> = vec![(root.to_owned(), 0)];
    let (mut chunk, mut reached, mut looked) = (Vec::new(), 0_usize, 0_usize);
    while let Some((room, depth)) = open.pop() {
        looked += 1;
        let known = rooms.exists(&room)? && summary::may_know(rooms, Some(user), &room)?;
        if looked > SPACE_WALK_MAX || !known {
            continue;
        }
        if chunk.len() == limit {
            return Ok((chunk, Some(reached.to_string())));
        }
        let children = children(rooms, &room, query.suggested_only)?;
        if depth < depth_max {
            // The last that is put here is the first that is taken.
            for child in children.iter().rev() {
                let id = &child.event.state_key;
                if !seen.contains(id) {
                    open.push((id.clone(), depth + 1));
                }
            }
            seen.extend(children.iter().map(|child| child.event.state_key.clone()));
        }
        if reached >= start {
            let children = children.into_iter().map(|child| child.raw).collect();
            let summary = summary::summarize(rooms, &room)?;
            chunk.push(SpaceHierarchyRoomsChunk::new(summary, children));
        }
        reached += 1;
    }
    Ok((chunk, None))
}

fn children(rooms: &Rooms, room: &RoomId, suggested_only: bool) -> Result<Vec<Child>> {
    let state = rooms.state(room);
    if summary::room_type(&state)? != Some(RoomType::Space) {
        return Ok(Vec::new());
    }
    let mut children = Vec::new();
    for pdu in state.all_of(&StateEventType::SpaceChild)? {
        let raw: Raw<HierarchySpaceChildEvent> = Raw::from_json(to_raw_value(&json!({
            "type": pdu.kind,
            "state_key": pdu.state_key,
            "sender": pdu.sender,
            "content": &pdu.content,
            "origin_server_ts": pdu.origin_server_ts,
        }))?);
        // One without servers in `via`, or whose key is no room, is no child.
        let Ok(event) = raw.deserialize() else {
            continue;
        };
        if event.content.via.is_empty() {
            continue;
        }
        if !suggested_only || event.content.suggested {
            children.push(Child { event, raw });
        }
    }
    children.sort_by(|one, other| one.event.cmp(&other.event));
    Ok(children)
}
