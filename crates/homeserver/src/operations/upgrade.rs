//! Moving a room to another version: a new room with the state of the old one, and a tombstone that leads there.
//!
//! The old room's writer is held while the new room is made, so that nothing happens in the old one in between; it takes its
//! positions only afterwards. Nobody is moved: clients follow the tombstone.
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#room-upgrades>

use ruma::{
    OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, RoomVersionId,
    events::{
        StateEventType,
        room::member::{MembershipState, RoomMemberEventContent},
    },
    room_version_rules::RoomVersionRules,
};
use serde_json::{Map, Value, json, value::to_raw_value};

use crate::{
    caller::Caller,
    error::{Error, Result},
    push::rules::Rulesets,
    rooms::{
        Draft, EVENTS_PER_WRITE, Pdu, RoomState, RoomWriter, Rooms, admin_room, aliases,
        membership::MembershipUpdate, rules_of,
    },
};

mod aliases_and_spaces;
mod carry_over;

/// The level that messages and invites need in a room that was left behind, if its own is not higher.
const LEVEL_BEHIND: i64 = 50;
/// The level of who made an old room, in one of the versions where makers have a level.
const MAKER: i64 = 100;
/// The level that a tombstone needs where creators stand above all levels.
const ABOVE_ADMINS: i64 = 150;

/// The state that a new room takes over from the old one, besides power levels and members.
const COPIED: [StateEventType; 9] = [
    StateEventType::RoomJoinRules,
    StateEventType::RoomHistoryVisibility,
    StateEventType::RoomGuestAccess,
    StateEventType::RoomName,
    StateEventType::RoomTopic,
    StateEventType::RoomAvatar,
    StateEventType::RoomEncryption,
    StateEventType::RoomServerAcl,
    StateEventType::RoomCanonicalAlias,
];

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Upgrade {
    /// The old room.
    pub room: OwnedRoomId,
    /// The version of the new one.
    pub version: RoomVersionId,
    /// Who else counts as its creator.
    pub creators: Vec<OwnedUserId>,
}

/// Makes the new room and closes the old one. Gives the new room.
///
/// # Errors
///
/// 403 if the caller may not close the room or it is the admin room, 400 if this server does not speak the version.
pub async fn upgrade(
    rooms: &Rooms,
    rulesets: &Rulesets,
    caller: &Caller,
    asked: &Upgrade,
) -> Result<OwnedRoomId> {
    if admin_room::room(rooms)?.is_some_and(|room| room == asked.room) {
        // Its alias would lead to a room in which the server itself is not.
        return Err(Error::forbidden("The admin room cannot be upgraded"));
    }
    let rules = rules_of(&asked.version)?;
    let mut old = rooms.write(&asked.room).await?;
    let state = rooms.state(&asked.room);
    let levels = state.power_levels(old.rules())?;
    if !rooms.is_joined(&asked.room, &caller.user_id)?
        || !levels.user_can_send_state(&caller.user_id, StateEventType::RoomTombstone)
    {
        return Err(Error::forbidden("You may not upgrade this room"));
    }
    let new = Successor {
        rooms,
        caller,
        asked,
        rules,
        state,
    };
    let last = old.last_event().map(ToOwned::to_owned);
    let room = new.make(last).await?;
    close(&mut old, caller, &room)?;
    let names = aliases::of_room(rooms, &asked.room)?;
    let alone = rooms.aliases.lock(names.clone()).await;
    aliases_and_spaces::move_aliases(rooms, caller, &mut old, (&names, &room))?;
    old.commit().await?;
    drop(alone);
    aliases_and_spaces::update_spaces(rooms, caller, &asked.room, &room).await?;
    carry_over::carry_over(rooms, rulesets, &asked.room, &room).await?;
    Ok(room)
}

/// The new room, before it is there.
struct Successor<'a> {
    rooms: &'a Rooms,
    caller: &'a Caller,
    asked: &'a Upgrade,
    rules: RoomVersionRules,
    state: RoomState,
}

