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
    time::Millis,
    turns::{route::IncomingEvent, say::EVENT_TYPE},
};

/// What the bot says where it is invited to chat.
const GREETING: &str = "Hello, I look after the Letta agents here. This is your management room: \
    what you write here is a command. Start with `help`.";
/// What the bot says in any other room.
const GREETING_ELSEWHERE: &str = "Hello, I look after the Letta agents here. Begin commands with `!letta`, for example \
     `!letta help`.";
/// What a ghost says where several people may talk.
const GREETING_GUEST: &str = "Hello. I answer here when somebody mentions me.";

/// How many events before our joining are looked at for what was said to us.
const MISSED_EVENTS_MAX: u32 = 30;

#[derive(Deserialize)]
struct Member {
    membership: String,
    #[serde(default)]
    is_direct: bool,
}

impl Clerk {
    /// Handles a membership event about one of our users.
    pub async fn membership(&self, event: &IncomingEvent) -> Result<(), ErrandError> {
        let Some(user) = event
            .state_key
            .as_deref()
            .and_then(|user| <&UserId>::try_from(user).ok())
        else {
            return Ok(());
        };
        let Ok(member) = serde_json::from_str::<Member>(event.content.get()) else {
            return Ok(());
        };
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
            Some(agent) if known && permitted => {
                self.ghost_invited(event, user, agent, direct).await
            }
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
                kind,
                guests: std::collections::BTreeMap::new(),
                bot: true,
            },
        };
        journal.set_room(&event.room_id, &record)?;
        self.come_in(event, Actor::Bot).await?;
        info!(room.id = %event.room_id, user = %event.sender, direct, "the bot was invited");
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
        info!(room.id = %event.room_id, agent.id = %agent, user = %event.sender, "an agent was invited");
        let journal = &self.desk.journal;
        let known = journal.room(&event.room_id)?;
        if matches!(&known, Some(RoomRecord { kind: RoomKind::Home { agent: at_home }, .. }) if *at_home == agent)
        {
            return self.come_in(event, Actor::Ghost(ghost)).await;
        }
        let mut record = known.unwrap_or(RoomRecord {
            kind: RoomKind::Other,
            guests: std::collections::BTreeMap::new(),
            bot: false,
        });
        record.guests.insert(agent, direct);
        journal.set_room(&event.room_id, &record)?;
        self.come_in(event, Actor::Ghost(ghost)).await?;
        if !direct {
            self.greet(event, ghost.to_owned(), GREETING_GUEST).await?;
        }
        Ok(())
    }

    /// Joins, and takes in what was said between the invitation and now: homeservers push only what
    /// happens while one of ours is in the room.
    ///
    /// The room is written down before, so that what is said right after the joining is routed.
    async fn come_in(&self, event: &IncomingEvent, actor: Actor<'_>) -> Result<(), ErrandError> {
        let homeserver = &self.desk.homeserver;
        homeserver.join(actor, &event.room_id).await?;
        let newest = homeserver
            .newest_events(actor, &event.room_id, MISSED_EVENTS_MAX)
            .await?;
        let missed: Vec<_> = newest
            .into_iter()
            .filter_map(|raw| {
                let missed = serde_json::from_str::<IncomingEvent>(raw.get()).ok()?;
                (missed.event_type == EVENT_TYPE
                    && missed.origin_server_ts >= event.origin_server_ts
                    && !self.desk.rules.identity.is_ours(&missed.sender))
                .then_some((missed.event_id, raw))
            })
            .collect();
        if self.desk.journal.admit(missed, Millis::now())? > 0 {
            self.desk.journal.durable().await?;
            self.desk.arrived.notify_one();
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
        self.desk
            .homeserver
            .leave(actor, &event.room_id, Some(reason.to_owned()))
            .await?;
        Ok(())
    }

    /// Somebody has thrown one of us out. That is theirs to do; it is only remembered.
    fn left(&self, event: &IncomingEvent, user: &UserId) -> Result<(), ErrandError> {
        let journal = &self.desk.journal;
        let Some(mut record) = journal.room(&event.room_id)? else {
            return Ok(());
        };
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
