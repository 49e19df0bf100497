//! The event that was sent closest to a time.
//!
//! Times need not follow the order of a room, because application services may say when something was sent. So all of them are
//! read, but only their times, and only of what comes closer than the closest so far is asked whether the user may see it.
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv1roomsroomidtimestamp_to_event>

use std::sync::Arc;

use ruma::{MilliSecondsSinceUnixEpoch, api::Direction};
use serde::Deserialize;

use super::TimelineReader;
use crate::{error::Result, rooms::Pdu, store::tables, stream::Position};

#[derive(Deserialize)]
struct Sent {
    origin_server_ts: MilliSecondsSinceUnixEpoch,
}

impl TimelineReader<'_> {
    /// The first event from this time on, or the last one until then.
    pub fn closest(
        &self,
        direction: Direction,
        time: MilliSecondsSinceUnixEpoch,
    ) -> Result<Option<Arc<Pdu>>> {
        let room = self.room;
        let newest = self.end.min(self.rooms.stream.visible());
        let store = &self.rooms.store;
        // In this order the closest so far is mostly the closest of all.
        let rows = match direction {
            Direction::Forward => {
                store.scan_from::<tables::Timeline>((room,), (room, Position::default()))
            }
            Direction::Backward => {
                store.scan_back_from::<tables::Timeline>((room,), (room, newest))
            }
        };
        let mut closest: Option<Arc<Pdu>> = None;
        for row in rows {
            let ((_, position), stored) = row?;
            let sent = serde_json::from_str::<Sent>(stored.pdu.get())?.origin_server_ts;
            let best = closest.as_ref().map(|pdu| pdu.origin_server_ts);
            let closer = match direction {
                Direction::Forward => sent >= time && best.is_none_or(|best| sent < best),
                Direction::Backward => sent <= time && best.is_none_or(|best| sent > best),
            };
            if closer && position <= newest {
                let pdu = self.rooms.event_at(room, position)?;
                closest = pdu.filter(|pdu| self.may_see(pdu)).or(closest);
            }
        }
        Ok(closest)
    }
}
