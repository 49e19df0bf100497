//! What application services are told: one task for each follows the stream and sends transactions.
//!
//! Which application services there are, and how they are asked, is below ([`crate::appservices`]).
//! Spec: <https://spec.matrix.org/v1.19/application-service-api/#pushing-events>

use std::sync::Arc;

use tasks::Tasks;
use tokio_util::sync::CancellationToken;

use crate::{
    appservices::Appservice, blocking::BlockingPool, error::Result, holder::Holder, rooms::Rooms,
    sync::presence::Presence,
};

mod event;
mod interest;
mod transaction;
mod worker;

/// Sends transactions to application services. Clones are the same.
#[derive(Clone, Debug)]
pub struct Transactions {
    source: transaction::TransactionSource,
    blocking: BlockingPool,
    tasks: Tasks,
    /// Cancelled when the server is to stop.
    stopping: CancellationToken,
}

impl Transactions {
    /// Nobody is served yet. Workers run in this pool until `stopping` is cancelled.
    pub fn new(
        rooms: Rooms,
        presence: Presence,
        blocking: BlockingPool,
        tasks: Tasks,
        stopping: CancellationToken,
    ) -> Self {
        let typing = rooms.typing.clone();
        Self {
            source: transaction::TransactionSource {
                rooms,
                typing,
                presence,
            },
            blocking,
            tasks,
            stopping,
        }
    }

    /// Starts to tell the application service what happens, unless it has no address.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn serve(&self, appservice: Arc<Appservice>) -> Result<()> {
        if !appservice.is_reachable() {
            return Ok(());
        }
        let stream = self.source.rooms.stream.clone();
        let holder = Holder::Follower(format!("appservice {}", appservice.id()));
        let (source, stopping) = (self.source.clone(), self.stopping.clone());
        let worker = worker::Worker::new(appservice, source, stream, stopping).await?;
        let pool = self.blocking.clone();
        self.tasks
            .spawn(async move { pool.run(holder, worker.run()).await });
        Ok(())
    }
}
