//! How many files and sockets this process may have open (`RLIMIT_NOFILE`), and how many of them connections may take.

use std::io;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// Descriptors that connections never get: those of the store and the journal, the log, outgoing requests, files that are sent.
pub const RESERVE: u64 = 512;

/// The least that the limit is taken for: less than this no server can work with.
const LIMIT_MIN: u64 = 64;

/// Where macOS ends although its hard limit says more.
const MACOS_MAX: u64 = 10_240;

/// The soft limit before and after it was raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Raised {
    /// The soft limit that this process was started with.
    pub from: u64,
    /// The soft limit now.
    pub to: u64,
}

/// Raises the soft limit to the hard limit, and logs both.
///
/// # Errors
///
/// If the system refuses; the limit stays then.
pub fn raise_soft_limit() -> io::Result<Raised> {
    let (from, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let to = if cfg!(target_os = "macos") {
        hard.min(MACOS_MAX)
    } else {
        hard
    };
    if to > from {
        setrlimit(Resource::RLIMIT_NOFILE, to, hard)?;
    }
    let raised = Raised {
        from,
        to: to.max(from),
    };
    tracing::info!(
        from,
        to = raised.to,
        "file descriptor limit (RLIMIT_NOFILE) raised to the hard limit"
    );
    Ok(raised)
}

/// The soft limit.
pub fn soft_limit() -> u64 {
    // Linux and macOS always know it; the least is a safe answer elsewhere.
    getrlimit(Resource::RLIMIT_NOFILE).map_or(LIMIT_MIN, |(soft, _)| soft)
}

/// How many connections fit below this limit. Each may send a file, so it counts twice; half of a small limit stays free.
pub fn connections_within(limit: u64) -> usize {
    let limit = limit.max(LIMIT_MIN);
    let reserve = RESERVE.min(limit / 2);
    usize::try_from((limit - reserve) / 2).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_leave_room_for_the_store() {
        for (limit, connections) in [(0, 16), (64, 16), (256, 64), (1_024, 256), (20_000, 9_744)] {
            assert_eq!(connections_within(limit), connections, "{limit}");
            let used = 2 * u64::try_from(connections).unwrap();
            assert!(used <= limit.max(LIMIT_MIN) / 2 || used + RESERVE <= limit);
        }
        assert!(connections_within(u64::MAX) > 1 << 60);
    }

    #[test]
    fn raise_reaches_the_hard_limit() {
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        let raised = raise_soft_limit().unwrap();
        assert_eq!(raised.to, soft_limit());
        if !cfg!(target_os = "macos") {
            assert_eq!(raised.to, hard);
        }
    }
}
