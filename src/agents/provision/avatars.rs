//! Gives agents, their rooms, the space and the bot pictures that are made here, where they have none.
//!
//! Promise: a picture that somebody else has set stays. Only one of ours, known by where it was uploaded to, is replaced by another of
//! ours.

use std::sync::{Mutex, PoisonError};

use ruma::{MxcUri, OwnedMxcUri, OwnedRoomId, UserId};
use tracing::warn;

use super::{DesiredState, ProvisionError, Provisioner, cannot};
use crate::{
    agents::generated_avatars::{self, Picture},
    journal::{AgentRecord, AvatarRecord, SpaceRecord},
    matrix::{Actor, MatrixError},
};

/// The bot's avatar, once it is known.
#[derive(Debug, Default)]
pub(super) struct BotAvatar(Mutex<Option<OwnedMxcUri>>);

impl Provisioner {
    /// Uploads the agent's picture unless it is there, and gives it to the ghost.
    pub(super) async fn give_avatar(
        &self,
        record: &mut AgentRecord,
        wanted: &DesiredState,
        ghost: &UserId,
    ) -> Result<(), ProvisionError> {
        let Some(hash) = &wanted.avatar else {
            return Ok(());
        };
        if record
            .avatar
            .as_ref()
            .is_none_or(|known| known.hash != *hash)
        {
            let uri = self
                .upload(generated_avatars::agent_picture(&record.id))
                .await?;
            let before = record.avatar.take();
            record.avatar = Some(AvatarRecord {
                hash: hash.clone(),
                uri,
                on_ghost: false,
                on_room: None,
                replaces: before.map(|before| before.uri),
            });
            // It is not uploaded once more if what follows fails.
            self.registry.set(record.clone())?;
        }
        let Some(avatar) = &mut record.avatar else {
            return Ok(());
        };
        let present = self.homeserver.avatar(ghost).await;
        let present = present.map_err(cannot("look at the ghost's avatar"))?;
        if is_ours_to_set(avatar, present.as_deref()) {
            self.homeserver
                .set_avatar(Actor::Ghost(ghost), ghost, &avatar.uri)
                .await
                .map_err(cannot("give the ghost its avatar"))?;
        }
        avatar.on_ghost = true;
        Ok(())
    }

    /// Gives the room the agent's picture. A room that was made with it has it.
    pub(super) async fn set_room_avatar(
        &self,
        record: &mut AgentRecord,
        room: &OwnedRoomId,
    ) -> Result<(), ProvisionError> {
        let avatar = record.avatar.as_mut();
        let Some(avatar) = avatar.filter(|avatar| avatar.on_room.as_ref() != Some(room)) else {
            return Ok(());
        };
        let present = self.homeserver.room_avatar(room).await;
        let present = present.map_err(cannot("look at the room's avatar"))?;
        if is_ours_to_set(avatar, present.as_deref()) {
            self.homeserver
                .set_room_avatar(room, &avatar.uri)
                .await
                .map_err(cannot("give the room its avatar"))?;
        }
        avatar.on_room = Some(room.clone());
        Ok(())
    }

    /// Makes sure that the bot has an avatar. That it has none is logged once and keeps nothing else from being done.
    pub(super) async fn ensure_bot_avatar(&self) {
        if self.bot_avatar().is_some() || !self.config.rooms.avatars {
            return;
        }
        match self.find_or_make_bot_avatar().await {
            Ok(avatar) => *self.bot_avatar.lock() = Some(avatar),
            Err(failure) => {
                warn!(
                    error = &failure as &dyn std::error::Error,
                    "could not give the bot an avatar"
                );
            }
        }
    }

    /// The bot's avatar, once it is known.
    pub(super) fn bot_avatar(&self) -> Option<OwnedMxcUri> {
        self.bot_avatar.lock().clone()
    }

    async fn find_or_make_bot_avatar(&self) -> Result<OwnedMxcUri, ProvisionError> {
        let bot = self.config.identity.bot();
        let present = self.homeserver.avatar(bot).await;
        if let Some(present) = present.map_err(cannot("look at the bot's avatar"))? {
            return Ok(present);
        }
        let uri = self.upload(generated_avatars::mark()).await?;
        if !self.config.bot_has_avatar {
            self.homeserver
                .set_avatar(Actor::Bot, bot, &uri)
                .await
                .map_err(cannot("give the bot its avatar"))?;
        }
        Ok(uri)
    }

    /// Gives the space the bot's avatar, unless it has one.
    pub(super) async fn give_space_avatar(
        &self,
        space: &mut SpaceRecord,
    ) -> Result<(), ProvisionError> {
        let Some(avatar) = self.bot_avatar() else {
            return Ok(());
        };
        let present = self.homeserver.room_avatar(&space.room).await;
        if present
            .map_err(cannot("look at the space's avatar"))?
            .is_none()
        {
            self.homeserver
                .set_room_avatar(&space.room, &avatar)
                .await
                .map_err(cannot("give the space its avatar"))?;
        }
        space.has_avatar = true;
        self.registry.set_space(space.clone())?;
        Ok(())
    }

    async fn upload(
        &self,
        picture: Result<Picture, image::ImageError>,
    ) -> Result<OwnedMxcUri, ProvisionError> {
        let picture = picture
            .map_err(|error| cannot("draw a picture")(MatrixError::Request(error.to_string())))?;
        self.homeserver
            .upload_png(picture.png, picture.file_name)
            .await
            .map_err(cannot("upload a picture"))
    }
}

impl BotAvatar {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<OwnedMxcUri>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether there is no picture yet, or one that this one replaces.
fn is_ours_to_set(avatar: &AvatarRecord, present: Option<&MxcUri>) -> bool {
    present.is_none_or(|present| avatar.replaces.as_deref() == Some(present))
}
