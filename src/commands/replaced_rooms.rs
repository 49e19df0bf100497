//! Follows rooms that are replaced by others: room upgrades, and whatever else puts up a tombstone.
//!
//! An upgrade invites nobody. Whoever of us is in the old room joins the new one if it is let in, and who is in invites the others; the
//! room then keeps its settings and conversations. Where nobody of us is let in, the old room is told whom to invite, and an agent whose
//! own room it is gets a new one after an hour (see `refused`).
//!
//! Promise: what we made is looked at again by events and at start. A tombstone alone moves nothing: the new room must name the old one as
//! its predecessor, so that nobody can lead a conversation to a room of others.

mod refused;

use std::{collections::BTreeMap, time::Duration};

use letta_client::AgentId;
use ruma::{OwnedRoomId, OwnedUserId, RoomId};
use tracing::{debug, info, warn};

use super::{handler::CommandHandler, invitations::MISSED_EVENTS_MAX};
use crate::{
    agents::provision::ProvisionError,
    journal::{JournalError, Replacement, RoomKind, RoomRecord},
    matrix::{Actor, MatrixError},
    room_jobs::RoomJobError,
    time::Millis,
    turns::route::{EventContent, IncomingEvent},
    workers::Tasks,
};

/// The type of the state event that closes a room.
const TOMBSTONE: &str = "m.room.tombstone";
/// How often rooms that could not be followed are tried again.
const LOOK_EVERY: Duration = Duration::from_mins(10);

impl CommandHandler {
    /// A room is replaced, says its state.
    pub async fn room_replaced(&self, event: &IncomingEvent) -> Result<(), RoomJobError> {
        let EventContent::Tombstone(tombstone) = &event.content else {
            debug!(event.id = %event.event_id, room.id = %event.room_id, "the tombstone names no room");
            return Ok(());
        };
        let at = Millis(event.origin_server_ts);
        self.follow_replacement(&event.room_id, &tombstone.replacement_room, Some(at))
            .await
    }

