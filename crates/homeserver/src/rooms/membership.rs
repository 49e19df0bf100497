//! Who comes, who goes: every change of a membership.
//!
//! The room's own rules decide ([`super::RoomWriter::add`]); here is only what they cannot know: profiles, which request changes
//! nothing, and through which other room somebody may come in. Spec: <https://spec.matrix.org/v1.19/client-server-api/#room-membership>

use http::StatusCode;
use ruma::{
    MilliSecondsSinceUnixEpoch, OwnedUserId, RoomId, UserId,
    api::error::ErrorKind,
    events::{StateEventType, room::member::MembershipState},
};
use serde_json::{
    Map, Value,
    value::{RawValue, to_raw_value},
};

use super::{Draft, RoomWriter, Rooms, admin_room, record::Membership, send::is_same_json};
use crate::{
    error::{Error, Result},
    store::tables,
};

pub mod auto_accept;
mod everywhere;
mod restricted;

pub use everywhere::{leave_all_rooms, remove_guests, update_profiles};
pub use restricted::meets_join_rule;

/// What somebody is to become in a room.
#[derive(Clone, Debug)]
pub struct MembershipUpdate {
    /// Who.
    pub user: OwnedUserId,
    /// What.
    pub membership: MembershipState,
    /// Why.
    pub reason: Option<String>,
    /// Whether an invite is to a conversation of two.
    pub is_direct: bool,
    /// When, if an application service says so.
    pub time: Option<MilliSecondsSinceUnixEpoch>,
    /// Who of the room lets the user in, where that needs somebody.
    authorised_by: Option<OwnedUserId>,
    profile: Map<String, Value>,
}

impl MembershipUpdate {
    /// What the user is to become. With the profile, where the room is to know it.
    pub fn new(rooms: &Rooms, user: &UserId, membership: MembershipState) -> Result<Self> {
        let mut profile = Map::new();
        if matches!(
            membership,
            MembershipState::Join | MembershipState::Invite | MembershipState::Knock
        ) {
            profile = profile_of(rooms, user)?;
        }
        Ok(Self {
            user: user.to_owned(),
            membership,
            reason: None,
            is_direct: false,
            time: None,
            authorised_by: None,
            profile,
        })
    }

    /// The member event, sent by this user.
    pub fn draft(&self, sender: &UserId) -> Result<Draft> {
        let mut draft = Draft::new_raw_state(
            sender.to_owned(),
            &StateEventType::RoomMember,
            self.user.as_str(),
            self.content()?,
        );
        draft.time = self.time;
        Ok(draft)
    }

    fn content(&self) -> Result<Box<RawValue>> {
        let mut content = self.profile.clone();
        content.insert("membership".into(), self.membership.as_str().into());
        if let Some(reason) = &self.reason {
            content.insert("reason".into(), reason.as_str().into());
        }
        if self.is_direct {
            content.insert("is_direct".into(), true.into());
        }
        if let Some(user) = &self.authorised_by {
            let name = "join_authorised_via_users_server";
            content.insert(name.into(), user.as_str().into());
        }
        Ok(to_raw_value(&content)?)
    }
}

/// The fields of a profile as member events have them.
fn profile_of(rooms: &Rooms, user: &UserId) -> Result<Map<String, Value>> {
    let mut fields = Map::new();
    for name in ["displayname", "avatar_url"] {
        let value = rooms.store.get::<tables::Profiles>((user, name))?;
        if let Some(value @ Value::String(_)) = value {
            fields.insert(name.into(), value);
        }
    }
    Ok(fields)
}

/// Changes what somebody is in a room. The same again changes nothing.
///
/// # Errors
///
/// 404 if there is no such room, 403 if it may not be.
pub async fn set_membership(
    rooms: &Rooms,
    sender: &UserId,
    room: &RoomId,
    member: MembershipUpdate,
) -> Result<()> {
    let mut writer = rooms.write(room).await?;
    let now = rooms.membership(room, &member.user)?;
    let Some(member) = allowed(rooms, sender, &writer, member, now.as_ref())? else {
        return Ok(());
    };
    let draft = member.draft(sender)?;
    let current = writer.state(&StateEventType::RoomMember, member.user.as_str())?;
    if current.is_some_and(|current| {
        current.sender == *sender && is_same_json(&current.content, &draft.content)
    }) {
        return Ok(());
    }
    writer.add(draft)?;
    let join = auto_accept::join_after(rooms, sender, &member)?;
    let is_accepted = match join {
        Some(join) => writer.add_if_allowed(join)?,
        None => false,
    };
    writer.commit().await?;
    // An account that was made meanwhile has not seen the invitation, or sees it accepted.
    if member.membership == MembershipState::Invite && !is_accepted {
        auto_accept::accept_late(rooms, &member.user, room).await?;
    }
    Ok(())
}

