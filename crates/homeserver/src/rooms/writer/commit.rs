//! How what a writer has added comes to disk: all is worked out first, then the rows get their positions and are written.

use std::sync::Arc;

use tokio::sync::OwnedMutexGuard;

use super::RoomWriter;
use crate::{
    error::Result,
    rooms::{
        Head, Pdu,
        derived::{self, Derivations},
    },
    store::{Encoded, StoreError, tables},
    stream::{Change, Position, Slot, WakeTarget},
};

impl RoomWriter {
    /// Replaces what is stored of an event that is older than this writer.
    pub(in crate::rooms) fn rewrite(&mut self, pdu: Pdu) -> Result<()> {
        let key = (&*self.room_id, pdu.position);
        let batch = self.write.batch();
        batch.put::<tables::Timeline>(key, &pdu.to_stored())?;
        self.rewritten.push(Arc::new(pdu));
        Ok(())
    }

    /// Writes everything that was added, and returns when it is safe on disk and readable by everybody whom it concerns.
    ///
    /// It is written even if the caller is not there any more. Push rules are no work for an async worker.
    pub async fn commit(self) -> Result<Position> {
        let stream = self.rooms.stream.clone();
        let written = crate::blocking::run(move || self.commit_blocking()).await;
        let (head, position) = written.map_err(|_| StoreError::Lost)??;
        stream.wait_until_visible(position).await?;
        // The next writer reads what everybody can read.
        drop(head);
        Ok(position)
    }

    fn commit_blocking(mut self) -> Result<(OwnedMutexGuard<Head>, Position)> {
        let derivations = self.prepare()?;
        let Self {
            rooms,
            room_id,
            mut head,
            last,
            added,
            write,
            rewritten,
            ..
        } = self;
        // If this does not end, the next writer reads the end of the room anew.
        head.last = None;
        // Before anybody is woken, so that nobody is shown what was taken back.
        for pdu in &rewritten {
            rooms.remember(pdu.clone());
        }
        let committed = rooms.stream.commit_blocking(write);
        let position = committed.inspect_err(|_| {
            for pdu in &rewritten {
                rooms.evict_event(&pdu.event_id);
            }
        })?;
        head.last = last;
        if let Some(derivations) = derivations {
            derivations.written(&room_id, &added);
        }
        derived::written(&rooms, &added);
        Ok((head, position))
    }

    /// Works out everything that is to be written. No position is taken yet.
    fn prepare(&mut self) -> Result<Option<Derivations>> {
        self.wake_after_commit(WakeTarget::Room(self.room_id.clone()));
        if self.added.is_empty() {
            return Ok(None);
        }
        let mut derivations = Derivations::begin(self)?;
        #[cfg(test)]
        self.rooms.gate.pass(&self.room_id);
        for pdu in self.added.clone() {
            let slot = self.write.reserve_position();
            self.write_event(&pdu, slot)?;
            derivations.next(self, &pdu, slot)?;
        }
        Ok(Some(derivations))
    }

    fn write_event(&mut self, pdu: &Pdu, slot: Slot) -> Result<()> {
        let (room, event) = (self.room_id.clone(), pdu.event_id.clone());
        let stored = Encoded::new(&pdu.to_stored())?;
        let begins = self.is_new && pdu.depth == 1;
        let mut record = begins.then(|| self.record.clone());
        let state = pdu.state().map(|(kind, key)| (kind, key.to_owned()));
        self.add_row(move |batch, positions| {
            let position = positions.of(slot);
            batch.put_encoded::<tables::Timeline>((&room, position), &stored)?;
            batch.put::<tables::Events>((&event,), &(room.clone(), position))?;
            let change = Change::Event(room.clone(), event.clone());
            batch.put::<tables::Changes>((position,), &change)?;
            if let Some(record) = &mut record {
                record.created = position;
                batch.put::<tables::Rooms>((&room,), record)?;
            }
            if let Some((kind, key)) = &state {
                batch.put::<tables::State>((&room, kind, key, position), &event)?;
                let current = (position, event.clone());
                batch.put::<tables::CurrentState>((&room, kind, key), &current)?;
            }
            Ok(())
        });
        Ok(())
    }
}
