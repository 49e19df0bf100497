//! What follows when the server accepts invitations for its users: a direct chat is marked as one, and a new account is in the rooms that
//! waited for it.

use futures_util::{StreamExt, stream};
use ruma::{OwnedRoomId, OwnedUserId, RoomId, UserId};
use serde_json::{Map, Value, value::to_raw_value};

use super::Operations;
use crate::{
    accounts::account_data,
    error::Result,
    rooms::membership::auto_accept::{accept_pending, is_direct, pending},
};

/// How many rooms a new account joins at the same time.
const JOINS_AT_ONCE: usize = 16;
/// The type of the account data that says which rooms are direct chats.
const DIRECT: &str = "m.direct";

impl Operations {
    /// A new account is in the rooms to which it was invited before, as far as such invitations are accepted.
    ///
    /// # Errors
    ///
    /// If the database fails. That one room lets nobody in is only logged.
    pub(super) async fn accept_invitations(&self, user: &UserId) -> Result<()> {
        let rooms = pending(&self.rooms, user)?;
        stream::iter(rooms)
            .for_each_concurrent(JOINS_AT_ONCE, async |room| {
                if let Err(error) = self.accept_one(user, &room).await {
                    tracing::warn!(%error, user.id = %user, room.id = %room, "could not accept an invitation");
                }
            })
            .await;
        Ok(())
    }

    async fn accept_one(&self, user: &UserId, room: &OwnedRoomId) -> Result<()> {
        let Some(invite) = self.rooms.membership(room, user)? else {
            return Ok(());
        };
        let is_direct = is_direct(&self.rooms, &invite)?;
        if accept_pending(&self.rooms, user, room).await? && is_direct {
            self.mark_direct(user, &invite.sender, room).await?;
        }
        Ok(())
    }

    /// Marks a new direct chat as one for those who are in it without having answered, as their clients do when somebody answers.
    ///
    /// # Errors
    ///
    /// If the database fails, or the account data of a user would get too large.
    pub async fn mark_direct_for_joined(
        &self,
        sender: &UserId,
        invited: &[OwnedUserId],
        room: &RoomId,
    ) -> Result<()> {
        if !self.rooms.config.auto_accept_invites {
            return Ok(());
        }
        for user in invited {
            let is_new = user != sender && self.rooms.accounts.exists(user)?;
            if is_new && self.rooms.is_joined(room, user)? {
                self.mark_direct(user, sender, room).await?;
            }
        }
        Ok(())
    }

    async fn mark_direct(&self, user: &UserId, sender: &UserId, room: &RoomId) -> Result<()> {
        let _turn = self.accounts.user_locks.lock(user).await;
        let stored = account_data::get(&self.store, user, None, DIRECT)?;
        let mut people = match stored {
            // Clients write it, so it can be anything; what is no list of chats is left as it is.
            Some(datum) => match serde_json::from_str::<Map<String, Value>>(datum.content.get()) {
                Ok(people) => people,
                Err(_) => return Ok(()),
            },
            None => Map::new(),
        };
        let chats = people
            .entry(sender.as_str())
            .or_insert_with(|| Value::Array(Vec::new()));
        let Some(chats) = chats.as_array_mut() else {
            return Ok(());
        };
        if chats.iter().any(|chat| chat == room.as_str()) {
            return Ok(());
        }
        chats.push(room.as_str().into());
        let content = to_raw_value(&people)?;
        account_data::check(&self.store, user, None, DIRECT, &content)?;
        account_data::set(&self.store, &self.stream, user, None, DIRECT, content)
            .await
            .map(drop)
    }
}
