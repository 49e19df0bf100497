//! What the inbox says to a room by itself: that too much waits, that a change came too late, that a decision is missing.

use ruma::{EventId, RoomId, UserId};
use tracing::warn;

use super::{
    super::{notice_texts, route::IncomingEvent},
    Inbox,
};
use crate::{
    journal::{
        ConversationKey, JournalError, NoticeText, OutboxItem, QueuedPrompt, RoomKind, SendId,
    },
    matrix::content::Placement,
    outbox,
};

impl Inbox {
    /// Says that too much waits already.
    pub(super) async fn refuse(
        &self,
        conversation: &ConversationKey,
        prompt: &QueuedPrompt,
    ) -> Result<(), JournalError> {
        let limit = self.ctx.journal.limits().queued_prompts_max;
        warn!(
            event.id = %prompt.event_id, room.id = %conversation.room, agent.id = %conversation.agent,
            limit, "prompt refused: the queue of its conversation is full"
        );
        let ghost = self.rules.identity.ghost(&conversation.agent);
        let once = SendId::of(&[
            "queue full",
            prompt.event_id.as_str(),
            conversation.agent.as_str(),
        ]);
        let text = notice_texts::queue_full(limit);
        let notice = notice(&conversation.room, &ghost, &prompt.event_id, &text, once);
        self.ctx.outbox.enqueue(&notice).await
    }

    /// Says that a message was changed or taken back when its agent had it already, once for each running turn and event.
    pub(super) async fn tell_too_late(
        &self,
        event: &IncomingEvent,
        prompt: &EventId,
        text: &NoticeText,
    ) -> Result<(), JournalError> {
        for turn in self.ctx.journal.turns_in(&event.room_id)? {
            let mut prompts = turn.prompts.iter();
            if !prompts.any(|one| one.event_id == prompt && one.sender == event.sender) {
                continue;
            }
            let ghost = self.rules.identity.ghost(&turn.key.agent);
            let once = SendId::of(&["too late", event.event_id.as_str(), turn.key.agent.as_str()]);
            let notice = notice(&event.room_id, &ghost, prompt, text, once);
            self.ctx.outbox.enqueue(&notice).await?;
        }
        Ok(())
    }

    /// Tells who speaks to an agent that waits for a decision that it does, once for each decision.
    pub(super) async fn remind_of_pending_approval(
        &self,
        conversation: &ConversationKey,
        prompt: &QueuedPrompt,
    ) -> Result<(), JournalError> {
        let journal = &self.ctx.journal;
        let Some(turn) = journal.open_turn(conversation)? else {
            return Ok(());
        };
        let Some(approval) = turn.waits_for() else {
            return Ok(());
        };
        if !journal.has_place_for(conversation, &prompt.sender)? {
            // Who is not let in hears that instead.
            return Ok(());
        }
        let (ghost, once) = (
            self.rules.identity.ghost(&conversation.agent),
            approval.approval_message.derived("waits"),
        );
        let text = notice_texts::waits_for_decision();
        let notice = notice(&conversation.room, &ghost, &prompt.event_id, &text, once);
        self.ctx.outbox.enqueue(&notice).await
    }

    /// Says something to a room, once for ever, in the name of whoever of us is in it.
    pub(super) async fn send_notice(
        &self,
        event: &IncomingEvent,
        text: &NoticeText,
        once: SendId,
    ) -> Result<(), JournalError> {
        let Some(room) = self.ctx.journal.room(&event.room_id)? else {
            return Ok(());
        };
        let sender = match (&room.kind, room.guests.keys().next()) {
            (RoomKind::Home { agent }, _) => self.rules.identity.ghost(agent),
            (_, Some(guest)) => self.rules.identity.ghost(guest),
            (_, None) => self.rules.identity.bot().to_owned(),
        };
        self.ctx
            .outbox
            .enqueue(&notice(
                &event.room_id,
                &sender,
                &event.event_id,
                text,
                once,
            ))
            .await
    }
}

/// A notice that is a reply.
pub(super) fn notice(
    room: &RoomId,
    sender: &UserId,
    reply_to: &EventId,
    text: &NoticeText,
    send_id: SendId,
) -> OutboxItem {
    let placement = Placement::Room {
        reply_to: Some(reply_to.to_owned()),
    };
    outbox::notice(room, sender, placement, text, send_id)
}
