//! The stage of a turn, as `run` has it, on the made-up clock.

use std::time::Duration;

use letta_client::{ApprovalRequest, StopReason, TurnEvent};
use ruma::{OwnedEventId, owned_user_id};

use super::{Item, Pace, Room};
use crate::{
    config::{Detail, Level, Permissions},
    journal::{Answer, ApprovalDecision, ApprovalRecord, OutboxItem, TurnRecord},
    time::Millis,
    turns::{
        messages::MessageBuilder,
        notice_texts,
        reply::{MessageUpdate, Reply},
        rights::Approvers,
        status::{SegmentEnding, Status, StatusUpdate},
        turn_view::next_update,
    },
};

/// How long a room is watched after the last word of a turn that has no end.
const UNTOLD: Duration = Duration::from_secs(5);

/// A turn that is told to a room.
pub(super) struct SimulatedView {
    pace: Pace,
    turn: TurnRecord,
    builder: MessageBuilder,
    reply: Reply,
    status: Status,
    room: Room,
    first: Option<OwnedEventId>,
    line: Option<OwnedEventId>,
    approval_message: Option<OwnedEventId>,
    /// When the segment began.
    began: Duration,
    /// The homeserver works on something of the answer until then.
    pending: Option<Duration>,
    /// The same for the status line.
    line_pending: Option<Duration>,
}

impl SimulatedView {
    /// A turn that begins now.
    pub(super) fn begin(pace: Pace, turn: TurnRecord, room: Room, now: Duration) -> Self {
        let builder = MessageBuilder {
            ghost: owned_user_id!("@agent:example.org"),
            mentions: Vec::new(),
            replies: true,
            mark: String::new(),
        };
        Self {
            pace,
            turn,
            builder,
            reply: Reply::new(),
            status: Status::new(Detail::Brief),
            room,
            first: None,
            line: None,
            line_pending: None,
            approval_message: None,
            began: now,
            pending: None,
        }
    }

    /// Tells the turn: what the room has seen then, when it was over, and whether it is.
    pub(super) fn tell(mut self, items: Vec<Item>) -> (Room, Duration, bool) {
        let mut now = self.began + Duration::from_millis(self.pace.first);
        let mut request = None;
        let mut items = items.into_iter().peekable();
        while let Some(item) = items.next() {
            self.show_until(now);
            match item {
                Item::Says(Ok(TurnEvent::Finished(stop))) => {
                    let answer = self.reply.answer(&stop);
                    let ending = match stop {
                        StopReason::Cancelled => SegmentEnding::Stopped,
                        StopReason::Failed(_) => SegmentEnding::BrokeOff,
                        _ => SegmentEnding::Done,
                    };
                    let done = self.conclude(now, &answer, ending);
                    let asked = request.take();
                    if let Some(request) = &asked {
                        self.ask(now, request);
                    }
                    if items.peek().is_none() {
                        return (self.room, done, asked.is_none());
                    }
                }
                Item::Says(Ok(TurnEvent::Approval(asked))) => request = Some(asked),
                Item::CannotSend(seconds) => now += Duration::from_secs(seconds),
                Item::Decides(decision, after) => {
                    now += Duration::from_secs(after);
                    self.decide(now, decision);
                }
                Item::Says(Ok(event)) => {
                    self.reply.apply(&event, now.saturating_sub(self.began));
                    self.status.apply(&event, now.saturating_sub(self.began));
                }
                Item::Says(Err(failure)) => {
                    self.restart();
                    let ending_notice = Some(notice_texts::refused(&failure));
                    let text = self.reply.text();
                    let done = self.conclude(
                        now,
                        &Answer {
                            text,
                            ending_notice,
                        },
                        SegmentEnding::BrokeOff,
                    );
                    return (self.room, done, true);
                }
                Item::Breaks => self.restart(),
            }
            now += Duration::from_millis(self.pace.between);
        }
        now += UNTOLD;
        self.show_until(now);
        (self.room, now, false)
    }

    /// A notice beside the turn.
    pub(super) fn notice(&mut self, kind: &str, text: &crate::journal::NoticeText) {
        let item = self.builder.segment_notice(&self.turn, kind, text);
        self.say(self.began, &item);
    }

    fn restart(&mut self) {
        self.reply.restart();
        self.status.restart();
    }

    /// Shows whatever is due before `until`.
    fn show_until(&mut self, until: Duration) {
        // Nothing is shown while the homeserver works on what was shown before.
        let when = |due: Option<Duration>, began: Duration, pending: Option<Duration>| {
            due.map(|due| (began + due).max(pending.unwrap_or_default()))
        };
        loop {
            let answer = when(self.reply.due(), self.began, self.pending);
            let line = when(self.status.due(), self.began, self.line_pending);
            let Some(due) = answer.into_iter().chain(line).min() else {
                return;
            };
            if due >= until {
                return;
            }
            if line == Some(due) {
                if let Some(show) = self.status.show(due.saturating_sub(self.began)) {
                    self.show_line(due, show);
                }
            } else {
                let now = due.saturating_sub(self.began);
                if let Some(show) = next_update(&mut self.reply, &mut self.status, now) {
                    self.send(due, show);
                }
            }
        }
    }

