//! The parts of the server, side by side: what the endpoints take their state from. It has no behavior, and no part knows it.

use std::sync::{Arc, atomic::AtomicBool};

use tasks::Tasks;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    accounts::Accounts,
    appservices::Appservices,
    blocking::BlockingPool,
    byte_pool::{BodyPools, UnreadResponses},
    config::Config,
    keys::Keys,
    limits::RateLimits,
    media::{Media, Previews},
    operations::Operations,
    push::{PushRules, Pushers},
    rooms::Rooms,
    software::Software,
    store::Store,
    stream::Stream,
    sync::SyncContext,
    transactions::Transactions,
};

/// The state that handlers of requests get.
pub type AppState = Arc<Services>;

/// The parts of a server.
#[derive(Debug)]
pub struct Services {
    /// The configuration it was started with.
    pub config: Config,
    /// What it says it is.
    pub software: Software,
    /// Where handlers and followers are polled.
    pub blocking: BlockingPool,
    /// The database.
    pub store: Store,
    /// The order of everything.
    pub stream: Stream,
    /// The room that there is for the bodies of requests.
    pub body_pools: BodyPools,
    /// The memory for answers that are not read yet.
    pub unread_answers: UnreadResponses,
    /// Accounts, devices, tokens.
    pub accounts: Accounts,
    /// Keys for end-to-end encryption.
    pub keys: Keys,
    /// Rooms and events.
    pub rooms: Rooms,
    /// What both syncs are answered from.
    pub sync: SyncContext,
    /// The push rules of everybody.
    pub push_rules: PushRules,
    /// What spans several parts.
    pub operations: Operations,
    /// Who sends transactions to application services.
    pub transactions: Transactions,
    /// Application services.
    pub appservices: Appservices,
    /// Cancelled when the server is to stop.
    pub stopping: CancellationToken,
    /// Cancelled when an admin wants the whole program to end: whoever runs the server watches it.
    pub shutdown: CancellationToken,
    /// Whether the program is to start anew once it has ended.
    pub restarts: AtomicBool,
    /// When it was started.
    pub started: Instant,
    /// What runs beside the requests.
    pub tasks: Tasks,
    /// How often each user may write.
    pub rate_limits: RateLimits,
    /// Uploaded files.
    pub media: Media,
    /// Previews of links.
    pub previews: Previews,
    /// Pushers.
    pub pushers: Pushers,
}
