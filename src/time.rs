//! Wall-clock time as the journal and Matrix write it.
//!
//! One place reads the clock, so that everything that decides by time takes it as an argument.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// The last millisecond that has a year of four digits.
const LAST_WRITTEN: u64 = 253_402_300_799_999;

/// Milliseconds since the Unix epoch, as in `origin_server_ts`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Millis {
    /// The present.
    pub fn now() -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "this is where the calendar is read"
        )]
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Self(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    /// The time of day and date in UTC, to the second, as [RFC 3339](https://www.rfc-editor.org/rfc/rfc3339) writes it.
    pub fn to_rfc3339(self) -> String {
        let time = UNIX_EPOCH + Duration::from_millis(self.0.min(LAST_WRITTEN));
        humantime::format_rfc3339_seconds(time).to_string()
    }

    /// How long ago `earlier` was; zero if it lies in the future.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// This long after.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(
            self.0
                .saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)),
        )
    }

    /// This long before.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)),
        )
    }
}

/// How long it is until `time`; `None` if it has passed.
pub fn until(time: SystemTime) -> Option<Duration> {
    let time = time.duration_since(UNIX_EPOCH).ok()?;
    let now = Duration::from_millis(Millis::now().0);
    time.checked_sub(now)
}
