//! Making rooms: what they begin with, and who may do what there.

use std::collections::BTreeMap;

use ruma::{
    Int, OwnedMxcUri, OwnedRoomId, OwnedUserId, RoomVersionId, ServerName, UserId,
    api::client::room::create_room,
    events::{
        AnyInitialStateEvent, InitialStateEvent, TimelineEventType,
        room::{
            guest_access::{GuestAccess, RoomGuestAccessEventContent},
            history_visibility::{HistoryVisibility, RoomHistoryVisibilityEventContent},
            join_rules::RoomJoinRulesEventContent,
            power_levels::RoomPowerLevelsEventContent,
        },
        space::parent::SpaceParentEventContent,
    },
    int,
    room::RoomType,
    serde::Raw,
};

use super::{
    avatars::avatar_content,
    client::{Actor, Homeserver, MatrixError},
    room_state::{BOT_POWER, CREATORS_ONLY_POWER, restricted_to, supports_restricted_join},
    rooms::unwritable,
};

/// The power of admins.
pub const ADMIN_POWER: i64 = 100;

/// A room to be created by the bot.
#[derive(Clone, Debug)]
pub struct RoomPlan {
    /// Localpart of its alias; `None` for a room without one.
    pub alias_localpart: Option<String>,
    /// Its name.
    pub name: String,
    /// Its topic.
    pub topic: Option<String>,
    /// Whether it is a space.
    pub space: bool,
    /// Whether clients shall list it among direct chats.
    pub direct: bool,
    /// Who is invited at once.
    pub invite: Vec<OwnedUserId>,
    /// Who may do what: these users' power levels.
    pub powers: BTreeMap<OwnedUserId, i64>,
    /// The space that it belongs to, whose members can join it.
    pub parent: Option<OwnedRoomId>,
    /// Its avatar.
    pub avatar: Option<OwnedMxcUri>,
    /// Its version.
    pub version: RoomVersionId,
}

impl RoomPlan {
    /// Whether the members of the space can join it.
    pub fn is_restricted(&self) -> bool {
        self.parent.is_some() && supports_restricted_join(self.version.rules().as_ref())
    }
}

impl Homeserver {
    /// Creates a room as the bot.
    pub async fn create_room(
        &self,
        bot: &UserId,
        domain: &ServerName,
        plan: &RoomPlan,
    ) -> Result<OwnedRoomId, MatrixError> {
        let mut request = create_room::v3::Request::new();
        request.preset = Some(create_room::v3::RoomPreset::PrivateChat);
        request.room_version = Some(plan.version.clone());
        request.room_alias_name.clone_from(&plan.alias_localpart);
        request.name = Some(plan.name.clone());
        request.topic.clone_from(&plan.topic);
        request.invite.clone_from(&plan.invite);
        request.is_direct = plan.direct;
        if plan.space {
            let mut creation = create_room::v3::CreationContent::new();
            creation.room_type = Some(RoomType::Space);
            request.creation_content = Some(Raw::new(&creation).map_err(unwritable)?);
        }
        request.initial_state = initial_state(plan, domain);
        request.power_level_content_override =
            Some(Raw::new(&powers(bot, plan)).map_err(unwritable)?.cast());
        Ok(self.call(Actor::Bot, request).await?.room_id)
    }
}

fn initial_state(plan: &RoomPlan, domain: &ServerName) -> Vec<Raw<AnyInitialStateEvent>> {
    let guests = RoomGuestAccessEventContent::new(GuestAccess::Forbidden);
    let history = RoomHistoryVisibilityEventContent::new(HistoryVisibility::Shared);
    let mut state = vec![
        InitialStateEvent::with_empty_state_key(guests).to_raw_any(),
        InitialStateEvent::with_empty_state_key(history).to_raw_any(),
    ];
    if let Some(parent) = &plan.parent {
        let mut content = SpaceParentEventContent::new(vec![domain.to_owned()]);
        content.canonical = true;
        state.push(InitialStateEvent::new(parent.clone(), content).to_raw_any());
        if plan.is_restricted() {
            let rule = RoomJoinRulesEventContent::new(restricted_to(parent));
            state.push(InitialStateEvent::with_empty_state_key(rule).to_raw_any());
        }
    }
    if let Some(avatar) = &plan.avatar {
        let content = avatar_content(avatar);
        state.push(InitialStateEvent::with_empty_state_key(content).to_raw_any());
    }
    state
}

/// Explicit power levels. In newer room versions the creator stands above them and must not be
/// listed (room version 12, MSC4289).
fn powers(bot: &UserId, plan: &RoomPlan) -> RoomPowerLevelsEventContent {
    let rules = plan.version.rules().map(|rules| rules.authorization);
    let mut powers = match &rules {
        Some(rules) => RoomPowerLevelsEventContent::new(rules),
        None => {
            RoomPowerLevelsEventContent::new(&ruma::room_version_rules::AuthorizationRules::V11)
        }
    };
    powers.users = plan
        .powers
        .iter()
        .map(|(user, power)| (user.clone(), (*power).try_into().unwrap_or(int!(0))))
        .collect();
    let above_all = rules.is_some_and(|rules| rules.explicitly_privilege_room_creators);
    if !above_all {
        let power = BOT_POWER.try_into().unwrap_or(int!(100));
        powers.users.insert(bot.to_owned(), power);
    }
    powers.events = event_powers(above_all);
    powers.users_default = int!(0);
    // In a space nobody but the bot and admins says or lists anything.
    powers.events_default = if plan.space { int!(50) } else { int!(0) };
    powers.state_default = int!(50);
    powers.invite = int!(50);
    powers
}

/// What admins do, what only whoever made the room does, and what nobody does but the bot: agents cannot read encrypted messages.
///
/// What is said here takes the place of all that a homeserver would say by itself.
fn event_powers(creators_above_all: bool) -> BTreeMap<TimelineEventType, Int> {
    let (encryption, tombstone) = if creators_above_all {
        (CREATORS_ONLY_POWER, CREATORS_ONLY_POWER)
    } else {
        (BOT_POWER, ADMIN_POWER)
    };
    [
        (TimelineEventType::RoomPowerLevels, ADMIN_POWER),
        (TimelineEventType::RoomHistoryVisibility, ADMIN_POWER),
        (TimelineEventType::RoomServerAcl, ADMIN_POWER),
        (TimelineEventType::RoomTombstone, tombstone),
        (TimelineEventType::RoomEncryption, encryption),
    ]
    .into_iter()
    .map(|(event_type, power)| (event_type, power.try_into().unwrap_or(int!(100))))
    .collect()
}
