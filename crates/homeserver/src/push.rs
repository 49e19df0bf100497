//! Who is notified of what: push rules, unread counts, pushers.
//!
//! Every event meets the push rules of everybody in its room before it is written ([`PushRules`]); what notifies somebody becomes a
//! row in the same write, so a count never disagrees with the timeline. Counts are those rows, and reading takes them away
//! ([`crate::rooms::mark_read`]). Pushers are told of the rows once they are on disk ([`pushers`]).
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#push-notifications>

mod audience;
mod evaluate;
mod gateway;
mod gateway_payload;
pub mod pushers;
pub mod rules;
#[cfg(test)]
mod tests;
mod worker;

pub use crate::store::records::push as record;

pub use evaluate::PushRules;
pub use homeserver_model::push::limits;
pub use pushers::Pushers;
pub use rules::Rulesets;
