//! Pages of a room's timeline, and the tokens between them.
//!
//! A token is a place between two events: everything up to its position is before it. So the same token leads both ways, and a
//! page there and a page back have neither a gap nor an overlap. Syncs give out the same tokens.
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidmessages>

use std::{collections::BTreeSet, str::FromStr, sync::Arc};

use ruma::{
    OwnedUserId, RoomId, UInt, UserId,
    api::{Direction, client::filter::RoomEventFilter},
};

use super::{
    Pdu, Rooms, erased,
    filter::{self, RelatedBy},
    visibility::{self, EventVisibility},
};
use crate::{
    accounts::ignored::ignored_by,
    error::{Error, Result},
    limits::{PAGE_MAX_EVENTS, PAGE_MAX_LOOKS},
    stream::Position,
};

mod closest;

/// A place between two events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PaginationToken(pub Position);

impl std::fmt::Display for PaginationToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "s{}", self.0)
    }
}

impl FromStr for PaginationToken {
    type Err = Error;

    /// Reads the token of a page or of a sync, which may say more behind the position.
    fn from_str(text: &str) -> Result<Self> {
        let digits = text.strip_prefix('s').unwrap_or(text);
        let end = digits
            .find(|character: char| !character.is_ascii_digit())
            .unwrap_or(digits.len());
        let position = digits[..end]
            .parse()
            .map_err(|_| Error::invalid("This is no token that this server gave out"))?;
        Ok(Self(Position(position)))
    }
}

/// The token in a request, if there is one.
pub fn token(text: Option<&str>) -> Result<Option<PaginationToken>> {
    text.map(PaginationToken::from_str).transpose()
}

/// A number of events in a request, within what one page can have.
pub fn page_limit(asked: Option<UInt>, default: usize) -> usize {
    let asked = asked.map_or(default, |asked| {
        usize::try_from(u64::from(asked)).unwrap_or(usize::MAX)
    });
    asked.min(PAGE_MAX_EVENTS)
}

/// Which page.
#[derive(Clone, Debug)]
pub struct PageRequest<'a> {
    /// Whether from older to newer or the other way.
    pub direction: Direction,
    /// Where it begins; nothing: at the end that the direction leads away from.
    pub from: Option<PaginationToken>,
    /// Where it ends at the latest.
    pub to: Option<PaginationToken>,
    /// How many events it can have.
    pub limit: usize,
    /// Which events it has.
    pub filter: &'a RoomEventFilter,
}

/// A page.
#[derive(Clone, Debug)]
pub struct Page {
    /// Its events, in the direction that was asked.
    pub events: Vec<Arc<Pdu>>,
    /// Where it begins.
    pub start: PaginationToken,
    /// Where the next one begins; nothing if there is none.
    pub end: Option<PaginationToken>,
}

/// What one user may read of the timeline of one room.
#[derive(Debug)]
pub struct TimelineReader<'a> {
    rooms: &'a Rooms,
    room: &'a RoomId,
    event_visibility: EventVisibility,
    ignored: BTreeSet<OwnedUserId>,
    related_by: RelatedBy,
    end: Position,
}

impl<'a> TimelineReader<'a> {
    /// What this user may read of this room.
    ///
    /// # Errors
    ///
    /// 403 if the user may not read the room.
    pub fn new(rooms: &'a Rooms, user: &UserId, room: &'a RoomId) -> Result<Self> {
        let end = visibility::visible_until(rooms, user, room)?;
        Ok(Self {
            rooms,
            room,
            event_visibility: EventVisibility::new(rooms, user, room)?,
            ignored: ignored_by(&rooms.store, user)?,
            related_by: RelatedBy::default(),
            end,
        })
    }

    /// Pages have only events that others relate to in this way.
    #[must_use]
    pub fn only(mut self, related_by: RelatedBy) -> Self {
        self.related_by = related_by;
        self
    }

    /// The room.
    pub fn room(&self) -> &RoomId {
        self.room
    }

    /// Whether the user may read this event.
    pub fn may_see(&self, pdu: &Pdu) -> bool {
        self.event_visibility.allows_event(pdu)
    }

    /// Whether the event is shown in a timeline: the user may read it, and does not ignore who sent it.
    pub fn shows(&self, pdu: &Pdu) -> bool {
        let ignored = pdu.state_key.is_none() && self.ignored.contains(&pdu.sender);
        !ignored && self.may_see(pdu)
    }

    /// Whether the event is shown as it was sent: it can be found by its words.
    pub fn shows_content(&self, pdu: &Pdu) -> bool {
        self.shows(pdu) && !erased::hides(self.rooms, &self.event_visibility, pdu)
    }

    /// A page of the timeline.
    pub fn page(&self, asked: &PageRequest<'_>) -> Result<Page> {
        let newest = self.end.min(self.rooms.stream.visible());
        match asked.direction {
            Direction::Backward => {
                let from = asked.from.map_or(newest, |token| token.0.min(newest));
                let to = asked.to.map_or(Position(0), |token| token.0);
                let events = self.rooms.events_down(self.room, from);
                let start = asked.from.unwrap_or(PaginationToken(from));
                let within = move |pdu: &Pdu| pdu.position > to;
                self.collect(asked, events, start, within, |pdu| pdu.position.before())
            }
            Direction::Forward => {
                let from = asked.from.unwrap_or(PaginationToken(Position(0)));
                let to = asked.to.map_or(newest, |token| token.0.min(newest));
                let events = self.rooms.events_up(self.room, from.0.next());
                let within = move |pdu: &Pdu| pdu.position <= to;
                self.collect(asked, events, from, within, |pdu| pdu.position)
            }
        }
    }

    fn collect(
        &self,
        asked: &PageRequest<'_>,
        mut events: impl Iterator<Item = Result<Arc<Pdu>>>,
        start: PaginationToken,
        within: impl Fn(&Pdu) -> bool,
        behind: impl Fn(&Pdu) -> Position,
    ) -> Result<Page> {
        let (mut found, mut end, mut looks) = (Vec::new(), start, 0);
        loop {
            let Some(pdu) = events.next().transpose()?.filter(|pdu| within(pdu)) else {
                return Ok(Page {
                    events: found,
                    start,
                    end: None,
                });
            };
            if found.len() >= asked.limit || looks >= PAGE_MAX_LOOKS {
                return Ok(Page {
                    events: found,
                    start,
                    end: Some(end),
                });
            }
            looks += 1;
            end = PaginationToken(behind(&pdu));
            let wanted = filter::matches(asked.filter, &pdu) && self.shows(&pdu);
            if wanted && self.related_by.matches(self.rooms, &pdu)? {
                found.push(pdu);
            }
        }
    }
}
