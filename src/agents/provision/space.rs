//! The space that lists the rooms of all agents.

use std::collections::BTreeSet;

use ruma::OwnedUserId;
use tracing::info;

use super::{ProvisionError, Provisioner};
use crate::{journal::SpaceRecord, matrix::RoomPlan};

impl Provisioner {
    /// Makes sure that the space exists and that everybody who shall see it is invited.
    pub async fn ensure_space(&self) -> Result<(), ProvisionError> {
        self.ensure_bot_avatar().await;
        if !self.config.space.enabled {
            return Ok(());
        }
        let people = self.people();
        let mut space = match self.registry.space() {
            Some(space) => space,
            None => self.create_space(&people).await?,
        };
        for person in people {
            if !space.invited.contains(&person) {
                self.invite(&space.room, &person).await?;
                space.invited.insert(person);
                self.registry.set_space(space.clone())?;
            }
        }
        // Last: nobody waits for a picture to be invited.
        if !space.has_avatar && self.config.rooms.avatars {
            self.give_space_avatar(&mut space).await?;
        }
        Ok(())
    }

    async fn create_space(&self, people: &[OwnedUserId]) -> Result<SpaceRecord, ProvisionError> {
        let alias = self.config.identity.space_alias().to_owned();
        let avatar = self.bot_avatar();
        let plan = RoomPlan {
            alias_localpart: Some(alias.alias().to_owned()),
            name: self.config.space.name.clone(),
            topic: Some(self.config.space.topic.clone()).filter(|topic| !topic.is_empty()),
            space: true,
            direct: false,
            invite: people.to_vec(),
            powers: self.admin_powers(),
            parent: None,
            avatar: avatar.clone(),
            version: self.config.rooms.version.clone(),
        };
        let (room, created) = self.create_or_find(&alias, &plan, None).await?;
        let invited = if created {
            people.iter().cloned().collect()
        } else {
            BTreeSet::new()
        };
        let space = SpaceRecord {
            room,
            invited,
            replaced: None,
            has_avatar: created && avatar.is_some(),
        };
        self.registry.set_space(space.clone())?;
        self.journal.durable().await?;
        info!(room.id = %space.room, "space created or found");
        Ok(space)
    }
}
