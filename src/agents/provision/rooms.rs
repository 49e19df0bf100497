//! Rooms of agents: created or found by their alias, named, and people invited to them.

use std::{
    collections::BTreeMap,
    time::{Duration, UNIX_EPOCH},
};

use letta_client::AgentId;
use ruma::{
    OwnedRoomId, OwnedUserId, RoomAliasId, UserId, api::error::ErrorKind,
    events::room::join_rules::JoinRule,
};
use tracing::{info, warn};

use super::{DesiredState, ProvisionError, Provisioner, cannot};
use crate::{
    agents::lookalikes::shown_name,
    config::Level,
    journal::{AgentRecord, Greeting},
    matrix::{ADMIN_POWER, Actor, MatrixError, RoomPlan, restricted_to},
    time::Millis,
};

/// Power of ghosts: enough to manage their rooms, less than the bot.
const GHOST_POWER: i64 = 50;

impl Provisioner {
    pub(super) async fn create_room(
        &self,
        record: &mut AgentRecord,
        wanted: &DesiredState,
        ghost: &UserId,
    ) -> Result<(), ProvisionError> {
        let alias = self.config.identity.alias(&record.id);
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
            name: shown_name(record),
            topic: wanted.topic.clone(),
            space: false,
            direct: false,
            invite,
            powers,
            parent: self.space_in_use(),
            avatar: record.avatar.as_ref().map(|avatar| avatar.uri.clone()),
            version: self.config.rooms.version.clone(),
        };
        let (room, created) = self.create_or_find(&alias, &plan, Some(ghost)).await?;
        if let Some(previous) = record.previous_room.take() {
            self.journal.move_home(&record.id, &previous, &room)?;
        }
        record.room = Some(room.clone());
        if created {
            record.open_to = plan.parent.clone().filter(|_| plan.is_restricted());
            record.greeting = Greeting::Due;
            if let Some(avatar) = &mut record.avatar {
                avatar.on_room = Some(room);
            }
            record.room_name = Some(shown_name(record));
            record.room_topic.clone_from(&wanted.topic);
            record.invited.extend(wanted.people.iter().cloned());
        }
        Ok(())
    }

    /// Creates a room, or takes the one that has its alias already. `true`: created.
    pub(super) async fn create_or_find(
        &self,
        alias: &RoomAliasId,
        plan: &RoomPlan,
        ghost: Option<&UserId>,
    ) -> Result<(OwnedRoomId, bool), ProvisionError> {
        let identity = &self.config.identity;
        let create = || {
            self.homeserver
                .create_room(identity.bot(), identity.domain(), plan)
        };
        match create().await {
            Ok(room) => Ok((room, true)),
            Err(error) if matches!(error.kind(), Some(ErrorKind::RoomInUse)) => {
                let found = self.homeserver.find_room(alias).await;
                match found.map_err(cannot("find the room by its alias"))? {
                    // That the alias leads somewhere does not say that one of ours is there.
                    Some(room) => match self.enter_found(alias, room, ghost).await? {
                        Some(room) => Ok((room, false)),
                        None => Ok((create().await.map_err(cannot("create the room"))?, true)),
                    },
                    None => Err(cannot("create the room: its alias is in use by no room")(
                        error,
                    )),
                }
            }
            Err(error) if matches!(error.kind(), Some(ErrorKind::UnsupportedRoomVersion)) => {
                Err(cannot(
                    "create the room: set `rooms.version` to one that the homeserver has",
                )(error))
            }
            Err(error) => Err(cannot("create the room")(error)),
        }
    }

    pub(super) async fn join_or_be_invited(
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
    pub(super) async fn rename(
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
                .set_room_name(room, &shown_name(record))
                .await
                .map_err(cannot("rename the room"))?;
            info!(agent.id = %record.id, room.id = %room, "renamed");
        }
        record.room_name = Some(shown_name(record));
        Ok(())
    }

    /// Follows a new description, unless the room has another topic than we gave it: then a person wrote it.
    pub(super) async fn set_topic(
        &self,
        record: &mut AgentRecord,
        wanted: &DesiredState,
        room: &OwnedRoomId,
    ) -> Result<(), ProvisionError> {
        let present = self.homeserver.room_topic(room).await;
        let present = present.map_err(cannot("read the room's topic"))?;
        if present.is_none() || present == record.room_topic {
            let topic = wanted.topic.clone().unwrap_or_default();
            self.homeserver
                .set_room_topic(Actor::Bot, room, &topic)
                .await
                .map_err(cannot("give the room its topic"))?;
        }
        record.room_topic.clone_from(&wanted.topic);
        Ok(())
    }

    /// Lets the members of the space join the room, unless it has another join rule than we gave it: then a person chose it.
    pub(super) async fn open_to_space(
        &self,
        record: &mut AgentRecord,
        wanted: &DesiredState,
        room: &OwnedRoomId,
    ) -> Result<(), ProvisionError> {
        let Some(space) = &wanted.open_to else {
            return Ok(());
        };
        let present = self.homeserver.join_rule(room).await;
        let present = present.map_err(cannot("read who may join the room"))?;
        let ours = match &record.open_to {
            Some(before) => present == Some(restricted_to(before)),
            None => present == Some(JoinRule::Invite),
        };
        let can = self.homeserver.can_be_restricted(room).await;
        if ours && can.map_err(cannot("read the room's version"))? {
            self.homeserver
                .set_restricted_join_rule(room, space)
                .await
                .map_err(cannot("open the room to the space"))?;
            info!(agent.id = %record.id, room.id = %room, "the members of the space can join the room");
        }
        record.open_to = Some(space.clone());
        Ok(())
    }

    /// Invites somebody. Who cannot be invited is logged and not tried for ever.
    pub(super) async fn invite(
        &self,
        room: &OwnedRoomId,
        person: &UserId,
    ) -> Result<(), ProvisionError> {
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

    /// Invites somebody to an agent's room because a person asked for it.
    pub async fn invite_to_agent_room(
        &self,
        id: &AgentId,
        person: &UserId,
    ) -> Result<bool, ProvisionError> {
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
        let ghost = self.config.identity.ghost(&record.id);
        let mut powers = self.admin_powers();
        powers.insert(ghost.clone(), GHOST_POWER);
        powers.insert(person.to_owned(), ADMIN_POWER);
        let plan = RoomPlan {
            alias_localpart: None,
            name: chat_title(record, Millis::now()),
            topic: None,
            space: false,
            direct: true,
            invite: vec![ghost.clone(), person.to_owned()],
            powers,
            parent: None,
            avatar: record.avatar.as_ref().map(|avatar| avatar.uri.clone()),
            version: self.config.rooms.version.clone(),
        };
        let identity = &self.config.identity;
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

    pub(super) fn admin_powers(&self) -> BTreeMap<OwnedUserId, i64> {
        self.config
            .permissions
            .people()
            .filter(|(_, level)| *level == Level::Admin)
            .map(|(user, _)| (user.to_owned(), ADMIN_POWER))
            .collect()
    }
}

/// The title of a chat beside the agent's own room: the agent, and the day (UTC) on which it began.
fn chat_title(record: &AgentRecord, now: Millis) -> String {
    let began = UNIX_EPOCH + Duration::from_millis(now.0);
    let day = humantime::format_rfc3339_seconds(began).to_string();
    let day = day.split('T').next().unwrap_or_default();
    format!("{} ({day})", shown_name(record))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extra_chat_is_titled_by_agent_and_day() {
        let record = serde_json::json!({ "id": "agent-1", "name": "Ada" });
        let mut record: AgentRecord = serde_json::from_value(record).unwrap();
        assert_eq!(chat_title(&record, Millis(0)), "Ada (1970-01-01)");
        record.is_lookalike = true;
        let now = Millis(1_764_547_199_999);
        assert_eq!(chat_title(&record, now), "Ada (agent) (2025-11-30)");
    }
}
