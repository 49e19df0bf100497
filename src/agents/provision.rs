//! Carries out what [`plan`](super::plan) has found: ghosts, rooms, the space.
//!
//! Every step may be done twice without harm, and is written down when it is done: whatever stops
//! the process, the next one goes on from there. Rooms are found again by their alias, which is in
//! our own exclusive namespace. They are created before they are looked for, because a homeserver
//! that is asked for a missing alias of ours asks us.

use std::collections::{BTreeMap, BTreeSet};

use letta_client::{Agent, AgentId};
use ruma::{OwnedRoomId, OwnedUserId, RoomAliasId, UserId, api::error::ErrorKind};
use tracing::{info, warn};

use super::{
    plan::{Step, Wanted, steps},
    registry::Registry,
};
use crate::{
    config::{Level, Permissions},
    identity::Identity,
    journal::{AgentRecord, Journal, JournalError, Presence, SpaceRecord},
    matrix::{Actor, Homeserver, MatrixError, RoomPlan},
};

/// Power of admins: as much as the bot.
const ADMIN_POWER: i64 = 100;
/// Power of ghosts: enough to manage their rooms, less than the bot.
const GHOST_POWER: i64 = 50;

/// How rooms shall be, from the configuration.
#[derive(Clone, Debug)]
pub struct Taste {
    /// Who is who.
    pub identity: Identity,
    /// Who may do what, and so who is invited.
    pub permissions: Permissions,
    /// The space.
    pub space: crate::config::Space,
    /// The rooms.
    pub rooms: crate::config::Rooms,
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
    journal: Journal,
    taste: Taste,
}

impl Provisioner {
    /// Works for these records.
    pub fn new(registry: Registry, homeserver: Homeserver, journal: Journal, taste: Taste) -> Self {
        Self {
            registry,
            homeserver,
            journal,
            taste,
        }
    }

    /// How an agent shall stand in Matrix.
    pub fn wanted(&self, record: &AgentRecord) -> Wanted {
        let agent = Agent {
            id: record.id.clone(),
            name: record.name.clone(),
            description: record.description.clone(),
            tags: Vec::new(),
            model: record.model.clone(),
        };
        let people = if self.taste.rooms.invite {
            self.people()
        } else {
            Vec::new()
        };
        Wanted {
            topic: self.taste.rooms.topic_for(&agent),
            people,
            in_space: self.taste.space.enabled && self.registry.space_room().is_some(),
        }
    }

    /// Does everything that is left to do for an agent.
    pub async fn bring_up(&self, id: &AgentId) -> Result<(), ProvisionError> {
        let _alone = self.registry.alone_with(id).await;
        let Some(mut record) = self.registry.find(id) else {
            return Ok(());
        };
        let wanted = self.wanted(&record);
        for step in steps(&record, &wanted) {
            self.take(&step, &mut record, &wanted).await?;
            self.registry.set(record.clone())?;
        }
        self.journal.durable().await?;
        Ok(())
    }

    /// Makes sure that an agent's ghost exists.
    pub async fn ensure_ghost(&self, id: &AgentId) -> Result<(), ProvisionError> {
        let _alone = self.registry.alone_with(id).await;
        let Some(mut record) = self.registry.find(id) else {
            return Ok(());
        };
        let wanted = self.wanted(&record);
        for step in [Step::Register, Step::SetDisplayName] {
            if steps(&record, &wanted).contains(&step) {
                self.take(&step, &mut record, &wanted).await?;
                self.registry.set(record.clone())?;
            }
        }
        Ok(())
    }

