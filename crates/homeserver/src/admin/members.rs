//! Who cannot be in the admin room: users of application services.

use ruma::{
    OwnedUserId, RoomId, UserId,
    events::{StateEventType, room::member::MembershipState},
};
use serde_json::json;

use super::{room, server_user};
use crate::{
    error::{Error, Result},
    rooms::Draft,
    server::Server,
    store::tables,
};

/// Why a user of an application service is not let in, or has to go.
const REFUSAL: &str = "Users of application services cannot be in the admin room";

/// Whether the user is one of an application service: its account was made by one, or nobody but one can be this user. The server's
/// own user is none.
///
/// A namespace that is not exclusive says nothing: people are in those that bridges have for double puppeting.
pub fn is_of_appservice(server: &Server, user: &UserId) -> Result<bool> {
    if user == server_user(server)? {
        return Ok(false);
    }
    let account = server.accounts.get(user)?;
    Ok(account.is_some_and(|account| account.appservice.is_some())
        || server.appservices.exclusive_user(user, None))
}

/// Refuses to let a user of an application service into the admin room.
///
/// # Errors
///
/// 403 `M_FORBIDDEN`.
pub fn check_member(server: &Server, room_id: &RoomId, user: &UserId) -> Result<()> {
    if is_of_appservice(server, user)? && room(server)?.is_some_and(|admins| admins == room_id) {
        return Err(Error::forbidden(REFUSAL));
    }
    Ok(())
}

/// Whether it brings somebody into a room, or leads there.
pub fn is_coming(membership: &MembershipState) -> bool {
    matches!(
        membership,
        MembershipState::Join | MembershipState::Invite | MembershipState::Knock
    )
}

/// Takes users of application services out of the admin room who came in before they were refused.
pub(super) async fn remove_appservice_users(server: &Server) -> Result<()> {
    let Some(room) = room(server)? else {
        return Ok(());
    };
    let mut strangers = Vec::new();
    for row in server.store.scan::<tables::Members>((&*room,)) {
        let ((_, user), member) = row?;
        if is_coming(&member.membership) && is_of_appservice(server, &user)? {
            strangers.push(user);
        }
    }
    for user in strangers {
        kick(server, &room, &user).await?;
        tracing::warn!(user.id = %user, "a user of an application service was taken out of the admin room");
    }
    Ok(())
}

async fn kick(server: &Server, room: &RoomId, user: &OwnedUserId) -> Result<()> {
    let content = json!({ "membership": MembershipState::Leave, "reason": REFUSAL });
    let kind = StateEventType::RoomMember;
    let draft = Draft::state(server_user(server)?, &kind, user.as_str(), &content)?;
    let mut writer = server.rooms.write(room).await?;
    writer.add(draft)?;
    writer.commit().await.map(drop)
}
