//! Invitations of the bot and of ghosts, and their being thrown out.
//!
//! Promises: an agent that Letta knows and the bridge does not yet is made known by being invited; one that
//! Letta does not know is not made to exist, not even to refuse; an invitation by somebody who is blocked
//! does nothing; none of ours is ever in the homeserver's admin room, where whoever speaks commands it.

use letta_client::AgentId;
use ruma::{OwnedRoomId, RoomAliasId, RoomId, UserId};
use tracing::{info, warn};

use super::{handler::CommandHandler, help::code};
use crate::{
    agents::provision::ProvisionError,
    journal::{NoticeText, RoomKind, RoomRecord},
    matrix::{Actor, MatrixError},
    room_jobs::RoomJobError,
    time::Millis,
    turns::{
        messages::EVENT_TYPE,
        route::{EventContent, IncomingEvent},
    },
};

/// What the bot says where it is invited to chat.
const GREETING: &str = "Hello, I look after the Letta agents here. This is your management room: \
    what you write here is a command. Start with `help`.";
/// What the bot says in any other room.
const GREETING_ELSEWHERE: &str = "Hello, I look after the Letta agents here. Begin commands with `!letta`, for example \
     `!letta help`.";
/// What a ghost says where several people may talk.
const GREETING_GUEST: &str = "Hello. I answer here when somebody mentions me.";

/// Why none of ours is in the homeserver's admin room.
const ADMIN_ROOM: &str = "Agents stay out of the admin room: what is said there commands the \
    homeserver.";
/// The local part of that room's alias.
const ADMIN_ROOM_ALIAS: &str = "admins";

/// In rooms with more people than this nobody of us says hello.
const GREETED_PEOPLE_MAX: usize = 5;

/// How many events before our joining are looked at for what was said to us.
pub(super) const MISSED_EVENTS_MAX: u32 = 30;

impl CommandHandler {
    /// Handles a membership event about one of our users.
    pub async fn membership(&self, event: &IncomingEvent) -> Result<(), RoomJobError> {
        let Some(user) = event
            .state_key
            .as_deref()
            .and_then(|user| <&UserId>::try_from(user).ok())
        else {
            return Ok(());
        };
        let EventContent::Member(member) = &event.content else {
            return Ok(());
        };
        match member.membership.as_str() {
            "invite" => self.invited(event, user, member.is_direct).await,
            "join" => self.leave_admin_room(event, user).await,
            "leave" | "ban" => self.left(event, user),
            _ => Ok(()),
        }
    }

    async fn invited(
        &self,
        event: &IncomingEvent,
        user: &UserId,
        direct: bool,
    ) -> Result<(), RoomJobError> {
        // An older version may have put it here.
        let rules = &self.ctx.rules;
        if rules.is_user_blocked(&event.sender) && !rules.identity.are_agents(&event.sender, user) {
            return Ok(());
        }
        if self.is_bot(user) {
            if self.is_admin_room(&event.room_id).await? {
                return self.refuse(event, Actor::Bot, ADMIN_ROOM).await;
            }
            return self.bot_invited(event, direct).await;
        }
        let agents = &self.ctx.agents;
        let Some(agent) = self.ctx.rules.identity.agent_of(user) else {
            return self.unknown_invited(event, user).await;
        };
        if !agents.is_known(&agent).await? {
            return self.unknown_invited(event, user).await;
        }
        match agents.provisioner.ensure_ghost(&agent).await {
            Ok(()) => {}
            Err(ProvisionError::Journal(failure)) => return Err(failure.into()),
            Err(ProvisionError::Matrix { source, .. }) => return Err(source.into()),
        }
        if self.is_admin_room(&event.room_id).await? {
            return self.refuse(event, Actor::Ghost(user), ADMIN_ROOM).await;
        }
        self.ghost_invited(event, user, agent, direct).await
    }

    /// Somebody of our namespace is invited who does not exist, and will not for that.
    async fn unknown_invited(
        &self,
        event: &IncomingEvent,
        user: &UserId,
    ) -> Result<(), RoomJobError> {
        info!(
            room.id = %event.room_id, user = %event.sender, invited = %user,
            "Letta knows no such agent, so the invitation is left as it is"
        );
        let room = self.ctx.journal.room(&event.room_id)?;
        if room.is_some_and(|room| room.bot) {
            let text = format!(
                "Letta knows no agent {}. `!letta agents` lists them all.",
                code(user.as_str())
            );
            self.notice(event, &NoticeText::new(text, "NO_SUCH_AGENT"))
                .await?;
        }
        Ok(())
    }