    async fn take(
        &self,
        step: &Step,
        record: &mut AgentRecord,
        wanted: &Wanted,
    ) -> Result<(), ProvisionError> {
        let ghost = self.taste.identity.ghost(&record.id);
        let act = Actor::Ghost(&ghost);
        match (step, record.room.clone()) {
            (Step::Register, _) => {
                self.homeserver
                    .register(&ghost)
                    .await
                    .map_err(cannot("register the ghost"))?;
                record.registered = true;
            }
            (Step::SetDisplayName, _) => {
                self.homeserver
                    .set_display_name(act, &ghost, &record.name)
                    .await
                    .map_err(cannot("name the ghost"))?;
                record.display_name = Some(record.name.clone());
            }
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
                        .set_space_child(&space, &room, self.taste.identity.domain(), true)
                        .await
                        .map_err(cannot("list the room in the space"))?;
                    record.in_space = true;
                }
            }
            (Step::Rename, Some(room)) => self.rename(record, &room).await?,
            (Step::SetTopic, Some(room)) => {
                let topic = wanted.topic.clone().unwrap_or_default();
                self.homeserver
                    .set_room_topic(&room, &topic)
                    .await
                    .map_err(cannot("give the room its topic"))?;
                record.room_topic.clone_from(&wanted.topic);
            }
            (Step::Invite(person), Some(room)) => {
                self.invite(&room, person).await?;
                record.invited.insert(person.clone());
            }
            // Without a room there is nothing to do in it; the next round creates it.
            (_, None) => {}
        }
        Ok(())
    }

    async fn create_room(
        &self,
        record: &mut AgentRecord,
        wanted: &Wanted,
        ghost: &UserId,
    ) -> Result<(), ProvisionError> {
        let alias = self.taste.identity.alias(&record.id);
        let mut powers = self.admin_powers();
        powers.insert(ghost.to_owned(), GHOST_POWER);
        let invite = wanted
            .people
            .iter()
            .cloned()
            .chain([ghost.to_owned()])
            .collect();
        let plan = RoomPlan {
            alias_localpart: Some(alias.alias().to_owned()),
            name: record.name.clone(),
            topic: wanted.topic.clone(),
            space: false,
            direct: false,
            invite,
            powers,
            parent: self.registry.space_room(),
            version: self.taste.rooms.version.clone(),
        };
        let (room, created) = self.create_or_find(&alias, &plan).await?;
        record.room = Some(room);
        if created {
            record.room_name = Some(record.name.clone());
            record.room_topic.clone_from(&wanted.topic);
            record.invited.extend(wanted.people.iter().cloned());
        }
        Ok(())
    }

    /// Creates a room, or takes the one that has its alias already. `true`: created.
    async fn create_or_find(
        &self,
        alias: &RoomAliasId,
        plan: &RoomPlan,
    ) -> Result<(OwnedRoomId, bool), ProvisionError> {
        let identity = &self.taste.identity;
        match self
            .homeserver
            .create_room(identity.bot(), identity.domain(), plan)
            .await
        {
            Ok(room) => Ok((room, true)),
            Err(error) if matches!(error.kind(), Some(ErrorKind::RoomInUse)) => {
                let found = self.homeserver.find_room(alias).await;
                match found.map_err(cannot("find the room by its alias"))? {
                    Some(room) => Ok((room, false)),
                    None => Err(cannot("create the room: its alias is in use by no room")(
                        error,
                    )),
                }
            }
            Err(error) => Err(cannot("create the room")(error)),
        }
    }

    async fn join_or_be_invited(
        &self,
        ghost: &UserId,
        room: &OwnedRoomId,
    ) -> Result<(), MatrixError> {
        match self.homeserver.join(Actor::Ghost(ghost), room).await {
            Err(error) if error.is_forbidden() => {
                self.homeserver.invite(room, ghost).await?;
                self.homeserver.join(Actor::Ghost(ghost), room).await
            }
            result => result,
        }
    }

    /// Follows a new name, unless the room has another one than we gave it: then a person chose it.
    async fn rename(
        &self,
        record: &mut AgentRecord,
        room: &OwnedRoomId,
    ) -> Result<(), ProvisionError> {
        let present = self
            .homeserver
            .room_name(room)
            .await
            .map_err(cannot("read the room's name"))?;
        if present == record.room_name || present.is_none() {
            self.homeserver
                .set_room_name(room, &record.name)
                .await
                .map_err(cannot("rename the room"))?;
            info!(agent.id = %record.id, room.id = %room, "renamed");
        }
        record.room_name = Some(record.name.clone());
        Ok(())
    }

    /// Invites somebody. Who cannot be invited is logged and not tried for ever.
    async fn invite(&self, room: &OwnedRoomId, person: &UserId) -> Result<(), ProvisionError> {
        match self.homeserver.invite(room, person).await {
            Err(error) if error.is_transient() => Err(cannot("invite somebody")(error)),
            // The homeserver says so too when the person is in the room already.
            Err(error) if error.is_forbidden() => Ok(()),
            Err(error) => {
                warn!(room.id = %room, user = %person, %error, "cannot invite");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// Makes sure that the space exists and that everybody who shall see it is invited.
    pub async fn ensure_space(&self) -> Result<(), ProvisionError> {
        if !self.taste.space.enabled {
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
        Ok(())
    }

    async fn create_space(&self, people: &[OwnedUserId]) -> Result<SpaceRecord, ProvisionError> {
        let alias = self.taste.identity.space_alias().to_owned();
        let plan = RoomPlan {
            alias_localpart: Some(alias.alias().to_owned()),
            name: self.taste.space.name.clone(),
            topic: Some(self.taste.space.topic.clone()).filter(|topic| !topic.is_empty()),
            space: true,
            direct: false,
            invite: people.to_vec(),
            powers: self.admin_powers(),
            parent: None,
            version: self.taste.rooms.version.clone(),
        };
        let (room, created) = self.create_or_find(&alias, &plan).await?;
        let invited = if created {
            people.iter().cloned().collect()
        } else {
            BTreeSet::new()
        };
        let space = SpaceRecord { room, invited };
        self.registry.set_space(space.clone())?;
        self.journal.durable().await?;
        info!(room.id = %space.room, "the space is there");
        Ok(space)
    }

    /// Closes the room of an agent that is gone: the ghost leaves, the space no longer lists it.
    pub async fn retire(&self, id: &AgentId) -> Result<(), ProvisionError> {
        let _alone = self.registry.alone_with(id).await;
        let Some(mut record) = self.registry.find(id) else {
            return Ok(());
        };
        let ghost = self.taste.identity.ghost(id);
        if let Some(room) = record.room.clone() {
            if record.in_space
                && let Some(space) = self.registry.space_room()
            {
                self.homeserver
                    .set_space_child(&space, &room, self.taste.identity.domain(), false)
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
        record.presence = Presence::Retired;
        self.registry.set(record)?;
        self.journal.durable().await?;
        info!(agent.id = %id, "an agent is gone; its room is closed and waits for its return");
        Ok(())
    }

    /// Invites somebody to an agent's room because a person asked for it.
    pub async fn invite_home(&self, id: &AgentId, person: &UserId) -> Result<bool, ProvisionError> {
        let Some(room) = self.registry.find(id).and_then(|record| record.room) else {
            return Ok(false);
        };
        self.homeserver
            .invite(&room, person)
            .await
            .map_err(cannot("invite you"))?;
        Ok(true)
    }

    /// Creates a direct chat of a person with an agent, beside the agent's own room.
    pub async fn start_chat(
        &self,
        record: &AgentRecord,
        person: &UserId,
    ) -> Result<OwnedRoomId, ProvisionError> {
        let ghost = self.taste.identity.ghost(&record.id);
        let mut powers = self.admin_powers();
        powers.insert(ghost.clone(), GHOST_POWER);
        powers.insert(person.to_owned(), ADMIN_POWER);
        let plan = RoomPlan {
            alias_localpart: None,
            name: record.name.clone(),
            topic: None,
            space: false,
            direct: true,
            invite: vec![ghost.clone(), person.to_owned()],
            powers,
            parent: None,
            version: self.taste.rooms.version.clone(),
        };
        let identity = &self.taste.identity;
        let room = self
            .homeserver
            .create_room(identity.bot(), identity.domain(), &plan)
            .await
            .map_err(cannot("create the chat"))?;
        self.join_or_be_invited(&ghost, &room)
            .await
            .map_err(cannot("join the chat"))?;
        Ok(room)
    }

    /// Who is invited: people that `permissions` names in full.
    fn people(&self) -> Vec<OwnedUserId> {
        self.taste
            .permissions
            .people()
            .map(|(user, _)| user.to_owned())
            .collect()
    }

    fn admin_powers(&self) -> BTreeMap<OwnedUserId, i64> {
        self.taste
            .permissions
            .people()
            .filter(|(_, level)| *level == Level::Admin)
            .map(|(user, _)| (user.to_owned(), ADMIN_POWER))
            .collect()
    }
}
