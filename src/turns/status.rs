//! What an agent does beside talking, as one line of its segment: pure, without I/O and without a
//! clock.
//!
//! The line stands in the answer, if that begins within [`STATUS_DELAY`] of the first tool. If not, it is
//! a notice of its own, so that it rings for nobody, and stays one. It is edited while tools run, and at the
//! end holds, folded, what was done. How much of that is [`Detail`]; that the agent still works after a silent
//! minute, and how to stop it, is said at every level. At most [`STATUS_EDITS_MAX`] edits, however long it takes.

use std::time::Duration;

use letta_client::{MessageId, ToolCallId, TurnEvent};

use crate::{config::Detail, matrix::untrusted_text};

/// How long a line waits for an answer in which it can stand.
pub const STATUS_DELAY: Duration = Duration::from_secs(4);
/// The wait between two edits of the line.
pub const STATUS_INTERVAL: Duration = Duration::from_secs(2);
/// After so long without a word from Letta the line says that the agent still works.
pub const SILENCE_MAX: Duration = Duration::from_mins(1);
/// How much longer each further silence is than the one before.
const SILENCE_GROWTH: f64 = 1.5;
/// The longest silence.
const SILENCE_LIMIT: Duration = Duration::from_mins(15);
/// The most edits of the line, the last one included.
pub const STATUS_EDITS_MAX: u32 = 60;
/// How many of the edits are kept for silences: who waits hears so also after many tools.
const SILENCE_EDITS: u32 = 20;
/// The most calls that are told of; the rest is counted.
const CALLS_TOLD_MAX: usize = 50;
/// How much of the arguments of a call is told briefly, in characters.
const BRIEF_CHARS_MAX: usize = 80;
/// How much of arguments, of what a tool returned, and of each thought is told in full, in
/// characters.
const FULL_CHARS_MAX: usize = 1_000;
/// The most characters that are folded in one line: an edit carries each four times, and at most in
/// four bytes.
const FOLDED_CHARS_MAX: usize = 2_800;
/// The most tools that are named in the line itself.
const NAMED_MAX: usize = 10;
/// How much of a tool's name is shown, in characters.
const NAME_CHARS_MAX: usize = 40;

/// The line as the room shall see it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusLine {
    /// What is always seen.
    pub text: String,
    /// What is seen by who unfolds it: one entry after the other.
    pub folded: Vec<String>,
}

/// How a segment ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SegmentEnding {
    /// The agent was done.
    Done,
    /// A person has stopped it.
    Stopped,
    /// It was given up.
    BrokeOff,
}

/// What to show now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StatusUpdate {
    /// The line, as a new message.
    First(StatusLine),
    /// The line, in the answer.
    InAnswer(StatusLine),
    /// The line as it is now.
    Edit {
        /// How many edits there were before.
        number: u32,
        /// The line.
        line: StatusLine,
    },
}

#[derive(Debug)]
struct Call {
    id: ToolCallId,
    tool: String,
    arguments: String,
    /// Whether it succeeded, and what it returned.
    returned: Option<(bool, String)>,
}

/// See the module's documentation. Times are counted from any fixed moment.
#[derive(Debug)]
pub struct Status {
    detail: Detail,
    calls: Vec<Call>,
    /// How many calls there were.
    count: usize,
    thoughts: Vec<(MessageId, String)>,
    /// When there was something to say for the first time.
    began: Option<Duration>,
    /// Whether the line stands in the answer.
    in_answer: bool,
    shown: Option<StatusLine>,
    edits: u32,
    not_before: Duration,
    last_event: Duration,
    silence: Duration,
    /// For how long nothing had come when the line last told of that.
    silent: Option<Duration>,
}

impl Status {
    /// Nothing was done yet.
    pub fn new(detail: Detail) -> Self {
        Self {
            detail,
            calls: Vec::new(),
            count: 0,
            thoughts: Vec::new(),
            began: None,
            in_answer: false,
            shown: None,
            edits: 0,
            not_before: Duration::ZERO,
            last_event: Duration::ZERO,
            silence: SILENCE_MAX,
            silent: None,
        }
    }

    /// A line that an earlier process has shown, and edited up to `edits` times.
    pub fn resumed(detail: Detail, edits: u32) -> Self {
        Self {
            shown: Some(StatusLine::default()),
            edits,
            ..Self::new(detail)
        }
    }

