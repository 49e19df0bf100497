//! What a person in the room sees of a turn, on a made-up clock.
//!
//! The same pure parts that run in earnest, with everything around them scripted: Letta speaks at
//! a pace, the homeserver takes its time, and the room is read back from the content of the very
//! events that would be sent, the way a client reads it.

use std::{collections::HashMap, fmt::Write as _, time::Duration};

use letta_client::{ApprovalRequest, BackendError, TurnEvent};
use ruma::{OwnedEventId, owned_room_id, owned_user_id};
use serde_json::Value;

use super::{
    reply::{Reply, Show},
    say::Voice,
    status::{ShowLine, Status},
    words,
};
use crate::{
    config::Detail,
    journal::{
        Answer, Ask, ConversationKey, OutboxItem, QueuedPrompt, TurnId, TurnRecord, Verdict,
    },
    time::Millis,
};

mod tests;

/// How fast everybody is, in milliseconds.
#[derive(Clone, Copy)]
struct Pace {
    /// From the question to Letta's first event.
    first: u64,
    /// From each event of Letta to the next.
    between: u64,
    /// From a request to the homeserver to its answer.
    homeserver: u64,
}

/// One thing that Letta does.
enum Item {
    Says(Result<TurnEvent, BackendError>),
    /// The stream breaks, and is told from its beginning again.
    Breaks,
    /// Nothing comes for so many seconds.
    Silence(u64),
    /// Somebody decides what a card asks, so many seconds after it was asked.
    Decides(Verdict, u64),
}

/// A message as a client shows it.
struct Message {
    at: Duration,
    sender: String,
    text: String,
    notice: bool,
    replies_to: Option<String>,
    /// When each edit came, and the text from then on.
    edits: Vec<(Duration, String)>,
}

impl Message {
    /// What it shows after all edits.
    fn shown(&self) -> &str {
        self.edits.last().map_or(&self.text, |(_, text)| text)
    }
}

/// A room, with the clock on its wall.
#[derive(Default)]
struct Room {
    messages: Vec<Message>,
    by_event: HashMap<String, usize>,
    /// How many reactions are offered under cards.
    choices: usize,
}

impl Room {
    /// The homeserver takes an event and answers with its id.
    fn take(&mut self, at: Duration, sender: &str, send_id: &str, content: &Value) -> OwnedEventId {
        let words = |of: &Value| of["body"].as_str().expect("a body").to_owned();
        let relation = &content["m.relates_to"];
        if relation["rel_type"] == "m.replace" {
            let original = relation["event_id"].as_str().expect("an original");
            let index = self.by_event[original];
            let text = words(&content["m.new_content"]);
            self.messages[index].edits.push((at, text));
        } else {
            self.by_event
                .insert(format!("${send_id}"), self.messages.len());
            self.messages.push(Message {
                at,
                sender: sender.to_owned(),
                text: words(content),
                notice: content["msgtype"] == "m.notice",
                replies_to: relation["m.in_reply_to"]["event_id"]
                    .as_str()
                    .map(str::to_owned),
                edits: Vec::new(),
            });
        }
        format!("${send_id}").try_into().expect("an event id")
    }

    /// One line a message, and under it one line an edit; of many edits only the first and last.
    fn render(&self) -> String {
        let mut out = String::new();
        for message in &self.messages {
            let last = message.shown();
            // The bridge's own sentences are short, and every word of them counts.
            let last = if message.notice {
                &last.replace('\n', "⏎")
            } else {
                &shorten(last)
            };
            let notice = if message.notice { " notice" } else { "" };
            let replies = message.replies_to.as_deref().unwrap_or("nothing");
            let edits = match message.edits.len() {
                0 => String::new(),
                1 => ", 1 edit".to_owned(),
                edits => format!(", {edits} edits"),
            };
            writeln!(
                out,
                "{} {}{notice} to {replies}{edits}: {}",
                clock(message.at),
                message.sender,
                last
            )
            .expect("text");
            let growth = [(message.at, message.text.clone())];
            let growth: Vec<_> = growth.iter().chain(&message.edits).collect();
            for (index, (at, text)) in growth.iter().enumerate() {
                let left_out = growth.len() > 8 && (4..growth.len() - 3).contains(&index);
                if left_out && index == 4 {
                    writeln!(out, "  …").expect("text");
                }
                if growth.len() > 1 && !left_out {
                    writeln!(out, "  {} {}", clock(*at), shorten(text)).expect("text");
                }
            }
        }
        out
    }
}

