//! Searching messages in the rooms that the caller is in.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#server-side-search>

use std::{
    cmp::Ordering,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ruma::{
    OwnedRoomId, UInt,
    api::{
        Direction,
        client::{
            filter::RoomEventFilter,
            search::search_events::{
                self,
                v3::{
                    Criteria, EventContextResult, GroupingKey, OrderBy, ResultCategories,
                    ResultGroup, ResultGroupMap, ResultRoomEvents, SearchResult, UserProfile,
                },
            },
        },
    },
    events::room::member::RoomMemberEventContent,
};

use super::messages::{lazy_members, timeline};
use crate::{
    error::{Error, Result},
    http::{Call, Routes},
    limits::{SEARCH_CONTEXT_MAX, SEARCH_PAGE_MAX},
    rooms::{
        Pdu, filter,
        pagination::{self, PageRequest, PaginationToken, TimelineReader},
        present::{self, Viewer},
        search::{self, Found},
    },
    services::{AppState, Services},
    stream::Position,
};

/// How many results a page has if the request does not say.
const PAGE_DEFAULT_RESULTS: usize = 10;

pub(super) fn routes(routes: Routes) -> Routes {
    routes.add_waiting(search_events)
}

async fn search_events(
    services: AppState,
    call: Call<search_events::v3::Request>,
) -> Result<search_events::v3::Response> {
    let mut categories = ResultCategories::new();
    let Some(criteria) = &call.body.search_categories.room_events else {
        return Ok(search_events::v3::Response::new(categories));
    };
    let viewer = Viewer::from(&call.caller);
    let (skip, until) = match &call.body.next_batch {
        Some(token) => parse_token(token)?,
        None => (0, services.stream.visible()),
    };
    let found = find(&services, &viewer, criteria, until)?;
    let limit = pagination::page_limit(criteria.filter.limit, PAGE_DEFAULT_RESULTS)
        .clamp(1, SEARCH_PAGE_MAX);
    let page: Vec<&Found> = found.iter().skip(skip).take(limit).collect();

    let mut results = ResultRoomEvents::new();
    results.count = UInt::try_from(found.len()).ok();
    results.highlights = search::search_words(&criteria.search_term)
        .into_iter()
        .collect();
    let next = skip.saturating_add(limit);
    results.next_batch = (next < found.len()).then(|| format!("{next}_{until}"));
    results.groups = groups(criteria, &page).into_iter().collect();
    if criteria.include_state == Some(true) {
        results.state = state(&services, &viewer, &page)?;
    }
    results.results = page
        .iter()
        .map(|found| result(&services, &viewer, criteria, found))
        .collect::<Result<_>>()?;
    categories.room_events = results;
    Ok(search_events::v3::Response::new(categories))
}

/// A token says how many results were given, and up to where there was something to be found at the first page: what comes in
/// meanwhile moves nothing.
fn parse_token(token: &str) -> Result<(usize, Position)> {
    let parts = token.split_once('_');
    let parsed = parts.and_then(|(skip, until)| Some((skip.parse().ok()?, until.parse().ok()?)));
    let (skip, until) =
        parsed.ok_or_else(|| Error::invalid("next_batch is no token of a search"))?;
    Ok((skip, Position(until)))
}

/// Everything that matches and that the viewer is shown, in the order that was asked for.
fn find(
    services: &Services,
    viewer: &Viewer,
    criteria: &Criteria,
    until: Position,
) -> Result<Vec<Found>> {
    let term = search::search_words(&criteria.search_term);
    let mut found = Vec::new();
    for room in rooms(services, viewer, &criteria.filter)? {
        let reader = TimelineReader::new(&services.rooms, &viewer.user_id, &room)?;
        let keys = criteria.keys.as_deref();
        let mut of_room = search::find(&services.rooms, &room, &term, keys, until)?;
        of_room.retain(|found| {
            filter::matches(&criteria.filter, &found.pdu) && reader.shows_content(&found.pdu)
        });
        found.append(&mut of_room);
    }
    let recent = criteria.order_by == Some(OrderBy::Recent);
    found.sort_by(|one, other| {
        let by_rank = if recent {
            Ordering::Equal
        } else {
            other.rank.total_cmp(&one.rank)
        };
        by_rank.then(other.pdu.position.cmp(&one.pdu.position))
    });
    Ok(found)
}

/// The rooms that are searched: those that the viewer is in, and of them those that were asked for.
fn rooms(
    services: &Services,
    viewer: &Viewer,
    filter: &RoomEventFilter,
) -> Result<Vec<OwnedRoomId>> {
    let mut rooms = services.rooms.joined_rooms(&viewer.user_id)?;
    rooms.retain(|room| {
        !filter.not_rooms.contains(room)
            && filter
                .rooms
                .as_ref()
                .is_none_or(|asked| asked.contains(room))
    });
    Ok(rooms)
}

fn result(
    services: &Services,
    viewer: &Viewer,
    criteria: &Criteria,
    found: &Found,
) -> Result<SearchResult> {
    let mut result = SearchResult::new();
    result.rank = Some(found.rank);
    result.result = Some(present::timeline(&services.rooms, &found.pdu, viewer)?);
    result.context = context(services, viewer, criteria, &found.pdu)?;
    Ok(result)
}

/// What was said before and after.
fn context(
    services: &Services,
    viewer: &Viewer,
    criteria: &Criteria,
    pdu: &Arc<Pdu>,
) -> Result<EventContextResult> {
    let asked = &criteria.event_context;
    let limit = |asked: UInt| pagination::page_limit(Some(asked), 0).min(SEARCH_CONTEXT_MAX);
    let reader = TimelineReader::new(&services.rooms, &viewer.user_id, &pdu.room_id)?;
    let everything = RoomEventFilter::default();
    let page = |direction: Direction, from, limit| {
        reader.page(&PageRequest {
            direction,
            from: Some(PaginationToken(from)),
            to: None,
            limit,
            filter: &everything,
        })
    };
    let before = page(
        Direction::Backward,
        pdu.position.before(),
        limit(asked.before_limit),
    )?;
    let after = page(Direction::Forward, pdu.position, limit(asked.after_limit))?;
    let first = before.events.last().unwrap_or(pdu);
    let last = after.events.last().unwrap_or(pdu);

    let mut context = EventContextResult::new();
    context.start = Some(PaginationToken(first.position.before()).to_string());
    context.end = Some(PaginationToken(last.position).to_string());
    context.events_before = timeline(services, &before.events, viewer)?;
    context.events_after = timeline(services, &after.events, viewer)?;
    if asked.include_profile {
        let shown = before.events.iter().chain(&after.events).chain([pdu]);
        let state = services.rooms.state(&pdu.room_id);
        for member in lazy_members(&state, shown)? {
            let Some(content) = member.content_as::<RoomMemberEventContent>() else {
                continue;
            };
            let mut profile = UserProfile::new();
            profile.displayname = content.displayname;
            profile.avatar_url = content.avatar_url;
            context.profile_info.insert(member.sender.clone(), profile);
        }
    }
    Ok(context)
}

/// The results by room or by sender, as far as that was asked for.
fn groups(criteria: &Criteria, page: &[&Found]) -> Vec<ResultGroupMap> {
    fn by<K: Ord + Clone>(page: &[&Found], key: impl Fn(&Pdu) -> K) -> BTreeMap<K, ResultGroup> {
        let mut groups: BTreeMap<K, ResultGroup> = BTreeMap::new();
        for (place, found) in page.iter().enumerate() {
            let group = groups.entry(key(&found.pdu)).or_default();
            group.order = group.order.or_else(|| UInt::try_from(place).ok());
            group.results.push(found.pdu.event_id.clone());
        }
        groups
    }
    let asked = criteria.groupings.group_by.iter();
    asked
        .filter_map(|grouping| match grouping.key.as_ref()? {
            GroupingKey::RoomId => {
                Some(ResultGroupMap::RoomId(by(page, |pdu| pdu.room_id.clone())))
            }
            GroupingKey::Sender => Some(ResultGroupMap::Sender(by(page, |pdu| pdu.sender.clone()))),
            _ => None,
        })
        .collect()
}

/// The state of every room with a result.
fn state(
    services: &Services,
    viewer: &Viewer,
    page: &[&Found],
) -> Result<BTreeMap<OwnedRoomId, Vec<ruma::serde::Raw<ruma::events::AnyStateEvent>>>> {
    let rooms: BTreeSet<&OwnedRoomId> = page.iter().map(|found| &found.pdu.room_id).collect();
    let mut states = BTreeMap::new();
    for room in rooms {
        let state = services.rooms.state(room).all()?;
        let shown = state
            .iter()
            .map(|pdu| present::state(&services.rooms, pdu, viewer));
        states.insert(room.clone(), shown.collect::<Result<_>>()?);
    }
    Ok(states)
}
