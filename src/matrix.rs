//! The homeserver as we call it: acting as the bot or as any ghost, and what rooms are shown.
//!
//! Everything that the bridge asks of a homeserver goes through [`Homeserver`], in ruma's types.
//! Nothing outside this module makes a Matrix request.

mod client;
pub mod content;
#[cfg(test)]
pub(crate) mod double;
pub mod foreign;
pub mod render;
mod replaced;
mod room_type;
mod rooms;
mod routed;
mod speech;
mod startup;
mod transport;
mod users;

pub(crate) use self::client::backoff;
pub use self::{
    client::{Actor, Homeserver, MatrixError},
    replaced::Tombstone,
    rooms::{RoomPlan, START_EVENT_TYPE, TYPING_TIMEOUT},
    routed::RoutedKind,
    speech::Silence,
    startup::StartupError,
    transport::{InProcess, Network, Transport, TransportError},
};

#[cfg(test)]
mod tests;