    async fn bot_invited(&self, event: &IncomingEvent, direct: bool) -> Result<(), RoomJobError> {
        let journal = &self.ctx.journal;
        let known = journal.room(&event.room_id)?;
        let kind = if direct {
            RoomKind::Management {
                user: event.sender.clone(),
            }
        } else {
            RoomKind::Other
        };
        let record = match known {
            Some(known) => RoomRecord { bot: true, ..known },
            None => RoomRecord {
                bot: true,
                ..RoomRecord::new(kind)
            },
        };
        journal.set_room(&event.room_id, &record)?;
        self.accept_invitation(event, Actor::Bot).await?;
        info!(room.id = %event.room_id, user = %event.sender, direct, "the bot was invited");
        if let Some(old) = &record.predecessor {
            return self.follow_replacement(old, &event.room_id, None).await;
        }
        let is_management = matches!(record.kind, RoomKind::Management { .. });
        if !is_management && !self.may_greet(Actor::Bot, &event.room_id).await {
            return Ok(());
        }
        if self.tell_if_encrypted(event, None).await? {
            return Ok(());
        }
        let greeting = if is_management {
            GREETING
        } else {
            GREETING_ELSEWHERE
        };
        let bot = self.ctx.rules.identity.bot().to_owned();
        Ok(self.greet(event, bot, greeting).await?)
    }

    async fn ghost_invited(
        &self,
        event: &IncomingEvent,
        ghost: &UserId,
        agent: AgentId,
        direct: bool,
    ) -> Result<(), RoomJobError> {
        info!(room.id = %event.room_id, agent.id = %agent, user = %event.sender, "an agent was invited");
        let journal = &self.ctx.journal;
        let known = journal.room(&event.room_id)?;
        if matches!(&known, Some(RoomRecord { kind: RoomKind::Home { agent: at_home }, .. }) if *at_home == agent)
        {
            self.accept_invitation(event, Actor::Ghost(ghost)).await?;
            return match known.and_then(|known| known.predecessor) {
                Some(old) => self.follow_replacement(&old, &event.room_id, None).await,
                None => Ok(()),
            };
        }
        let mut record = known.unwrap_or(RoomRecord::new(RoomKind::Other));
        record.guests.insert(agent.clone(), direct);
        let predecessor = record.predecessor.clone();
        journal.set_room(&event.room_id, &record)?;
        self.accept_invitation(event, Actor::Ghost(ghost)).await?;
        if let Some(old) = predecessor {
            return self.follow_replacement(&old, &event.room_id, None).await;
        }
        if !direct && !self.may_greet(Actor::Ghost(ghost), &event.room_id).await {
            return Ok(());
        }
        if !self.tell_if_encrypted(event, Some(&agent)).await? && !direct {
            self.greet(event, ghost.to_owned(), GREETING_GUEST).await?;
        }
        Ok(())
    }

    /// Whether a greeting is welcome: not in a space, where nobody reads it, and not where many people would be rung for it. If that
    /// cannot be told, it is not.
    async fn may_greet(&self, actor: Actor<'_>, room: &RoomId) -> bool {
        let homeserver = &self.ctx.homeserver;
        let (is_space, members) = tokio::join!(
            homeserver.is_space(actor, room),
            homeserver.joined_members(actor, room)
        );
        match (is_space, members) {
            (Ok(is_space), Ok(members)) => {
                let identity = &self.ctx.rules.identity;
                let people = members
                    .iter()
                    .filter(|user| !identity.is_ours(user))
                    .count();
                !is_space && people <= GREETED_PEOPLE_MAX
            }
            (Err(error), _) | (_, Err(error)) => {
                info!(room.id = %room, %error, "could not tell whether a greeting is welcome; there is none");
                false
            }
        }
    }

    /// Joins, and takes in what was said between the invitation and now: homeservers push only what
    /// happens while one of ours is in the room.
    ///
    /// The room is written down before, so that what is said right after the joining is routed.
    async fn accept_invitation(
        &self,
        event: &IncomingEvent,
        actor: Actor<'_>,
    ) -> Result<(), RoomJobError> {
        let homeserver = &self.ctx.homeserver;
        if let Some(user) = event.state_key.as_deref()
            && let EventContent::Member(member) = &event.content
            && member.is_direct
            && let Ok(user) = <&UserId>::try_from(user)
        {
            // A client may encrypt the first message before we are in; keys go only to devices that are there then.
            self.ctx.encryption.ensure_device(user).await?;
        }
        homeserver.join(actor, &event.room_id).await?;
        self.admit_missed_messages(actor, &event.room_id, event.origin_server_ts)
            .await
    }

