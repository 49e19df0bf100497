//! One pusher's way to its gateway: one notification after the other, again and later if the gateway does not take it.
//!
//! Before each attempt the pusher and the notification are looked up again: what was read or deleted meanwhile is not told.
//! Spec: <https://spec.matrix.org/v1.19/push-gateway-api/>

use std::{sync::Weak, time::Duration};

use backon::{BackoffBuilder, ExponentialBuilder};
use ruma::{
    EventId, RoomId, UInt,
    api::{
        client::push::PusherKind,
        push_gateway::send_event_notification::v1::{
            Device, Notification, NotificationCounts, NotificationPriority,
        },
    },
    events::{StateEventType, TimelineEventType},
    push::{Action, HttpPusherData, PushFormat, Tweak},
};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use url::Url;

use super::pushers::{Inner, Job, Key};
use crate::{error::Result, rooms::Pdu, store::tables, stream::Position};

/// How long a gateway that failed is left alone at first.
const RETRY_FIRST: Duration = Duration::from_millis(500);
/// How long it is left alone at most.
const RETRY_MAX: Duration = Duration::from_mins(10);
/// How often one notification is tried. The last try is about an hour after the first.
const TRIES: usize = 15;
/// The longest answer of a gateway that is read, in bytes.
const ANSWER_MAX_BYTES: u64 = 64 << 10;
/// How many unread notifications of a user are counted, over all rooms.
const COUNTED_MAX: usize = 10_000;

/// What is sent.
#[derive(Serialize)]
struct Body {
    notification: Notification,
}

/// What a gateway answers.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Answer {
    rejected: Vec<String>,
}

/// Delivers what comes, until the pusher or the server is gone.
pub(super) async fn serve(pushers: Weak<Inner>, key: Key, mut jobs: mpsc::Receiver<Job>) {
    let mut told = None;
    while let Some(job) = jobs.recv().await {
        if !deliver(&pushers, &key, &job, &mut told).await {
            return;
        }
    }
}

/// Delivers one notification. Says whether the pusher is still there. `told` is the number that the phone shows, if it is known.
async fn deliver(pushers: &Weak<Inner>, key: &Key, job: &Job, told: &mut Option<UInt>) -> bool {
    let delays = ExponentialBuilder::default()
        .with_min_delay(RETRY_FIRST)
        .with_max_delay(RETRY_MAX)
        .with_max_times(TRIES)
        .with_jitter();
    for delay in delays.build() {
        // Nothing of the server is held while the gateway thinks: it may end meanwhile.
        let request = {
            let Some(inner) = pushers.upgrade() else {
                return false;
            };
            prepare(&inner, key, job, *told)
        };
        match request {
            Ok(Prepared::Send(request, unread)) => match send(*request).await {
                Ok(answer) if answer.rejected.contains(&key.2) => {
                    forget(pushers, key).await;
                    return false;
                }
                Ok(_) => {
                    *told = Some(unread);
                    return true;
                }
                Err(reason) => {
                    tracing::debug!(user.id = %key.0, app = key.1, %reason, "a push gateway did not take a push");
                }
            },
            Ok(Prepared::Done) => return true,
            Ok(Prepared::Gone) => {
                forget(pushers, key).await;
                return false;
            }
            Err(error) => tracing::error!(%error, "a push cannot be made"),
        }
        tokio::time::sleep(delay).await;
    }
    tracing::warn!(user.id = %key.0, app = key.1, "a push gateway did not take a push for an hour: it is dropped");
    true
}

/// What is to be done about a notification.
enum Prepared {
    /// It is sent, and tells how much is unread.
    Send(Box<reqwest::RequestBuilder>, UInt),
    /// It was read, or there is no way to tell of it.
    Done,
    /// There is no such pusher any more.
    Gone,
}

fn prepare(inner: &Inner, key: &Key, job: &Job, told: Option<UInt>) -> Result<Prepared> {
    let Some(pusher) = inner.pusher(key)? else {
        return Ok(Prepared::Gone);
    };
    let PusherKind::Http(data) = pusher.kind else {
        return Ok(Prepared::Done);
    };
    let unread = unread(inner, key)?;
    let notification = match job {
        Job::Counts if told == Some(unread) => None,
        Job::Counts => Some(Notification::new(vec![device(key, &data)])),
        Job::Event(room, position, event) => {
            event_notification(inner, key, &data, (room, *position, event))?
        }
    };
    let (Some(mut notification), Ok(url)) = (notification, Url::parse(&data.url)) else {
        return Ok(Prepared::Done);
    };
    notification.counts = NotificationCounts::new(unread, UInt::MIN);
    match inner.http.request(reqwest::Method::POST, &url) {
        Ok(request) => {
            let request = request.json(&Body { notification });
            Ok(Prepared::Send(Box::new(request), unread))
        }
        Err(forbidden) => {
            tracing::warn!(user.id = %key.0, %forbidden, "a push gateway may not be asked");
            Ok(Prepared::Done)
        }
    }
}

