//! Carries out what [`plan`](super::plan) has found: ghosts, rooms, the space.
//!
//! Every step may be done twice without harm, and is written down when it is done: whatever stops
//! the process, the next one goes on from there. Rooms are found again by their alias, which is in
//! our own exclusive namespace. They are created before they are looked for, because a homeserver
//! that is asked for a missing alias of ours asks us.

mod avatars;
mod greeting;
mod name_conflicts;
mod presence;
mod reconcile;
mod replaced_rooms;
mod rooms;
mod space;

use std::collections::BTreeSet;

use letta_client::{Agent, AgentId};
use ruma::{OwnedRoomId, OwnedUserId};
use tracing::info;

use super::{
    generated_avatars::agent_picture_hash,
    lookalikes::shown_name,
    name_conflicts::Namesakes,
    plan::{DesiredState, Step, steps},
    registry::Registry,
    room_changes::RoomChanges,
};
use crate::{
    config::Permissions,
    encryption::Encryption,
    identity::Identity,
    journal::{AgentRecord, AgentStatus, Journal, JournalError},
    matrix::{Actor, Homeserver, MatrixError},
};

/// How rooms shall be, from the configuration.
#[derive(Clone, Debug)]
pub struct ProvisionConfig {
    /// Who is who.
    pub identity: Identity,
    /// Who may do what, and so who is invited.
    pub permissions: Permissions,
    /// The space.
    pub space: crate::config::Space,
    /// The rooms.
    pub rooms: crate::config::Rooms,
    /// Whether people are invited to the rooms, not to the space only.
    pub invites_to_rooms: bool,
    /// Whether the bot has an avatar that the configuration names.
    pub bot_has_avatar: bool,
    /// What the bot is called.
    pub bot_name: Option<String>,
}

/// Why an agent could not be set up (yet).
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    /// The journal failed.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The homeserver did not do a step.
    #[error("cannot {what}")]
    Matrix {
        /// The step.
        what: &'static str,
        /// Its answer.
        #[source]
        source: MatrixError,
    },
}

fn cannot(what: &'static str) -> impl FnOnce(MatrixError) -> ProvisionError {
    move |source| ProvisionError::Matrix { what, source }
}

/// See the module's documentation.
pub struct Provisioner {
    /// The records.
    pub registry: Registry,
    homeserver: Homeserver,
    encryption: Encryption,
    journal: Journal,
    config: ProvisionConfig,
    user_names: name_conflicts::UserNames,
    bot_avatar: avatars::BotAvatar,
    shown: presence::Shown,
    /// Who is called like an agent.
    pub namesakes: Namesakes,
    /// Which rooms others have changed.
    pub room_changes: RoomChanges,
}

impl Provisioner {
    /// Works for these records.
    pub fn new(
        registry: Registry,
        homeserver: Homeserver,
        encryption: Encryption,
        journal: Journal,
        config: ProvisionConfig,
    ) -> Self {
        Self {
            registry,
            homeserver,
            encryption,
            journal,
            config,
            user_names: name_conflicts::UserNames::default(),
            bot_avatar: avatars::BotAvatar::default(),
            shown: presence::Shown::default(),
            namesakes: Namesakes::default(),
            room_changes: RoomChanges::default(),
        }
    }

    /// How an agent shall stand in Matrix.
    pub fn wanted(&self, record: &AgentRecord) -> DesiredState {
        let agent = Agent {
            id: record.id.clone(),
            name: record.name.clone(),
            description: record.description.clone(),
            tags: Vec::new(),
            model: record.model.clone(),
        };
        let (rooms, space) = (&self.config.rooms, self.space_in_use());
        let people = if self.config.invites_to_rooms {
            self.people()
        } else {
            Vec::new()
        };
        DesiredState {
            topic: rooms.topic_for(&agent),
            people,
            in_space: space.is_some(),
            // A room that is there and is not open stays as closed as it is: earlier versions made private ones.
            open_to: space.filter(|_| record.room.is_none() || record.open_to.is_some()),
            avatar: rooms.avatars.then(|| agent_picture_hash(&record.id)),
            greets: !rooms.greeting.trim().is_empty(),
        }
    }

    /// The space, if there shall be one.
    fn space_in_use(&self) -> Option<OwnedRoomId> {
        let space = self.registry.space_room();
        space.filter(|_| self.config.space.enabled)
    }

    /// Does everything that is left to do for an agent.
    pub async fn provision(&self, id: &AgentId) -> Result<(), ProvisionError> {
        let _guard = self.registry.lock_agent(id).await;
        let Some(mut record) = self.registry.find(id) else {
            return Ok(());
        };
        let wanted = self.wanted(&record);
        self.compare_name_first(&mut record, &wanted).await?;
        let mut not_done = None;
        for step in steps(&record, &wanted) {
            match self.take(&step, &mut record, &wanted).await {
                Ok(()) => self.registry.set(record.clone())?,
                // What matters is done all the same; this is tried again at the next look.
                Err(failure @ ProvisionError::Matrix { .. }) if step.is_decoration() => {
                    not_done.get_or_insert(failure);
                }
                Err(failure) => return Err(failure),
            }
        }
        self.journal.durable().await?;
        if record.joined {
            self.show_online(id).await;
        }
        not_done.map_or(Ok(()), Err)
    }

