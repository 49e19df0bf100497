//! Whom an event can concern, and what the push rules ask about the room: who is in it, by which names, with which power.
//!
//! Reading all members with every message is what would make large rooms slow, so an audience is read once and then follows the
//! events that change it, within one write and from one write to the next.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use quick_cache::{Weighter, sync::Cache};
use ruma::{
    OwnedRoomId, OwnedUserId, RoomId, UserId,
    events::{
        StateEventType, TimelineEventType,
        room::member::{MembershipState, RoomMemberEventContent},
        room::power_levels::{RoomPowerLevels, RoomPowerLevelsEventContent, RoomPowerLevelsSource},
    },
    push::PushConditionPowerLevelsCtx,
    room_version_rules::AuthorizationRules,
};
use serde::Deserialize;

use crate::{
    error::Result,
    rooms::{Pdu, Rooms},
    store::{Store, tables},
};

/// For how many rooms the audience is kept in memory, if none has many people.
const CACHED_ROOMS: usize = 1_000;
/// How many people all of these have together at most.
const CACHED_PEOPLE: u64 = 20_000;

/// Whom the events of a room can concern.
#[derive(Clone, Debug, Default)]
pub(crate) struct Audience {
    /// Who is in the room or invited. Users of application services read nothing, and are not here.
    pub(super) people: BTreeMap<OwnedUserId, Member>,
    /// Who may do what; nothing before the room has its first event.
    pub(super) power_levels: Option<PushConditionPowerLevelsCtx>,
    /// The users of application services that are in the room.
    services: BTreeSet<OwnedUserId>,
    /// How many of the people are in the room.
    joined_people: usize,
    /// Who is above all power levels, where the room version knows that; before that, who made the room.
    creators: Vec<OwnedUserId>,
}

/// The audiences of rooms as their last committed event left them.
#[derive(Debug)]
pub(crate) struct Audiences {
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
    /// The audience of a room before these events are written. It is not kept until [`Audiences::store_committed`] if they change it.
    pub(super) fn take(
        &self,
        rooms: &Rooms,
        room: &RoomId,
        rules: &AuthorizationRules,
        added: &[Arc<Pdu>],
    ) -> Result<Arc<Audience>> {
        let known = if added.iter().any(|pdu| changes(pdu)) {
            self.known.remove(room).map(|(_, audience)| audience)
        } else {
            self.known.get(room)
        };
        match known {
            Some(audience) => Ok(audience),
            None => Audience::read(rooms, room, rules).map(Arc::new),
        }
    }

    /// Keeps the audience of a room as the events left it that are on disk now.
    pub(crate) fn store_committed(
        &self,
        room: &RoomId,
        audience: Arc<Audience>,
        added: &[Arc<Pdu>],
    ) {
        // A redaction may have taken back a name or who may do what: then all is read again.
        if added.iter().any(|pdu| redacts(pdu)) {
            self.known.remove(room);
        } else {
            self.known.insert(room.to_owned(), audience);
        }
    }
}

fn redacts(pdu: &Pdu) -> bool {
    pdu.kind == TimelineEventType::RoomRedaction
}

/// Whether the event changes whom the events of its room concern.
fn changes(pdu: &Pdu) -> bool {
    redacts(pdu)
        || matches!(
            pdu.kind,
            TimelineEventType::RoomMember
                | TimelineEventType::RoomPowerLevels
                | TimelineEventType::RoomCreate
        )
}

impl Audience {
    fn read(rooms: &Rooms, room: &RoomId, rules: &AuthorizationRules) -> Result<Self> {
        let mut audience = Self::default();
        for row in rooms.store.scan::<tables::Members>((room,)) {
            let ((_, user), row) = row?;
            audience.set_member(&rooms.store, user, &row.membership, row.display_name)?;
        }
        let state = rooms.state(room);
        if let Some(create) = state.get(&StateEventType::RoomCreate, "")? {
            audience.creators = creators(&create, rules);
            let levels = state.content(&StateEventType::RoomPowerLevels, "")?;
            audience.set_levels(levels, rules);
        }
        Ok(audience)
    }

    /// How many are in the room, users of application services included.
    pub(super) fn joined(&self) -> usize {
        self.joined_people + self.services.len()
    }

    /// The audience after this event. Only what the event says is looked at.
    pub(super) fn apply_event(
        this: &mut Arc<Self>,
        store: &Store,
        pdu: &Pdu,
        rules: &AuthorizationRules,
    ) -> Result<()> {
        match (&pdu.kind, pdu.state_key.as_deref()) {
            (TimelineEventType::RoomMember, Some(user)) => {
                let (Ok(user), Some(content)) = (
                    UserId::parse(user),
                    pdu.content_as::<RoomMemberEventContent>(),
                ) else {
                    return Ok(());
                };
                let name = content.displayname;
                Arc::make_mut(this).set_member(store, user, &content.membership, name)
            }
            (TimelineEventType::RoomCreate, Some("")) => {
                let this = Arc::make_mut(this);
                this.creators = creators(pdu, rules);
                this.set_levels(None, rules);
                Ok(())
            }
            (TimelineEventType::RoomPowerLevels, Some("")) => {
                Arc::make_mut(this).set_levels(pdu.content_as(), rules);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn set_levels(
        &mut self,
        levels: Option<RoomPowerLevelsEventContent>,
        rules: &AuthorizationRules,
    ) {
        let source = levels.map_or(RoomPowerLevelsSource::None, RoomPowerLevelsSource::Original);
        let levels = RoomPowerLevels::new(source, rules, self.creators.clone());
        self.power_levels = Some(levels.into());
    }

    fn set_member(
        &mut self,
        store: &Store,
        user: OwnedUserId,
        membership: &MembershipState,
        display_name: Option<String>,
    ) -> Result<()> {
        let before = self.people.remove(&user);
        self.joined_people -= usize::from(before.is_some_and(|before| before.joined));
        self.services.remove(&user);
        let joined = *membership == MembershipState::Join;
        if !joined && *membership != MembershipState::Invite {
            return Ok(());
        }
        let account = store.get::<tables::Accounts>((&user,))?;
        if account.is_some_and(|account| account.appservice.is_some()) {
            if joined {
                self.services.insert(user);
            }
            return Ok(());
        }
        // Whoever has no name is shown by the local part, and mentioned by it.
        let display_name = display_name.unwrap_or_else(|| user.localpart().to_owned());
        let member = Member {
            joined,
            display_name,
        };
        self.people.insert(user, member);
        self.joined_people += usize::from(joined);
        Ok(())
    }
}

/// Somebody who is in the room or invited.
#[derive(Clone, Debug)]
pub(super) struct Member {
    /// Whether the user is in the room.
    pub(super) joined: bool,
    /// The name shown in this room.
    pub(super) display_name: String,
}

fn creators(create: &Pdu, rules: &AuthorizationRules) -> Vec<OwnedUserId> {
    #[derive(Default, Deserialize)]
    struct Creators {
        #[serde(default)]
        additional_creators: Vec<OwnedUserId>,
    }
    let mut creators = vec![create.sender.clone()];
    if rules.additional_room_creators {
        let more: Creators = create.content_as().unwrap_or_default();
        creators.extend(more.additional_creators);
    }
    creators
}

/// Whether somebody reads what notifies this user.
pub(super) fn has_reader(store: &Store, user: &OwnedUserId) -> Result<bool> {
    let account = store.get::<tables::Accounts>((user,))?;
    Ok(account.is_some_and(|account| !account.deactivated))
}
