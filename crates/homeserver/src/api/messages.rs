//! The timeline of a room, page by page.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#get_matrixclientv3roomsroomidmessages>

use std::{collections::BTreeSet, sync::Arc};

use ruma::{
    OwnedUserId, api::client::message::get_message_events, events::AnyTimelineEvent, serde::Raw,
};

use crate::{
    error::Result,
    http::{Call, Routes},
    rooms::{
        self, Pdu, RoomState,
        filter::RelatedBy,
        pagination::{self, PageRequest, TimelineReader},
        present::{self, Viewer},
    },
    services::{AppState, Services},
    stream::Position,
};

/// How many events a page has if the request does not say.
const PAGE_DEFAULT_EVENTS: usize = 10;

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add(messages)
}

async fn messages(
    services: AppState,
    call: Call<get_message_events::v3::Request>,
) -> Result<get_message_events::v3::Response> {
    let body = &call.body;
    let viewer = Viewer::from(&call.caller);
    let related_by = RelatedBy::read(call.facts.query_value("filter").as_deref());
    let reader =
        TimelineReader::new(&services.rooms, &viewer.user_id, &body.room_id)?.only(related_by);
    let limit = pagination::page_limit(Some(body.limit), PAGE_DEFAULT_EVENTS);
    let page = reader.page(&PageRequest {
        direction: body.dir,
        from: pagination::token(body.from.as_deref())?,
        to: pagination::token(body.to.as_deref())?,
        limit: limit.min(pagination::page_limit(body.filter.limit, limit)),
        filter: &body.filter,
    })?;
    let mut response = get_message_events::v3::Response::default();
    response.start = page.start.to_string();
    response.end = page.end.map(|end| end.to_string());
    response.chunk = timeline(&services, &page.events, &viewer)?;
    if !body.filter.lazy_load_options.is_disabled() {
        let state = rooms::readable_state(&services.rooms, &viewer.user_id, &body.room_id)?;
        response.state = lazy_members(&state, &page.events)?
            .iter()
            .map(|pdu| present::state(&services.rooms, pdu, &viewer))
            .collect::<Result<_>>()?;
    }
    Ok(response)
}

/// The events as the viewer sees them.
pub(super) fn timeline(
    services: &Services,
    events: &[Arc<Pdu>],
    viewer: &Viewer,
) -> Result<Vec<Raw<AnyTimelineEvent>>> {
    events
        .iter()
        .map(|pdu| present::timeline(&services.rooms, pdu, viewer))
        .collect()
}

/// The member events of those who sent these events, as they were at the latest of them, in the state that may be read.
pub(super) fn lazy_members<'a>(
    state: &RoomState,
    events: impl IntoIterator<Item = &'a Arc<Pdu>>,
) -> Result<Vec<Arc<Pdu>>> {
    let mut latest = Position::default();
    let mut senders: BTreeSet<&OwnedUserId> = BTreeSet::new();
    for pdu in events {
        latest = latest.max(pdu.position);
        senders.insert(&pdu.sender);
    }
    let state = state.clone().not_after(latest);
    senders
        .into_iter()
        .filter_map(|sender| state.member(sender).transpose())
        .collect()
}
