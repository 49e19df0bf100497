//! The tasks of the bridge are supervised, see [`tasks`].

pub use tasks::{Panic, Tasks, Work, Workers, catch_panic};
