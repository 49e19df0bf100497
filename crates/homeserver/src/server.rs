//! The composition root: makes the parts, joins them, starts what runs beside the requests, and stops it.
//!
//! Nobody imports it: parts get what they need by name, and handlers get the parts ([`Services`]).

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ruma::{OwnedUserId, UserId};
use system::condition::StoreCondition;
use tasks::Tasks;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::{
    accounts::{Accounts, identity},
    admin,
    appservices::{Appservices, Delivery, Origin},
    blocking::BlockingPool,
    byte_pool::{BodyPools, UnreadResponses},
    config::{AppserviceRegistration, Config},
    error::{Error, Result},
    holder::Holder,
    keys::Keys,
    limits::RateLimits,
    media::{Media, Previews},
    operations::Operations,
    push::{PushRules, Pushers},
    rooms::{
        Derived, Rooms, delayed, relations::RelationIndex, search::SearchIndex,
        threads::ThreadIndex,
    },
    services::Services,
    software::Software,
    store::{self, Store},
    stream::Stream,
    sync::SyncContext,
    transactions::Transactions,
};

#[cfg(test)]
mod tests;

/// How long an end waits for what runs beside the requests. What is cut off then is done again after the next start.
const CLOSE_MAX: Duration = Duration::from_secs(3);

