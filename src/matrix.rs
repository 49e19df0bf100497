//! The homeserver as we call it: acting as the bot or as any ghost, and what rooms are shown.
//!
//! Everything that the bridge asks of a homeserver goes through [`Homeserver`], in ruma's types.
//! Nothing outside this module makes a Matrix request.

mod agent_actions;
mod avatars;
mod client;
pub mod content;
mod devices;
mod media;
pub mod render;
mod room_plan;
mod room_state;
mod room_type;
mod rooms;
mod routed;
#[cfg(test)]
pub(crate) mod scripted_homeserver;
mod send_rights;
mod startup;
mod tombstone;
mod transport;
pub mod untrusted_text;
mod users;

pub(crate) use self::client::backoff;
pub use self::{
    agent_actions::AgentRoom,
    client::{Actor, Homeserver, MatrixError},
    room_plan::{ADMIN_POWER, RoomPlan},
    room_state::{WATCHED_STATE, restricted_to},
    rooms::{START_EVENT_TYPE, TYPING_TIMEOUT},
    routed::RoutedKind,
    send_rights::CannotSend,
    startup::StartupError,
    tombstone::Tombstone,
    transport::{InProcess, Network, Transport, TransportError},
};

#[cfg(test)]
mod tests;
