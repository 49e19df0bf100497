//! `/sync`: what happened since the client last asked, or that nothing did for a while.
//!
//! The token is that of a page: everything up to its position was told, but for messages to the device that did not fit: then it says
//! behind the position up to where those were told, so that they hold up nothing else. A sync registers for wake-ups before it reads, so nothing that
//! happens between reading and waiting is missed. A token that lies ahead of everything that happened (the database is an older
//! copy of what the client knows) is answered like a first sync: then the client knows what the ctx knows.
//! Spec: <https://spec.matrix.org/v1.19/client-ctx-api/#get_matrixclientv3sync>

use std::{collections::BTreeSet, time::Duration};

use homeserver_model::filter::fields::Fields;
use ruma::{
    OwnedUserId,
    api::client::{
        filter::FilterDefinition,
        sync::sync_events::v3::{Filter, InvitedRoom, KnockedRoom, LeftRoom, Request, Response},
    },
    events::room::member::MembershipState,
    serde::Raw,
};
use system::connections::Connection;
use tokio::time::Instant;

use super::filter;
use crate::{
    accounts::{
        account_data::{self, AccountDataChange},
        ignored::ignored_by,
    },
    blocking,
    error::{Error, Result},
    keys,
    limits::{SYNC_TIMELINE_MAX, SYNC_TO_DEVICE_MAX},
    rooms::{
        Pdu, filter::matches_non_room, pagination::PaginationToken, present::Viewer,
        record::Membership,
    },
    stream::Position,
    sync::SyncContext,
};

mod changed_rooms;
pub mod outside;
mod room;
mod state;
mod timeline;

use changed_rooms::ChangedRooms;

/// How many events of each room a sync gives if its filter does not say.
const TIMELINE_DEFAULT: usize = 10;
/// What is asked, and of which stretch of the stream.
#[derive(Debug)]
struct SyncOptions {
    viewer: Viewer,
    filter: FilterDefinition,
    fields: Fields,
    limit: usize,
    full_state: bool,
    state_after: bool,
    ignored: BTreeSet<OwnedUserId>,
    since: Option<Position>,
    until: Position,
    /// Up to where the client has the messages to its device.
    messages_since: Position,
    /// Up to where it has them with this answer, if more wait.
    messages_until: Option<Position>,
    /// What this answer can still tell of rooms that are seen from outside.
    outside: outside::StrippedStateBudget,
}

/// What stands in a token before the position up to which messages to the device were told, if more wait.
const MESSAGES_UNTIL: &str = "_d";

/// A stretch of a room: after one position, up to and with another.
#[derive(Clone, Copy, Debug)]
struct Span {
    after: Position,
    end: Position,
}

impl SyncOptions {
    fn new(ctx: &SyncContext, viewer: Viewer, request: Request) -> Result<Self> {
        let filter = match request.filter {
            None => FilterDefinition::default(),
            Some(Filter::FilterDefinition(filter)) => filter,
            Some(Filter::FilterId(id)) => filter::stored(&ctx.store, &viewer.user_id, &id)?,
            Some(_) => return Err(Error::invalid("filter is an id or JSON")),
        };
        let limit = filter
            .room
            .timeline
            .limit
            .and_then(|limit| usize::try_from(u64::from(limit)).ok())
            .map_or(TIMELINE_DEFAULT, |limit| limit.min(SYNC_TIMELINE_MAX));
        let since = match request.since.as_deref() {
            None | Some("") => None,
            Some(token) => Some(token.parse::<PaginationToken>()?.0),
        };
        let until = ctx.stream.visible();
        let since = since.filter(|&since| since <= until);
        let messages_since = messages_since(request.since.as_deref(), since)?;
        Ok(Self {
            fields: Fields::read(filter.event_fields.as_deref()),
            filter,
            limit,
            full_state: request.full_state,
            state_after: request.use_state_after,
            ignored: BTreeSet::new(),
            since,
            until,
            messages_since,
            messages_until: None,
            outside: outside::StrippedStateBudget::default(),
            viewer,
        })
    }

    /// The token for the next sync.
    fn next_batch(&self) -> String {
        let token = PaginationToken(self.until);
        match self.messages_until {
            Some(until) => format!("{token}{MESSAGES_UNTIL}{until}"),
            None => token.to_string(),
        }
    }

