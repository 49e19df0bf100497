//! Who is notified of what: push rules, unread counts, pushers.
//!
//! Every event meets the push rules of everybody in its room before it is written ([`Evaluation`]); what notifies somebody becomes a
//! row in the same write, so a count never disagrees with the timeline. Counts are those rows ([`unread()`]), and reading takes
//! them away ([`mark_read`]). Pushers are told of the rows once they are on disk ([`pushers`]).
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#push-notifications>

mod audience;
mod evaluate;
mod gateway;
mod guarded;
pub mod pushers;
pub mod record;
pub mod rules;
mod telling;
#[cfg(test)]
mod tests;
mod unread;
mod worker;

pub use audience::{Audience, Audiences};
pub use evaluate::Evaluation;
pub use guarded::{Guarded, Refused};
pub use homeserver_model::push::{compiled::Rules, limits};
pub use pushers::Pushers;
pub use rules::Rulesets;
pub use unread::{Read, Unread, mark_read, unread};
