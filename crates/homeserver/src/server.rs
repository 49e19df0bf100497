//! The server: its parts, put together.
//!
//! Parts do not know the server. They hold the database and the stream, and what else they need by name; handlers get the server
//! and call the parts.

use std::{
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use tasks::Tasks;
use tokio_util::sync::CancellationToken;

use crate::{
    accounts::Accounts,
    admin,
    appservices::{self, Appservices, Delivery, Origin},
    blocking::{BlockingPool, Owner},
    config::{AppserviceRegistration, Config},
    error::{Error, Result},
    http::{BodyPools, RateLimits},
    keys::Keys,
    media::{Media, Previews},
    push::Pushers,
    rooms::{
        Rooms,
        aliases::Aliases,
        delayed::{self, Delayed},
        typing::Typing,
    },
    software::Software,
    store::{self, Store},
    stream::Stream,
    sync::{echo::Echoes, lazy::SentMembers, presence::Presence, sliding::SlidingSync},
};

#[cfg(test)]
mod tests;

/// How long an end waits for what runs beside the requests. What is cut off then is done again after the next start.
const CLOSE_MAX: Duration = Duration::from_secs(3);

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
    /// Accounts, devices, tokens.
    pub accounts: Accounts,
    /// Keys for end-to-end encryption.
    pub keys: Keys,
    /// Rooms and events.
    pub rooms: Rooms,
    /// Who may make a room alias just now.
    pub aliases: Aliases,
    /// Events that are sent later.
    pub delayed: Delayed,
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
    /// Who is there.
    pub presence: Presence,
    /// Who is about to hear that an event was sent.
    pub echoes: Echoes,
    /// Which members each device was already told of.
    pub sent_members: SentMembers,
    /// How often each user may write.
    pub rate_limits: RateLimits,
    /// What sliding sync told whom.
    pub sliding: SlidingSync,
    /// Who is typing.
    pub typing: Typing,
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
        Self::open_as(config, Software::default()).await
    }

    /// The same for a server that goes by another name.
    pub async fn open_as(config: Config, software: Software) -> Result<Self> {
        let store = Store::open(&config.database.database_path, &config.server_name)?;
        let stream = Stream::open(store.clone())?;
        let rooms = Rooms::open(store.clone(), stream.clone(), config.server_name.clone()).await?;
        let media = Media::open(store.clone(), &config)?;
        let (tasks, stopping) = (Tasks::default(), CancellationToken::new());
        let (running, ends) = (tasks.clone(), stopping.clone());
        let blocking = BlockingPool::default();
        let pool = blocking.clone();
        let pushers = Pushers::open(rooms.clone(), &config.outbound, pool, running, ends)?;
        let parts = Parts {
            blocking,
            body_pools: BodyPools::default(),
            accounts: Accounts::open(store.clone(), &config, tasks.clone())?,
            keys: Keys::default(),
            aliases: Aliases::default(),
            delayed: Delayed::default(),
            appservices: Appservices::open(store.clone(), &config).await?,
            stopping,
            shutdown: CancellationToken::new(),
            restarts: AtomicBool::new(false),
            started: Instant::now(),
            tasks,
            presence: Presence::new(
                store.clone(),
                stream.clone(),
                config.sync.allow_local_presence,
            ),
            echoes: Echoes::default(),
            sent_members: SentMembers::default(),
            rate_limits: RateLimits::new(config.limits.rate_limits),
            sliding: SlidingSync::default(),
            typing: rooms.typing.clone(),
            previews: Previews::open(media.clone(), &config.outbound),
            media,
            pushers,
            rooms,
            config,
            software,
            store,
            stream,
        };
        let server = Self {
            parts: Arc::new(parts),
        };
        let sending = server.clone();
        server.follow("delayed events", delayed::run(sending));
        let store = store::supervise(server.store.clone(), server.stopping.clone());
        server.tasks.spawn_singleton("store supervision", store);
        for appservice in server.appservices.all() {
            appservices::serve(&server, appservice).await?;
        }
        admin::start(&server).await?;
        Ok(server)
    }

    /// Runs a task that the server cannot do without beside the requests, in the pool.
    pub(crate) fn follow<F>(&self, name: &'static str, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (pool, owner) = (self.blocking.clone(), Owner::Follower(name.to_owned()));
        let running = async move { pool.run(owner, task).await };
        self.tasks.spawn_singleton(name, running);
    }

    /// Registers an application service for as long as the server runs: the program around it hands over its own.
    ///
    /// # Errors
    ///
    /// If another one has its id or its `as_token`.
    pub async fn add_appservice(
        &self,
        registration: AppserviceRegistration,
        delivery: Delivery,
    ) -> Result<(), Error> {
        let added = self.appservices.add(registration, delivery, Origin::Code);
        let added = added
            .await
            .map_err(|error| Error::Broken(error.to_string()))?;
        appservices::serve(self, added).await
    }

    /// Answers all who wait for something to happen, now and from now on: the server ends. Everything else goes on as before.
    pub fn end_waiting(&self) {
        self.stream.end_waiting();
    }

    /// Stops what runs beside the requests, and returns when it has stopped, or when that takes too long. What was acknowledged is
    /// on disk already.
    pub async fn close(&self) {
        self.end_waiting();
        self.tasks.close();
        self.stopping.cancel();
        self.tasks.stop();
        if tokio::time::timeout(CLOSE_MAX, self.tasks.ended())
            .await
            .is_err()
        {
            let left = self.tasks.tracker().len();
            tracing::warn!(tasks = left, "some tasks did not end in time");
        }
        if let Err(error) = self.store.write_out().await {
            tracing::warn!(%error, "the next start has to read the end of the log again");
        }
    }

    /// Everything that this server answers, as a service: over the network or in process, the same bytes.
    pub fn router(&self) -> axum::Router {
        crate::api::router().with_state(self.clone())
    }
}
