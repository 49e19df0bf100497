//! Pushers: where users want to be told of notifications, and the task that tells them.
//!
//! The task follows the stream. For each new event it looks who has a row in the notifications and a pusher, and leaves the
//! rest to the pusher's own queue, so that a gateway that does not answer holds up nobody else. A pusher lives as long as the
//! device that set it. What was not delivered when the server ends is not delivered later: counts and timelines keep it.
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#http-pushers>

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use ruma::{
    DeviceId, OwnedEventId, OwnedRoomId, OwnedUserId, UserId,
    api::client::push::{Pusher, PusherIds, PusherKind},
};
use tokio::sync::{mpsc, watch};
use url::Url;

use super::{gateway, guarded::Guarded, record::PusherRecord};
use crate::{
    config::Outbound,
    error::{Error, Result},
    rooms::Rooms,
    store::{Store, tables},
    stream::{Change, Position},
};

/// How many notifications wait for one pusher. Beyond it new ones are dropped: the oldest has waited for hours then.
const QUEUE_PER_PUSHER: usize = 100;
/// How many pushers one user can have.
const PUSHERS_PER_USER: usize = 100;
/// The longest key of a pusher, in bytes.
const PUSHKEY_MAX_BYTES: usize = 512;
/// The longest app id of a pusher, in bytes.
const APP_ID_MAX_BYTES: usize = 64;
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
    pub(super) http: Guarded,
}

/// By what a pusher is found: user, app and key.
pub(super) type Key = (OwnedUserId, String, String);

/// Something that a pusher has to tell.
#[derive(Clone, Debug)]
pub(super) enum Job {
    /// An event notifies the user: its room, its place, and its id.
    Event(OwnedRoomId, Position, OwnedEventId),
    /// The user has read something: the phone shows another number.
    Counts,
}

impl Pushers {
    /// The pushers in this database, and the task that serves them from now on. It ends with the last clone.
    pub fn open(rooms: Rooms, outbound: &Outbound) -> Self {
        let inner = Arc::new(Inner {
            store: rooms.store.clone(),
            http: Guarded::new(outbound),
            rooms,
        });
        let visible = inner.rooms.stream.follow();
        tokio::spawn(follow(Arc::downgrade(&inner), visible));
        Self { inner }
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
    /// 400 if it is of a kind that this server does not serve, or its address is none of a push gateway.
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
        let mut batch = store.batch();
        if !append {
            for key in store.scan::<tables::Pushers>(()).keys() {
                let (owner, app, pushkey) = key?;
                if app == ids.app_id && pushkey == ids.pushkey && owner != user {
                    batch.delete::<tables::Pushers>((&owner, &app, &pushkey))?;
                }
            }
        }
        if self.list(user)?.len() >= PUSHERS_PER_USER {
            let message = format!("One user can have {PUSHERS_PER_USER} pushers");
            return Err(Error::invalid(message));
        }
        let record = PusherRecord {
            pusher: serde_json::to_value(pusher)?,
            device: device.map(ToString::to_string),
        };
        batch.put::<tables::Pushers>((user, &ids.app_id, &ids.pushkey), &record)?;
        Ok(store.commit(batch).await?)
    }

    /// Deletes a pusher, if it is there.
    pub async fn delete(&self, user: &UserId, ids: &PusherIds) -> Result<()> {
        let mut batch = self.inner.store.batch();
        batch.delete::<tables::Pushers>((user, &ids.app_id, &ids.pushkey))?;
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
            "pushkey can have {PUSHKEY_MAX_BYTES} bytes and app_id {APP_ID_MAX_BYTES}"
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

    /// What the pushers have to tell of what happened after `after`.
    fn due(&self, after: Position, up_to: Position) -> Result<Vec<(Key, Job)>> {
        let pushers = self.store.scan::<tables::Pushers>(());
        let pushers: Vec<Key> = pushers.keys().collect::<Result<_, _>>()?;
        let mut due = Vec::new();
        if pushers.is_empty() {
            return Ok(due);
        }
        for row in self.store.scan_from::<tables::Changes>((), (after.next(),)) {
            let ((position,), change) = row?;
            if position > up_to {
                break;
            }
            for key in &pushers {
                if let Some(job) = self.job(key, position, &change)? {
                    due.push((key.clone(), job));
                }
            }
        }
        Ok(due)
    }

    /// What a change means for a pusher.
    fn job(&self, key: &Key, position: Position, change: &Change) -> Result<Option<Job>> {
        match change {
            Change::Event(room, event) => {
                let row = (&key.0, room, position);
                let row = self.store.get::<tables::Notifications>(row)?;
                let job = Job::Event(room.clone(), position, event.clone());
                Ok(row.filter(|row| row.notify && !row.read).map(|_| job))
            }
            Change::Receipt(_, user) if *user == key.0 => Ok(Some(Job::Counts)),
            _ => Ok(None),
        }
    }
}

/// Follows the stream for as long as there is anybody who holds the pushers.
async fn follow(pushers: Weak<Inner>, mut visible: watch::Receiver<Position>) {
    let mut served = *visible.borrow_and_update();
    let mut queues: HashMap<Key, mpsc::Sender<Job>> = HashMap::new();
    while visible.changed().await.is_ok() {
        let up_to = *visible.borrow_and_update();
        let Some(inner) = pushers.upgrade() else {
            return;
        };
        match inner.due(served, up_to) {
            Ok(due) => {
                for (key, job) in due {
                    queue(&mut queues, &pushers, &key, job);
                }
            }
            Err(error) => tracing::error!(%error, "what pushers have to tell cannot be read"),
        }
        served = up_to;
    }
}

/// Leaves the job in the queue of its pusher.
fn queue(queues: &mut HashMap<Key, mpsc::Sender<Job>>, pushers: &Weak<Inner>, key: &Key, job: Job) {
    queues.retain(|_, queue| !queue.is_closed());
    let queue = queues.entry(key.clone()).or_insert_with(|| {
        let (sender, jobs) = mpsc::channel(QUEUE_PER_PUSHER);
        tokio::spawn(gateway::serve(pushers.clone(), key.clone(), jobs));
        sender
    });
    if queue.try_send(job).is_err() {
        tracing::warn!(user.id = %key.0, app = key.1, "a push gateway is too slow: a push is dropped");
    }
}
