//! An agent's room, or the space, is replaced by another room.

use letta_client::AgentId;
use ruma::{OwnedRoomId, RoomAliasId, RoomId, UserId};
use tracing::{info, warn};

use super::{ProvisionError, Provisioner, cannot};
use crate::{
    journal::{AgentRecord, Greeting, SpaceRecord},
    matrix::Actor,
};

impl Provisioner {
    /// An agent has come over to the room that replaces its own.
    pub async fn follow_home(&self, id: &AgentId, new: &RoomId) -> Result<(), ProvisionError> {
        let _guard = self.registry.lock_agent(id).await;
        let Some(mut record) = self.registry.find(id) else {
            return Ok(());
        };
        if record.room.as_deref() == Some(new) {
            return Ok(());
        }
        self.unlist(&mut record).await;
        // An upgrade carries the avatar over, and the greeting was said.
        if let Some(avatar) = &mut record.avatar
            && avatar.on_room == record.room
        {
            avatar.on_room = Some(new.to_owned());
        }
        record.greeting = Greeting::None;
        record.room = Some(new.to_owned());
        record.joined = true;
        info!(agent.id = %id, room.id = %new, "an agent follows its room to the one that replaces it");
        self.registry.set(record)?;
        self.journal.durable().await?;
        Ok(())
    }

    /// An agent gives up a room that was replaced by one which it cannot join: a new one is made for it.
    pub async fn leave_home_behind(
        &self,
        id: &AgentId,
        old: &RoomId,
    ) -> Result<(), ProvisionError> {
        let _guard = self.registry.lock_agent(id).await;
        let Some(mut record) = self.registry.find(id) else {
            return Ok(());
        };
        if record.room.as_deref() != Some(old) {
            return Ok(());
        }
        self.unlist(&mut record).await;
        record.previous_room = record.room.take();
        record.joined = false;
        record.invited.clear();
        (record.room_name, record.room_topic) = (None, None);
        record.open_to = None;
        warn!(agent.id = %id, room.id = %old, "an agent cannot follow its room to the one that replaces it and gets a new room");
        self.registry.set(record)?;
        self.journal.durable().await?;
        Ok(())
    }

    /// The space is replaced by a room in which the bot is.
    pub async fn follow_space(&self, new: OwnedRoomId) -> Result<(), ProvisionError> {
        let Some(space) = self.registry.space() else {
            return Ok(());
        };
        info!(room.id = %new, "the space is replaced");
        self.registry.set_space(SpaceRecord {
            room: new,
            replaced: None,
            ..space
        })?;
        let listed = self.registry.with_all(|known| {
            let listed = known.values().filter(|record| record.in_space);
            listed.map(|record| record.id.clone()).collect::<Vec<_>>()
        });
        for id in listed {
            let _guard = self.registry.lock_agent(&id).await;
            if let Some(mut record) = self.registry.find(&id) {
                record.in_space = false;
                self.registry.set(record)?;
            }
        }
        self.journal.durable().await?;
        Ok(())
    }

    /// Takes the agent's room off the space. That it is still listed there does no harm.
    async fn unlist(&self, record: &mut AgentRecord) {
        let listed = std::mem::take(&mut record.in_space);
        let (Some(space), Some(room)) = (self.registry.space_room(), &record.room) else {
            return;
        };
        let domain = self.config.identity.domain();
        if listed
            && let Err(error) = self
                .homeserver
                .set_space_child(&space, room, domain, false)
                .await
        {
            warn!(room.id = %room, error = &error as &dyn std::error::Error, "could not take a replaced room off the space");
        }
    }

    /// A room was found by its alias. `None`: none of ours gets into it, and the alias leads there no longer.
    pub(super) async fn enter_found(
        &self,
        alias: &RoomAliasId,
        room: OwnedRoomId,
        ghost: Option<&UserId>,
    ) -> Result<Option<OwnedRoomId>, ProvisionError> {
        let actors = std::iter::once(Actor::Bot).chain(ghost.map(Actor::Ghost));
        for actor in actors {
            match self.homeserver.join(actor, &room).await {
                Ok(()) => return Ok(Some(room)),
                Err(error) if error.is_permanent() => {}
                Err(error) => return Err(cannot("join the room with its alias")(error)),
            }
        }
        warn!(room.id = %room, alias = %alias, "the room with this alias lets nobody of the bridge in; a new one is made");
        self.homeserver.remove_alias(alias).await.map_err(cannot(
            "take the alias off a room that lets nobody of the bridge in",
        ))?;
        Ok(None)
    }
}
