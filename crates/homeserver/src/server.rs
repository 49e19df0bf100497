//! The server: its parts, put together.
//!
//! Parts do not know the server. They hold the database and the stream, and what else they need by name; handlers get the server
//! and call the parts.

use std::sync::Arc;

use crate::{
    accounts::Accounts,
    appservices::Appservices,
    config::Config,
    error::Result,
    media::{Media, Previews},
    push::Pushers,
    rooms::Rooms,
    store::Store,
    stream::Stream,
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
    /// Rooms and events.
    pub rooms: Rooms,
    /// Application services.
    pub appservices: Appservices,
    /// Uploaded files.
    pub media: Media,
    /// Previews of links.
    pub previews: Previews,
    /// Pushers.
    pub pushers: Pushers,
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
        let rooms = Rooms::open(store.clone(), stream.clone(), config.server_name.clone()).await?;
        let media = Media::open(store.clone(), &config)?;
        let parts = Parts {
            accounts: Accounts::open(store.clone()),
            appservices: Appservices::default(),
            previews: Previews::open(media.clone(), &config.outbound)?,
            media,
            pushers: Pushers::open(rooms.clone(), &config.outbound)?,
            rooms,
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
