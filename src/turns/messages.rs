//! How a turn's words become events: pure, from text to frozen messages.

use ruma::{EventId, OwnedEventId, OwnedUserId};
use serde_json::{Value, value::RawValue};

use super::{
    approval_message, reaction_command::ReactionCommand, reply::UnfinishedAnswer,
    rights::Approvers, status::StatusLine, status_message,
};
use crate::{
    journal::{
        Answer, ApprovalDecision, ApprovalRecord, NoticeText, OutboxItem, SendId, TurnRecord,
    },
    matrix::{
        content::{self, MsgKind, Placement},
        render::{EVENT_BYTES_MAX, Rendered, render, split},
    },
    outbox,
    time::Millis,
};

/// The type of every message that a turn sends.
pub const EVENT_TYPE: &str = outbox::MESSAGE_TYPE;
/// The type of the reactions under an approval message.
const REACTION_TYPE: &str = "m.reaction";

/// Says what belongs to one turn, as the agent's ghost, to whoever asked.
#[derive(Clone, Debug)]
pub struct MessageBuilder {
    /// The agent's ghost.
    pub ghost: OwnedUserId,
    /// Who is told by a mention; empty where a mention would ring for every answer.
    pub mentions: Vec<OwnedUserId>,
    /// Whether its messages are replies to the question; else they just follow it.
    pub replies: bool,
    /// What an answer ends in while it is not finished; empty: nothing.
    pub mark: String,
}

impl MessageBuilder {
    /// The first part of an answer that is not finished, as a new message.
    pub fn first(&self, turn: &TurnRecord, answer: &UnfinishedAnswer) -> OutboxItem {
        self.part(turn, 0, self.unfinished(answer))
    }

    /// The same while the answer is not finished.
    pub fn edit_unfinished(
        &self,
        original: &EventId,
        answer: &UnfinishedAnswer,
        send_id: &SendId,
    ) -> Box<RawValue> {
        self.edit_to(original, self.unfinished(answer), send_id)
    }

    fn unfinished(&self, answer: &UnfinishedAnswer) -> Rendered {
        let text = render(&answer.text).with_mark(&self.mark);
        let line = StatusLine {
            text: answer.status.clone(),
            folded: Vec::new(),
        };
        status_message::in_answer(&line, &text).unwrap_or(text)
    }

    fn edit_to(&self, original: &EventId, rendered: Rendered, send_id: &SendId) -> Box<RawValue> {
        let mentions = self.mentions.clone();
        to_raw_json(&content::edit(
            original,
            rendered,
            MsgKind::Text,
            mentions,
            send_id.as_str(),
        ))
    }

    /// A notice about the current segment of the turn.
    pub fn segment_notice(&self, turn: &TurnRecord, kind: &str, text: &NoticeText) -> OutboxItem {
        self.notice_under(turn, turn.segment_id().notice_id(kind), text)
    }

    /// A notice under an id of its own.
    pub fn notice_under(
        &self,
        turn: &TurnRecord,
        send_id: SendId,
        text: &NoticeText,
    ) -> OutboxItem {
        outbox::notice(
            &turn.key.room,
            &self.ghost,
            self.placement(turn),
            text,
            send_id,
        )
    }

    /// An edit of a notice about the turn.
    pub fn notice_edit(
        &self,
        turn: &TurnRecord,
        original: &EventId,
        text: &NoticeText,
        send_id: SendId,
    ) -> OutboxItem {
        let rendered = Rendered::plain(text.to_string());
        let content = content::edit(original, rendered, MsgKind::Notice, [], send_id.as_str());
        self.item(turn, send_id, &content::with_code(content, &text.code))
    }

