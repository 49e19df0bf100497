//! The one place that reads the clock.

use ruma::MilliSecondsSinceUnixEpoch;

/// Now.
pub fn now() -> MilliSecondsSinceUnixEpoch {
    MilliSecondsSinceUnixEpoch::now()
}