    /// Whether the user wants to hear what this event says: messages of those whom they ignore are left out, state is not.
    fn wants(&self, pdu: &Pdu) -> bool {
        pdu.state_key.is_some() || !self.ignored.contains(&pdu.sender)
    }
}

/// Answers a sync, at once or as soon as something happens.
pub async fn answer(
    ctx: &SyncContext,
    viewer: Viewer,
    request: Request,
    connection: Option<&Connection>,
) -> Result<Response> {
    let wait = ctx.config.wait(request.timeout);
    let mut deadline = Instant::now() + wait;
    ctx.presence
        .synced(&viewer.user_id, &request.set_presence)?;
    let mut watcher = ctx.stream.watch(&viewer.user_id);
    let mut options = SyncOptions::new(ctx, viewer, request)?;
    acknowledge(ctx, &options).await?;
    let at_once = options.since.is_none() || options.full_state;
    loop {
        options.until = ctx.stream.visible();
        let device = options.viewer.device_id.as_deref();
        ctx.pending_sends
            .answered(&options.viewer.user_id, device)
            .await;
        let response = tell(ctx, &mut options).await?;
        let device = options.viewer.device_id.as_deref();
        ctx.accounts
            .check_still_logged_in(&options.viewer.user_id, device)?;
        let left = deadline.saturating_duration_since(Instant::now());
        if at_once || !is_empty(&response) || left == Duration::ZERO {
            return Ok(response);
        }
        let (user, device) = (&options.viewer.user_id, options.viewer.device_id.as_deref());
        let waiting = ctx
            .waiting_syncs
            .wait(user, device, connection, watcher.wait(left));
        let woken = waiting.await == Some(true);
        // Up to here there was nothing; only what comes after it has to be looked at.
        options.since = Some(options.until);
        options.messages_since = options.until;
        if !woken {
            // Nothing came, newer syncs take the place of this one, or the ctx ends. One last look takes the token past what happened elsewhere.
            deadline = Instant::now();
        }
    }
}

fn is_empty(response: &Response) -> bool {
    response.rooms.is_empty()
        && response.presence.is_empty()
        && response.account_data.is_empty()
        && response.to_device.is_empty()
        && response.device_lists.is_empty()
}

/// Up to where a token says that the client has the messages to its device: as far as everything else if it does not say.
fn messages_since(token: Option<&str>, since: Option<Position>) -> Result<Position> {
    let since = since.unwrap_or_default();
    let Some((_, text)) = token.and_then(|token| token.split_once(MESSAGES_UNTIL)) else {
        return Ok(since);
    };
    let until = text
        .parse()
        .map_err(|_| Error::invalid("This is no token that this server gave out"))?;
    Ok(since.min(Position(until)))
}

/// What the device was given up to `since` it has got.
async fn acknowledge(ctx: &SyncContext, options: &SyncOptions) -> Result<()> {
    let (Some(_), Some(device)) = (options.since, &options.viewer.device_id) else {
        return Ok(());
    };
    let since = options.messages_since;
    let mut batch = ctx.store.batch();
    let user = &options.viewer.user_id;
    keys::to_device::delete_up_to(&ctx.store, &mut batch, user, device, since)?;
    if !batch.is_empty() {
        ctx.store.commit(batch).await?;
    }
    Ok(())
}