fn clock(at: Duration) -> String {
    format!("{:.2}s", at.as_secs_f64())
}

/// A text on one line, its middle left out if it is long.
fn shorten(text: &str) -> String {
    const CHARS_MAX: usize = 72;
    let text = text.replace('\n', "⏎");
    let chars: Vec<char> = text.chars().collect();
    if chars.len() <= CHARS_MAX {
        return text;
    }
    let start: String = chars[..CHARS_MAX / 2].iter().collect();
    let end: String = chars[chars.len() - CHARS_MAX / 4..].iter().collect();
    format!("{start}… ({} characters) …{end}", chars.len())
}

/// The stage of a turn, as `run` has it, on the made-up clock.
struct Stage {
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
    fn new(pace: Pace) -> Self {
        let agent = "agent-00000000-0000-4000-8000-000000000001";
        let agent: letta_client::AgentId = agent.parse().expect("an agent's id");
        let asked: OwnedEventId = "$asked".try_into().expect("an event id");
        let prompt = QueuedPrompt {
            event_id: asked.clone(),
            sender: owned_user_id!("@ann:example.org"),
            text: "?".to_owned(),
            admitted_at: Millis(0),
        };
        let id = TurnId::of(&asked, &agent);
        let key = ConversationKey {
            agent,
            room: owned_room_id!("!room:example.org"),
            thread: None,
        };
        let turn = TurnRecord::new(id, key, vec![prompt], Millis(0));
        let voice = Voice {
            ghost: owned_user_id!("@agent:example.org"),
            mentions: Vec::new(),
        };
        Self {
            pace,
            turn,
            voice,
            reply: Reply::new(),
            status: Status::new(Detail::Brief),
            room: Room::default(),
            first: None,
            line: None,
            line_pending: None,
            card: None,
            began: Duration::ZERO,
            pending: None,
        }
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

    fn conclude(&mut self, now: Duration, answer: &Answer) {
        let mut at = now.max(self.pending.unwrap_or_default());
        if let Some(line) = self.status.last(now.saturating_sub(self.began)) {
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
    }
}

impl Stage {
    /// The chapter ends with a question: the card comes after its last words.
    fn ask(&mut self, now: Duration, request: &ApprovalRequest) {
        let wall = Millis(u64::try_from(now.as_millis()).expect("a short story"));
        let until = wall.plus(Duration::from_mins(10));
        let ask = Ask::new(request, self.turn.chapter_id().card(), until);
        let at = now.max(self.pending.unwrap_or_default());
        let at = at + Duration::from_millis(self.pace.homeserver);
        let item = self.voice.card(&self.turn, &ask, wall);
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

/// What the room has seen at the end of a turn. The question was asked at 0.
fn timeline(items: Vec<Item>, pace: Pace) -> String {
    play(items, pace).render()
}

fn play(items: Vec<Item>, pace: Pace) -> Room {
    let mut stage = Stage::new(pace);
    let mut now = Duration::from_millis(pace.first);
    let mut request = None;
    let mut items = items.into_iter().peekable();
    while let Some(item) = items.next() {
        stage.show_until(now);
        match item {
            Item::Says(Ok(TurnEvent::Finished(stop))) => {
                let answer = stage.reply.answer(&stop);
                stage.conclude(now, &answer);
                if let Some(request) = request.take() {
                    stage.ask(now, &request);
                }
                if items.peek().is_none() {
                    return stage.room;
                }
            }
            Item::Says(Ok(TurnEvent::Approval(asked))) => request = Some(asked),
            Item::Silence(seconds) => now += Duration::from_secs(seconds),
            Item::Decides(verdict, after) => {
                now += Duration::from_secs(after);
                stage.decide(now, verdict);
            }
            Item::Says(Ok(event)) => {
                stage.reply.apply(&event, now.saturating_sub(stage.began));
                stage.status.apply(&event, now.saturating_sub(stage.began));
            }
            Item::Says(Err(failure)) => {
                stage.reply.restart();
                stage.status.restart();
                let (text, remark) = (stage.reply.text(), Some(words::refused(&failure)));
                stage.conclude(now, &Answer { text, remark });
                return stage.room;
            }
            Item::Breaks => {
                stage.reply.restart();
                stage.status.restart();
            }
        }
        now += Duration::from_millis(pace.between);
    }
    panic!("a turn without an end:\n{}", stage.room.render());
}
