//! One room in a sync: joined or left.

use ruma::{
    RoomId, UserId,
    api::client::sync::sync_events::v3::{
        Ephemeral, JoinedRoom, LeftRoom, RoomAccountData, Timeline,
    },
    events::room::member::{MembershipState, RoomMemberEventContent},
};

use super::{Span, SyncOptions, state, timeline};
use crate::{
    accounts::account_data::{self, AccountDataChange},
    error::Result,
    rooms::{
        pagination::PaginationToken, present, receipts, record::Membership, typing,
        visibility::EventVisibility,
    },
    stream::Position,
    sync::SyncContext,
    sync::{filter, room},
};

/// The receipts of a room as clients get them.
const RECEIPT: &str = "m.receipt";
/// Who types, as clients get it.
const TYPING: &str = "m.typing";

/// What a room that the user is in has to say. `changed` is what changed of the room's account data.
pub(super) fn joined(
    ctx: &SyncContext,
    room: &RoomId,
    options: &SyncOptions,
    member: &Membership,
    changed: &[AccountDataChange],
) -> Result<JoinedRoom> {
    let user = &options.viewer.user_id;
    let moved = options.since.is_none_or(|since| member.position > since);
    let known = match options.since {
        Some(since) if moved && !was_joined(ctx, room, user, since)? => None,
        since => since,
    };
    let whole = known.is_none() || options.full_state;
    let span = Span {
        after: known.unwrap_or_default(),
        end: options.until,
    };
    let event_visibility = if moved {
        Some(EventVisibility::new(&ctx.rooms, user, room)?)
    } else {
        None
    };
    let chunk = timeline::chunk(&ctx.rooms, room, options, span, event_visibility.as_ref())?;
    let mut answer = JoinedRoom::new();
    answer.state = state::state_delta(ctx, room, options, span, &chunk, whole)?;
    answer.account_data = account(ctx, room, options, known, changed)?;
    let read = ephemeral(ctx, room, options, known, &mut answer.ephemeral)?;
    answer.timeline = present_piece(ctx, options, span, &chunk)?;
    if whole || chunk.changes_members() {
        answer.summary = room::summary(&ctx.rooms, room, user)?;
    }
    if whole || read || !chunk.events.is_empty() {
        let threads = options.filter.room.timeline.unread_thread_notifications;
        let (counts, threads) = room::unread(&ctx.rooms, user, room, options.until, threads)?;
        answer.unread_notifications = counts;
        answer.unread_thread_notifications = threads;
    }
    Ok(answer)
}

fn was_joined(ctx: &SyncContext, room: &RoomId, user: &UserId, at: Position) -> Result<bool> {
    let member = ctx.rooms.state_at(room, at).member(user)?;
    Ok(member
        .and_then(|pdu| pdu.content_as::<RoomMemberEventContent>())
        .is_some_and(|content| content.membership == MembershipState::Join))
}

fn present_piece(
    ctx: &SyncContext,
    options: &SyncOptions,
    span: Span,
    chunk: &timeline::TimelineChunk,
) -> Result<Timeline> {
    let mut timeline = Timeline::new();
    if chunk.events.is_empty() && !chunk.limited {
        return Ok(timeline);
    }
    timeline.limited = chunk.limited;
    timeline.prev_batch = Some(PaginationToken(chunk.start(span.end).before()).to_string());
    for pdu in &chunk.events {
        let event = present::sync_timeline(&ctx.rooms, pdu, &options.viewer)?;
        timeline.events.push(options.fields.only(event)?);
    }
    Ok(timeline)
}

fn account(
    ctx: &SyncContext,
    room: &RoomId,
    options: &SyncOptions,
    known: Option<Position>,
    changed: &[AccountDataChange],
) -> Result<RoomAccountData> {
    let user = &options.viewer.user_id;
    let all = match known {
        None => account_data::all(&ctx.store, user, Some(room))?,
        Some(_) => changed
            .iter()
            .filter(|changed| changed.room == room.as_str())
            .cloned()
            .collect(),
    };
    let mut answer = RoomAccountData::new();
    for changed in all {
        if filter::wants_in_room(&options.filter.room.account_data, room, &changed.kind) {
            answer.events.push(changed.room_event()?);
        }
    }
    Ok(answer)
}

/// Says whether the user's own receipt is among what is new.
fn ephemeral(
    ctx: &SyncContext,
    room: &RoomId,
    options: &SyncOptions,
    known: Option<Position>,
    answer: &mut Ephemeral,
) -> Result<bool> {
    let user = &options.viewer.user_id;
    let wanted = &options.filter.room.ephemeral;
    let typers = match known {
        Some(since) => ctx.rooms.typing.since(room, since, options.until),
        None => Some(ctx.rooms.typing.users(room)).filter(|users| !users.is_empty()),
    };
    if let Some(mut users) = typers
        && filter::wants_in_room(wanted, room, TYPING)
    {
        users.retain(|user| !options.ignored.contains(user));
        answer.events.push(typing::event(users)?);
    }
    let after = known.unwrap_or_default();
    let mut receipts = receipts::since(&ctx.store, room, user, after, options.until)?;
    let own = receipts.iter().any(|receipt| receipt.user_id == *user);
    receipts.retain(|receipt| !options.ignored.contains(&receipt.user_id));
    if filter::wants_in_room(wanted, room, RECEIPT) {
        answer.events.extend(receipts::event(receipts)?);
    }
    Ok(own)
}

/// What a room that the user left has to say: what happened up to then. Who was never in it learns only that it is over.
pub(super) fn left(
    ctx: &SyncContext,
    room: &RoomId,
    options: &SyncOptions,
    member: &Membership,
) -> Result<LeftRoom> {
    let user = &options.viewer.user_id;
    let end = member.position;
    // Who was not in it until the end does not see its state.
    let was_in = was_joined(ctx, room, user, end.before())?;
    let known = match options.since {
        Some(since) if was_joined(ctx, room, user, since)? => Some(since),
        _ => None,
    };
    let after = if was_in {
        known.unwrap_or_default()
    } else {
        end.before()
    };
    let span = Span { after, end };
    let event_visibility = EventVisibility::new(&ctx.rooms, user, room)?;
    let chunk = timeline::chunk(&ctx.rooms, room, options, span, Some(&event_visibility))?;
    let mut answer = LeftRoom::new();
    if was_in {
        answer.state = state::state_delta(ctx, room, options, span, &chunk, known.is_none())?;
    }
    answer.timeline = present_piece(ctx, options, span, &chunk)?;
    Ok(answer)
}

/// What a device that has not heard it learns of a room that the user left and forgot: that it is over.
pub(super) fn forgotten(
    ctx: &SyncContext,
    options: &SyncOptions,
    member: &Membership,
) -> Result<LeftRoom> {
    let mut answer = LeftRoom::new();
    if let Some(pdu) = ctx.rooms.event(&member.event_id)? {
        let event = present::sync_timeline(&ctx.rooms, &pdu, &options.viewer)?;
        answer.timeline.events.push(options.fields.only(event)?);
    }
    Ok(answer)
}
