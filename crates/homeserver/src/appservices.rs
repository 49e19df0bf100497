//! Application services: programs that act as many users and are told what happens.
//!
//! They come from three places: the configuration, the admin room (kept in the database) and the program around this server, which
//! hands over its own in code and can be served in process. All three are one list, in which no id and no token is twice.
//! Spec: <https://spec.matrix.org/v1.19/application-service-api/>

use std::sync::{Arc, PoisonError, RwLock};

use ruma::{OwnedServerName, OwnedUserId, RoomAliasId, ServerName, UserId};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{
    clock,
    config::{AppserviceRegistration, Config, RegistrationError},
    error::{Error, Result},
    log_throttle::LogThrottle,
    outbound::LazyHttpClient,
    store::records::accounts::Account,
    store::{Store, StoreError, tables},
};

mod call;
mod query;
#[cfg(test)]
mod tests;

pub use crate::store::records::appservices as record;

pub(crate) use call::path_part;
pub use call::{Answer, Unreachable};

/// How an application service is reached.
#[derive(Clone, Debug)]
pub enum Delivery {
    /// At the `url` of its registration.
    Http,
    /// In this process: the same requests, handed to its router.
    InProcess(axum::Router),
}

/// Where a registration came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The configuration names it.
    Config,
    /// An admin registered it; it is in the database.
    AdminRoom,
    /// The program around this server handed it over.
    Code,
}

