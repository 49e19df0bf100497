//! How much a pool of bytes has.

use std::time::Duration;

use crate::permits::HolderLimits;

/// How much a pool has, and who gives way.
#[derive(Clone, Copy, Debug)]
pub struct PoolLimits {
    /// All bytes.
    pub total: usize,
    /// The bytes of one holder. One transfer may be larger if its holder has no other.
    pub share: HolderLimits,
    /// How many transfers wait to grow.
    pub growing: Waiters,
    /// How many wait with nothing in hand, for a first byte.
    pub beginning: Waiters,
    /// How long a transfer waits before it is refused.
    pub wait: Duration,
    /// How long a transfer has before it can give way.
    pub grace: Duration,
}

/// How many wait at a time. The next one is refused at once.
#[derive(Clone, Copy, Debug)]
pub struct Waiters {
    /// Of one holder.
    pub per_holder: usize,
    /// In all.
    pub total: usize,
}
