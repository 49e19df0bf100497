//! Events that a write can do without: those that the room's rules refuse are left out.

use super::RoomWriter;
use crate::{
    error::{Error, Result},
    rooms::Draft,
    store::StoreError,
};

impl RoomWriter {
    /// Adds an event unless the room's rules or a limit refuse it. Says whether it was added.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub fn add_if_allowed(&mut self, draft: Draft) -> Result<bool> {
        match self.add(draft) {
            Err(Error::Refused(why)) => {
                tracing::debug!(room.id = %self.room_id(), reason = why.message, "event left out");
                Ok(false)
            }
            added => added.map(|_| true),
        }
    }

    /// Adds many events, and then those of `optional` that are allowed. Building them is no work for an async worker.
    ///
    /// # Errors
    ///
    /// As [`Self::add`]; the first error ends the writer.
    pub async fn add_all(mut self, drafts: Vec<Draft>, optional: Vec<Draft>) -> Result<Self> {
        let building = crate::blocking::run(move || {
            #[cfg(test)]
            self.rooms.gate.pass_new();
            for draft in drafts {
                self.add(draft)?;
            }
            for draft in optional {
                self.add_if_allowed(draft)?;
            }
            Ok(self)
        });
        building.await.map_err(|_| StoreError::Lost)?
    }
}
