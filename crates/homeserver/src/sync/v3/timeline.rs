//! The piece of a room's timeline that a sync gives.

use std::sync::Arc;

use ruma::RoomId;

use super::{Asked, Span};
use crate::{
    error::Result,
    rooms::{Pdu, Rooms, visibility::Sight},
    stream::Position,
    sync::filter,
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
    /// Whether state changed at all.
    pub(super) any_state: bool,
    /// Whether somebody's membership may have changed.
    pub(super) members: bool,
}

impl Piece {
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
        let seen = sight.is_none_or(|sight| sight.reaches(&pdu));
        let shown = seen && asked.hears(&pdu) && filter::wants_event(wanted, &pdu);
        if (shown && piece.events.len() >= asked.limit) || looked_at >= LOOKED_AT_MAX {
            (piece.limited, piece.hidden_state) = (true, true);
            (piece.any_state, piece.members) = (true, true);
            break;
        }
        if let Some((kind, _)) = pdu.state() {
            piece.any_state = true;
            piece.hidden_state |= !shown;
            piece.members |= kind == ruma::events::StateEventType::RoomMember;
        }
        if shown {
            piece.events.push(pdu);
        }
    }
    piece.events.reverse();
    Ok(piece)
}