    /// Takes in what happened.
    pub fn apply(&mut self, event: &TurnEvent, now: Duration) {
        self.last_event = now;
        self.silence = SILENCE_MAX;
        self.silent = None;
        match event {
            TurnEvent::ToolCall(call) => {
                if self.calls.iter().any(|known| known.id == call.id) {
                    return;
                }
                self.began.get_or_insert(now);
                self.count += 1;
                if self.calls.len() < CALLS_TOLD_MAX {
                    self.calls.push(Call {
                        id: call.id.clone(),
                        tool: call.name.clone(),
                        arguments: cut(&call.arguments, FULL_CHARS_MAX),
                        returned: None,
                    });
                }
            }
            TurnEvent::ToolReturn { call, ok, text } => {
                if let Some(known) = self.calls.iter_mut().find(|known| known.id == *call) {
                    known.returned = Some((*ok, cut(text, FULL_CHARS_MAX)));
                }
            }
            TurnEvent::Reasoning { message, delta } => {
                if self.detail == Detail::Full {
                    self.began.get_or_insert(now);
                }
                let mut known = self.thoughts.iter_mut().rev();
                match known.find(|(id, _)| id == message) {
                    Some((_, text)) if text.len() < FOLDED_CHARS_MAX => text.push_str(delta),
                    Some(_) => {}
                    None => self.thoughts.push((message.clone(), delta.clone())),
                }
            }
            TurnEvent::Discard { message } => self.thoughts.retain(|(id, _)| id != message),
            _ => {}
        }
    }

    /// Takes in what the agent has thought so far within the text of a message.
    pub fn note_reasoning(&mut self, message: &MessageId, thought: &str) {
        let thought = cut(thought, FOLDED_CHARS_MAX);
        match self.thoughts.iter_mut().find(|(id, _)| id == message) {
            Some((_, known)) => *known = thought,
            None => self.thoughts.push((message.clone(), thought)),
        }
    }

    /// Whether the agent has called a tool.
    pub fn has_calls(&self) -> bool {
        self.count > 0
    }

    /// Whether the line is a message of its own.
    pub fn is_own_message(&self) -> bool {
        self.shown.is_some() && !self.in_answer
    }

    /// The answer begins: the line stands in it from now on, unless it is a message of its own already. Answers what it says.
    pub fn move_into_answer(&mut self) -> String {
        if self.is_own_message() {
            return String::new();
        }
        self.in_answer = true;
        let line = self.line();
        self.shown = Some(line.clone());
        line.text
    }

    /// The segment is told from its beginning again.
    pub fn restart(&mut self) {
        self.thoughts.clear();
    }

    /// When there may be something to show. `None`: not before the next event.
    pub fn due(&self) -> Option<Duration> {
        if self.edits + 1 >= STATUS_EDITS_MAX {
            return None;
        }
        let now = self.line();
        let changed = !now.text.is_empty()
            && self.shown.as_ref() != Some(&now)
            && (self.silent.is_some() || self.edits + 1 < STATUS_EDITS_MAX - SILENCE_EDITS);
        let silence = if changed {
            Duration::ZERO
        } else {
            self.silence
        };
        let due = self.not_before.max(self.last_event + silence);
        match self.began {
            Some(began) if changed && self.shown.is_none() && self.silent.is_none() => {
                Some(due.max(began + STATUS_DELAY))
            }
            _ => Some(due),
        }
    }

    /// What to show at `now`, which counts as shown from then on.
    pub fn show(&mut self, now: Duration) -> Option<StatusUpdate> {
        if self.due().is_none_or(|due| now < due) {
            return None;
        }
        let quiet = now.saturating_sub(self.last_event);
        if quiet >= self.silence {
            self.silent = Some(quiet);
            self.silence = quiet + self.silence.mul_f64(SILENCE_GROWTH).min(SILENCE_LIMIT);
        }
        let line = self.line();
        if self.shown.as_ref() == Some(&line) {
            return None;
        }
        self.not_before = now + STATUS_INTERVAL;
        if self.shown.replace(line.clone()).is_none() {
            return Some(StatusUpdate::First(line));
        }
        self.edits += 1;
        if self.in_answer {
            return Some(StatusUpdate::InAnswer(line));
        }
        Some(StatusUpdate::Edit {
            number: self.edits - 1,
            line,
        })
    }

    /// The homeserver asks for patience: nothing is shown before `then`.
    pub fn hold_until(&mut self, then: Duration) {
        self.not_before = self.not_before.max(then);
    }

