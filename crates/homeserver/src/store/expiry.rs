//! Rows that end by themselves: `RocksDB` leaves them out when it rewrites the files that they are in.
//!
//! What a request with a transaction id made is only needed for as long as a client may send that request again. Nobody has to look
//! for rows that are too old, and none is taken away while the file that it is in is not rewritten: the limits are the least.

use std::time::Duration;

use rocksdb::{CompactionDecision, Options};

use super::{decode, table::Table, tables::SendIds};
use crate::clock;

/// How long it is known what a request with a transaction id made. A bridge that was down for weeks still says nothing twice.
const SEND_IDS_KEPT: Duration = Duration::from_hours(30 * 24);
/// After how long a file is rewritten to leave out what has ended, even if nothing else makes that necessary.
const REWRITTEN_EVERY: Duration = Duration::from_hours(7 * 24);

/// Has the rows of this table end, if they do.
pub(super) fn set_compaction_filter(name: &str, options: &mut Options) {
    if name != SendIds::NAME {
        return;
    }
    options.set_periodic_compaction_seconds(REWRITTEN_EVERY.as_secs());
    options.set_compaction_filter(c"send ids", |_, _, row| {
        // What cannot be read is not ours to judge.
        match decode::<SendIds>(row) {
            Ok(made) if clock::elapsed_since(made.time) > SEND_IDS_KEPT => {
                CompactionDecision::Remove
            }
            _ => CompactionDecision::Keep,
        }
    });
}