    /// Looks at start whether rooms were replaced meanwhile, and from then on again and again after those that could not be followed.
    pub async fn watch_replaced_rooms(&self, tasks: Tasks) {
        let mut all = true;
        while !tasks.is_closing() {
            tokio::select! {
                outcome = self.look_for_replaced_rooms(all) => if let Err(failure) = outcome {
                    warn!(error = &failure as &dyn std::error::Error, "could not look for rooms that were replaced");
                },
                () = tasks.closing() => return,
            }
            all = false;
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = tasks.closing() => return,
            }
        }
    }

    /// `all`: asks the homeserver about the rooms of which nothing is known.
    async fn look_for_replaced_rooms(&self, all: bool) -> Result<(), JournalError> {
        let mut rooms = self.ctx.journal.rooms()?;
        if let Some(space) = self.ctx.agents.provisioner.registry.space() {
            let record = RoomRecord {
                bot: true,
                replaced: space.replaced,
                ..RoomRecord::new(RoomKind::Other)
            };
            rooms.push((space.room, record));
        }
        for (room, record) in rooms {
            let new = match (&record.replaced, self.members(&record).first()) {
                (Some(known), _) if known.is_done => continue,
                (Some(known), _) => Some((known.by.clone(), None)),
                (None, Some(user)) if all => self.replacement_of(user, &room).await,
                (None, _) => None,
            };
            if let Some((new, at)) = new
                && let Err(failure) = self.follow_replacement(&room, &new, at).await
            {
                warn!(room.id = %room, error = &failure as &dyn std::error::Error, "could not follow a replaced room (yet)");
            }
        }
        Ok(())
    }

    /// The room that has replaced a room, and when, if the homeserver says so.
    async fn replacement_of(
        &self,
        user: &OwnedUserId,
        room: &RoomId,
    ) -> Option<(OwnedRoomId, Option<Millis>)> {
        let (homeserver, actor) = (&self.ctx.homeserver, self.actor(user));
        let asked = async {
            let Some(new) = homeserver.replacement_of(actor, room).await? else {
                return Ok(None);
            };
            // Nothing of ours comes after it.
            let newest = homeserver.newest_events(actor, room, MISSED_EVENTS_MAX);
            let at = newest.await?.iter().find_map(|raw| {
                let event: IncomingEvent = serde_json::from_str(raw.get()).ok()?;
                (event.event_type == TOMBSTONE).then_some(Millis(event.origin_server_ts))
            });
            Ok::<_, MatrixError>(Some((new, at)))
        };
        match asked.await {
            Ok(found) => found,
            Err(error) => {
                debug!(room.id = %room, %error, "it cannot be told whether the room is replaced");
                None
            }
        }
    }

    /// Goes from a room to the one that replaces it, with everybody of us who is let in.
    pub(super) async fn follow_replacement(
        &self,
        old: &RoomId,
        new: &RoomId,
        at: Option<Millis>,
    ) -> Result<(), RoomJobError> {
        if self.ctx.agents.provisioner.registry.space_room().as_deref() == Some(old) {
            return self.follow_space(old, new).await;
        }
        let journal = &self.ctx.journal;
        let Some(record) = journal.room(old)? else {
            return Ok(());
        };
        let members = self.members(&record);
        if members.is_empty() || record.replaced.as_ref().is_some_and(|known| known.is_done) {
            return Ok(());
        }
        let is_news = record.replaced.as_ref().is_none_or(|known| known.by != new);
        let replaced = match &record.replaced {
            Some(known) if !is_news => known.clone(),
            _ => Replacement {
                by: new.to_owned(),
                since: at.unwrap_or_else(Millis::now),
                is_done: false,
            },
        };
        let record = RoomRecord {
            replaced: Some(replaced),
            ..record
        };
        if is_news {
            info!(room.id = %old, replacement.id = %new, "a room is replaced");
            self.expect(old, &record, new)?;
        }
        let inside = self.come_over(old, new, &members).await?;
        if self.is_enough(&record, &inside, &members) {
            let verified = self.verified(old, new, &inside).await?;
            return if verified {
                self.move_over((old, record), new, &inside).await
            } else {
                self.turn_back((old, record), new, &inside).await
            };
        }
        self.not_let_in((old, record), new, is_news).await
    }

    /// Writes down that a room is replaced, so that an invitation to the new one is understood.
    fn expect(&self, old: &RoomId, record: &RoomRecord, new: &RoomId) -> Result<(), JournalError> {
        let journal = &self.ctx.journal;
        let known = journal.room(new)?;
        let expected = RoomRecord {
            predecessor: Some(old.to_owned()),
            ..known.unwrap_or_else(|| RoomRecord::new(record.kind.clone()))
        };
        journal.set_room(new, &expected)?;
        journal.set_room(old, record)
    }

    /// Joins the new room with everybody who is let in. Who is in invites the others. Answers who is in.
    async fn come_over(
        &self,
        old: &RoomId,
        new: &RoomId,
        members: &[OwnedUserId],
    ) -> Result<Vec<OwnedUserId>, RoomJobError> {
        let homeserver = &self.ctx.homeserver;
        let via = || vec![self.ctx.rules.identity.domain().to_owned()];
        let (mut inside, mut outside) = (Vec::new(), Vec::new());
        for user in members {
            match homeserver.join_via(self.actor(user), new, via()).await {
                Ok(()) => inside.push(user.clone()),
                Err(error) if error.is_transient() => return Err(error.into()),
                Err(error) => {
                    debug!(room.id = %old, replacement.id = %new, user.id = %user, %error, "not let in");
                    outside.push(user);
                }
            }
        }
        for user in outside {
            for host in inside.clone() {
                let invited = homeserver.invite_as(self.actor(&host), new, user).await;
                if invited.is_ok()
                    && homeserver
                        .join_via(self.actor(user), new, via())
                        .await
                        .is_ok()
                {
                    inside.push(user.clone());
                    break;
                }
            }
        }
        Ok(inside)
    }

    /// Whether the one is in whose room it is; in other rooms, everybody who was in the old one.
    fn is_enough(
        &self,
        record: &RoomRecord,
        inside: &[OwnedUserId],
        members: &[OwnedUserId],
    ) -> bool {
        let identity = &self.ctx.rules.identity;
        match &record.kind {
            RoomKind::Home { agent } => inside.contains(&identity.ghost(agent)),
            RoomKind::Management { .. } => inside.iter().any(|user| user == identity.bot()),
            RoomKind::Other => members.iter().all(|user| inside.contains(user)),
        }
    }

    async fn verified(
        &self,
        old: &RoomId,
        new: &RoomId,
        inside: &[OwnedUserId],
    ) -> Result<bool, RoomJobError> {
        let Some(user) = inside.first() else {
            return Ok(false);
        };
        let homeserver = &self.ctx.homeserver;
        let predecessor = homeserver.predecessor_of(self.actor(user), new).await?;
        Ok(predecessor.as_deref() == Some(old))
    }

    /// Gives the new room what belongs to the old one, and takes in what was said there before.
    async fn move_over(
        &self,
        (old, record): (&RoomId, RoomRecord),
        new: &RoomId,
        inside: &[OwnedUserId],
    ) -> Result<(), RoomJobError> {
        let identity = &self.ctx.rules.identity;
        let journal = &self.ctx.journal;
        let is_in = |agent: &AgentId| inside.contains(&identity.ghost(agent));
        let known = journal.room(new)?;
        let known = known.unwrap_or_else(|| RoomRecord::new(RoomKind::Other));
        let mut guests: BTreeMap<_, _> = record.guests.clone();
        guests.retain(|agent, _| is_in(agent));
        // Who is invited later goes on with its conversation, too.
        let mut agents: Vec<AgentId> = record.guests.keys().cloned().collect();
        guests.extend(known.guests);
        let kind = match (&record.kind, known.kind) {
            // Whoever invites the bot first makes a room like a management room of it.
            (RoomKind::Home { .. }, _) | (_, RoomKind::Other) => record.kind.clone(),
            (_, kind) => kind,
        };
        if let RoomKind::Home { agent } = &record.kind {
            guests.remove(agent);
            agents.push(agent.clone());
        }
        let since = record.replaced.as_ref().map_or(0, |known| known.since.0);
        let moved = RoomRecord {
            guests,
            bot: known.bot || inside.iter().any(|user| user == identity.bot()),
            ..RoomRecord::new(kind)
        };
        let left = RoomRecord {
            bot: record.bot,
            replaced: done(&record),
            ..RoomRecord::new(RoomKind::Other)
        };
        if let RoomKind::Home { agent } = &record.kind {
            let provisioner = &self.ctx.agents.provisioner;
            provisioner.follow_home(agent, new).await.map_err(plain)?;
        }
        journal.move_room(&agents, (old, &left), (new, &moved))?;
        journal.durable().await?;
        info!(room.id = %old, replacement.id = %new, "a replaced room was followed");
        self.ctx.agents.discovery_trigger.look.notify_one();
        match inside.first() {
            Some(user) => {
                let actor = self.actor(user);
                self.admit_missed_messages(actor, new, since).await
            }
            None => Ok(()),
        }
    }

    /// The space is replaced.
    async fn follow_space(&self, old: &RoomId, new: &RoomId) -> Result<(), RoomJobError> {
        let provisioner = &self.ctx.agents.provisioner;
        let bot = [self.ctx.rules.identity.bot().to_owned()];
        let inside = self.come_over(old, new, &bot).await?;
        if !inside.is_empty() && self.verified(old, new, &inside).await? {
            provisioner
                .follow_space(new.to_owned())
                .await
                .map_err(plain)?;
            self.ctx.agents.discovery_trigger.look.notify_one();
            return Ok(());
        }
        let Some(mut space) = provisioner.registry.space() else {
            return Ok(());
        };
        if space.replaced.as_ref().is_none_or(|known| known.by != new) {
            warn!(
                room.id = %old, replacement.id = %new,
                "the space is replaced by a room that does not let the bot in; invite it there, and the agents are listed there"
            );
            space.replaced = Some(Replacement {
                by: new.to_owned(),
                since: Millis::now(),
                is_done: false,
            });
            let known = self.ctx.journal.room(new)?;
            let expected = RoomRecord {
                predecessor: Some(old.to_owned()),
                ..known.unwrap_or_else(|| RoomRecord::new(RoomKind::Other))
            };
            self.ctx.journal.set_room(new, &expected)?;
            provisioner.registry.set_space(space)?;
        }
        Ok(())
    }

    /// Who of us is in a room, the bot first.
    fn members(&self, record: &RoomRecord) -> Vec<OwnedUserId> {
        let identity = &self.ctx.rules.identity;
        let home = match &record.kind {
            RoomKind::Home { agent } => Some(identity.ghost(agent)),
            _ => None,
        };
        let bot = record.bot.then(|| identity.bot().to_owned());
        let guests = record.guests.keys().map(|agent| identity.ghost(agent));
        bot.into_iter().chain(home).chain(guests).collect()
    }

    fn actor<'a>(&self, user: &'a OwnedUserId) -> Actor<'a> {
        if self.is_bot(user) {
            Actor::Bot
        } else {
            Actor::Ghost(user)
        }
    }
}

/// Nothing is left to do about it.
fn done(record: &RoomRecord) -> Option<Replacement> {
    record.replaced.clone().map(|known| Replacement {
        is_done: true,
        ..known
    })
}

fn plain(failure: ProvisionError) -> RoomJobError {
    match failure {
        ProvisionError::Journal(failure) => failure.into(),
        ProvisionError::Matrix { source, .. } => source.into(),
    }
}
