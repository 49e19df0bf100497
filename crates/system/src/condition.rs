//! Whether a store can be written: seen by readiness checks, and by whoever ends the process when it never will be again.

use std::sync::Arc;

use tokio::sync::watch;

/// What is known of a store.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ConditionState {
    /// It can be written.
    #[default]
    Working,
    /// The last write failed; it is tried again.
    Failing(Arc<str>),
    /// It cannot be written until it is opened anew.
    Lost(Arc<str>),
}

impl ConditionState {
    /// Why it cannot be written.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Self::Working => None,
            Self::Failing(reason) | Self::Lost(reason) => Some(reason),
        }
    }
}

/// The condition of one store. Clones are the same condition.
#[derive(Clone, Debug)]
pub struct StoreCondition {
    name: &'static str,
    state: watch::Sender<ConditionState>,
}

impl StoreCondition {
    /// The condition of a store of this name, which works.
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            state: watch::Sender::new(ConditionState::Working),
        }
    }

    /// The store that it is of.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// What is known now.
    pub fn state(&self) -> ConditionState {
        self.state.borrow().clone()
    }

    /// A write failed. Logged once, until one succeeds: says whether this was the first one.
    pub fn failed(&self, error: &dyn std::error::Error) -> bool {
        self.state.send_if_modified(|state| {
            if *state != ConditionState::Working {
                return false;
            }
            let reason = with_causes(error);
            tracing::error!(
                store = self.name,
                reason,
                "store cannot be written; nothing is acknowledged until it can be"
            );
            *state = ConditionState::Failing(reason.into());
            true
        })
    }

    /// A write succeeded.
    pub fn recovered(&self) {
        self.state.send_if_modified(|state| {
            let failing = matches!(state, ConditionState::Failing(_));
            if failing {
                tracing::info!(store = self.name, "store can be written again");
                *state = ConditionState::Working;
            }
            failing
        });
    }

    /// It will not be written again by this process.
    pub fn lost(&self) {
        self.state.send_if_modified(|state| {
            let ConditionState::Failing(reason) = state else {
                return false;
            };
            tracing::error!(
                store = self.name,
                reason = &**reason,
                "store must be opened anew; the process ends, start it again"
            );
            *state = ConditionState::Lost(Arc::clone(reason));
            true
        });
    }

    /// Waits until a write has failed.
    pub async fn until_failing(&self) {
        self.until(|state| *state != ConditionState::Working).await;
    }

    /// Waits until the store is lost. Gives the reason.
    pub async fn until_lost(&self) -> Arc<str> {
        match self
            .until(|state| matches!(state, ConditionState::Lost(_)))
            .await
        {
            ConditionState::Lost(reason) => reason,
            state => state.reason().unwrap_or_default().into(),
        }
    }

    async fn until(&self, reached: impl FnMut(&ConditionState) -> bool) -> ConditionState {
        let mut follower = self.state.subscribe();
        // The sender is held by `self`, so the wait ends only when the state is reached.
        follower
            .wait_for(reached)
            .await
            .map_or_else(|_| ConditionState::Working, |state| state.clone())
    }
}

/// An error with its causes, in one line.
fn with_causes(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[tokio::test]
    async fn first_failure_is_kept_until_a_write_succeeds() {
        let condition = StoreCondition::new("database");
        assert_eq!(condition.state(), ConditionState::Working);
        condition.lost();
        assert_eq!(
            condition.state(),
            ConditionState::Working,
            "it never failed"
        );
        condition.failed(&io::Error::other("first"));
        condition.failed(&io::Error::other("second"));
        assert_eq!(condition.state().reason(), Some("first"));
        condition.until_failing().await;
        condition.recovered();
        assert_eq!(condition.state(), ConditionState::Working);
        condition.failed(&io::Error::other("third"));
        condition.lost();
        condition.recovered();
        assert_eq!(&*condition.clone().until_lost().await, "third");
    }
}
