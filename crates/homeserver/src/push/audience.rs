//! Whom an event can concern, and what the push rules ask about the room: who is in it, by which names, with which power.
//!
//! The writer has not committed yet, so what it added so far is laid over what the tables say. What the tables alone say is kept in
//! memory, because reading all members with every message is what would make large rooms slow: the room's writer takes it away
//! with each event that changes it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use quick_cache::{Weighter, sync::Cache};
use ruma::{
    OwnedRoomId, OwnedUserId, RoomId,
    events::{
        StateEventType, TimelineEventType,
        room::member::{MembershipState, RoomMemberEventContent},
        room::power_levels::{RoomPowerLevels, RoomPowerLevelsSource},
    },
    push::PushConditionPowerLevelsCtx,
};
use serde::Deserialize;

use crate::{
    error::Result,
    rooms::{Pdu, RoomWriter},
    store::{Store, tables},
};

/// For how many rooms the audience is kept in memory, if none has many people.
const CACHED_ROOMS: usize = 1_000;
/// How many people all of these have together at most.
const CACHED_PEOPLE: u64 = 20_000;

/// Whom the events of a room can concern.
#[derive(Debug)]
pub(super) struct Audience {
    /// How many are in the room, users of application services included.
    pub(super) joined: usize,
    /// Who is in the room or invited. Users of application services read nothing, and are not here.
    pub(super) people: BTreeMap<OwnedUserId, Member>,
    /// Who may do what.
    pub(super) power_levels: Option<PushConditionPowerLevelsCtx>,
}

/// The audiences of rooms as their last committed event left them.
#[derive(Debug)]
pub struct Audiences {
    known: Cache<OwnedRoomId, Arc<Audience>, People>,
}

#[derive(Clone, Debug)]
struct People;

impl Weighter<OwnedRoomId, Arc<Audience>> for People {
    fn weight(&self, _: &OwnedRoomId, audience: &Arc<Audience>) -> u64 {
        audience.people.len() as u64 + 1
    }
}

impl Default for Audiences {
    fn default() -> Self {
        Self {
            known: Cache::with_weighter(CACHED_ROOMS, CACHED_PEOPLE, People),
        }
    }
}

impl Audiences {
    /// Forgets a room if one of the events changes it that are about to be written.
    pub fn follow(&self, room: &RoomId, added: &[Arc<Pdu>]) {
        if added.iter().any(|pdu| changes(pdu)) {
            self.known.remove(room);
        }
    }
}

/// Whether the event changes whom the events of its room concern. A redaction may take back a name or who may do what.
fn changes(pdu: &Pdu) -> bool {
    matches!(
        pdu.kind,
        TimelineEventType::RoomMember
            | TimelineEventType::RoomPowerLevels
            | TimelineEventType::RoomCreate
            | TimelineEventType::RoomRedaction
    )
}

/// Whom an event concerns that comes after what the writer added so far.
pub(super) fn audience(writer: &RoomWriter) -> Result<Arc<Audience>> {
    if writer.added().iter().any(|pdu| changes(pdu)) {
        return read(writer).map(Arc::new);
    }
    let known = &writer.rooms().audiences.known;
    if let Some(audience) = known.get(writer.room_id()) {
        return Ok(audience);
    }
    let audience = Arc::new(read(writer)?);
    known.insert(writer.room_id().to_owned(), audience.clone());
    Ok(audience)
}

fn read(writer: &RoomWriter) -> Result<Audience> {
    let mut people = members(writer)?;
    let joined = people.values().filter(|member| member.joined).count();
    let store = &writer.rooms().store;
    let mut services = BTreeSet::new();
    for user in people.keys() {
        let account = store.get::<tables::Accounts>((user,))?;
        if account.is_some_and(|account| account.appservice.is_some()) {
            services.insert(user.clone());
        }
    }
    people.retain(|user, _| !services.contains(user));
    Ok(Audience {
        joined,
        people,
        power_levels: power_levels(writer)?,
    })
}

/// Somebody who is in the room or invited.
#[derive(Debug)]
pub(super) struct Member {
    /// Whether the user is in the room.
    pub(super) joined: bool,
    /// The name shown in this room.
    pub(super) display_name: String,
}

/// Who is in the room or invited after what was added so far.
fn members(writer: &RoomWriter) -> Result<BTreeMap<OwnedUserId, Member>> {
    let mut members = BTreeMap::new();
    for row in writer
        .rooms()
        .store
        .scan::<tables::Members>((writer.room_id(),))
    {
        let ((_, user), row) = row?;
        set_member(&mut members, user, &row.membership, row.display_name);
    }
    for pdu in writer.added() {
        let user = pdu
            .state_key
            .as_deref()
            .filter(|_| pdu.kind == TimelineEventType::RoomMember)
            .and_then(|key| OwnedUserId::try_from(key).ok());
        if let (Some(user), Some(content)) = (user, pdu.content_as::<RoomMemberEventContent>()) {
            set_member(&mut members, user, &content.membership, content.displayname);
        }
    }
    Ok(members)
}

fn set_member(
    members: &mut BTreeMap<OwnedUserId, Member>,
    user: OwnedUserId,
    membership: &MembershipState,
    display_name: Option<String>,
) {
    let joined = *membership == MembershipState::Join;
    if joined || *membership == MembershipState::Invite {
        // Whoever has no name is shown by the local part, and mentioned by it.
        let display_name = display_name.unwrap_or_else(|| user.localpart().to_owned());
        members.insert(
            user,
            Member {
                joined,
                display_name,
            },
        );
    } else {
        members.remove(&user);
    }
}

fn power_levels(writer: &RoomWriter) -> Result<Option<PushConditionPowerLevelsCtx>> {
    let Some(create) = writer.state(&StateEventType::RoomCreate, "")? else {
        return Ok(None);
    };
    let rules = &writer.rules().authorization;
    let mut creators = vec![create.sender.clone()];
    if rules.additional_room_creators {
        #[derive(Deserialize)]
        struct Creators {
            #[serde(default)]
            additional_creators: Vec<OwnedUserId>,
        }
        let more = create.content_as::<Creators>();
        creators.extend(
            more.map(|more| more.additional_creators)
                .unwrap_or_default(),
        );
    }
    let content = writer
        .state(&StateEventType::RoomPowerLevels, "")?
        .and_then(|pdu| pdu.content_as());
    let source = content.map_or(RoomPowerLevelsSource::None, RoomPowerLevelsSource::Original);
    Ok(Some(RoomPowerLevels::new(source, rules, creators).into()))
}

/// Whether somebody reads what notifies this user.
pub(super) fn has_reader(store: &Store, user: &OwnedUserId) -> Result<bool> {
    let account = store.get::<tables::Accounts>((user,))?;
    Ok(account.is_some_and(|account| !account.deactivated))
}
