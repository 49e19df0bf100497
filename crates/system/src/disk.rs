//! Room on a disk, and errors that say that there is none.

use std::{io, path::Path};

use nix::sys::{signal::Signal, statvfs::statvfs};
use tokio::signal::unix::SignalKind;

/// The room, in bytes, that a store needs before it is worth trying again.
pub const ROOM_BYTES_MIN: u64 = 16 * 1024 * 1024;

/// What the system calls a disk without room, for libraries that pass on its words only.
const FULL: &str = "No space left on device";

/// Lets a write beyond the size that the system allows for a file (`ulimit -f`) fail, instead of ending the process by a signal.
pub fn survive_size_limit() -> io::Result<()> {
    let signal = SignalKind::from_raw(Signal::SIGXFSZ as i32);
    // The handler stays, although nobody waits for it.
    tokio::signal::unix::signal(signal).map(drop)
}

#[allow(
    clippy::useless_conversion,
    reason = "the count is narrower on other systems"
)]
/// The room on the disk of this path that a process without privileges may use, in bytes.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let found = statvfs(path)?;
    Ok(u64::from(found.blocks_available()).saturating_mul(found.fragment_size()))
}

/// Whether there is enough room to write again. Where nobody can say, there is.
pub fn has_room(path: &Path) -> bool {
    free_bytes(path).map_or(true, |room| room >= ROOM_BYTES_MIN)
}

/// Whether an error, or what a library made of one, says that the disk is full.
pub fn is_full(error: &(dyn std::error::Error + 'static)) -> bool {
    let io = error.downcast_ref::<io::Error>();
    io.is_some_and(|error| error.kind() == io::ErrorKind::StorageFull)
        || error.to_string().contains(FULL)
        || error.source().is_some_and(is_full)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_disk_is_recognized_by_kind_and_by_words() {
        let words = io::Error::other("IO error: No space left on device: While appending to file");
        assert!(is_full(&words));
        assert!(is_full(&io::Error::from(io::ErrorKind::StorageFull)));
        let too_many = io::Error::from_raw_os_error(24);
        assert!(!is_full(&too_many), "{too_many}");
    }

    #[test]
    fn room_is_more_than_nothing_where_tests_can_write() {
        assert!(free_bytes(&std::env::temp_dir()).unwrap() > 0);
        assert!(has_room(Path::new("/there/is/no/such/folder")));
    }
}
