//! The themes of the configuration. Their keys stand side by side in the file, as in Tuwunel; only
//! `tls`, `well_known` and `appservice` are sections there, too.
//!
//! The names of the fields are the names of the keys, and the values of `Default` are Tuwunel's,
//! but for the port.

mod admin;
mod appservices;
mod connections;
mod database;
mod limits;
mod listen;
mod logging;
mod login;
mod media;
mod outbound;
mod proxies;
mod registration;
mod rooms;
mod sync;
mod turn;
mod well_known;

pub use admin::Admin;
pub use appservices::Appservices;
pub use connections::Connections;
pub use database::Database;
pub use limits::Limits;
pub use listen::{Listen, Tls};
pub use logging::Logging;
pub use login::Login;
pub use media::Media;
pub use outbound::Outbound;
pub use proxies::{IpSource, Proxies};
pub use registration::Registration;
pub use rooms::{ROOM_VERSIONS, Rooms};
pub use sync::Sync;
pub use turn::Turn;
pub use well_known::WellKnown;
