//! Kills at each of some points, again and again: the loop that all tests of crashes share.

use std::env;
use std::fmt::Debug;
use std::time::Instant;

use super::wire::RuleAction;

/// One kill of many.
#[derive(Clone, Copy, Debug)]
pub struct Round<P> {
    /// Where in the course of things it comes.
    pub point: P,
    /// Counted from 1, over all points.
    pub number: usize,
}

impl<P> Round<P> {
    /// What becomes of what was on a wire at the kill: it is lost in one round, and arrives after all in the next.
    pub fn fate(&self) -> RuleAction {
        if self.number.is_multiple_of(2) {
            RuleAction::Pass
        } else {
            RuleAction::Drop
        }
    }
}

/// Goes so many rounds at each of the points: as often as `KILLS_PER_POINT` says, else `default` times. Gives how many
/// rounds that were.
pub async fn at_each<P: Copy + Debug>(
    points: &[P],
    default: usize,
    mut round: impl AsyncFnMut(Round<P>),
) -> usize {
    let said = env::var("KILLS_PER_POINT").ok();
    let kills = said.and_then(|text| text.parse().ok()).unwrap_or(default);
    let mut number = 0;
    for &point in points {
        let started = Instant::now();
        for _ in 0..kills {
            number += 1;
            round(Round { point, number }).await;
        }
        println!(
            "killed {kills} times at {point:?} in {:?}",
            started.elapsed()
        );
    }
    number
}
