//! What a push gateway is told: of an event, or only how much is unread.
//!
//! Spec: <https://spec.matrix.org/v1.19/push-gateway-api/#post_matrixpushv1notify>

use ruma::{
    RoomId, UInt,
    api::push_gateway::send_event_notification::v1::{
        Device, Notification, NotificationCounts, NotificationPriority,
    },
    events::{StateEventType, TimelineEventType},
    push::{Action, HttpPusherData, PushFormat, Tweak},
};
use serde::Deserialize;

use super::{
    pushers::{Inner, Key},
    record,
};
use crate::{error::Result, rooms::Pdu};

fn device(key: &Key, data: &HttpPusherData) -> Device {
    let mut device = Device::new(key.1.clone(), key.2.clone());
    device.data = data.clone().into();
    device
}

/// Whether the client counts by itself what is unread, and wants to be told of events only.
/// Proposal: <https://github.com/matrix-org/matrix-spec-proposals/pull/4076>
pub(super) fn counts_itself(data: &HttpPusherData) -> bool {
    let names = [
        "disable_badge_count",
        "org.matrix.msc4076.disable_badge_count",
    ];
    names
        .iter()
        .any(|&name| data.data.get(name) == Some(&true.into()))
}

/// Tells how much is unread, and nothing else.
pub(super) fn badge(key: &Key, data: &HttpPusherData) -> Notification {
    Notification::new(vec![device(key, data)])
}

/// Says how much is unread.
pub(super) fn count(notification: &mut Notification, unread: UInt) {
    notification.counts = NotificationCounts::new(unread, UInt::MIN);
}

/// What is told of an event; nothing if it is gone.
pub(super) fn event(
    inner: &Inner,
    key: &Key,
    data: &HttpPusherData,
    room: &RoomId,
    row: &record::Notification,
) -> Result<Option<Notification>> {
    let event = inner.rooms.event(&row.event_id)?;
    let Some(pdu) = event.filter(|pdu| pdu.room_id == room) else {
        return Ok(None);
    };
    let actions: Vec<Action> = serde_json::from_value(row.actions.clone())?;
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
