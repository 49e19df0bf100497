//! Pushers: where users want to be told of notifications.
//!
//! Each has a task of its own (`worker`), so that a gateway that does not answer holds up nobody else. The task here follows
//! the stream and wakes those who have something to tell. How far each has come is on disk: what was not delivered when the server
//! ends is delivered after the next start. A pusher lives as long as the device that set it.
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#http-pushers>

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use ruma::{
    DeviceId, OwnedUserId, UserId,
    api::client::push::{Pusher, PusherIds, PusherKind},
};
use tasks::{Tasks, catch_panic};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{
    record::{PusherProgress, PusherRecord},
    worker::{self, Wake},
};
use crate::{
    blocking::BlockingPool,
    config::Outbound,
    error::{Error, Result},
    holder::Holder,
    limits::{APP_ID_MAX_BYTES, PUSHER_MAX_BYTES, PUSHERS_PER_USER, PUSHKEY_MAX_BYTES},
    outbound::GuardedHttpClient,
    rooms::Rooms,
    store::{Store, tables},
    stream::{Change, Position},
};

/// How many reasons to look up wait for one pusher: one is enough, and one that its address is new.
const WAKES_PER_PUSHER: usize = 2;
/// The path that a push gateway has.
const GATEWAY_PATH: &str = "/_matrix/push/v1/notify";

/// All pushers. Clones are the same.
#[derive(Clone, Debug)]
pub struct Pushers {
    inner: Arc<Inner>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) store: Store,
    pub(super) rooms: Rooms,
    pub(super) http: GuardedHttpClient,
    pool: BlockingPool,
    /// The tasks of pushers, which end when they lose their sender.
    tasks: Mutex<BTreeMap<Key, mpsc::Sender<Wake>>>,
    /// What the end of the server waits for.
    pub(super) running: Tasks,
    /// Cancelled when the server ends.
    pub(super) stopping: CancellationToken,
}

/// By what a pusher is found: user, app and key.
pub(super) type Key = (OwnedUserId, String, String);

impl Pushers {
    /// The pushers in this database, and the tasks that serve them from now on. They end when `stopping` is cancelled, or with the
    /// last clone; `running` is busy while one of them asks a gateway.
    pub fn open(
        rooms: Rooms,
        outbound: &Outbound,
        pool: BlockingPool,
        running: Tasks,
        stopping: CancellationToken,
    ) -> Result<Self> {
        let inner = Arc::new(Inner {
            store: rooms.store.clone(),
            http: GuardedHttpClient::new(outbound),
            pool: pool.clone(),
            rooms,
            tasks: Mutex::default(),
            running,
            stopping,
        });
        let visible = inner.rooms.stream.subscribe();
        for key in inner.store.scan::<tables::Pushers>(()).keys() {
            Inner::serve(&inner, key?);
        }
        let following = follow(Arc::downgrade(&inner), visible);
        let holder = Holder::Follower("pushers".to_owned());
        // Not one that the end of the server waits for: it goes with the last who holds the pushers.
        #[expect(
            clippy::disallowed_methods,
            reason = "it goes with whoever holds it, not with the process"
        )]
        tokio::spawn(async move { pool.run(holder, following).await });
        Ok(Self { inner })
    }

    /// The pushers of a user, as their clients set them.
    pub fn list(&self, user: &UserId) -> Result<Vec<Pusher>> {
        let store = &self.inner.store;
        let mut pushers = Vec::new();
        for row in store.scan::<tables::Pushers>((user,)) {
            let (_, record) = row?;
            if is_alive(store, user, &record)? {
                pushers.extend(serde_json::from_value(record.pusher).ok());
            }
        }
        Ok(pushers)
    }

    /// Sets a pusher. Without `append` nobody else keeps one with the same app and key.
    ///
    /// # Errors
    ///
    /// 400 if it is of a kind that this server does not serve, its address is none of a push gateway, or the user has too many.
    pub async fn set(
        &self,
        user: &UserId,
        device: Option<&DeviceId>,
        pusher: &Pusher,
        append: bool,
    ) -> Result<()> {
        check(pusher)?;
        let store = &self.inner.store;
        let ids = &pusher.ids;
        let key = (user.to_owned(), ids.app_id.clone(), ids.pushkey.clone());
        let place = (&key.0, &key.1, &key.2);
        let others = self.list(user)?;
        if others.len() >= PUSHERS_PER_USER && !others.iter().any(|other| other.ids == *ids) {
            let message = format!("Too many pushers (max {PUSHERS_PER_USER} per user)");
            return Err(Error::invalid(message));
        }
        let record = PusherRecord {
            pusher: serde_json::to_value(pusher)?,
            device: device.map(ToString::to_string),
        };
        if record.pusher.to_string().len() > PUSHER_MAX_BYTES {
            let message = format!("Pusher too large (max {PUSHER_MAX_BYTES} bytes)");
            return Err(Error::invalid(message));
        }
        let mut batch = store.batch();
        if !append {
            for other in store.scan::<tables::Pushers>(()).keys() {
                let other = other?;
                if (&other.1, &other.2) == (&key.1, &key.2) && other.0 != user {
                    self.inner.delete(&mut batch, &other)?;
                }
            }
        }
        batch.put::<tables::Pushers>(place, &record)?;
        if !store.contains::<tables::Pushers>(place)? {
            // What happened before is not for this pusher.
            let progress = PusherProgress::at(self.inner.rooms.stream.visible());
            batch.put::<tables::PusherProgress>(place, &progress)?;
        }
        store.commit(batch).await?;
        Inner::serve(&self.inner, key);
        Ok(())
    }

    /// Deletes a pusher, if it is there.
    pub async fn delete(&self, user: &UserId, ids: &PusherIds) -> Result<()> {
        let mut batch = self.inner.store.batch();
        let key = (user.to_owned(), ids.app_id.clone(), ids.pushkey.clone());
        self.inner.delete(&mut batch, &key)?;
        Ok(self.inner.store.commit(batch).await?)
    }
}

