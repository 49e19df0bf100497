//! The piece of a room's timeline that a sync gives.

use std::{collections::BTreeSet, sync::Arc};

use ruma::{RoomId, events::StateEventType};

use super::{Span, SyncOptions};
use crate::{
    error::Result,
    rooms::{Pdu, Rooms, filter, visibility::EventVisibility},
    stream::Position,
};

/// How many events are looked at for the few that a filter wants.
const LOOKED_AT_MAX: usize = 1_000;

/// A piece of a timeline.
#[derive(Debug, Default)]
pub(super) struct TimelineChunk {
    /// The events, oldest first.
    pub(super) events: Vec<Arc<Pdu>>,
    /// Whether there are older ones that the client does not have.
    pub(super) limited: bool,
    /// Whether state may have changed that the events do not show.
    pub(super) hidden_state: bool,
    /// State of the span that the user may see, but does not want to see in a timeline: type and state key.
    pub(super) filtered_state: BTreeSet<(StateEventType, String)>,
    /// The types of state that are known to have changed.
    state: BTreeSet<StateEventType>,
}

impl TimelineChunk {
    /// Whether state may have changed, shown or not.
    pub(super) fn changes_state(&self) -> bool {
        self.limited || !self.state.is_empty()
    }

    /// Whether somebody's membership may have changed.
    pub(super) fn changes_members(&self) -> bool {
        self.limited || self.state.contains(&StateEventType::RoomMember)
    }

    /// Where the first event is; behind the end if there is none.
    pub(super) fn start(&self, end: Position) -> Position {
        self.events
            .first()
            .map_or(end.next(), |first| first.position)
    }
}

/// The last events of the span that the user may see and wants to see. `event_visibility` is needed where the user was not there all the time.
pub(super) fn chunk(
    rooms: &Rooms,
    room: &RoomId,
    options: &SyncOptions,
    span: Span,
    event_visibility: Option<&EventVisibility>,
) -> Result<TimelineChunk> {
    let mut chunk = TimelineChunk::default();
    let wanted = &options.filter.room.timeline;
    for (looked_at, pdu) in rooms.events_down(room, span.end).enumerate() {
        let pdu = pdu?;
        if pdu.position <= span.after {
            break;
        }
        // What became of themselves everybody learns, whatever the room hides.
        let own = pdu.is_member_event_of(&options.viewer.user_id);
        let seen = own
            || event_visibility.is_none_or(|event_visibility| event_visibility.allows_event(&pdu));
        let shown = seen && options.wants(&pdu) && filter::matches(wanted, &pdu);
        if (shown && chunk.events.len() >= options.limit) || looked_at >= LOOKED_AT_MAX {
            (chunk.limited, chunk.hidden_state) = (true, true);
            break;
        }
        if let Some((kind, key)) = pdu.state() {
            if !seen && !chunk.events.is_empty() {
                // It is told beside the timeline, which therefore begins behind it.
                (chunk.limited, chunk.hidden_state) = (true, true);
                break;
            }
            chunk.hidden_state |= !shown;
            if seen && !shown {
                chunk.filtered_state.insert((kind.clone(), key.to_owned()));
            }
            chunk.state.insert(kind);
        }
        if shown {
            chunk.events.push(pdu);
        }
    }
    chunk.events.reverse();
    Ok(chunk)
}
