//! What sliding sync carries besides rooms, each part only if the client asks for it.
//!
//! Spec: <https://github.com/matrix-org/matrix-spec-proposals/pull/4186>

use std::collections::BTreeSet;

use ruma::{
    OwnedRoomId,
    api::client::sync::sync_events::v5::{request::ExtensionRoomConfig, response},
};

use super::{connection::Snapshot, draft::RequestedRooms, sync_request::SyncRequest};
use crate::{error::Result, sync::SyncContext};

mod account_data;
mod e2ee;
mod receipts;
pub(super) mod to_device;
mod typing;

/// The name that stands for all lists.
const ALL_LISTS: &str = "*";

/// The extensions of one answer.
#[derive(Debug)]
pub(super) struct Answer<'a> {
    pub(super) ctx: &'a SyncContext,
    pub(super) sync_request: &'a SyncRequest,
    pub(super) base: &'a Snapshot,
    pub(super) visible: &'a RequestedRooms,
    pub(super) next: &'a mut Snapshot,
    pub(super) extensions: &'a mut response::Extensions,
}

impl Answer<'_> {
    /// Fills in everything that is asked for, and says whether any of it is news.
    pub(super) fn fill(&mut self) -> Result<bool> {
        let asked = &self.sync_request.extensions;
        let is_on = |enabled: Option<bool>| enabled == Some(true);
        let mut news = false;
        if is_on(asked.to_device.enabled) {
            news |= to_device::fill(self)?;
        }
        if is_on(asked.e2ee.enabled) {
            news |= e2ee::fill(self)?;
        }
        if is_on(asked.account_data.enabled) {
            news |= account_data::fill(self)?;
        }
        if is_on(asked.receipts.enabled) {
            news |= receipts::fill(self)?;
        }
        if is_on(asked.typing.enabled) {
            news |= typing::fill(self)?;
        }
        Ok(news)
    }

    /// The rooms that an extension is about: those of the named lists and subscriptions, of all where none are named.
    fn rooms(
        &self,
        lists: Option<&Vec<String>>,
        rooms: Option<&Vec<ExtensionRoomConfig>>,
    ) -> BTreeSet<OwnedRoomId> {
        let is_named = |name: &String| {
            lists.is_none_or(|lists| {
                lists
                    .iter()
                    .any(|asked| asked == name || asked == ALL_LISTS)
            })
        };
        let named = self.visible.lists.iter().filter(|(name, _)| is_named(name));
        let mut about: BTreeSet<_> = named.flat_map(|(_, rooms)| rooms).cloned().collect();
        let subscribed = || self.visible.subscribed.iter().cloned();
        match rooms {
            None => about.extend(subscribed()),
            Some(rooms) => {
                for room in rooms {
                    match room {
                        ExtensionRoomConfig::AllSubscribed => about.extend(subscribed()),
                        ExtensionRoomConfig::Room(room)
                            if self.visible.user_rooms.contains_key(room) =>
                        {
                            about.insert(room.clone());
                        }
                        _ => {}
                    }
                }
            }
        }
        about
    }
}