    fn show_line(&mut self, now: Duration, show: StatusUpdate) {
        let done = now + Duration::from_millis(self.pace.homeserver);
        match show {
            StatusUpdate::InAnswer(line) => self.reply.set_status(line.text),
            StatusUpdate::First(line) => {
                self.line_pending = Some(done);
                let item = self.builder.status(&self.turn, &line);
                self.line = Some(self.say(done, &item));
            }
            StatusUpdate::Edit { number, line } => {
                self.line_pending = Some(done);
                let send_id = self.turn.segment_id().status_edit(number);
                let first = self.line.as_ref().expect("said before");
                let content = MessageBuilder::status_edit(first, &line, &send_id);
                let content = serde_json::from_str(content.get()).expect("JSON");
                self.room.take(done, "@agent", send_id.as_str(), &content);
            }
        }
    }

    fn send(&mut self, now: Duration, show: MessageUpdate) {
        let done = now + Duration::from_millis(self.pace.homeserver);
        self.pending = Some(done);
        match show {
            MessageUpdate::First(answer) => {
                let item = self.builder.first(&self.turn, &answer);
                self.first = Some(self.say(done, &item));
            }
            MessageUpdate::Edit { number, answer } => {
                let (first, send_id) = (self.first.as_ref(), self.turn.segment_id().edit(number));
                let content =
                    self.builder
                        .edit_unfinished(first.expect("said before"), &answer, &send_id);
                let content = serde_json::from_str(content.get()).expect("JSON");
                self.room.take(done, "@agent", send_id.as_str(), &content);
            }
        }
    }

    fn say(&mut self, at: Duration, item: &OutboxItem) -> OwnedEventId {
        assert_eq!(item.room, self.turn.key.room);
        let content = serde_json::from_str(item.content.get()).expect("JSON");
        let sender = format!("@{}", item.sender.localpart());
        self.room.take(at, &sender, item.send_id.as_str(), &content)
    }

    /// Says what is still to be said; answers when that is done.
    fn conclude(&mut self, now: Duration, answer: &Answer, ending: SegmentEnding) -> Duration {
        let mut at = now.max(self.pending.unwrap_or_default());
        let mut line = self.status.last(now.saturating_sub(self.began), ending);
        if (self.status.is_own_message() || answer.text.is_empty())
            && let Some(line) = line.take()
        {
            at = at.max(self.line_pending.unwrap_or_default());
            at += Duration::from_millis(self.pace.homeserver);
            let item = self
                .builder
                .last_status(&self.turn, &line, self.line.as_deref());
            self.say(at, &item);
        }
        let complete = self.reply.shows_in_full(&answer.text);
        let first = self.first.clone();
        let last = self.builder.final_messages(
            &self.turn,
            answer,
            line.as_ref(),
            first.as_deref(),
            complete,
        );
        for item in last {
            at += Duration::from_millis(self.pace.homeserver);
            self.say(at, &item);
        }
        at
    }

    /// The segment ends with a question: the approval message comes after its last words.
    fn ask(&mut self, now: Duration, request: &ApprovalRequest) {
        let wall = Millis(u64::try_from(now.as_millis()).expect("a short story"));
        let until = wall.plus(Duration::from_mins(10));
        let approval =
            ApprovalRecord::new(request, self.turn.segment_id().approval_message(), until);
        let at = now.max(self.pending.unwrap_or_default());
        let at = at + Duration::from_millis(self.pace.homeserver);
        let mut permissions = Permissions::nobody();
        permissions.grant(owned_user_id!("@ann:example.org"), Level::User);
        let approvers = Approvers::of(&self.turn, &approval, &permissions, Level::User);
        let item = self
            .builder
            .approval_message(&self.turn, &approval, &approvers, wall);
        let approval_message = self.say(at, &item);
        let choices = self
            .builder
            .decision_reactions(&self.turn, &approval, &approval_message);
        self.room.choices += choices.len();
        self.approval_message = Some(approval_message);
        self.turn
            .advance(|state| state.ask(Answer::default(), approval)?.await_decision())
            .expect("something to ask");
    }

    /// Somebody has decided: the approval message says so, and a new segment begins.
    fn decide(&mut self, now: Duration, decision: ApprovalDecision) {
        let approval = self.turn.waits_for().expect("a question");
        let approval_message = self.approval_message.take().expect("a card");
        let item = self
            .builder
            .decision(&self.turn, approval, &decision, &approval_message);
        self.say(now, &item);
        self.turn
            .advance(|state| state.decide(decision)?.resume())
            .expect("something to decide");
        (self.reply, self.first, self.pending) = (Reply::new(), None, None);
        (self.status, self.line, self.line_pending) = (Status::new(Detail::Brief), None, None);
        self.began = now;
    }
}
