//! The events that relate to another one, and the threads of a room.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#querying-relations>,
//! <https://spec.matrix.org/v1.19/client-server-api/#querying-threads-in-a-room>

use ruma::{
    EventId, RoomId, UInt,
    api::{
        Direction,
        client::{
            relations::{
                get_relating_events, get_relating_events_with_rel_type,
                get_relating_events_with_rel_type_and_event_type,
            },
            threads::get_threads::{self, v1::IncludeThreads},
        },
    },
    events::AnyMessageLikeEvent,
    serde::Raw,
};

use super::{events::visible_event, messages::timeline};
use crate::{
    caller::Caller,
    error::Result,
    http::{Call, Routes},
    rooms::{
        pagination::{self, TimelineReader},
        present::{self, Viewer},
        relations::{self, RelationQuery},
        threads,
    },
    services::{AppState, Services},
};

/// How many events an answer has if the request does not say.
const DEFAULT_EVENTS: usize = 50;

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .add(all)
        .add(of_type)
        .add(of_both_types)
        .add(list_threads)
}

/// What the three forms of the endpoint have in common.
struct Query<'a> {
    room: &'a RoomId,
    event: &'a EventId,
    wanted: RelationQuery,
    from: Option<&'a str>,
    to: Option<&'a str>,
    direction: Direction,
    limit: Option<UInt>,
    recurse: bool,
}

/// What their answers have in common.
struct Answer {
    chunk: Vec<Raw<AnyMessageLikeEvent>>,
    next: Option<String>,
    previous: Option<String>,
    depth: Option<UInt>,
}

fn answer(services: &Services, caller: &Caller, query: &Query<'_>) -> Result<Answer> {
    let viewer = Viewer::from(caller);
    let reader = TimelineReader::new(&services.rooms, &caller.user_id, query.room)?;
    visible_event(services, &reader, query.room, query.event)?;
    let depth = if query.recurse {
        crate::limits::RELATION_DEPTH_MAX
    } else {
        1
    };
    let mut events =
        relations::relating(&services.rooms, &reader, query.event, &query.wanted, depth)?;
    if query.direction == Direction::Backward {
        events.reverse();
    }
    let from = pagination::token(query.from)?;
    let to = pagination::token(query.to)?;
    let limit = pagination::page_limit(query.limit, DEFAULT_EVENTS);
    let page = relations::cut(&events, query.direction, from, to, limit);
    let chunk = page
        .events
        .iter()
        .map(|pdu| present::timeline(&services.rooms, pdu, &viewer).map(Raw::cast_unchecked))
        .collect::<Result<_>>()?;
    Ok(Answer {
        chunk,
        next: page.end.map(|token| token.to_string()),
        previous: query.from.map(ToOwned::to_owned),
        depth: query
            .recurse
            .then(|| UInt::try_from(crate::limits::RELATION_DEPTH_MAX).unwrap_or_default()),
    })
}

/// One form of the endpoint. ruma has a type for each; they differ only in what of the events is wanted.
macro_rules! form {
    ($name:ident: $endpoint:ident, |$body:ident| $wanted:expr) => {
        async fn $name(
            services: AppState,
            call: Call<$endpoint::v1::Request>,
        ) -> Result<$endpoint::v1::Response> {
            let $body = &call.body;
            let query = Query {
                room: &$body.room_id,
                event: &$body.event_id,
                wanted: $wanted,
                from: $body.from.as_deref(),
                to: $body.to.as_deref(),
                direction: $body.dir,
                limit: $body.limit,
                recurse: $body.recurse,
            };
            let answer = answer(&services, &call.caller, &query)?;
            let mut response = $endpoint::v1::Response::new(answer.chunk);
            response.next_batch = answer.next;
            response.prev_batch = answer.previous;
            response.recursion_depth = answer.depth;
            Ok(response)
        }
    };
}

form!(all: get_relating_events, |body| RelationQuery::default());
form!(of_type: get_relating_events_with_rel_type, |body| RelationQuery {
    rel_type: Some(body.rel_type.clone()),
    event_type: None,
});
form!(of_both_types: get_relating_events_with_rel_type_and_event_type, |body| RelationQuery {
    rel_type: Some(body.rel_type.clone()),
    event_type: Some(body.event_type.clone()),
});

async fn list_threads(
    services: AppState,
    call: Call<get_threads::v1::Request>,
) -> Result<get_threads::v1::Response> {
    let (body, viewer) = (&call.body, Viewer::from(&call.caller));
    let reader = TimelineReader::new(&services.rooms, &viewer.user_id, &body.room_id)?;
    let participant = (body.include == IncludeThreads::Participated).then_some(&*viewer.user_id);
    let (roots, next) = threads::page(
        &services.rooms,
        &reader,
        participant,
        pagination::token(body.from.as_deref())?,
        pagination::page_limit(body.limit, DEFAULT_EVENTS),
    )?;
    let mut response = get_threads::v1::Response::new(timeline(&services, &roots, &viewer)?);
    response.next_batch = next.map(|next| next.to_string());
    Ok(response)
}
