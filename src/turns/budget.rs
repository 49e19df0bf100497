//! How much one turn may ask of Letta: pure, from what it has cost so far to what it may do next.
//!
//! Every question of a turn passes here first: to send its prompts, to take up a run again, to tell a decision, to look. What it
//! costs is in the turn's record ([`Spent`]), so that neither a restart nor a way around (a run that Letta loses, a request that
//! it forgets) begins anew. A turn whose budget is spent ends: its prompts are set aside, and the room hears so.
//!
//! What is asked outside of turns is bounded by its pace: the list of agents ([`crate::agents::discovery`]), one look at each
//! place at the start (`pending_requests`), one question at a time to a Letta that has not answered yet.

use std::time::Duration;

use letta_client::{BackendError, FailureKind};

use crate::journal::Spent;

/// How often Letta may take the prompts of one turn: every time may be a run that costs money.
pub const SENDS_MAX: u32 = 4;
/// The most runs of one turn, those that go on after a decision included.
pub const RUNS_MAX: u32 = 100;
/// How often Letta may fail in a row, with an answer of its own or with a stream that breaks.
pub const FAILURES_MAX: u32 = 10;
/// The most processes that may end before one turn does.
pub const RESTARTS_MAX: u32 = 20;
/// How long a turn waits in all for a Letta that cannot take it.
pub const WAIT_MAX: Duration = Duration::from_hours(24);

/// The wait before Letta is asked again; it doubles each time.
const ASK_AGAIN_MIN: Duration = Duration::from_millis(500);
/// The longest wait before Letta is asked again, unless it asks for a longer one itself.
const ASK_AGAIN_MAX: Duration = Duration::from_secs(30);

/// Why a turn may not ask any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exhausted {
    /// See [`SENDS_MAX`].
    Sends,
    /// See [`RUNS_MAX`].
    Runs,
    /// See [`FAILURES_MAX`].
    Failures,
    /// See [`RESTARTS_MAX`].
    Restarts,
    /// See [`WAIT_MAX`].
    Time,
}

/// What a failure costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    /// Letta was not there, or busy with others: only the time counts.
    Time,
    /// Letta has looked at it and failed: that counts too.
    Failure,
}

/// Whether a turn that has cost so much may ask again.
pub fn check(spent: &Spent) -> Result<(), Exhausted> {
    let limits = [
        (spent.failures >= FAILURES_MAX, Exhausted::Failures),
        (waited(spent) >= WAIT_MAX, Exhausted::Time),
        (spent.restarts >= RESTARTS_MAX, Exhausted::Restarts),
        (spent.runs >= RUNS_MAX, Exhausted::Runs),
    ];
    match limits.into_iter().find(|(is_spent, _)| *is_spent) {
        Some((_, exhausted)) => Err(exhausted),
        None => Ok(()),
    }
}

/// Whether a turn that has cost so much may send its prompts (again).
pub fn check_send(spent: &Spent) -> Result<(), Exhausted> {
    if spent.sends >= SENDS_MAX {
        return Err(Exhausted::Sends);
    }
    check(spent)
}

/// What a failure costs.
pub fn cost_of_failure(failure: &BackendError) -> Cost {
    let of_its_own = match failure {
        // It has taken the connection and may have taken the message.
        BackendError::Silent { .. } => true,
        // What a proxy says whose Letta is away, or what Letta says while it starts.
        BackendError::ServerError {
            status: 502..=504, ..
        } => false,
        _ => match failure.kind() {
            FailureKind::Unreachable { .. } | FailureKind::Busy => false,
            // These bound themselves: Letta names a time, or the agent is paused.
            kind => !kind.pauses_agent(),
        },
    };
    if of_its_own {
        Cost::Failure
    } else {
        Cost::Time
    }
}

/// How long to wait after so many failures in a row; longer if Letta asks for it.
pub fn pause(failures: u32, failure: &BackendError) -> Duration {
    let wait = ASK_AGAIN_MIN
        .saturating_mul(1 << failures.min(10))
        .min(ASK_AGAIN_MAX);
    wait.max(failure.kind().retry_after().unwrap_or_default())
}

/// How long a turn has waited in all.
pub fn waited(spent: &Spent) -> Duration {
    Duration::from_millis(spent.waited_ms)
}

/// Counts time that was waited.
pub fn add_wait(spent: &mut Spent, span: Duration) {
    let span = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    spent.waited_ms = spent.waited_ms.saturating_add(span);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_is_kept_by_itself() {
        let fresh = Spent::default();
        assert_eq!((check(&fresh), check_send(&fresh)), (Ok(()), Ok(())));
        let wait_max = u64::try_from(WAIT_MAX.as_millis()).unwrap();
        let spent = [
            (
                Spent {
                    failures: FAILURES_MAX,
                    ..fresh
                },
                Exhausted::Failures,
            ),
            (
                Spent {
                    waited_ms: wait_max,
                    ..fresh
                },
                Exhausted::Time,
            ),
            (
                Spent {
                    restarts: RESTARTS_MAX,
                    ..fresh
                },
                Exhausted::Restarts,
            ),
            (
                Spent {
                    runs: RUNS_MAX,
                    ..fresh
                },
                Exhausted::Runs,
            ),
        ];
        for (spent, exhausted) in spent {
            assert_eq!(check(&spent), Err(exhausted));
            assert_eq!(check_send(&spent), Err(exhausted));
        }
        let sent = Spent {
            sends: SENDS_MAX,
            ..fresh
        };
        assert_eq!(
            (check(&sent), check_send(&sent)),
            (Ok(()), Err(Exhausted::Sends))
        );
    }

    #[test]
    fn the_pauses_of_a_whole_budget_are_minutes_and_end() {
        let failure = BackendError::EmptyList;
        let all: Duration = (1..FAILURES_MAX)
            .map(|failures| pause(failures, &failure))
            .sum();
        assert!(
            all > Duration::from_mins(1) && all < Duration::from_mins(5),
            "{all:?}"
        );
        assert_eq!(pause(u32::MAX, &failure), ASK_AGAIN_MAX);
    }
}
