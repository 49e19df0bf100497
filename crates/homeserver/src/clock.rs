//! The one place that reads the clock.

use std::time::Duration;

use ruma::MilliSecondsSinceUnixEpoch;

/// Now.
pub fn now() -> MilliSecondsSinceUnixEpoch {
    MilliSecondsSinceUnixEpoch::now()
}

/// How long ago that was; nothing if it is still to come.
pub fn elapsed_since(time: MilliSecondsSinceUnixEpoch) -> Duration {
    let milliseconds = u64::from(now().get()).saturating_sub(u64::from(time.get()));
    Duration::from_millis(milliseconds)
}
