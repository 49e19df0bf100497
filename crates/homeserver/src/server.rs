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
    keys::Keys,
    push::Pushers,
    rooms::{Rooms, aliases::Aliases},
    store::Store,
    stream::Stream,
    sync::{
        lazy::SentMembers, presence::Presence, serial::Serial, sliding::SlidingSync,
        typing::Typing,
    },
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
    /// Who may make a room alias just now.
    pub aliases: Aliases,
    /// Application services.
    pub appservices: Appservices,
    /// Who is there.
    pub presence: Presence,
    /// Which members each device was already told of.
    pub sent_members: SentMembers,
    /// One after the other: changes of one user that read before they write.
    pub serial: Serial,
    /// What sliding sync told whom.
    pub sliding: SlidingSync,
    /// Who is typing.
    pub typing: Typing,
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
        let parts = Parts {
            accounts: Accounts::open(store.clone()),
            keys: Keys::default(),
            aliases: Aliases::default(),
            appservices: Appservices::default(),
            presence: Presence::new(
                store.clone(),
                stream.clone(),
                config.sync.allow_local_presence,
            ),
            sent_members: SentMembers::default(),
            serial: Serial::default(),
            sliding: SlidingSync::default(),
            typing: Typing::new(stream.clone()),
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
