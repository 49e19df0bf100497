//! Replaced rooms that cannot be followed: whom the old room is told to invite, and what comes if nobody does.

use std::{fmt::Write as _, time::Duration};

use ruma::{OwnedRoomId, OwnedUserId, RoomId};
use tracing::{debug, warn};

use super::{CommandHandler, done, plain};
use crate::{
    journal::{JournalError, NoticeText, RoomKind, RoomRecord, SendId},
    matrix::content::Placement,
    outbox::notice,
    room_jobs::RoomJobError,
    time::Millis,
};

/// How long an agent waits to be invited to the room that replaces its own.
const INVITATION_WAIT: Duration = Duration::from_hours(1);

impl CommandHandler {
    /// The new room does not say that it replaces the old one: nothing is moved.
    pub(super) async fn turn_back(
        &self,
        (old, record): (&RoomId, RoomRecord),
        new: &RoomId,
        inside: &[OwnedUserId],
    ) -> Result<(), RoomJobError> {
        warn!(room.id = %old, replacement.id = %new, "the room that a tombstone names does not replace this one; nothing is moved");
        let journal = &self.ctx.journal;
        let Some(mut known) = journal.room(new)? else {
            return Ok(());
        };
        // Who was there before stays.
        for user in inside {
            let agent = self.ctx.rules.identity.agent_of(user);
            let was_there = match &agent {
                Some(agent) => {
                    known.guests.contains_key(agent)
                        || self
                            .ctx
                            .agents
                            .provisioner
                            .registry
                            .find(agent)
                            .is_some_and(|record| record.room.as_deref() == Some(new))
                }
                None => known.bot,
            };
            if !was_there {
                let left = self.ctx.homeserver.leave(self.actor(user), new, None).await;
                if let Err(error) = left {
                    debug!(room.id = %new, user.id = %user, %error, "could not leave");
                }
            }
        }
        known.predecessor = None;
        journal.set_room(new, &known)?;
        let left = RoomRecord {
            replaced: done(&record),
            ..record
        };
        Ok(journal.set_room(old, &left)?)
    }

    /// Nobody of us, or not the one whose room it is, gets into the new room.
    pub(super) async fn not_let_in(
        &self,
        (old, record): (&RoomId, RoomRecord),
        new: &RoomId,
        is_news: bool,
    ) -> Result<(), RoomJobError> {
        let home = match &record.kind {
            RoomKind::Home { agent } => Some(agent.clone()),
            _ => None,
        };
        let waited = record
            .replaced
            .as_ref()
            .map_or(Duration::ZERO, |known| Millis::now().since(known.since));
        if let Some(agent) = &home
            && waited >= INVITATION_WAIT
        {
            let alias = self.ctx.rules.identity.alias(agent);
            let text = format!(
                "Nobody has invited the agent to the room that replaces this one. It gets a new room, {alias}."
            );
            self.say_in_old(old, &record, ("given up", &text)).await?;
            let left = RoomRecord {
                bot: record.bot,
                replaced: done(&record),
                ..RoomRecord::new(RoomKind::Other)
            };
            self.ctx.journal.set_room(old, &left)?;
            let mut expected = self.ctx.journal.room(new)?;
            if let Some(expected) = &mut expected {
                expected.kind = RoomKind::Other;
                expected.predecessor = None;
                self.ctx.journal.set_room(new, expected)?;
            }
            let provisioner = &self.ctx.agents.provisioner;
            provisioner
                .leave_home_behind(agent, old)
                .await
                .map_err(plain)?;
            self.ctx.agents.discovery_trigger.look.notify_one();
            return Ok(());
        }
        if is_news {
            let users: Vec<_> = self
                .members(&record)
                .iter()
                .map(ToString::to_string)
                .collect();
            let then = match &home {
                Some(_) => " If nobody does within an hour, the agent gets a new room.",
                None => "",
            };
            let text = format!(
                "This room is replaced by {new}, and the new room lets nobody of us in. Invite {} there, and the conversation goes on \
                 there.{then}",
                users.join(" and ")
            );
            self.say_in_old(old, &record, ("replaced", &text)).await?;
            warn!(room.id = %old, replacement.id = %new, "a room is replaced by one that lets nobody of the bridge in; it waits for an invitation");
        }
        Ok(())
    }

    /// Says something in the old room, once, as the bot if it is there. After an upgrade nobody else may write there.
    pub(super) async fn say_in_old(
        &self,
        old: &RoomId,
        record: &RoomRecord,
        (what, text): (&str, &str),
    ) -> Result<(), JournalError> {
        let members = self.members(record);
        let bot = self.ctx.rules.identity.bot();
        let sender = members.iter().find(|user| *user == bot).or(members.first());
        let Some(sender) = sender else {
            return Ok(());
        };
        let by = record
            .replaced
            .as_ref()
            .map_or("", |known| known.by.as_str());
        let send_id = SendId::of(&["room replaced", what, old.as_str(), by]);
        let placement = Placement::Room { reply_to: None };
        let text = NoticeText::new(text, "ROOM_REPLACED");
        let item = notice(old, sender, placement, &text, send_id);
        self.ctx.outbox.enqueue(&item).await
    }

    /// What `status` says of rooms that could not be followed; empty if there are none.
    pub(in crate::commands) fn replaced_in_words(&self) -> Result<String, JournalError> {
        let rooms: Vec<OwnedRoomId> = self
            .ctx
            .journal
            .rooms()?
            .into_iter()
            .filter(|(_, record)| record.replaced.as_ref().is_some_and(|known| !known.is_done))
            .map(|(room, _)| room)
            .collect();
        let mut text = String::new();
        if let Some(first) = rooms.first() {
            // Writing to a String cannot fail.
            let _ = write!(
                text,
                "\n* ⚠️ **Replaced rooms that wait for an invitation**: {}, for example {first}. That room says whom to invite.",
                rooms.len()
            );
        }
        Ok(text)
    }
}
