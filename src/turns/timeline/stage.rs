//! The stage of a turn, as `run` has it, on the made-up clock.

use std::time::Duration;

use letta_client::{ApprovalRequest, Stop, TurnEvent};
use ruma::{OwnedEventId, owned_user_id};

use super::{Item, Pace, Room};
use crate::{
    config::{Detail, Level, Permissions},
    journal::{Answer, Ask, OutboxItem, TurnRecord, Verdict},
    time::Millis,
    turns::{
        reply::{Reply, Show},
        rights::Approvers,
        say::Voice,
        status::{Ending, ShowLine, Status},
        words,
    },
};

/// How long a room is watched after the last word of a turn that has no end.
const UNTOLD: Duration = Duration::from_secs(5);

/// A turn that is told to a room.
pub(super) struct Stage {
    pace: Pace,
    turn: TurnRecord,
    voice: Voice,
    reply: Reply,
    status: Status,
    room: Room,
    first: Option<OwnedEventId>,
    line: Option<OwnedEventId>,
    card: Option<OwnedEventId>,
    /// When the chapter began.
    began: Duration,
    /// The homeserver works on something of the answer until then.
    pending: Option<Duration>,
    /// The same for the status line.
    line_pending: Option<Duration>,
}

impl Stage {
    /// A turn that begins now.
    pub(super) fn begin(pace: Pace, turn: TurnRecord, room: Room, now: Duration) -> Self {
        let voice = Voice {
            ghost: owned_user_id!("@agent:example.org"),
            mentions: Vec::new(),
            replies: true,
            mark: String::new(),
        };
        Self {
            pace,
            turn,
            voice,
            reply: Reply::new(),
            status: Status::new(Detail::Brief),
            room,
            first: None,
            line: None,
            line_pending: None,
            card: None,
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
                        Stop::Cancelled => Ending::Stopped,
                        Stop::Failed(_) => Ending::BrokeOff,
                        _ => Ending::Done,
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
                Item::Silence(seconds) => now += Duration::from_secs(seconds),
                Item::Decides(verdict, after) => {
                    now += Duration::from_secs(after);
                    self.decide(now, verdict);
                }
                Item::Says(Ok(event)) => {
                    self.reply.apply(&event, now.saturating_sub(self.began));
                    self.status.apply(&event, now.saturating_sub(self.began));
                }
                Item::Says(Err(failure)) => {
                    self.restart();
                    let (reason, code) = words::refused(&failure);
                    let remark = Some(format!("{reason} [{code}]"));
                    let text = self.reply.text();
                    let done = self.conclude(now, &Answer { text, remark }, Ending::BrokeOff);
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

    /// A remark beside the turn.
    pub(super) fn remark(&mut self, kind: &str, text: &str) {
        let item = self.voice.remark(&self.turn, kind, text);
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
            } else if let Some(show) = self.reply.show(due.saturating_sub(self.began)) {
                self.send(due, show);
            }
        }
    }

    fn show_line(&mut self, now: Duration, show: ShowLine) {
        let done = now + Duration::from_millis(self.pace.homeserver);
        self.line_pending = Some(done);
        match show {
            ShowLine::First(line) => {
                let item = self.voice.status(&self.turn, &line);
                self.line = Some(self.say(done, &item));
            }
            ShowLine::Edit { number, line } => {
                let send_id = self.turn.chapter_id().status_edit(number);
                let first = self.line.as_ref().expect("said before");
                let content = Voice::status_edit(first, &line, &send_id);
                let content = serde_json::from_str(content.get()).expect("JSON");
                self.room.take(done, "@agent", send_id.as_str(), &content);
            }
        }
    }

    fn send(&mut self, now: Duration, show: Show) {
        let done = now + Duration::from_millis(self.pace.homeserver);
        self.pending = Some(done);
        match show {
            Show::First(text) => {
                let item = self.voice.first(&self.turn, &text);
                self.first = Some(self.say(done, &item));
            }
            Show::Edit { number, text } => {
                let (first, send_id) = (self.first.as_ref(), self.turn.chapter_id().edit(number));
                let content = self
                    .voice
                    .edit(first.expect("said before"), &text, &send_id);
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
    fn conclude(&mut self, now: Duration, answer: &Answer, ending: Ending) -> Duration {
        let mut at = now.max(self.pending.unwrap_or_default());
        if let Some(line) = self.status.last(now.saturating_sub(self.began), ending) {
            at = at.max(self.line_pending.unwrap_or_default());
            at += Duration::from_millis(self.pace.homeserver);
            let item = self
                .voice
                .last_status(&self.turn, &line, self.line.as_deref());
            self.say(at, &item);
        }
        let complete = self.reply.shows(&answer.text);
        let first = self.first.clone();
        let last = self
            .voice
            .conclusion(&self.turn, answer, first.as_deref(), complete);
        for item in last {
            at += Duration::from_millis(self.pace.homeserver);
            self.say(at, &item);
        }
        at
    }

    /// The chapter ends with a question: the card comes after its last words.
    fn ask(&mut self, now: Duration, request: &ApprovalRequest) {
        let wall = Millis(u64::try_from(now.as_millis()).expect("a short story"));
        let until = wall.plus(Duration::from_mins(10));
        let ask = Ask::new(request, self.turn.chapter_id().card(), until);
        let at = now.max(self.pending.unwrap_or_default());
        let at = at + Duration::from_millis(self.pace.homeserver);
        let mut permissions = Permissions::nobody();
        permissions.grant(owned_user_id!("@ann:example.org"), Level::User);
        let approvers = Approvers::of(&self.turn, &ask, &permissions, Level::User);
        let item = self.voice.card(&self.turn, &ask, &approvers, wall);
        let card = self.say(at, &item);
        let choices = self.voice.choices(&self.turn, &ask, &card);
        self.room.choices += choices.len();
        self.card = Some(card);
        self.turn.ask = Some(ask);
    }

    /// Somebody has decided: the card says so, and a new chapter begins.
    fn decide(&mut self, now: Duration, verdict: Verdict) {
        let mut ask = self.turn.ask.take().expect("a question");
        let card = self.card.take().expect("a card");
        let item = self.voice.verdict(&self.turn, &ask, &verdict, &card);
        self.say(now, &item);
        ask.verdict = Some(verdict);
        self.turn.ask = Some(ask);
        self.turn.turn_the_page();
        (self.reply, self.first, self.pending) = (Reply::new(), None, None);
        (self.status, self.line, self.line_pending) = (Status::new(Detail::Brief), None, None);
        self.began = now;
    }
}
