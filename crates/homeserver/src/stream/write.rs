//! A write that is put together without positions, and whose rows are told theirs at the very end.

use super::{Position, WakeTarget};
use crate::store::{Batch, StoreError};

/// A row that needs positions. It is written while everybody's later changes wait, so it only serializes what is there already: it
/// reads nothing, and what it is about was worked out before.
type Row = Box<dyn FnOnce(&mut Batch, Positions) -> Result<(), StoreError> + Send>;

/// One of the positions that a [`Write`] will have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(u64);

/// The positions of a [`Write`], once it has them.
#[derive(Clone, Copy, Debug)]
pub struct Positions {
    pub(super) first: u64,
}

impl Positions {
    /// The position in this place of the write.
    #[must_use]
    pub const fn of(self, slot: Slot) -> Position {
        Position(self.first + slot.0)
    }
}

/// Rows that are written together or not at all, in the order of everything. Dropped without [`super::Stream::commit`], they never
/// happened.
#[must_use = "a write that is not committed writes nothing"]
pub struct Write {
    pub(super) batch: Batch,
    pub(super) rows: Vec<Row>,
    pub(super) positions: u64,
    pub(super) wake_targets: Vec<WakeTarget>,
}

impl std::fmt::Debug for Write {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Write")
            .field("batch", &self.batch)
            .field("rows", &self.rows.len())
            .field("positions", &self.positions)
            .finish_non_exhaustive()
    }
}

impl Write {
    pub(super) fn new(batch: Batch) -> Self {
        Self {
            batch,
            rows: Vec::new(),
            positions: 0,
            wake_targets: Vec::new(),
        }
    }

    /// Rows that need no position.
    pub fn batch(&mut self) -> &mut Batch {
        &mut self.batch
    }

    /// One more position, behind those that were asked for before.
    pub fn reserve_position(&mut self) -> Slot {
        let slot = Slot(self.positions);
        self.positions += 1;
        slot
    }

    /// A row that needs positions. Such rows are written in their order, behind those that need none.
    pub fn add_row(
        &mut self,
        row: impl FnOnce(&mut Batch, Positions) -> Result<(), StoreError> + Send + 'static,
    ) {
        self.rows.push(Box::new(row));
    }

    /// Wakes those whom this concerns once it can be read. Without a position there is nothing to wake them for.
    pub fn wake_after_commit(&mut self, targets: impl IntoIterator<Item = WakeTarget>) {
        self.wake_targets.extend(targets);
    }

    /// Whether nothing is to be written.
    pub fn is_empty(&self) -> bool {
        self.batch.is_empty() && self.rows.is_empty()
    }
}
