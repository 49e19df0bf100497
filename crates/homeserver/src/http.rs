//! The edge: from bytes of HTTP to typed requests of ruma, and back.
//!
//! Routes, methods and authentication come from ruma's metadata (`routes`); what is not known is `404 M_UNRECOGNIZED`; every
//! answer carries the CORS headers of the specification. A handler is an async function from a [`Call`] to a response type.
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#api-standards>

mod answer;
mod auth;
mod body;
mod body_limit;
mod call;
mod client_ip;
mod guests;
mod lenient;
mod rate_limit;
mod required_keys;
mod routes;
#[cfg(test)]
pub(crate) mod tests;
mod unread_responses;
mod walks;

use homeserver_model::json;

pub use answer::{error_response, response};
pub use auth::IdentifyCaller;
pub use body::body_chunks;
#[cfg(test)]
pub use body_limit::BodyLimit;
pub use call::Call;
pub use rate_limit::count;
#[cfg(test)]
pub use routes::Route;
pub use routes::Routes;