/// Whether the device that set the pusher is still there.
fn is_alive(store: &Store, user: &UserId, record: &PusherRecord) -> Result<bool> {
    match &record.device {
        Some(device) => {
            let device: &DeviceId = device.as_str().into();
            Ok(store.contains::<tables::Devices>((user, device))?)
        }
        None => Ok(true),
    }
}

fn check(pusher: &Pusher) -> Result<()> {
    if pusher.ids.pushkey.len() > PUSHKEY_MAX_BYTES || pusher.ids.app_id.len() > APP_ID_MAX_BYTES {
        return Err(Error::invalid(format!(
            "pushkey or app_id too long (max {PUSHKEY_MAX_BYTES} and {APP_ID_MAX_BYTES} bytes)"
        )));
    }
    let PusherKind::Http(data) = &pusher.kind else {
        return Err(Error::invalid(
            "This server serves pushers of the kind http",
        ));
    };
    let url = Url::parse(&data.url).ok();
    let fits = |url: &Url| {
        matches!(url.scheme(), "http" | "https") && url.has_host() && url.path() == GATEWAY_PATH
    };
    if !url.as_ref().is_some_and(fits) {
        return Err(Error::invalid(format!(
            "data.url is the address of a push gateway, which ends in {GATEWAY_PATH}"
        )));
    }
    Ok(())
}

impl Inner {
    /// The pusher, if it is still there and so is its device.
    pub(super) fn pusher(&self, key: &Key) -> Result<Option<Pusher>> {
        let (user, app, pushkey) = key;
        match self.store.get::<tables::Pushers>((user, app, pushkey))? {
            Some(record) if is_alive(&self.store, user, &record)? => {
                Ok(serde_json::from_value(record.pusher).ok())
            }
            _ => Ok(None),
        }
    }

    /// Deletes a pusher and all that is known of it, and ends its task.
    pub(super) fn delete(&self, batch: &mut crate::store::Batch, key: &Key) -> Result<()> {
        batch.delete::<tables::Pushers>((&key.0, &key.1, &key.2))?;
        batch.delete::<tables::PusherProgress>((&key.0, &key.1, &key.2))?;
        self.tasks().remove(key);
        Ok(())
    }

    fn tasks(&self) -> std::sync::MutexGuard<'_, BTreeMap<Key, mpsc::Sender<Wake>>> {
        // Nothing panics while it holds the lock.
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sees to it that the pusher has a task, which looks at its address anew.
    fn serve(inner: &Arc<Self>, key: Key) {
        let mut tasks = inner.tasks();
        if let Some(task) = tasks.get(&key).filter(|task| !task.is_closed()) {
            // Full only of the same.
            _ = task.try_send(Wake::NewAddress);
            return;
        }
        let (sender, wakes) = mpsc::channel(WAKES_PER_PUSHER);
        let (running, stopping) = (inner.running.clone(), inner.stopping.clone());
        let pushers = Arc::downgrade(inner);
        let serving = worker::serve(pushers, key.clone(), wakes, running, stopping);
        let (pool, holder) = (inner.pool.clone(), Holder::User(key.0.clone()));
        #[expect(
            clippy::disallowed_methods,
            reason = "it goes with the pushers, and `running` is waited for at the end"
        )]
        tokio::spawn(async move { pool.run(holder, serving).await });
        tasks.insert(key, sender);
    }

    /// Wakes the pushers that have something to tell of what happened after `after`.
    fn wake(&self, after: Position, up_to: Position) -> Result<()> {
        let tasks = self.tasks().clone();
        if tasks.is_empty() {
            return Ok(());
        }
        for row in self.store.scan_from::<tables::Changes>((), (after.next(),)) {
            let ((position,), change) = row?;
            if position > up_to {
                break;
            }
            for (key, task) in &tasks {
                // One that has not looked up yet sees this as well.
                if task.capacity() == WAKES_PER_PUSHER
                    && self.concerns(&change, position, &key.0)?
                {
                    _ = task.try_send(Wake::News);
                }
            }
        }
        Ok(())
    }

    /// Whether a change notifies the user, or means that less is unread: it was read, it was redacted, or the user is out of the
    /// room.
    fn concerns(&self, change: &Change, position: Position, user: &UserId) -> Result<bool> {
        match change {
            Change::Event(room, event) => {
                let Some(pdu) = self.rooms.event(event)? else {
                    return Ok(false);
                };
                if pdu.sender == user || pdu.is_member_event_of(user) {
                    return Ok(true);
                }
                if pdu.redacts.is_some() {
                    return Ok(self.store.contains::<tables::Members>((&**room, user))?);
                }
                let row = (user, &**room, position);
                Ok(self.store.contains::<tables::Notifications>(row)?)
            }
            Change::Receipt(_, reader) => Ok(reader == user),
            _ => Ok(false),
        }
    }
}

/// Follows the stream for as long as there is anybody who holds the pushers.
async fn follow(pushers: Weak<Inner>, mut visible: watch::Receiver<Position>) {
    let mut seen = *visible.borrow_and_update();
    while visible.changed().await.is_ok() {
        let up_to = *visible.borrow_and_update();
        let Some(inner) = pushers.upgrade() else {
            return;
        };
        match catch_panic(async { inner.wake(seen, up_to) }).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::error!(%error, "could not read changes for pushers");
            }
            Err(panic) => {
                tracing::error!(%panic, after = seen.0, up_to = up_to.0, "changes are not pushed: looking through them panicked");
            }
        }
        seen = up_to;
    }
}
