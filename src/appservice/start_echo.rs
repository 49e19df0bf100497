//! The event that the bot sends at each start, as the homeserver passes it back to us.
//!
//! A homeserver that passes it on passes on everything before it.

use std::sync::Arc;

use ruma::{EventId, OwnedEventId};
use tokio::sync::watch;

/// The last start event that came in a transaction. Clones are the same.
#[derive(Clone, Debug)]
pub struct StartEcho(Arc<watch::Sender<Option<OwnedEventId>>>);

impl Default for StartEcho {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }
}

impl StartEcho {
    /// Ready when this event has come in a transaction.
    pub async fn received(&self, event: &EventId) {
        let mut last = self.0.subscribe();
        // The sender lives as long as `self`, so this cannot fail.
        let _event = last.wait_for(|last| last.as_deref() == Some(event)).await;
    }

    pub(super) fn note(&self, event: OwnedEventId) {
        self.0.send_replace(Some(event));
    }
}