    /// Everything that is still to be said at the end of a turn. `line` is the status line that stands in the answer, if one does. `first`
    /// is the event that shows the first part, if there is one; `complete` says that it shows the whole first part and nothing else.
    pub fn final_messages(
        &self,
        turn: &TurnRecord,
        answer: &Answer,
        line: Option<&StatusLine>,
        first: Option<&EventId>,
        complete: bool,
    ) -> Vec<OutboxItem> {
        let mut items = Vec::new();
        let with_line = |text: &str, items: &mut Vec<OutboxItem>| {
            let text = render(text);
            let Some(line) = line else {
                return text;
            };
            status_message::in_answer(line, &text).unwrap_or_else(|| {
                // The message is full.
                items.push(self.status(turn, line));
                text
            })
        };
        let complete = complete && line.is_none();
        let parts = if answer.text.is_empty() {
            Vec::new()
        } else {
            split(&answer.text)
        };
        for (index, text) in parts.iter().enumerate() {
            match first {
                Some(_) if index == 0 && complete => {}
                Some(event) if index == 0 => {
                    let send_id = turn.segment_id().last_edit();
                    let content = self.edit_to(event, with_line(text, &mut items), &send_id);
                    items.push(self.frozen(turn, EVENT_TYPE, send_id, content));
                }
                _ if index == 0 => {
                    let rendered = with_line(text, &mut items);
                    items.push(self.part(turn, index, rendered));
                }
                _ => items.push(self.part(turn, index, render(text))),
            }
        }
        if let Some(notice) = &answer.ending_notice {
            items.push(self.segment_notice(turn, "end", notice));
        }
        items
    }

    /// The status line, as a new message.
    pub fn status(&self, turn: &TurnRecord, line: &StatusLine) -> OutboxItem {
        let send_id = turn.segment_id().status();
        let rendered = status_message::rendered(line);
        let content = content::message(
            rendered,
            MsgKind::Notice,
            self.placement(turn),
            [],
            send_id.as_str(),
        );
        self.item(turn, send_id, &content)
    }

    /// The content of an edit of the status line.
    pub fn status_edit(original: &EventId, line: &StatusLine, send_id: &SendId) -> Box<RawValue> {
        let rendered = status_message::rendered(line);
        let send_id = send_id.as_str();
        to_raw_json(&content::edit(
            original,
            rendered,
            MsgKind::Notice,
            [],
            send_id,
        ))
    }

    /// The status line at the end of the segment: an edit if it was shown before.
    pub fn last_status(
        &self,
        turn: &TurnRecord,
        line: &StatusLine,
        shown: Option<&EventId>,
    ) -> OutboxItem {
        let Some(event) = shown else {
            return self.status(turn, line);
        };
        let send_id = turn.segment_id().status().derived("end");
        let content = Self::status_edit(event, line, &send_id);
        self.frozen(turn, EVENT_TYPE, send_id, content)
    }

    /// The card that asks whether tools may run. It rings for who has set the turn going.
    pub fn approval_message(
        &self,
        turn: &TurnRecord,
        approval: &ApprovalRecord,
        approvers: &Approvers,
        now: Millis,
    ) -> OutboxItem {
        let asker = turn.prompts.last().map(|prompt| prompt.sender.clone());
        let text = approval_message::asking(approval, approvers, now);
        let content = content::message(
            render(&text),
            MsgKind::Text,
            self.placement(turn),
            asker,
            approval.approval_message.as_str(),
        );
        let content = content::with_code(content, approval_message::ASKING);
        self.item(turn, approval.approval_message.clone(), &content)
    }

    /// The notice that tools run which an admin allows always.
    pub fn allowed(&self, turn: &TurnRecord, approval: &ApprovalRecord) -> OutboxItem {
        let send_id = turn.segment_id().notice_id("allowed");
        let rendered = render(&approval_message::allowed(approval));
        let placement = self.placement(turn);
        let content = content::message(rendered, MsgKind::Notice, placement, [], send_id.as_str());
        self.item(turn, send_id, &content)
    }

