//! Who cannot be in the admin room: users of application services.

use ruma::{
    OwnedUserId, RoomId,
    events::{StateEventType, room::member::MembershipState},
};
use serde_json::json;

use super::{is_join_invite_or_knock, is_of_appservice, server_user};
use crate::{
    error::Result,
    rooms::{Draft, admin_room},
    services::Services,
    store::tables,
};

/// Takes users of application services out of the admin room who came in before they were refused.
pub(super) async fn remove_appservice_users(services: &Services) -> Result<()> {
    let Some(room) = admin_room::room(&services.rooms)? else {
        return Ok(());
    };
    let mut strangers = Vec::new();
    for row in services.store.scan::<tables::Members>((&*room,)) {
        let ((_, user), member) = row?;
        if is_join_invite_or_knock(&member.membership) && is_of_appservice(&services.rooms, &user)?
        {
            strangers.push(user);
        }
    }
    for user in strangers {
        kick(services, &room, &user).await?;
        tracing::warn!(user.id = %user, "a user of an application service was taken out of the admin room");
    }
    Ok(())
}

async fn kick(services: &Services, room: &RoomId, user: &OwnedUserId) -> Result<()> {
    let content = json!({ "membership": MembershipState::Leave, "reason": admin_room::REFUSAL });
    let kind = StateEventType::RoomMember;
    let draft = Draft::state(
        server_user(&services.config.server_name)?,
        &kind,
        user.as_str(),
        &content,
    )?;
    let mut writer = services.rooms.write(room).await?;
    writer.add(draft)?;
    writer.commit().await.map(drop)
}