impl Successor<'_> {
    /// Makes the room, in pieces: nobody but its maker sees it before the tombstone leads there.
    async fn make(&self, last: Option<OwnedEventId>) -> Result<OwnedRoomId> {
        let creator = &self.caller.user_id;
        let content = to_raw_value(&self.create_content(last)?)?;
        let rooms = self.rooms;
        let version = self.asked.version.clone();
        let mut writer = rooms.create(version, creator.clone(), content).await?;
        let room = writer.room_id().to_owned();
        let mut drafts = self.drafts()?;
        while drafts.len() > EVENTS_PER_WRITE {
            let later = drafts.split_off(EVENTS_PER_WRITE);
            writer.add_all(drafts, Vec::new()).await?.commit().await?;
            writer = rooms.write(&room).await?;
            drafts = later;
        }
        writer.add_all(drafts, Vec::new()).await?.commit().await?;
        Ok(room)
    }

    /// The events that the room begins with, after its very first.
    fn drafts(&self) -> Result<Vec<Draft>> {
        let creator = &self.caller.user_id;
        let join = MembershipUpdate::new(self.rooms, creator, MembershipState::Join)?;
        let mut drafts = vec![join.draft(creator)?];
        for kind in &COPIED {
            let found = self.state.get(kind, "")?;
            drafts.extend(found.map(|pdu| self.copy(kind, &pdu)));
        }
        for pdu in self.state.all_of(&StateEventType::SpaceChild)? {
            drafts.push(self.copy(&StateEventType::SpaceChild, &pdu));
        }
        for pdu in self.state.all_of(&StateEventType::RoomMember)? {
            let content: Option<RoomMemberEventContent> = pdu.content_as();
            if content.is_some_and(|content| content.membership == MembershipState::Ban) {
                drafts.push(self.copy(&StateEventType::RoomMember, &pdu));
            }
        }
        // Last: until they are there, the maker of the room may do everything, whatever level the old room gave.
        if let Some(levels) = self.power_levels()? {
            let kind = StateEventType::RoomPowerLevels;
            drafts.push(Draft::state(creator.clone(), &kind, "", &levels)?);
        }
        Ok(drafts)
    }

    fn copy(&self, kind: &StateEventType, pdu: &Pdu) -> Draft {
        let sender = self.caller.user_id.clone();
        let key = pdu.state_key.clone().unwrap_or_default();
        Draft::new_raw_state(sender, kind, key, pdu.content.clone())
    }

    fn create_content(&self, last: Option<OwnedEventId>) -> Result<Map<String, Value>> {
        let mut content: Map<String, Value> = self
            .state
            .content(&StateEventType::RoomCreate, "")?
            .unwrap_or_default();
        for name in ["creator", "additional_creators", "predecessor"] {
            content.remove(name);
        }
        content.insert("room_version".into(), json!(self.asked.version));
        if !self.rules.authorization.use_room_create_sender {
            content.insert("creator".into(), json!(self.caller.user_id));
        }
        let mut predecessor = json!({ "room_id": self.asked.room });
        if self.rules.authorization.additional_room_creators {
            let others = self.asked.creators.iter();
            let others: Vec<_> = others
                .filter(|user| **user != self.caller.user_id)
                .collect();
            if !others.is_empty() {
                content.insert("additional_creators".into(), json!(others));
            }
        } else if let Some(last) = last {
            // Newer versions leave it out: the tombstone names the new room, so that it cannot be there before.
            predecessor["event_id"] = json!(last);
        }
        content.insert("predecessor".into(), predecessor);
        Ok(content)
    }

    /// The old levels, with the makers of either room where their version wants them.
    fn power_levels(&self) -> Result<Option<Map<String, Value>>> {
        let kind = StateEventType::RoomPowerLevels;
        let Some(mut levels) = self.state.content::<Map<String, Value>>(&kind, "")? else {
            return Ok(None);
        };
        let mut users = match levels.remove("users") {
            Some(Value::Object(users)) => users,
            _ => Map::new(),
        };
        let old_rules = self.rooms.rules(&self.asked.room)?;
        if old_rules.authorization.explicitly_privilege_room_creators {
            for user in self.state.creators(&old_rules)? {
                users.insert(user.to_string(), MAKER.into());
            }
        }
        if self.rules.authorization.explicitly_privilege_room_creators {
            users.remove(self.caller.user_id.as_str());
            for user in &self.asked.creators {
                users.remove(user.as_str());
            }
            // As in a room that begins in this version: closing it is for its creators.
            let events = levels.entry("events").or_insert_with(|| json!({}));
            if let Some(events) = events.as_object_mut() {
                let kind = StateEventType::RoomTombstone.to_string();
                let level = events.get(&kind).and_then(Value::as_i64).unwrap_or(0);
                events.insert(kind, level.max(ABOVE_ADMINS).into());
            }
        }
        levels.insert("users".into(), Value::Object(users));
        Ok(Some(levels))
    }
}

/// Puts up the tombstone, and keeps people from talking on, if the caller may.
fn close(old: &mut RoomWriter, caller: &Caller, new: &RoomId) -> Result<()> {
    let sender = &caller.user_id;
    let tombstone = json!({ "body": "This room has been replaced", "replacement_room": new });
    let kind = StateEventType::RoomTombstone;
    old.add(Draft::state(sender.clone(), &kind, "", &tombstone)?)?;
    let kind = StateEventType::RoomPowerLevels;
    let levels = old.state(&kind, "")?;
    let Some(mut levels) = levels.and_then(|pdu| pdu.content_as::<Map<String, Value>>()) else {
        return Ok(());
    };
    let default = levels.get("users_default").and_then(Value::as_i64);
    let floor = LEVEL_BEHIND.max(default.unwrap_or(0).saturating_add(1));
    for name in ["events_default", "invite"] {
        let level = levels.get(name).and_then(Value::as_i64).unwrap_or(0);
        levels.insert(name.into(), level.max(floor).into());
    }
    attempt(old.add(Draft::state(sender.clone(), &kind, "", &levels)?))
}

/// What the caller may not do is left undone: the room is replaced all the same.
fn attempt<T>(done: Result<T>) -> Result<()> {
    match done {
        Ok(_) | Err(Error::Refused(_)) => Ok(()),
        Err(error) => Err(error),
    }
}
