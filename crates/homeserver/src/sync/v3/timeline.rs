//! The piece of a room's timeline that a sync gives.

use std::{collections::BTreeSet, sync::Arc};

use ruma::{RoomId, events::StateEventType};

use super::{Asked, Span};
use crate::{
    error::Result,
    rooms::{Pdu, Rooms, filter, visibility::Sight},
    stream::Position,
};

/// How many events are looked at for the few that a filter wants.
const LOOKED_AT_MAX: usize = 1_000;

/// A piece of a timeline.
#[derive(Debug, Default)]
pub(super) struct Piece {
    /// The events, oldest first.
    pub(super) events: Vec<Arc<Pdu>>,
    /// Whether there are older ones that the client does not have.
    pub(super) limited: bool,
    /// Whether state may have changed that the events do not show.
    pub(super) hidden_state: bool,
    /// The types of state that are known to have changed.
    state: BTreeSet<StateEventType>,
}

impl Piece {
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

/// The last events of the span that the user may see and wants to see. `sight` is needed where the user was not there all the time.
pub(super) fn piece(
    rooms: &Rooms,
    room: &RoomId,
    asked: &Asked,
    span: Span,
    sight: Option<&Sight>,
) -> Result<Piece> {
    let mut piece = Piece::default();
    let wanted = &asked.filter.room.timeline;
    for (looked_at, pdu) in rooms.events_down(room, span.end).enumerate() {
        let pdu = pdu?;
        if pdu.position <= span.after {
            break;
        }
        // What became of themselves everybody learns, whatever the room hides.
        let own = pdu.is_member_event_of(&asked.viewer.user_id);
        let seen = own || sight.is_none_or(|sight| sight.reaches(&pdu));
        let shown = seen && asked.hears(&pdu) && filter::matches(wanted, &pdu);
        if (shown && piece.events.len() >= asked.limit) || looked_at >= LOOKED_AT_MAX {
            (piece.limited, piece.hidden_state) = (true, true);
            break;
        }
        if let Some((kind, _)) = pdu.state() {
            piece.hidden_state |= !shown;
            piece.state.insert(kind);
        }
        if shown {
            piece.events.push(pdu);
        }
    }
    piece.events.reverse();
    Ok(piece)
}