/// Why an application service was not registered. The texts are Tuwunel's, where admins search for them.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// It is like another one.
    #[error(transparent)]
    Refused(#[from] RegistrationError),
    /// Its `sender_localpart` is no local part.
    #[error("sender_localpart is no local part of a user id: {0}")]
    Sender(#[from] ruma::IdParseError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why an application service was not unregistered. The texts are Tuwunel's.
#[derive(Debug, thiserror::Error)]
pub enum UnregisterError {
    /// There is none with this id.
    #[error("Appservice not found")]
    Unknown,
    /// It is not in the database.
    #[error("Cannot unregister config appservice")]
    Configured,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A registered application service.
#[derive(Debug)]
pub struct Appservice {
    registration: AppserviceRegistration,
    sender: OwnedUserId,
    origin: Origin,
    delivery: Delivery,
    http: Arc<LazyHttpClient>,
    /// Rung when it has shown that it is there: what waits for a retry is tried at once.
    pub(crate) awake: Notify,
    /// When the log said that it does not answer.
    unanswered: LogThrottle<()>,
    /// Cancelled when it is unregistered.
    pub(crate) gone: CancellationToken,
}

impl Appservice {
    /// What it was registered with.
    pub fn registration(&self) -> &AppserviceRegistration {
        &self.registration
    }

    /// Its id.
    pub fn id(&self) -> &str {
        self.registration.id()
    }

    /// Its own user.
    pub fn sender(&self, server: &ServerName) -> Result<OwnedUserId> {
        if self.sender.server_name() == server {
            return Ok(self.sender.clone());
        }
        Err(Error::Broken(format!("{server} is not this server")))
    }

    /// Whether it may act as the user: its own, or one of this server in one of its namespaces.
    pub fn may_act_as(&self, user: &UserId, server: &ServerName) -> bool {
        user.server_name() == server && self.registration.matches_user(user)
    }

    /// Whether this is its own user, or one in its namespaces.
    pub fn is_own(&self, user: &UserId) -> bool {
        self.may_act_as(user, self.sender.server_name())
    }

    /// Whether it can be sent anything.
    pub fn is_reachable(&self) -> bool {
        matches!(self.delivery, Delivery::InProcess(_)) || self.registration.url().is_some()
    }

    /// Tries at once what waits for its next attempt.
    pub fn retry_now(&self) {
        self.awake.notify_one();
    }
}

/// All application services. Clones are the same.
#[derive(Clone, Debug)]
pub struct Appservices {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Store,
    server_name: OwnedServerName,
    http: Arc<LazyHttpClient>,
    all: RwLock<Vec<Arc<Appservice>>>,
    /// Held while the list changes, so that two changes do not pass each other.
    changing: tokio::sync::Mutex<()>,
}

impl Appservices {
    /// Those of the configuration and those of the database. What the configuration names wins.
    pub async fn open(store: Store, config: &Config) -> Result<Self> {
        let inner = Inner {
            server_name: config.server_name.clone(),
            http: Arc::new(call::client()),
            all: RwLock::default(),
            changing: tokio::sync::Mutex::default(),
            store,
        };
        let appservices = Self {
            inner: Arc::new(inner),
        };
        let configured = config
            .appservices
            .registrations()
            .map_err(|error| Error::Broken(error.to_string()))?;
        for registration in configured {
            let added = appservices.admit(registration, Delivery::Http, Origin::Config);
            added.await.map_err(broken)?;
        }
        let kept: Vec<_> = appservices.kept().collect::<Result<_, _>>()?;
        for ((id,), yaml) in kept {
            let read = AppserviceRegistration::from_yaml(&yaml).map_err(RegisterError::from);
            let admitted = match read {
                Ok(registration) => {
                    let added = appservices.admit(registration, Delivery::Http, Origin::AdminRoom);
                    added.await.map(drop)
                }
                Err(error) => Err(error),
            };
            if let Err(error) = admitted {
                tracing::warn!(appservice.id = id, %error, "a registration of the admin room is not used");
            }
        }
        Ok(appservices)
    }

    fn kept(&self) -> impl Iterator<Item = Result<((String,), String), StoreError>> + '_ {
        self.inner.store.scan::<tables::Appservices>(())
    }

    /// All application services, in the order of their registration.
    pub fn all(&self) -> Vec<Arc<Appservice>> {
        self.inner
            .all
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// The application service with this id.
    pub fn get(&self, id: &str) -> Option<Arc<Appservice>> {
        self.all()
            .into_iter()
            .find(|appservice| appservice.id() == id)
    }

    /// The application service with this `as_token`.
    pub fn by_token(&self, token: &str) -> Option<Arc<Appservice>> {
        let matches =
            |appservice: &Arc<Appservice>| appservice.registration.file().as_token.matches(token);
        self.all().into_iter().find(matches)
    }

    /// Whether another application service than `except` has this user for itself alone.
    pub fn is_exclusive_user(&self, user: &UserId, except: Option<&Appservice>) -> bool {
        let ours = user.server_name() == self.inner.server_name;
        ours && self.others(except, |other| other.registration.is_exclusive_user(user))
    }

    /// The application service that has this user for itself alone.
    pub fn exclusive_owner(&self, user: &UserId) -> Option<Arc<Appservice>> {
        let ours = user.server_name() == self.inner.server_name;
        let mut all = self.all().into_iter().filter(|_| ours);
        all.find(|appservice| appservice.registration.is_exclusive_user(user))
    }

    /// Whether another application service than `except` has this alias for itself alone.
    pub fn is_exclusive_alias(&self, alias: &RoomAliasId, except: Option<&Appservice>) -> bool {
        self.others(except, |other| other.registration.is_exclusive_alias(alias))
    }

    fn others(&self, except: Option<&Appservice>, has: impl Fn(&Appservice) -> bool) -> bool {
        let all = self.all();
        let mut others = all
            .iter()
            .filter(|other| except.is_none_or(|except| except.id() != other.id()));
        others.any(|other| has(other))
    }

    /// Adds an application service and makes the account of its own user. Those of the admin room are kept in the database.
    ///
    /// # Errors
    ///
    /// If another one has its id or its `as_token`.
    pub async fn add(
        &self,
        registration: AppserviceRegistration,
        delivery: Delivery,
        origin: Origin,
    ) -> Result<Arc<Appservice>, RegisterError> {
        if origin == Origin::AdminRoom {
            registration.check_unique_among(self.all().iter().map(|other| &other.registration))?;
            let yaml = registration.to_yaml()?;
            let id = registration.id().to_owned();
            let added = self.admit(registration, delivery, origin).await?;
            let kept = self.inner.store.put::<tables::Appservices>((&id,), &yaml);
            kept.await?;
            return Ok(added);
        }
        self.admit(registration, delivery, origin).await
    }

    async fn admit(
        &self,
        registration: AppserviceRegistration,
        delivery: Delivery,
        origin: Origin,
    ) -> Result<Arc<Appservice>, RegisterError> {
        let _changing = self.inner.changing.lock().await;
        registration.check_unique_among(self.all().iter().map(|other| &other.registration))?;
        let localpart = &registration.file().sender_localpart;
        let sender = UserId::parse(format!("@{localpart}:{}", self.inner.server_name))?;
        self.make_account(&sender, registration.id()).await?;
        let appservice = Arc::new(Appservice {
            sender,
            registration,
            origin,
            delivery,
            http: self.inner.http.clone(),
            awake: Notify::new(),
            unanswered: LogThrottle::default(),
            gone: CancellationToken::new(),
        });
        let mut all = self
            .inner
            .all
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        all.push(appservice.clone());
        Ok(appservice)
    }

    async fn make_account(&self, user: &UserId, id: &str) -> Result<(), StoreError> {
        let store = &self.inner.store;
        if store.contains::<tables::Accounts>((user,))? {
            return Ok(());
        }
        let account = Account {
            password: None,
            created: clock::now(),
            deactivated: false,
            guest: false,
            appservice: Some(id.to_owned()),
            locked: false,
            suspended: false,
        };
        store.put::<tables::Accounts>((user,), &account).await
    }

    /// Removes an application service that an admin registered, with all that waits for it. Its tokens count no more.
    ///
    /// # Errors
    ///
    /// If there is none with this id, or if it is not the admin room's.
    pub async fn remove(&self, id: &str) -> Result<Arc<Appservice>, UnregisterError> {
        let _changing = self.inner.changing.lock().await;
        let appservice = self.get(id).ok_or(UnregisterError::Unknown)?;
        if appservice.origin != Origin::AdminRoom {
            return Err(UnregisterError::Configured);
        }
        let mut batch = self.inner.store.batch();
        batch.delete::<tables::Appservices>((id,))?;
        batch.delete::<tables::AppserviceProgress>((id,))?;
        self.inner.store.commit(batch).await?;
        appservice.gone.cancel();
        let mut all = self
            .inner
            .all
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        all.retain(|other| other.id() != id);
        Ok(appservice)
    }
}

fn broken(error: impl std::fmt::Display) -> Error {
    Error::Broken(format!(
        "an application service of the configuration: {error}"
    ))
}