fn device(key: &Key, data: &HttpPusherData) -> Device {
    let mut device = Device::new(key.1.clone(), key.2.clone());
    device.data = data.clone().into();
    device
}

/// What is told of an event; nothing if it was read or taken back.
fn event_notification(
    inner: &Inner,
    key: &Key,
    data: &HttpPusherData,
    (room, position, event): (&RoomId, Position, &EventId),
) -> Result<Option<Notification>> {
    let row = inner
        .store
        .get::<tables::Notifications>((&key.0, room, position))?
        .filter(|row| !row.read);
    let (Some(row), Some(pdu)) = (row, inner.rooms.event(event)?) else {
        return Ok(None);
    };
    let actions: Vec<Action> = serde_json::from_value(row.actions)?;
    let mut device = device(key, data);
    let only_ids = data.format == Some(PushFormat::EventIdOnly);
    let tweaks = actions.into_iter().filter_map(|action| match action {
        Action::SetTweak(tweak) => Some(tweak),
        _ => None,
    });
    let tweaks: Vec<Tweak> = tweaks.collect();
    let urgent = !tweaks.is_empty() || pdu.kind == TimelineEventType::RoomEncrypted;
    if !only_ids {
        device.tweaks = tweaks;
    }
    let mut notification = Notification::new(vec![device]);
    notification.event_id = Some(pdu.event_id.clone());
    notification.room_id = Some(pdu.room_id.clone());
    if !urgent {
        notification.prio = NotificationPriority::Low;
    }
    if !only_ids {
        describe(inner, key, &pdu, &mut notification)?;
    }
    Ok(Some(notification))
}

/// What the event is, for gateways that show it.
fn describe(inner: &Inner, key: &Key, pdu: &Pdu, notification: &mut Notification) -> Result<()> {
    #[derive(Deserialize)]
    struct Name {
        name: Option<String>,
    }
    #[derive(Deserialize)]
    struct CanonicalAlias {
        alias: Option<ruma::OwnedRoomAliasId>,
    }
    let state = inner.rooms.state(&pdu.room_id);
    let sender = inner.rooms.membership(&pdu.room_id, &pdu.sender)?;
    notification.event_type = Some(pdu.kind.clone());
    notification.sender = Some(pdu.sender.clone());
    notification.sender_display_name = sender.and_then(|sender| sender.display_name);
    notification.user_is_target = pdu.is_member_event_of(&key.0);
    notification.content = Some(pdu.content.clone());
    notification.room_name = state
        .content::<Name>(&StateEventType::RoomName, "")?
        .and_then(|content| content.name);
    notification.room_alias = state
        .content::<CanonicalAlias>(&StateEventType::RoomCanonicalAlias, "")?
        .and_then(|content| content.alias);
    Ok(())
}

/// How much the user has not read, over all rooms.
fn unread(inner: &Inner, key: &Key) -> Result<UInt> {
    let mut unread = 0_u32;
    let rows = inner.store.scan::<tables::Notifications>((&key.0,));
    for row in rows.take(COUNTED_MAX) {
        let (_, row) = row?;
        unread += u32::from(row.notify && !row.read);
    }
    Ok(unread.into())
}

async fn send(request: reqwest::RequestBuilder) -> Result<Answer, String> {
    let response = request
        .send()
        .await
        .and_then(reqwest::Response::error_for_status)
        .map_err(|error| error.to_string())?;
    if response
        .content_length()
        .is_none_or(|length| length > ANSWER_MAX_BYTES)
    {
        // It took the notification; whatever else it says is too long to be an answer.
        return Ok(Answer::default());
    }
    let bytes = response.bytes().await.map_err(|error| error.to_string())?;
    Ok(serde_json::from_slice(&bytes).unwrap_or_default())
}

/// Deletes a pusher that its gateway or its device does not know any more.
async fn forget(pushers: &Weak<Inner>, key: &Key) {
    let Some(inner) = pushers.upgrade() else {
        return;
    };
    let mut batch = inner.store.batch();
    let store = inner.store.clone();
    drop(inner);
    let deleted = match batch.delete::<tables::Pushers>((&key.0, &key.1, &key.2)) {
        Ok(()) => store.commit(batch).await,
        Err(error) => Err(error),
    };
    if let Err(error) = deleted {
        tracing::error!(%error, "a pusher that is not wanted any more cannot be deleted");
    }
}
