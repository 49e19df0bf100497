//! The server: its parts, put together.
//!
//! Parts do not know the server. They hold the database and the stream, and what else they need by name; handlers get the server
//! and call the parts.

use std::sync::Arc;

use crate::{
    accounts::Accounts, appservices::Appservices, config::Config, error::Result, keys::Keys,
    rooms::Rooms, store::Store, stream::Stream, sync::sliding::SlidingSync,
};

/// A running homeserver. Clones are the same server.
#[derive(Clone, Debug)]
pub struct Server {
    parts: Arc<Parts>,
}

/// What a server is made of.
#[derive(Debug)]
pub struct Parts {
    /// The configuration it was started with.
    pub config: Config,
    /// The database.
    pub store: Store,
    /// The order of everything.
    pub stream: Stream,
    /// Accounts, devices, tokens.
    pub accounts: Accounts,
    /// Keys for end-to-end encryption.
    pub keys: Keys,
    /// Rooms and events.
    pub rooms: Rooms,
    /// What sliding sync told whom.
    pub sliding: SlidingSync,
    /// Application services.
    pub appservices: Appservices,
}

impl std::ops::Deref for Server {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.parts
    }
}

impl Server {
    /// Opens the database and puts the parts together.
    pub async fn open(config: Config) -> Result<Self> {
        let store = Store::open(&config.database.database_path, &config.server_name)?;
        let stream = Stream::open(store.clone())?;
        let parts = Parts {
            accounts: Accounts::open(store.clone()),
            keys: Keys::default(),
            rooms: Rooms::open(store.clone(), stream.clone(), config.server_name.clone()).await?,
            appservices: Appservices::default(),
            sliding: SlidingSync::default(),
            config,
            store,
            stream,
        };
        Ok(Self {
            parts: Arc::new(parts),
        })
    }

    /// Everything that this server answers, as a service: over the network or in process, the same bytes.
    pub fn router(&self) -> axum::Router {
        crate::api::router().with_state(self.clone())
    }
}
