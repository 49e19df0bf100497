//! What the routes can say of the connection that a request has come over.

use std::{
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Arc, Weak},
};

use tokio_util::sync::CancellationToken;

use super::{progress::ConnectionProgress, registry::EvictionReason};

/// The connection of a request, which carries it as an extension. It does not keep the connection open.
#[derive(Clone)]
pub struct Connection(Weak<ConnectionProgress>);

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Connection").finish_non_exhaustive()
    }
}

impl Connection {
    pub(super) fn new(progress: &Arc<ConnectionProgress>) -> Self {
        Self(Arc::downgrade(progress))
    }

    /// Counts the connection as one of this client until the request is answered, if it comes from an address that many share.
    pub fn attribute(&self, client: &impl Hash) {
        if let Some(progress) = self.0.upgrade() {
            let mut hasher = DefaultHasher::new();
            client.hash(&mut hasher);
            progress.permit().attribute(hasher.finish());
        }
    }

    /// The request waits for something to happen: as long as the guard lives, its connection can give way to others.
    #[must_use]
    pub fn waits(&self) -> WaitGuard {
        if let Some(progress) = self.0.upgrade() {
            progress.set(EvictionReason::Waiting, true);
        }
        WaitGuard(self.0.clone())
    }

    /// Cancelling it closes the connection, and drops what is being answered over it. Nothing if it is closed already.
    pub fn closing(&self) -> Option<CancellationToken> {
        let progress = self.0.upgrade()?;
        Some(progress.permit().eviction_token().clone())
    }
}

/// A request that waits for something to happen.
#[derive(Debug)]
pub struct WaitGuard(Weak<ConnectionProgress>);

impl Drop for WaitGuard {
    fn drop(&mut self) {
        if let Some(progress) = self.0.upgrade() {
            progress.set(EvictionReason::Waiting, false);
        }
    }
}