/// What has to be written; nothing if the user is that already.
fn allowed(
    rooms: &Rooms,
    sender: &UserId,
    writer: &RoomWriter,
    mut member: MembershipUpdate,
    now: Option<&Membership>,
) -> Result<Option<MembershipUpdate>> {
    if admin_room::is_join_invite_or_knock(&member.membership) {
        admin_room::check_member(rooms, writer.room_id(), &member.user)?;
    }
    let before = now.map(|now| &now.membership);
    let own = sender == member.user;
    match member.membership {
        MembershipState::Join if before == Some(&MembershipState::Join) => return Ok(None),
        MembershipState::Join => {
            restricted::check_guest(rooms, writer, sender)?;
            member.authorised_by = restricted::authorizer(writer, &member.user, now)?;
        }
        MembershipState::Knock if before == Some(&MembershipState::Knock) => return Ok(None),
        MembershipState::Leave if own => match before {
            Some(MembershipState::Leave) => return Ok(None),
            None => return Err(not_there("You are not in this room")),
            Some(_) => {}
        },
        MembershipState::Invite => check_local_user(rooms, &member.user)?,
        _ => {}
    }
    Ok(Some(member))
}

/// Refuses to kick somebody who is not there.
///
/// # Errors
///
/// 403 `M_FORBIDDEN`.
pub fn check_kickable(rooms: &Rooms, room: &RoomId, user: &UserId) -> Result<()> {
    match rooms
        .membership(room, user)?
        .map(|member| member.membership)
    {
        Some(MembershipState::Join | MembershipState::Invite | MembershipState::Knock) => Ok(()),
        _ => Err(not_there("This user is not in the room")),
    }
}

/// Refuses to lift a ban that there is not.
///
/// # Errors
///
/// 403 `M_BAD_STATE`.
pub fn check_banned(rooms: &Rooms, room: &RoomId, user: &UserId) -> Result<()> {
    match rooms.membership(room, user)? {
        Some(member) if member.membership == MembershipState::Ban => Ok(()),
        _ => Err(Error::refused(
            StatusCode::FORBIDDEN,
            ErrorKind::BadState,
            "This user is not banned from the room",
        )),
    }
}

/// Forgets a room that the user has left: it is in no list any more.
///
/// # Errors
///
/// 400 if the user is still in it.
pub async fn forget(rooms: &Rooms, user: &UserId, room: &RoomId) -> Result<()> {
    if !rooms.exists(room)? {
        return Err(super::unknown_room());
    }
    let member = rooms.membership(room, user)?;
    let member = match member {
        Some(member)
            if matches!(
                member.membership,
                MembershipState::Leave | MembershipState::Ban
            ) =>
        {
            member
        }
        Some(_) => {
            return Err(Error::bad_request(
                ErrorKind::Unknown,
                "You are still in this room: leave it first",
            ));
        }
        None => return Err(not_there("You never were in this room")),
    };
    let mut batch = rooms.store.batch();
    batch.delete::<tables::Memberships>((user, room))?;
    batch.put::<tables::ForgottenRooms>((user, room), &member)?;
    rooms.store.commit(batch).await?;
    Ok(())
}

fn not_there(message: &str) -> Error {
    Error::forbidden(message)
}

/// Refuses users of other servers: this one does not federate.
pub fn check_local_user(rooms: &Rooms, user: &UserId) -> Result<()> {
    if user.server_name() == rooms.server_name {
        return Ok(());
    }
    Err(Error::forbidden(format!(
        "{user} is on another server, and this one does not federate"
    )))
}

/// Invites by email or phone need an identity server, which this server does not speak to.
pub fn no_third_party() -> Error {
    Error::refused(
        StatusCode::FORBIDDEN,
        ErrorKind::ThreepidDenied,
        "People are invited by their user id here: there is no identity server",
    )
}