    /// What can be answered to an approval message, put under it.
    pub fn decision_reactions(
        &self,
        turn: &TurnRecord,
        approval: &ApprovalRecord,
        approval_message: &EventId,
    ) -> Vec<OutboxItem> {
        let approve = approval_message::shows_all(approval).then_some(ReactionCommand::Approve);
        let gestures = approve.into_iter().chain([ReactionCommand::Deny]);
        let choice = |reaction_command: ReactionCommand| {
            let send_id = approval.approval_message.derived(reaction_command.word());
            let content =
                content::reaction(approval_message, reaction_command.emoji(), send_id.as_str());
            self.frozen(turn, REACTION_TYPE, send_id, to_raw_json(&content))
        };
        gestures.map(choice).collect()
    }

    /// The card once it is decided: who decided what.
    pub fn decision(
        &self,
        turn: &TurnRecord,
        approval: &ApprovalRecord,
        decision: &ApprovalDecision,
        approval_message: &EventId,
    ) -> OutboxItem {
        self.decided_approval_message(turn, approval, decision, approval_message, "end")
    }

    /// The same, when Letta has another decision than the one that the approval message has told.
    pub fn corrected_verdict(
        &self,
        turn: &TurnRecord,
        approval: &ApprovalRecord,
        decision: &ApprovalDecision,
        approval_message: &EventId,
    ) -> OutboxItem {
        self.decided_approval_message(turn, approval, decision, approval_message, "corrected")
    }

    fn decided_approval_message(
        &self,
        turn: &TurnRecord,
        approval: &ApprovalRecord,
        decision: &ApprovalDecision,
        approval_message: &EventId,
        kind: &str,
    ) -> OutboxItem {
        let send_id = approval.approval_message.derived(kind);
        let rendered = render(&approval_message::decided(approval, decision));
        let content = content::edit(
            approval_message,
            rendered,
            MsgKind::Text,
            [],
            send_id.as_str(),
        );
        self.item(turn, send_id, &content)
    }

    fn part(&self, turn: &TurnRecord, index: usize, rendered: Rendered) -> OutboxItem {
        let send_id = turn.segment_id().part(index);
        let mentions = if index == 0 {
            self.mentions.clone()
        } else {
            Vec::new()
        };
        let content = content::message(
            rendered,
            MsgKind::Text,
            self.placement(turn),
            mentions,
            send_id.as_str(),
        );
        self.item(turn, send_id, &content)
    }

    /// Where the answer stands: where the question came from, after its last message or as a reply to it.
    fn placement(&self, turn: &TurnRecord) -> Placement {
        let last: Option<OwnedEventId> = turn.prompts.last().map(|prompt| prompt.event_id.clone());
        match (&turn.key.thread, last) {
            (Some(root), Some(last)) if !self.replies => Placement::InThread {
                root: root.clone(),
                last,
            },
            (Some(root), reply_to) => Placement::Thread {
                root: root.clone(),
                reply_to,
            },
            (None, reply_to) => Placement::Room {
                reply_to: reply_to.filter(|_| self.replies),
            },
        }
    }

    fn item(&self, turn: &TurnRecord, send_id: SendId, content: &Value) -> OutboxItem {
        self.frozen(turn, EVENT_TYPE, send_id, to_raw_json(content))
    }

    fn frozen(
        &self,
        turn: &TurnRecord,
        event_type: &str,
        send_id: SendId,
        content: Box<RawValue>,
    ) -> OutboxItem {
        OutboxItem {
            room: turn.key.room.clone(),
            sender: self.ghost.clone(),
            event_type: event_type.to_owned(),
            send_id,
            content,
        }
    }
}

/// The part of a text that its first message shows.
pub(super) fn first_part(text: &str) -> String {
    // No part is longer, and what comes after it does not change it.
    let start = &text[..text.floor_char_boundary(EVENT_BYTES_MAX)];
    split(start).into_iter().next().unwrap_or_default()
}

/// Content as it is written down and sent.
pub fn to_raw_json(content: &Value) -> Box<RawValue> {
    // A `Value` has only text keys, so it can always be written.
    serde_json::value::to_raw_value(content).unwrap_or_default()
}

#[cfg(test)]
mod tests;
