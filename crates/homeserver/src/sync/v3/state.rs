//! The state that a sync gives beside a piece of timeline: what the client would not know otherwise.
//!
//! It is read from the temporal index: the state at the start (or, if the client asks so, the end) of the piece, and of that only
//! what changed since the last sync, if there was one.

use std::{collections::BTreeSet, sync::Arc};

use ruma::{
    OwnedUserId, RoomId, UserId,
    api::client::{
        filter::LazyLoadOptions,
        sync::sync_events::v3::{State, StateEvents},
    },
    events::StateEventType,
};

use super::{Span, SyncOptions, timeline::TimelineChunk};
use crate::{
    error::Result,
    rooms::{Pdu, filter, present},
    stream::Position,
    sync::SyncContext,
};

/// The state beside `chunk`, presented. `whole` if the client knows nothing of the room.
pub(super) fn state_delta(
    ctx: &SyncContext,
    room: &RoomId,
    options: &SyncOptions,
    span: Span,
    chunk: &TimelineChunk,
    whole: bool,
) -> Result<State> {
    let at = if options.state_after {
        span.end
    } else {
        chunk.start(span.end).before()
    };
    let changed = if options.state_after {
        chunk.changes_state()
    } else {
        chunk.hidden_state
    };
    let mut events = if whole || changed {
        let known = if whole {
            Position::default()
        } else {
            span.after
        };
        let mut events = ctx.rooms.state_at(room, at).all_after(known)?;
        if !options.state_after {
            add_filtered(ctx, room, span, chunk, &mut events)?;
        }
        events
    } else {
        Vec::new()
    };
    load_members(ctx, room, options, chunk, at, whole, &mut events)?;
    let mut shown = Vec::new();
    for pdu in events {
        if filter::matches(&options.filter.room.state, &pdu) {
            let event = present::sync_state(&ctx.rooms, &pdu, &options.viewer)?;
            shown.push(options.fields.only(event)?);
        }
    }
    let events = StateEvents::with_events(shown);
    Ok(if options.state_after {
        State::After(events)
    } else {
        State::Before(events)
    })
}

/// What changed within the timeline and is left out of it by the client's filter: the two add up to the state at the end.
fn add_filtered(
    ctx: &SyncContext,
    room: &RoomId,
    span: Span,
    chunk: &TimelineChunk,
    events: &mut Vec<Arc<Pdu>>,
) -> Result<()> {
    let end = ctx.rooms.state_at(room, span.end);
    for (kind, key) in &chunk.filtered_state {
        let Some(current) = end.get(kind, key)? else {
            continue;
        };
        if chunk
            .events
            .iter()
            .any(|shown| shown.event_id == current.event_id)
        {
            continue;
        }
        let is_same = |pdu: &Arc<Pdu>| {
            pdu.state()
                .is_some_and(|state| state == (kind.clone(), &**key))
        };
        events.retain(|pdu| !is_same(pdu));
        events.push(current);
    }
    Ok(())
}

/// Lazy loading: of a whole state only those members who speak in the timeline, and in any case those of them who are not known.
fn load_members(
    ctx: &SyncContext,
    room: &RoomId,
    options: &SyncOptions,
    chunk: &TimelineChunk,
    at: Position,
    whole: bool,
    events: &mut Vec<Arc<Pdu>>,
) -> Result<()> {
    let LazyLoadOptions::Enabled {
        include_redundant_members,
    } = options.filter.room.state.lazy_load_options
    else {
        return Ok(());
    };
    let user = &options.viewer.user_id;
    if whole {
        let kept = |pdu: &Pdu| member_of(pdu).is_none() || pdu.is_member_event_of(user);
        events.retain(|pdu| kept(pdu));
    }
    let given: BTreeSet<OwnedUserId> = events.iter().filter_map(|pdu| member_of(pdu)).collect();
    let speakers = chunk.events.iter().map(|pdu| pdu.sender.clone());
    let speakers: BTreeSet<OwnedUserId> = speakers.filter(|one| !given.contains(one)).collect();
    let mut missing: Vec<OwnedUserId> = speakers.into_iter().collect();
    if let Some(device) = &options.viewer.device_id {
        if whole {
            ctx.sent_members.forget(user, device, room);
        }
        let place = (&**user, &**device, room);
        let (since, until) = (options.since.unwrap_or_default(), options.until);
        let given = given.into_iter().collect();
        ctx.sent_members.take_unsent(place, given, since, until);
        let unknown = ctx
            .sent_members
            .take_unsent(place, missing.clone(), since, until);
        if !include_redundant_members {
            missing = unknown;
        }
    }
    let state = ctx.rooms.state_at(room, at);
    for member in missing {
        events.extend(state.member(&member)?);
    }
    Ok(())
}

fn member_of(pdu: &Pdu) -> Option<OwnedUserId> {
    let (kind, key) = pdu.state()?;
    (kind == StateEventType::RoomMember)
        .then(|| UserId::parse(key).ok())
        .flatten()
}
