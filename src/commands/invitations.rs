//! Invitations of the bot and of ghosts, and their being thrown out.
//!
//! Every invitation gets a visible reply: somebody comes in and says how to go on, or refuses with a
//! reason. An agent that Letta knows and the bridge does not yet is made known by being invited.

use letta_client::AgentId;
use ruma::UserId;
use serde::Deserialize;
use tracing::info;

use super::clerk::Clerk;
use crate::{
    appservice::Provision,
    config::Level,
    errands::ErrandError,
    journal::{RoomKind, RoomRecord},
    matrix::Actor,
    turns::route::IncomingEvent,
};

/// What the bot says where it is invited to chat.
const GREETING: &str = "Hello, I look after the Letta agents here. This is your management room: \
    what you write here is a command. Start with `help`.";
/// What the bot says in any other room.
const GREETING_ELSEWHERE: &str =
    "Hello, I look after the Letta agents here. Begin commands with `!letta`, for example \
     `!letta help`.";
/// What a ghost says where several people may talk.
const GREETING_GUEST: &str = "Hello. I answer here when somebody mentions me.";

#[derive(Deserialize)]
struct Member {
    membership: String,
    #[serde(default)]
    is_direct: bool,
}

impl Clerk {
    /// Handles a membership event about one of our users.
    pub async fn membership(&self, event: &IncomingEvent) -> Result<(), ErrandError> {
        let Some(user) = event.state_key.as_deref().and_then(|user| <&UserId>::try_from(user).ok())
        else {
            return Ok(());
        };
        let Ok(member) = serde_json::from_str::<Member>(event.content.get()) else { return Ok(()) };
        match member.membership.as_str() {
            "invite" => self.invited(event, user, member.is_direct).await,
            "leave" | "ban" => self.left(event, user),
            _ => Ok(()),
        }
    }

    async fn invited(
        &self,
        event: &IncomingEvent,
        user: &UserId,
        direct: bool,
    ) -> Result<(), ErrandError> {
        let permitted = self.desk.rules.permissions.level(&event.sender) >= Level::Talk;
        if self.is_bot(user) {
            return self.bot_invited(event, direct, permitted).await;
        }
        let agent = self.desk.rules.identity.agent_of(user);
        let known = match &agent {
            Some(agent) => self.desk.agents.ensure_ghost(agent).await,
            None => false,
        };
        match agent {
            Some(agent) if known && permitted => self.ghost_invited(event, user, agent, direct).await,
            _ => {
                // A ghost that does not exist cannot say no; making it exist is the least it needs.
                self.desk.homeserver.register(user).await?;
                let reason = if known {
                    "You may not talk to agents. [NOT_PERMITTED]"
                } else {
                    "Letta knows no such agent. [NO_SUCH_AGENT]"
                };
                self.refuse(event, Actor::Ghost(user), reason).await
            }
        }
    }

    async fn bot_invited(
        &self,
        event: &IncomingEvent,
        direct: bool,
        permitted: bool,
    ) -> Result<(), ErrandError> {
        if !permitted {
            let reason = "You may not talk to agents. [NOT_PERMITTED]";
            return self.refuse(event, Actor::Bot, reason).await;
        }
        let journal = &self.desk.journal;
        self.desk.homeserver.join(Actor::Bot, &event.room_id).await?;
        let has_one = journal.management_rooms()?.contains_key(&event.sender);
        let known = journal.room(&event.room_id)?;
        let manages = direct && !has_one && known.is_none();
        let kind = if manages {
            RoomKind::Management { user: event.sender.clone() }
        } else {
            RoomKind::Other
        };
        let record = match known {
            Some(known) => RoomRecord { bot: true, ..known },
            None => RoomRecord { kind, guests: std::collections::BTreeMap::new(), bot: true },
        };
        journal.set_room(&event.room_id, &record)?;
        info!(room.id = %event.room_id, user = %event.sender, manages, "the bot was invited");
        let greeting = if matches!(record.kind, RoomKind::Management { .. }) {
            GREETING
        } else {
            GREETING_ELSEWHERE
        };
        let bot = self.desk.rules.identity.bot().to_owned();
        self.greet(event, bot, greeting).await?;
        Ok(())
    }

    async fn ghost_invited(
        &self,
        event: &IncomingEvent,
        ghost: &UserId,
        agent: AgentId,
        direct: bool,
    ) -> Result<(), ErrandError> {
        let journal = &self.desk.journal;
        self.desk.homeserver.join(Actor::Ghost(ghost), &event.room_id).await?;
        info!(room.id = %event.room_id, agent.id = %agent, user = %event.sender, "an agent was invited");
        let known = journal.room(&event.room_id)?;
        if matches!(&known, Some(RoomRecord { kind: RoomKind::Home { agent: at_home }, .. }) if *at_home == agent)
        {
            return Ok(());
        }
        let mut record = known.unwrap_or(RoomRecord {
            kind: RoomKind::Other,
            guests: std::collections::BTreeMap::new(),
            bot: false,
        });
        record.guests.insert(agent, direct);
        journal.set_room(&event.room_id, &record)?;
        if !direct {
            self.greet(event, ghost.to_owned(), GREETING_GUEST).await?;
        }
        Ok(())
    }

    async fn refuse(
        &self,
        event: &IncomingEvent,
        actor: Actor<'_>,
        reason: &str,
    ) -> Result<(), ErrandError> {
        info!(room.id = %event.room_id, user = %event.sender, reason, "an invitation was refused");
        self.desk.homeserver.leave(actor, &event.room_id, Some(reason.to_owned())).await?;
        Ok(())
    }

    /// Somebody has thrown one of us out. That is theirs to do; it is only remembered.
    fn left(&self, event: &IncomingEvent, user: &UserId) -> Result<(), ErrandError> {
        let journal = &self.desk.journal;
        let Some(mut record) = journal.room(&event.room_id)? else { return Ok(()) };
        if self.is_bot(user) {
            record.bot = false;
            if matches!(record.kind, RoomKind::Management { .. }) {
                record.kind = RoomKind::Other;
            }
        } else if let Some(agent) = self.desk.rules.identity.agent_of(user) {
            record.guests.remove(&agent);
        }
        journal.set_room(&event.room_id, &record)?;
        Ok(())
    }
}