    /// Makes sure that an agent's ghost exists.
    pub async fn ensure_ghost(&self, id: &AgentId) -> Result<(), ProvisionError> {
        let _guard = self.registry.lock_agent(id).await;
        let Some(mut record) = self.registry.find(id) else {
            return Ok(());
        };
        let wanted = self.wanted(&record);
        self.compare_name_first(&mut record, &wanted).await?;
        for step in [Step::Register, Step::SetDisplayName] {
            if steps(&record, &wanted).contains(&step) {
                self.take(&step, &mut record, &wanted).await?;
                self.registry.set(record.clone())?;
            }
        }
        Ok(())
    }

    /// Compares the name of an agent once more, because these people may have taken it or given it back. Answers whether its mark
    /// is another one now.
    pub async fn compare_again(
        &self,
        id: &AgentId,
        users: &BTreeSet<OwnedUserId>,
    ) -> Result<bool, ProvisionError> {
        let _guard = self.registry.lock_agent(id).await;
        let Some(mut record) = self.registry.find(id) else {
            return Ok(false);
        };
        self.user_names.forget();
        let before = record.is_lookalike;
        self.compare_name(&mut record, users).await?;
        if record.is_lookalike == before {
            return Ok(false);
        }
        self.registry.set(record)?;
        Ok(true)
    }

    /// What else is to be done depends on what comes of this.
    async fn compare_name_first(
        &self,
        record: &mut AgentRecord,
        wanted: &DesiredState,
    ) -> Result<(), ProvisionError> {
        if steps(record, wanted).contains(&Step::CompareName) {
            self.compare_name(record, &BTreeSet::new()).await?;
            self.registry.set(record.clone())?;
        }
        Ok(())
    }

    async fn take(
        &self,
        step: &Step,
        record: &mut AgentRecord,
        wanted: &DesiredState,
    ) -> Result<(), ProvisionError> {
        let ghost = self.config.identity.ghost(&record.id);
        let act = Actor::Ghost(&ghost);
        match (step, record.room.clone()) {
            (Step::CompareName, _) => self.compare_name(record, &BTreeSet::new()).await?,
            (Step::Register, _) => {
                self.homeserver
                    .register(&ghost)
                    .await
                    .map_err(cannot("register the ghost"))?;
                record.registered = true;
            }
            (Step::SetDisplayName, _) => {
                let name = shown_name(record);
                self.homeserver
                    .set_display_name(act, &ghost, &name)
                    .await
                    .map_err(cannot("name the ghost"))?;
                record.display_name = Some(name);
            }
            (Step::GiveAvatar, _) => self.give_avatar(record, wanted, &ghost).await?,
            (Step::CreateRoom, _) => self.create_room(record, wanted, &ghost).await?,
            (Step::Join, Some(room)) => {
                self.join_or_be_invited(&ghost, &room)
                    .await
                    .map_err(cannot("join the room"))?;
                record.joined = true;
            }
            (Step::List, Some(room)) => {
                if let Some(space) = self.registry.space_room() {
                    self.homeserver
                        .set_space_child(&space, &room, self.config.identity.domain(), true)
                        .await
                        .map_err(cannot("list the room in the space"))?;
                    record.in_space = true;
                }
            }
            (Step::OpenToSpace, Some(room)) => self.open_to_space(record, wanted, &room).await?,
            (Step::SetRoomAvatar, Some(room)) => self.set_room_avatar(record, &room).await?,
            (Step::Greet, Some(room)) => self.greet(record, &ghost, &room).await?,
            (Step::Rename, Some(room)) => self.rename(record, &room).await?,
            (Step::SetTopic, Some(room)) => self.set_topic(record, wanted, &room).await?,
            (Step::Invite(person), Some(room)) => {
                self.invite(&room, person).await?;
                record.invited.insert(person.clone());
            }
            // Without a room there is nothing to do in it; the next round creates it.
            (_, None) => {}
        }
        Ok(())
    }

    /// Closes the room of an agent that is gone: the ghost leaves, the space no longer lists it.
    pub async fn retire(&self, id: &AgentId) -> Result<(), ProvisionError> {
        let _guard = self.registry.lock_agent(id).await;
        let Some(mut record) = self.registry.find(id) else {
            return Ok(());
        };
        let ghost = self.config.identity.ghost(id);
        if let Some(room) = record.room.clone() {
            if record.in_space
                && let Some(space) = self.registry.space_room()
            {
                self.homeserver
                    .set_space_child(&space, &room, self.config.identity.domain(), false)
                    .await
                    .map_err(cannot("take the room off the space"))?;
                record.in_space = false;
                self.registry.set(record.clone())?;
            }
            if record.joined {
                let reason = Some("This agent was removed from Letta.".to_owned());
                match self
                    .homeserver
                    .leave(Actor::Ghost(&ghost), &room, reason)
                    .await
                {
                    Err(error) if error.is_transient() => return Err(cannot("leave")(error)),
                    // Not in the room is as good as left.
                    Ok(()) | Err(_) => record.joined = false,
                }
            }
        }
        record.status = AgentStatus::Retired;
        self.registry.set(record)?;
        self.journal.durable().await?;
        info!(agent.id = %id, "an agent is gone; its room is closed and waits for its return");
        Ok(())
    }

    /// Who is invited: people that `permissions` names in full.
    fn people(&self) -> Vec<OwnedUserId> {
        self.config
            .permissions
            .people()
            .map(|(user, _)| user.to_owned())
            .collect()
    }
}

#[cfg(test)]
mod tests;