    /// The line once the segment is told, after so long; `None` if there is nothing to say, or
    /// nothing new.
    pub fn last(&self, took: Duration, ending: SegmentEnding) -> Option<StatusLine> {
        let how = match ending {
            SegmentEnding::Done => "Done",
            SegmentEnding::Stopped => "Stopped",
            SegmentEnding::BrokeOff => "Broke off",
        };
        let line = match (self.detail, self.tools()) {
            (Detail::Full, tools) if tools.is_empty() && !self.thoughts.is_empty() => StatusLine {
                text: "💭 Thought about it".to_owned(),
                folded: self.folded(),
            },
            (Detail::Brief | Detail::Full, tools) if !tools.is_empty() => StatusLine {
                text: format!("🔧 Used {tools}"),
                folded: self.folded(),
            },
            // There is a line already, so it shall not say for ever that something is going on.
            _ if self.is_own_message() => StatusLine {
                text: format!("{how} after {}", whole_seconds(took)),
                folded: Vec::new(),
            },
            _ => return None,
        };
        (self.in_answer || self.shown.as_ref() != Some(&line)).then_some(line)
    }

    /// The line while the segment is told.
    fn line(&self) -> StatusLine {
        let running: Vec<&Call> = self.calls.iter().filter(|c| c.returned.is_none()).collect();
        let told = self.detail != Detail::None;
        let doing = match (running.last(), self.count) {
            (Some(call), _) if told => format!("🔧 {}…", name(&call.tool)),
            (None, count) if told && count > 0 => format!("🔧 Used {}", self.tools()),
            (None, 0) if self.detail == Detail::Full && !self.thoughts.is_empty() => {
                "💭 Thinking…".to_owned()
            }
            _ => String::new(),
        };
        let text = match self.silent {
            None => doing,
            Some(quiet) => {
                let text = format!("⏳ Still working after {} {doing}", whole_minutes(quiet));
                format!("{}; `!letta stop` ends it", text.trim_end())
            }
        };
        StatusLine {
            text,
            folded: Vec::new(),
        }
    }

    /// The tools that were called, each once, with how often.
    fn tools(&self) -> String {
        let mut counts: Vec<(&str, usize)> = Vec::new();
        for call in &self.calls {
            match counts.iter_mut().find(|(tool, _)| *tool == call.tool) {
                Some((_, count)) => *count += 1,
                None => counts.push((&call.tool, 1)),
            }
        }
        let mut names: Vec<String> = counts
            .into_iter()
            .map(|(tool, count)| match count {
                1 => name(tool),
                count => format!("{} ({count} times)", name(tool)),
            })
            .collect();
        let left_out = names.len().saturating_sub(NAMED_MAX) + self.count - self.calls.len();
        names.truncate(NAMED_MAX);
        if left_out > 0 {
            names.push(format!("{left_out} more"));
        }
        names.join(", ")
    }

    fn folded(&self) -> Vec<String> {
        let full = self.detail == Detail::Full;
        let thoughts = self.thoughts.iter().filter(|_| full);
        let thoughts = thoughts.map(|(_, text)| format!("💭 {}", cut(text.trim(), FULL_CHARS_MAX)));
        let calls = self.calls.iter().map(|call| tell(call, full));
        let mut left = FOLDED_CHARS_MAX;
        thoughts
            .chain(calls)
            .map_while(|entry| {
                left = left.checked_sub(entry.chars().count())?;
                Some(entry)
            })
            .collect()
    }
}

fn tell(call: &Call, full: bool) -> String {
    let sign = match &call.returned {
        Some((true, _)) => "✓",
        Some((false, _)) => "✗",
        None => "…",
    };
    let chars = if full {
        FULL_CHARS_MAX
    } else {
        BRIEF_CHARS_MAX
    };
    let arguments = cut(&call.arguments, chars);
    match &call.returned {
        Some((_, text)) if full => {
            format!("{sign} {} {arguments}\n→ {}", name(&call.tool), text.trim())
        }
        _ => format!("{sign} {} {arguments}", name(&call.tool)),
    }
}

/// A tool's name as a line shows it.
fn name(tool: &str) -> String {
    untrusted_text::one_line(&cut(tool, NAME_CHARS_MAX))
}

fn cut(text: &str, chars: usize) -> String {
    match text.char_indices().nth(chars) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

fn whole_seconds(span: Duration) -> String {
    humantime::format_duration(Duration::from_secs(span.as_secs())).to_string()
}

fn whole_minutes(span: Duration) -> String {
    humantime::format_duration(Duration::from_secs(span.as_secs() / 60 * 60)).to_string()
}

#[cfg(test)]
mod tests;