    /// Admits what people have said in a room since then, in milliseconds, and what was not admitted yet.
    pub(super) async fn admit_missed_messages(
        &self,
        actor: Actor<'_>,
        room: &RoomId,
        since: u64,
    ) -> Result<(), RoomJobError> {
        let homeserver = &self.ctx.homeserver;
        let newest = homeserver
            .newest_events(actor, room, MISSED_EVENTS_MAX)
            .await?;
        let missed: Vec<_> = newest
            .into_iter()
            .filter_map(|raw| {
                let missed = serde_json::from_str::<IncomingEvent>(raw.get()).ok()?;
                (missed.event_type == EVENT_TYPE
                    && missed.origin_server_ts >= since
                    && !self.ctx.rules.identity.is_ours(&missed.sender))
                .then_some((missed.event_id, raw))
            })
            .collect();
        if self.ctx.journal.admit(missed, Millis::now())? > 0 {
            self.ctx.journal.durable().await?;
            self.ctx.arrived.notify_one();
        }
        Ok(())
    }

    /// Somebody of ours is in a room: invited by hand, or put there by an admin's command.
    async fn leave_admin_room(
        &self,
        event: &IncomingEvent,
        user: &UserId,
    ) -> Result<(), RoomJobError> {
        let known = self.ctx.journal.room(&event.room_id)?;
        let is_home = known.is_some_and(|room| matches!(room.kind, RoomKind::Home { .. }));
        if is_home || !self.is_admin_room(&event.room_id).await? {
            return Ok(());
        }
        let actor = if self.is_bot(user) {
            Actor::Bot
        } else {
            Actor::Ghost(user)
        };
        self.refuse(event, actor, ADMIN_ROOM).await
    }

    /// Leaves the homeserver's admin room with everybody of ours whom an older version let in.
    pub async fn leave_homeserver_admin_room(&self) -> Result<(), RoomJobError> {
        let Some(room) = self.admin_room().await? else {
            return Ok(());
        };
        let Some(known) = self.ctx.journal.room(&room)? else {
            return Ok(());
        };
        let homeserver = &self.ctx.homeserver;
        let reason = || Some(ADMIN_ROOM.to_owned());
        for agent in known.guests.keys() {
            let ghost = self.ctx.rules.identity.ghost(agent);
            warn!(room.id = %room, user = %ghost, "an agent was in the homeserver's admin room and leaves it");
            homeserver
                .leave(Actor::Ghost(&ghost), &room, reason())
                .await?;
        }
        if known.bot {
            homeserver.leave(Actor::Bot, &room, reason()).await?;
        }
        let nobody = RoomRecord::new(RoomKind::Other);
        Ok(self.ctx.journal.set_room(&room, &nobody)?)
    }

    async fn is_admin_room(&self, room: &RoomId) -> Result<bool, MatrixError> {
        Ok(self
            .admin_room()
            .await?
            .is_some_and(|admins| admins == room))
    }

    /// The room in which Tuwunel and the embedded homeserver take commands.
    async fn admin_room(&self) -> Result<Option<OwnedRoomId>, MatrixError> {
        let domain = self.ctx.rules.identity.domain();
        match RoomAliasId::parse(format!("#{ADMIN_ROOM_ALIAS}:{domain}")) {
            Ok(alias) => self.ctx.homeserver.find_room(&alias).await,
            Err(_) => Ok(None),
        }
    }

    async fn refuse(
        &self,
        event: &IncomingEvent,
        actor: Actor<'_>,
        reason: &str,
    ) -> Result<(), RoomJobError> {
        info!(room.id = %event.room_id, user = %event.sender, reason, "an invitation was refused");
        self.ctx
            .homeserver
            .leave(actor, &event.room_id, Some(reason.to_owned()))
            .await?;
        Ok(())
    }

    /// Somebody has thrown one of us out. That is theirs to do; it is only remembered.
    fn left(&self, event: &IncomingEvent, user: &UserId) -> Result<(), RoomJobError> {
        let journal = &self.ctx.journal;
        let Some(mut record) = journal.room(&event.room_id)? else {
            return Ok(());
        };
        if self.is_bot(user) {
            record.bot = false;
            if matches!(record.kind, RoomKind::Management { .. }) {
                record.kind = RoomKind::Other;
            }
        } else if let Some(agent) = self.ctx.rules.identity.agent_of(user) {
            record.guests.remove(&agent);
        }
        journal.set_room(&event.room_id, &record)?;
        Ok(())
    }
}