/// A running homeserver. Clones are the same server.
#[derive(Clone, Debug)]
pub struct Server {
    pub(crate) services: Arc<Services>,
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
        let (tasks, stopping) = (Tasks::default(), CancellationToken::new());
        let blocking = BlockingPool::default();
        let appservices = Appservices::open(store.clone(), &config).await?;
        let accounts = Accounts::open(store.clone(), &config, tasks.clone())?;
        let media = Media::open(store.clone(), &config)?;
        let push_rules = PushRules::default();
        let rooms = open_rooms(
            &config,
            stream.clone(),
            accounts.clone(),
            appservices.clone(),
            &push_rules,
        );
        let rooms = rooms.await?;
        let pushers = Pushers::open(
            rooms.clone(),
            &config.outbound,
            blocking.clone(),
            tasks.clone(),
            stopping.clone(),
        )?;
        let keys = Keys::new(store.clone(), stream.clone());
        let sync = SyncContext::new(config.sync.clone(), accounts.clone(), rooms.clone());
        let services = Services {
            operations: Operations::new(
                &config,
                keys.clone(),
                media.clone(),
                rooms.clone(),
                sync.clone(),
            ),
            transactions: Transactions::new(
                rooms.clone(),
                sync.presence.clone(),
                blocking.clone(),
                tasks.clone(),
                stopping.clone(),
            ),
            keys,
            sync,
            push_rules,
            previews: Previews::new(media.clone(), &config.outbound),
            rate_limits: RateLimits::new(config.limits.rate_limits),
            body_pools: BodyPools::default(),
            unread_answers: UnreadResponses::default(),
            shutdown: CancellationToken::new(),
            restarts: AtomicBool::new(false),
            started: Instant::now(),
            blocking,
            accounts,
            appservices,
            stopping,
            tasks,
            media,
            pushers,
            rooms,
            config,
            software,
            store,
            stream,
        };
        let server = Self {
            services: Arc::new(services),
        };
        server.start().await?;
        Ok(server)
    }

    /// Starts what runs beside the requests.
    async fn start(&self) -> Result<()> {
        let services = &self.services;
        let stopping = services.stopping.clone();
        let sending = delayed::run(services.rooms.clone(), stopping.clone());
        self.follow("delayed events", sending);
        let supervision = store::supervise(services.store.clone(), stopping);
        services
            .tasks
            .spawn_essential("store supervision", supervision);
        for appservice in services.appservices.all() {
            services.transactions.serve(appservice).await?;
        }
        let commands = admin::start(services).await?;
        self.follow("admin commands", commands);
        Ok(())
    }

    /// Runs a task that the server cannot do without beside the requests, in the pool.
    fn follow<F>(&self, name: &'static str, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (pool, holder) = (
            self.services.blocking.clone(),
            Holder::Follower(name.to_owned()),
        );
        let running = async move { pool.run(holder, task).await };
        self.services.tasks.spawn_essential(name, running);
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
        let added = self
            .services
            .appservices
            .add(registration, delivery, Origin::Code);
        let added = added
            .await
            .map_err(|error| Error::Broken(error.to_string()))?;
        self.services.transactions.serve(added).await
    }

    /// Answers all who wait for something to happen, now and from now on: the server ends. Everything else goes on as before.
    pub fn cancel_waiters(&self) {
        self.services.stream.cancel_waiters();
    }

    /// Stops what runs beside the requests, and returns when it has stopped, or when that takes too long. What was acknowledged is
    /// on disk already.
    pub async fn close(&self) {
        self.cancel_waiters();
        let services = &self.services;
        services.tasks.close();
        services.stopping.cancel();
        services.tasks.stop();
        if tokio::time::timeout(CLOSE_MAX, services.tasks.ended())
            .await
            .is_err()
        {
            let left = services.tasks.tracker().len();
            tracing::warn!(tasks = left, "some tasks did not end in time");
        }
        if let Err(error) = services.store.flush().await {
            tracing::warn!(%error, "could not flush memtables; the next start replays the write-ahead log");
        }
    }

    /// Everything that this server answers, as a service: over the network or in process, the same bytes.
    pub fn router(&self) -> axum::Router {
        crate::api::router().with_state(self.services.clone())
    }

    /// The configuration that it was started with.
    pub fn config(&self) -> &Config {
        &self.services.config
    }

    /// Whether its database can be written.
    pub fn store_condition(&self) -> &StoreCondition {
        self.services.store.condition()
    }

    /// Waits until an admin wants the whole program to end.
    pub async fn shutdown_requested(&self) {
        self.services.shutdown.cancelled().await;
    }

    /// Whether the program is to start anew once it has ended.
    pub fn restart_requested(&self) -> bool {
        self.services.restarts.load(Ordering::Acquire)
    }

    /// Waits until a task has ended that the server cannot do without: its name.
    pub async fn failed_task(&self) -> &'static str {
        self.services.tasks.failed().await
    }

    /// Makes an account for this user, unless there is one.
    ///
    /// # Errors
    ///
    /// 400 if the name or the password cannot be one.
    pub async fn ensure_account(&self, user: &UserId, password: &str) -> Result<()> {
        let services = &self.services;
        if !services.accounts.exists(user)? {
            let made = services
                .operations
                .create_account(user.localpart(), Some(password));
            made.await?;
        }
        Ok(())
    }

    /// A registration token for the first user, good for one account and so long; nothing if somebody has an account.
    ///
    /// With `admins` it is bound to the first of them, and there is one as long as none of them has an account. One that is good
    /// still is given again.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn first_registration_token(
        &self,
        admins: &[OwnedUserId],
        life: Duration,
    ) -> Result<Option<String>> {
        let accounts = &self.services.accounts;
        let Some(first) = admins.first() else {
            if !accounts.list()?.is_empty() {
                return Ok(None);
            }
            // One of an earlier start, or one that an admin has issued.
            if let Some(token) = accounts.good_registration_token()? {
                return Ok(Some(token));
            }
            let token = accounts.issue_registration_token(Some(1), Some(life));
            return token.await.map(Some);
        };
        for admin in admins {
            // The configuration may write it in capital letters, accounts are made in small ones.
            if accounts.exists(&identity::parse_local_user(accounts, admin.as_str())?)? {
                return Ok(None);
            }
        }
        if let Some(token) = accounts.bound_registration_token(first.localpart())? {
            return Ok(Some(token));
        }
        let token = accounts.issue_bound_registration_token(first.localpart(), life);
        token.await.map(Some)
    }

    /// A new registration token for the account of one user, instead of an earlier one; nothing if there is the account.
    ///
    /// # Errors
    ///
    /// 400 if the name cannot be one.
    pub async fn renew_registration_token(
        &self,
        localpart: &str,
        life: Duration,
    ) -> Result<Option<String>> {
        let accounts = &self.services.accounts;
        let user_id = identity::new_user_id(accounts, localpart)?;
        if accounts.exists(&user_id)? {
            return Ok(None);
        }
        let token = accounts.issue_bound_registration_token(user_id.localpart(), life);
        token.await.map(Some)
    }

    /// Runs a command as an admin would in the admin room, and gives its answer.
    ///
    /// # Errors
    ///
    /// What the admin would be told.
    pub async fn execute(&self, command: &str) -> Result<String, String> {
        admin::execute(&self.services, command).await
    }
}

/// The rooms, with what is derived from their events. Each event meets the push rules before what others see of it is derived.
async fn open_rooms(
    config: &Config,
    stream: Stream,
    accounts: Accounts,
    appservices: Appservices,
    push_rules: &PushRules,
) -> Result<Rooms> {
    let derived: Vec<Arc<dyn Derived>> = vec![
        Arc::new(push_rules.clone()),
        Arc::new(RelationIndex),
        Arc::new(ThreadIndex),
        Arc::new(SearchIndex),
    ];
    Rooms::open(stream, config, accounts, appservices, derived).await
}
