//! Whether an agent's ghost can be heard where it is asked: no answer is worth paying for that nobody hears.
//!
//! What the room's state says is asked for once and remembered until the state changes. Promise: an agent that cannot speak is not
//! asked; everybody who asks hears so once, by the bot, with the way back.

use letta_client::AgentId;
use ruma::{OwnedUserId, RoomId};
use tracing::{debug, info};

use super::{Inner, log, messages::EVENT_TYPE, notice_texts};
use crate::{
    journal::{JournalError, NoticeText, OutboxItem, SendId, SilencedRecord, TurnRecord},
    matrix::{CannotSend, content::Placement},
    outbox::notice,
    room_cache::RoomCache,
};

/// In which rooms which ghosts can speak, as far as it is known. Only good news is remembered.
pub(super) type SendRights = RoomCache<Vec<OwnedUserId>>;

impl Inner {
    /// Why the agent of a turn cannot be heard in its room. `None`: it can, or that cannot be told now, and who is sure to fail
    /// at last is told then.
    pub(super) async fn why_cannot_send(
        &self,
        turn: &TurnRecord,
    ) -> Result<Option<CannotSend>, JournalError> {
        let (room, ghost) = (&turn.key.room, self.ctx.identity.ghost(&turn.key.agent));
        let is_audible = |all: &Vec<OwnedUserId>| all.contains(&ghost).then_some(());
        let Err(ticket) = self.send_rights.look(room, is_audible) else {
            return Ok(None);
        };
        let journal = &self.ctx.journal;
        let bot = journal.room(room)?.is_some_and(|record| record.bot);
        let asked = self
            .ctx
            .homeserver
            .why_cannot_send(&ghost, room, EVENT_TYPE, bot);
        let asked = tokio::select! {
            asked = asked => asked,
            () = self.ctx.tasks.stopping() => return Ok(None),
        };
        match asked {
            Ok(None) => {
                self.send_rights
                    .remember(ticket, room, |all| all.push(ghost));
                if journal.silenced(room, &turn.key.agent)?.is_some() {
                    journal.set_silenced(room, &turn.key.agent, None)?;
                }
                Ok(None)
            }
            // An agent whose room is being set up comes in by itself.
            Ok(Some(CannotSend::NotInRoom)) if self.is_being_set_up(turn)? => Ok(None),
            Ok(silence) => Ok(silence),
            Err(error) => {
                debug!(room.id = %room, %error, "could not determine whether the ghost may send");
                Ok(None)
            }
        }
    }

    /// Ends a turn whose agent cannot be heard: Letta is not asked, the prompts are set aside, and who asks is told once.
    pub(super) async fn end_unsendable(
        &self,
        turn: &TurnRecord,
        silence: &CannotSend,
    ) -> Result<(), JournalError> {
        let journal = &self.ctx.journal;
        let (room, agent) = (&turn.key.room, &turn.key.agent);
        let ghost = self.ctx.identity.ghost(agent);
        let reason = notice_texts::silenced(&ghost, silence);
        info!(turn.id = %turn.id, agent.id = %agent, room.id = %room, ?silence, "ghost may not send in the room; turn set aside");
        let failed = self.failed_record(turn, &reason)?;
        let mut silenced = journal
            .silenced(room, agent)?
            .filter(|known| known.code == reason.code)
            .unwrap_or_else(|| SilencedRecord::new(&reason.code));
        let notices = match &failed {
            Some(failed) => {
                let text = notice_texts::prompts_set_aside(&reason, failed.number);
                self.notices_by_the_bot(turn, &text, &mut silenced)?
            }
            None => Vec::new(),
        };
        let rooms: Vec<_> = notices.iter().map(|item| item.room.clone()).collect();
        match &failed {
            Some(failed) => journal.set_aside(turn, failed, &notices)?,
            None => journal.end_turn(turn, &[])?,
        }
        journal.set_silenced(room, agent, Some(&silenced))?;
        journal.durable().await?;
        for room in rooms {
            self.ctx.outbox.wake(&room);
        }
        self.stops.forget(&turn.id);
        log::ended(turn, "set aside", Some(&reason.code));
        Ok(())
    }

    /// Notices of the bot to those who ask and were not told yet: one in the room if the bot is there, else one to each where they
    /// command it, if there is such a room.
    fn notices_by_the_bot(
        &self,
        turn: &TurnRecord,
        text: &NoticeText,
        silenced: &mut SilencedRecord,
    ) -> Result<Vec<OutboxItem>, JournalError> {
        let journal = &self.ctx.journal;
        let undelivered: Vec<_> = turn
            .prompts
            .iter()
            .filter(|prompt| !silenced.told.contains(&prompt.sender))
            .collect();
        let Some(last) = undelivered.last() else {
            return Ok(Vec::new());
        };
        let is_here = journal
            .room(&turn.key.room)?
            .is_some_and(|record| record.bot);
        if is_here {
            for prompt in &undelivered {
                silenced.note_told(&prompt.sender);
            }
            let reply_to = Some(last.event_id.clone());
            let placement = match &turn.key.thread {
                Some(root) => Placement::Thread {
                    root: root.clone(),
                    reply_to,
                },
                None => Placement::Room { reply_to },
            };
            return Ok(vec![self.notice_by_the_bot(
                turn,
                &turn.key.room,
                placement,
                text,
            )]);
        }
        let rooms = journal.management_rooms()?;
        let mut notices = Vec::new();
        for prompt in undelivered {
            if let Some(room) = rooms.get(&prompt.sender)
                && !silenced.told.contains(&prompt.sender)
            {
                let placement = Placement::Room { reply_to: None };
                notices.push(self.notice_by_the_bot(turn, room, placement, text));
                silenced.note_told(&prompt.sender);
            }
        }
        Ok(notices)
    }

    fn notice_by_the_bot(
        &self,
        turn: &TurnRecord,
        room: &RoomId,
        placement: Placement,
        text: &NoticeText,
    ) -> OutboxItem {
        let send_id = SendId::of(&["silenced", room.as_str(), &turn.id.to_string()]);
        notice(room, self.ctx.identity.bot(), placement, text, send_id)
    }

    fn is_being_set_up(&self, turn: &TurnRecord) -> Result<bool, JournalError> {
        let record = self.ctx.journal.agent(&turn.key.agent)?;
        Ok(record
            .is_some_and(|record| !record.joined && record.room.as_ref() == Some(&turn.key.room)))
    }

    /// Whether the record of an agent says that Letta no longer has it.
    pub(super) fn is_known_gone(&self, agent: &AgentId) -> Result<bool, JournalError> {
        let record = self.ctx.journal.agent(agent)?;
        Ok(record.is_some_and(|record| record.status != crate::journal::AgentStatus::Live))
    }
}
