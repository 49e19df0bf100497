//! Making somebody an admin: into the admin room, with power there.

use homeserver_model::admin::answer;
use ruma::{
    OwnedEventId, OwnedRoomId, UserId,
    events::{
        StateEventType, TimelineEventType,
        receipt::{ReceiptThread, ReceiptType},
        room::member::MembershipState,
    },
};
use serde_json::{Value, json, value::to_raw_value};

use super::Operations;
use crate::{
    error::{Error, Result},
    rooms::{
        Draft,
        admin_room::{self, ADMIN_POWER, check_member, server_user},
        membership::MembershipUpdate,
        receipts,
    },
};

impl Operations {
    /// Makes the first person who comes an admin, unless the configuration says otherwise.
    pub(super) async fn grant_admin_to_first_user(&self, user: &UserId) -> Result<()> {
        if !self.admin.grant_admin_to_first_user {
            return Ok(());
        }
        let (room, greeting) = self.make_admin(user).await?;
        // Whoever has just registered has not asked for this room: it must not be the one that looks unread.
        let (kind, thread) = (ReceiptType::ReadPrivate, ReceiptThread::Unthreaded);
        receipts::set(&self.rooms, user, &room, kind, &greeting, &thread).await?;
        receipts::set_fully_read(&self.rooms, user, &room, &greeting).await
    }

    /// Puts somebody into the admin room, with the power to invite others, and greets them there.
    ///
    /// # Errors
    ///
    /// 404 if there is no admin room, 403 if it is a user of an application service.
    pub async fn make_admin(&self, user: &UserId) -> Result<(OwnedRoomId, OwnedEventId)> {
        let room = admin_room::room(&self.rooms)?
            .ok_or_else(|| Error::not_found("There is no admin room"))?;
        check_member(&self.rooms, &room, user)?;
        let own = server_user(&self.rooms.server_name)?;
        let mut writer = self.rooms.write(&room).await?;
        if !self.rooms.is_joined(&room, user)? {
            for (sender, membership) in [
                (&*own, MembershipState::Invite),
                (user, MembershipState::Join),
            ] {
                let member = MembershipUpdate::new(&self.rooms, user, membership)?;
                writer.add(member.draft(sender)?)?;
            }
        }
        let levels = writer.state(&StateEventType::RoomPowerLevels, "")?;
        let mut levels: Value = match levels {
            Some(levels) => serde_json::from_str(levels.content.get())?,
            None => json!({}),
        };
        levels["users"][user.as_str()] = json!(ADMIN_POWER);
        writer.add_state(&own, "m.room.power_levels", "", &levels)?;
        let text = format!(
            "Welcome to {}. Whoever is in this room is an admin. Write `!admin help` to see what can be done here.",
            self.rooms.server_name
        );
        let greeting = to_raw_value(&answer::content(&text))?;
        let greeting = writer.add(Draft::message(
            own,
            TimelineEventType::RoomMessage,
            greeting,
        ))?;
        writer.commit().await?;
        tracing::info!(user.id = %user, "user made an admin");
        Ok((room, greeting.event_id.clone()))
    }
}
