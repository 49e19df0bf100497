//! What the homeserver calls: the [Application Service API], in front of the journal.
//!
//! Promises: a request without the `hs_token` learns nothing (`401` if there is none, `403
//! M_FORBIDDEN` if it is wrong, compared in constant time); a transaction is answered `200` only
//! after its events are on disk; one malformed event never costs the others; a body has a limit.
//!
//! Paths stand twice: as the specification has them, and without a prefix as old homeservers call
//! them. What asks for an unknown thing is answered `404` in the specification's words.
//!
//! [Application Service API]: https://spec.matrix.org/v1.16/application-service-api/

mod caller;
mod error;
mod health;
pub mod inbound;
mod ping;
mod query;
mod start_echo;
mod thirdparty;
mod transactions;

use std::sync::Arc;

use async_trait::async_trait;
use axum::{
    Router,
    extract::DefaultBodyLimit,
    routing::{get, post, put},
};
use letta_client::AgentId;
use ruma::{OwnedUserId, RoomId};
use system::condition::StoreCondition;
use tokio::sync::{Notify, watch};
use tower_http::catch_panic::CatchPanicLayer;

#[cfg(feature = "embedded")]
pub(crate) use self::health::readiness;
pub use self::{ping::Pings, start_echo::StartEcho};
use crate::{config::Secret, encryption::Encryption, identity::Identity, journal::Journal};

/// The largest body of a transaction, in bytes.
pub const BODY_BYTES_MAX: usize = 50 * 1024 * 1024;

/// Makes agents exist in Matrix when the homeserver asks for them before discovery has seen them.
#[async_trait]
pub trait Provision: Send + Sync {
    /// Makes sure that the agent's ghost exists. `false`: Letta does not know the agent, or could
    /// not be asked.
    async fn ensure_ghost(&self, agent: &AgentId) -> bool;

    /// Makes sure that the agent's room exists. `false` as above.
    async fn ensure_room(&self, agent: &AgentId) -> bool;

    /// Somebody who is not ours has come into a room, gone or changed their name; `name`: that in the event.
    fn member_changed(&self, _user: OwnedUserId, _name: Option<String>) {}

    /// Somebody who is not ours has changed state of a room at which the bridge looks in rooms that it made.
    fn room_changed(&self, _room: &RoomId) {}

    /// Looks for new agents now.
    fn look_now(&self);
}

/// What the handlers share.
#[derive(Clone)]
pub struct AppserviceState {
    /// The secret that the homeserver shows.
    pub hs_token: Secret,
    /// Who is who.
    pub identity: Identity,
    /// Where events go.
    pub journal: Journal,
    /// Takes in what is pushed for encryption.
    pub encryption: Encryption,
    /// Tells that the journal has new events.
    pub arrived: Arc<Notify>,
    /// Makes agents exist.
    pub provision: Arc<dyn Provision>,
    /// Pings that the homeserver has passed on to us.
    pub pings: Pings,
    /// Whether the event of this start has come back to us.
    pub start_echo: StartEcho,
    /// Whether the start-up checks have passed.
    pub ready: watch::Receiver<bool>,
    /// What has to be writable for the bridge to be ready: the journal, and the database of its own homeserver.
    pub conditions: Vec<StoreCondition>,
}

/// All routes, in the order of the specification.
pub fn router(state: AppserviceState) -> Router {
    let app = "/_matrix/app/v1";
    let mut router = Router::new()
        .route(&format!("{app}/ping"), post(ping::handle))
        .route("/_matrix/mau/live", get(health::live))
        .route("/_matrix/mau/ready", get(health::ready))
        .route("/health", get(health::ready))
        .route("/webhook/new-agent", post(health::new_agent));
    for prefix in [app, ""] {
        router = router
            .route(
                &format!("{prefix}/transactions/{{txn_id}}"),
                put(transactions::handle),
            )
            .route(&format!("{prefix}/users/{{user_id}}"), get(query::user))
            .route(&format!("{prefix}/rooms/{{room_alias}}"), get(query::room));
    }
    for prefix in [app, "/_matrix/app/unstable"] {
        router = router
            .route(
                &format!("{prefix}/thirdparty/protocol/{{protocol}}"),
                get(thirdparty::protocol),
            )
            .route(&format!("{prefix}/thirdparty/user"), get(thirdparty::user))
            .route(
                &format!("{prefix}/thirdparty/user/{{protocol}}"),
                get(thirdparty::user),
            )
            .route(
                &format!("{prefix}/thirdparty/location"),
                get(thirdparty::location),
            )
            .route(
                &format!("{prefix}/thirdparty/location/{{protocol}}"),
                get(thirdparty::location),
            );
    }
    router
        .fallback(error::unrecognized)
        .method_not_allowed_fallback(error::wrong_method)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(CatchPanicLayer::new())
        .with_state(state)
}

#[cfg(test)]
mod tests;
