//! Whom an event can concern, and what the push rules ask about the room: who is in it, by which names, with which power.
//!
//! The writer has not committed yet, so what it added so far is laid over what the tables say.

use std::collections::BTreeMap;

use ruma::{
    OwnedUserId,
    events::{
        StateEventType, TimelineEventType,
        room::member::{MembershipState, RoomMemberEventContent},
        room::power_levels::{RoomPowerLevels, RoomPowerLevelsSource},
    },
    push::PushConditionPowerLevelsCtx,
};
use serde::Deserialize;

use crate::{error::Result, rooms::RoomWriter, store::tables};

/// Somebody who is in the room or invited.
pub(super) struct Member {
    /// Whether the user is in the room.
    pub(super) joined: bool,
    /// The name shown in this room.
    pub(super) display_name: String,
}

/// Who is in the room or invited after what was added so far.
pub(super) fn members(writer: &RoomWriter) -> Result<BTreeMap<OwnedUserId, Member>> {
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

pub(super) fn power_levels(writer: &RoomWriter) -> Result<Option<PushConditionPowerLevelsCtx>> {
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
pub(super) fn has_reader(writer: &RoomWriter, user: &OwnedUserId) -> Result<bool> {
    let account = writer.rooms().store.get::<tables::Accounts>((user,))?;
    Ok(account.is_some_and(|account| account.appservice.is_none() && !account.deactivated))
}
