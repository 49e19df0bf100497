//! The list of what notified a user.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#listing-notifications>

use ruma::{
    OwnedRoomId,
    api::client::push::get_notifications::{self, v3::Notification},
    serde::Raw,
};

use crate::{
    error::{Error, Result},
    http::{Call, Routes},
    limits::NOTIFICATIONS_PAGE_MAX,
    push::record,
    services::AppState,
    store::tables,
    stream::Position,
};

/// How many notifications a page has if nobody says how many.
const PAGE_DEFAULT: usize = 20;

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add(list)
}

async fn list(
    services: AppState,
    call: Call<get_notifications::v3::Request>,
) -> Result<get_notifications::v3::Response> {
    let user = &call.caller.user_id;
    let before = match &call.body.from {
        Some(token) => token.parse().map(Position).map_err(|_| {
            Error::invalid("from is a next_token of an earlier page of notifications")
        })?,
        None => Position::MAX,
    };
    let asked = call
        .body
        .limit
        .map(|limit| usize::try_from(limit).unwrap_or(NOTIFICATIONS_PAGE_MAX));
    let limit = asked
        .unwrap_or(PAGE_DEFAULT)
        .clamp(1, NOTIFICATIONS_PAGE_MAX);
    let only_highlights = call.body.only.as_deref() == Some("highlight");
    let mut rows: Vec<(Position, OwnedRoomId, record::Notification)> = Vec::new();
    for row in services.store.scan::<tables::Notifications>((user,)) {
        let ((_, room, position), row) = row?;
        if position < before && (row.highlight || !only_highlights) {
            rows.push((position, room, row));
        }
    }
    // Rows are ordered by room, the page by time, newest first.
    rows.sort_unstable_by_key(|(position, _, _)| std::cmp::Reverse(*position));
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|row| row.0.to_string());
    let mut notifications = Vec::new();
    for (_, room, row) in rows {
        let Some(pdu) = services.rooms.event(&row.event_id)? else {
            continue;
        };
        let event = event(&pdu)?;
        let actions = serde_json::from_value(row.actions)?;
        notifications.push(Notification::new(actions, event, row.read, room, row.time));
    }
    let mut response = get_notifications::v3::Response::new(notifications);
    response.next_token = next;
    Ok(response)
}

/// The event as clients see it.
fn event(pdu: &crate::rooms::Pdu) -> Result<Raw<ruma::events::AnySyncTimelineEvent>> {
    let mut event = serde_json::json!({
        "event_id": pdu.event_id,
        "type": pdu.kind,
        "sender": pdu.sender,
        "origin_server_ts": pdu.origin_server_ts,
        "content": pdu.content,
    });
    if let Some(key) = &pdu.state_key {
        event["state_key"] = key.as_str().into();
    }
    Ok(Raw::from_json(serde_json::value::to_raw_value(&event)?))
}