/// Everything that is to be told of the stretch that is asked for.
async fn tell(ctx: &SyncContext, options: &mut SyncOptions) -> Result<Response> {
    let mut response = Response::new(String::new());
    devices(ctx, options, &mut response)?;
    response.next_batch = options.next_batch();
    if options.since == Some(options.until) && !options.full_state {
        return Ok(response);
    }
    let user = options.viewer.user_id.clone();
    options.ignored = ignored_by(&ctx.store, &user)?;
    let changed = match options.since {
        None => account_data::all(&ctx.store, &user, None)?,
        Some(since) => account_data::changed(&ctx.store, &user, since, options.until)?,
    };
    for datum in changed.iter().filter(|changed| changed.room.is_empty()) {
        if matches_non_room(&options.filter.account_data, &datum.kind, None) {
            response.account_data.events.push(datum.global_event()?);
        }
    }
    let changed_rooms = match options.since.filter(|_| !options.full_state) {
        Some(since) => ChangedRooms::walk(ctx, &user, since, options.until)?,
        None => ChangedRooms::default(),
    };
    let besides = changed
        .iter()
        .filter_map(|changed| ruma::OwnedRoomId::try_from(&*changed.room).ok());
    let memberships = changed_rooms.memberships(ctx, &user, besides)?;
    let outside = memberships
        .iter()
        .filter(|(_, member)| outside::is_invited_or_knocking(member));
    options.outside = outside::StrippedStateBudget::for_rooms(outside.count());
    if let Some(since) = options.since
        && changed_rooms.concerns_devices(&memberships)
    {
        let lists = super::device_lists::between(&ctx.rooms, &user, since, options.until)?;
        response.device_lists.changed = lists.changed.into_iter().collect();
        response.device_lists.left = lists.left.into_iter().collect();
    }
    for (room, member) in memberships {
        if filter::wants_room(&options.filter.room, &room) && member.position <= options.until {
            tell_room(ctx, options, room, &member, &changed, &mut response)?;
            blocking::pause().await;
        }
    }
    if let Some(since) = options.since {
        for (room, member) in ctx.rooms.forgotten(&user)? {
            let is_news = member.position > since && member.position <= options.until;
            if is_news && filter::wants_room(&options.filter.room, &room) {
                let left = room::forgotten(ctx, options, &member)?;
                response.rooms.leave.insert(room, left);
            }
        }
    }
    presence(ctx, options, &mut response)?;
    Ok(response)
}

fn tell_room(
    ctx: &SyncContext,
    options: &SyncOptions,
    id: ruma::OwnedRoomId,
    member: &Membership,
    changed: &[AccountDataChange],
    response: &mut Response,
) -> Result<()> {
    let user = &options.viewer.user_id;
    let moved = options.since.is_none_or(|since| member.position > since);
    match member.membership {
        MembershipState::Join => {
            let joined = room::joined(ctx, &id, options, member, changed)?;
            if !joined.is_empty() {
                response.rooms.join.insert(id, joined);
            }
        }
        MembershipState::Invite if moved && !options.ignored.contains(&member.sender) => {
            let mut invited = InvitedRoom::new();
            let events =
                outside::stripped_state(&ctx.rooms, &id, (user, member), &options.outside)?;
            invited.invite_state.events = events;
            response.rooms.invite.insert(id, invited);
        }
        MembershipState::Knock if moved => {
            let mut knocked = KnockedRoom::new();
            let events =
                outside::stripped_state(&ctx.rooms, &id, (user, member), &options.outside)?;
            knocked.knock_state.events = events;
            response.rooms.knock.insert(id, knocked);
        }
        MembershipState::Leave | MembershipState::Ban
            if moved && (options.since.is_some() || options.filter.room.include_leave) =>
        {
            let left = if ctx.rooms.exists(&id)? {
                room::left(ctx, &id, options, member)?
            } else {
                // An admin deleted it: all there is to say is that it is over.
                LeftRoom::default()
            };
            response.rooms.leave.insert(id, left);
        }
        _ => {}
    }
    Ok(())
}

/// Messages to the device, and how many keys it has left.
fn devices(ctx: &SyncContext, options: &mut SyncOptions, response: &mut Response) -> Result<()> {
    let Some(device) = &options.viewer.device_id else {
        return Ok(());
    };
    let (store, user) = (&ctx.store, &options.viewer.user_id);
    let (after, until) = (options.messages_since, options.until);
    let pending = keys::to_device::pending(store, user, device, after, until, SYNC_TO_DEVICE_MAX)?;
    options.messages_until = pending.stopped_at();
    let events = pending.messages.into_iter().map(|(_, message)| message);
    response.to_device.events = events.collect();
    response.device_one_time_keys_count = keys::one_time_key_counts(store, user, device)?;
    response.device_unused_fallback_key_types =
        Some(keys::unused_fallback_types(store, user, device)?);
    Ok(())
}

fn presence(ctx: &SyncContext, options: &SyncOptions, response: &mut Response) -> Result<()> {
    let user = &options.viewer.user_id;
    let after = options.since.unwrap_or_default();
    // Those who share a room with the user since now are among them.
    let also = response.device_lists.changed.iter().cloned().collect();
    for (other, status) in ctx.presence.since(after, options.until, &also) {
        let wanted = matches_non_room(&options.filter.presence, "m.presence", Some(&other))
            && !options.ignored.contains(&other);
        if wanted && (other == *user || ctx.rooms.share_room(user, &other)?) {
            let event = Raw::new(&status.event(other))?;
            response.presence.events.push(event);
        }
    }
    Ok(())
}
