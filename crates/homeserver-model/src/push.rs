//! Push rules: how large they can be, and what they say of an event, in a number of steps that is known before.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#push-rules>

pub mod budget;
pub mod compiled;
pub mod limits;
pub mod pattern;
pub mod stored;
#[cfg(test)]
mod tests;
