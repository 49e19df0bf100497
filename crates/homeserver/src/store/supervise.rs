//! A database that cannot be written: tried again, or given up so that the process can open it anew.
//!
//! `RocksDB` stops after an error that may have left a file in pieces. From a full disk it goes on by itself once there is room;
//! from everything else (no descriptor for a new file, a file that may not grow, a broken disk) only opening it anew helps. What was
//! acknowledged is in its log either way.

use std::time::Duration;

use system::disk;
use tokio_util::sync::CancellationToken;

use super::{Store, StoreError, tables};

/// Between two attempts to write.
const PROBE_EVERY: Duration = Duration::from_secs(1);
/// Failed attempts after which the database is given up, if its disk is not full.
const PROBES_MAX: u32 = 3;
/// The same for a disk that was full and has room again: `RocksDB` itself looks every five seconds.
const PROBES_WITH_ROOM_MAX: u32 = 60;

/// Watches over the database until the server stops.
pub async fn supervise(store: Store, stopping: CancellationToken) {
    let condition = store.condition().clone();
    loop {
        tokio::select! {
            () = stopping.cancelled() => return,
            () = condition.until_failing() => {}
        }
        let mut in_vain = 0;
        loop {
            tokio::select! {
                () = stopping.cancelled() => return,
                () = tokio::time::sleep(PROBE_EVERY) => {}
            }
            let Err(error) = store.probe().await else {
                condition.recovered();
                break;
            };
            let full = disk::is_full(&error);
            if full && !disk::has_room(store.path()) {
                in_vain = 0;
                continue;
            }
            in_vain += 1;
            let max = if full {
                PROBES_WITH_ROOM_MAX
            } else {
                PROBES_MAX
            };
            if in_vain >= max {
                condition.lost();
                // The end of the process comes from outside, and with a reason of its own.
                return stopping.cancelled().await;
            }
        }
    }
}

impl Store {
    /// Writes something that nobody reads.
    async fn probe(&self) -> Result<(), StoreError> {
        self.put::<tables::Meta>(("write probe",), &true.into())
            .await
    }
}
