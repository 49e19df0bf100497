//! What the room should show of a turn, and when: pure, without I/O and without a clock.
//!
//! The answer is one message that grows. Its first text appears when no piece came for [`PAUSE_MAX`], and at
//! [`FIRST_DELAY`] after the first piece at the latest, so that a fast answer comes whole and a long one soon. Then it is edited, after
//! [`EDIT_INTERVAL_MIN`] at first and ever more slowly up to [`EDIT_INTERVAL_MAX`], at most
//! [`EDITS_MAX`] times: homeservers limit rates, and a room with a thousand edits does not load. The
//! last edit is not this module's: whoever ends the turn shows the whole answer.

use std::time::Duration;

use letta_client::{MessageId, StopReason, TurnEvent};

use super::{messages::first_part, model_tags::ModelText, notice_texts};
use crate::journal::Answer;

/// How long after its first character an answer is shown at the latest.
pub const FIRST_DELAY: Duration = Duration::from_millis(400);
/// The longest pause in which more of an answer is waited for before its first text is shown.
pub const PAUSE_MAX: Duration = Duration::from_millis(150);
/// The wait before the first edit.
pub const EDIT_INTERVAL_MIN: Duration = Duration::from_secs(1);
/// The longest wait between two edits.
pub const EDIT_INTERVAL_MAX: Duration = Duration::from_secs(5);
/// How much longer each wait is than the one before.
const EDIT_INTERVAL_GROWTH: f64 = 1.1;
/// The most edits of one message, the last one included.
pub const EDITS_MAX: u32 = 60;

/// An answer that is not finished, as its message shows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnfinishedAnswer {
    /// The text so far, as much of it as one message holds.
    pub text: String,
    /// The status line that stands in it, or nothing.
    pub status: String,
}

/// What to show now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MessageUpdate {
    /// The first text: a new message.
    First(UnfinishedAnswer),
    /// More of it: an edit of that message.
    Edit {
        /// How many edits there were before.
        number: u32,
        /// What the message shows then.
        answer: UnfinishedAnswer,
    },
}

/// A turn as far as it has come. Times are counted from any fixed moment.
#[derive(Debug)]
pub struct Reply {
    /// The text of each of Letta's messages, in order of appearance.
    messages: Vec<(MessageId, String)>,
    /// What had been told when the turn began to be told again.
    before: String,
    /// The status line that stands in the answer.
    status: String,
    shown: Shown,
    /// Whether something was told since the room was last shown something.
    news: bool,
    /// When the first character came.
    first_at: Option<Duration>,
    /// When the last piece of text came.
    last_at: Duration,
    /// Whether the next text is of a new step, whatever its id.
    is_step_over: bool,
    /// Whether the agent has used a tool.
    has_acted: bool,
    /// Nothing is shown before this.
    not_before: Duration,
    interval: Duration,
    edits: u32,
}

#[derive(Debug, PartialEq, Eq)]
enum Shown {
    Nothing,
    /// Shown by an earlier process, or perhaps not arrived; what exactly is not known.
    Something,
    /// This, which is all that one message holds.
    Part(UnfinishedAnswer),
}

impl Reply {
    /// A turn of which nothing was shown.
    pub fn new() -> Self {
        Self {
            messages: Vec::new(),
            before: String::new(),
            status: String::new(),
            shown: Shown::Nothing,
            news: false,
            first_at: None,
            last_at: Duration::ZERO,
            is_step_over: false,
            has_acted: false,
            not_before: Duration::ZERO,
            interval: EDIT_INTERVAL_MIN,
            edits: 0,
        }
    }

    /// A turn of which an earlier process has shown something, and edited it up to `edits` times.
    pub fn resumed(now: Duration, edits: u32) -> Self {
        Self {
            shown: Shown::Something,
            edits,
            not_before: now + EDIT_INTERVAL_MIN,
            ..Self::new()
        }
    }

    /// Takes in what happened.
    pub fn apply(&mut self, event: &TurnEvent, now: Duration) {
        match event {
            TurnEvent::Text { message, delta } => {
                self.last_at = now;
                let is_step_over = std::mem::take(&mut self.is_step_over);
                let mut known = self.messages.iter_mut().rev();
                match known.find(|(id, _)| id == message) {
                    // Steps to which Letta gives no id of their own are paragraphs all the same.
                    Some((_, text)) if !is_step_over || text.trim().is_empty() => {
                        text.push_str(delta);
                    }
                    _ => self.messages.push((message.clone(), delta.clone())),
                }
            }
            TurnEvent::ToolCall(_) | TurnEvent::ToolReturn { .. } => {
                self.is_step_over = true;
                self.has_acted = true;
                return;
            }
            TurnEvent::Discard { message } => {
                self.messages.retain(|(id, _)| id != message);
            }
            _ => return,
        }
        self.news = true;
        let texts = self.messages.iter().map(|(_, text)| text);
        if texts
            .chain([&self.before])
            .all(|text| ModelText::of(text, false).said.trim().is_empty())
        {
            self.first_at = None;
        } else {
            self.first_at.get_or_insert(now);
        }
    }

    /// What the agent has thought so far within the text of a message; `None`: nothing.
    pub fn reasoning(&self, message: &MessageId) -> Option<&str> {
        let (_, text) = self.messages.iter().rev().find(|(id, _)| id == message)?;
        let reasoning = ModelText::of(text, false).reasoning.trim();
        (!reasoning.is_empty()).then_some(reasoning)
    }

    /// The status line that stands in the answer is this from now on.
    pub fn set_status(&mut self, status: String) {
        self.news |= self.status != status;
        self.status = status;
    }

    /// Whether a first text is to be shown at `now`.
    pub fn begins(&self, now: Duration) -> bool {
        self.shown == Shown::Nothing && self.due().is_some_and(|due| due <= now)
    }

    /// The turn is told from its beginning again. What it told before stays until it has told as
    /// much, so that the room never sees an answer shrink and grow again.
    pub fn restart(&mut self) {
        self.before = self.text();
        self.messages.clear();
    }

    /// The whole text so far: Letta's messages as paragraphs.
    pub fn text(&self) -> String {
        let told = self.told(false);
        if self.before.starts_with(&told) {
            self.before.clone()
        } else {
            told
        }
    }

    /// The same without what was told before a restart. `whole`: nothing more comes.
    fn told(&self, whole: bool) -> String {
        let texts: Vec<&str> = self
            .messages
            .iter()
            .map(|(_, text)| ModelText::of(text, whole).said.trim())
            .filter(|text| !text.is_empty())
            .collect();
        texts.join("\n\n")
    }

    /// When there may be something to show. `None`: not before the next event.
    pub fn due(&self) -> Option<Duration> {
        let first_at = self.first_at?;
        match &self.shown {
            Shown::Nothing => {
                let first = (first_at + FIRST_DELAY).min(self.last_at + PAUSE_MAX);
                Some(self.not_before.max(first))
            }
            _ if self.edits + 1 >= EDITS_MAX => None,
            Shown::Part(_) if !self.news => None,
            Shown::Something | Shown::Part(_) => Some(self.not_before),
        }
    }

    /// What to show at `now`, which counts as shown from then on.
    ///
    /// Only what one message can hold is ever shown of a text: when that is full, nothing more is
    /// due before the end of the turn, however long the answer gets.
    pub fn show(&mut self, now: Duration) -> Option<MessageUpdate> {
        if self.due().is_none_or(|due| now < due) {
            return None;
        }
        self.news = false;
        let text = self.text();
        let answer = UnfinishedAnswer {
            text: first_part(&text),
            status: self.status.clone(),
        };
        let shown = Shown::Part(answer.clone());
        if self.shown == shown {
            if answer.text.len() < text.len() {
                // To find out that the message is full is work, so not at every word.
                self.not_before = now + self.interval;
            }
            return None;
        }
        if std::mem::replace(&mut self.shown, shown) == Shown::Nothing {
            self.not_before = now + self.interval;
            return Some(MessageUpdate::First(answer));
        }
        self.interval = self
            .interval
            .mul_f64(EDIT_INTERVAL_GROWTH)
            .min(EDIT_INTERVAL_MAX);
        self.not_before = now + self.interval;
        self.edits += 1;
        Some(MessageUpdate::Edit {
            number: self.edits - 1,
            answer,
        })
    }

    /// The homeserver asks for patience: nothing is shown before `then`.
    pub fn hold_until(&mut self, then: Duration) {
        self.not_before = self.not_before.max(then);
    }

    /// The last edit did not arrive: what is shown is not known.
    pub fn edit_failed(&mut self) {
        self.shown = Shown::Something;
    }

    /// Whether the message shows all that it can hold of this text, and nothing else.
    pub fn shows_in_full(&self, text: &str) -> bool {
        matches!(
            &self.shown,
            Shown::Part(shown) if shown.status.is_empty() && shown.text == first_part(text)
        )
    }

    /// What there is to say now that the turn is over.
    pub fn answer(&self, stop: &StopReason) -> Answer {
        let text = match stop {
            // Told to its end, so what it told before a restart and not after it is void.
            StopReason::EndTurn | StopReason::MaxSteps | StopReason::NeedsApproval => {
                self.told(true)
            }
            StopReason::Cancelled | StopReason::Failed(_) => self.text(),
        };
        let ending_notice = match stop {
            StopReason::EndTurn if text.is_empty() && !self.is_silent_on_purpose() => {
                Some(notice_texts::empty_answer())
            }
            StopReason::EndTurn | StopReason::NeedsApproval => None,
            StopReason::Cancelled => Some(notice_texts::stopped()),
            StopReason::MaxSteps => Some(notice_texts::max_steps()),
            StopReason::Failed(failure) if failure.code == "RUN_DIED" => {
                Some(notice_texts::broke_off())
            }
            StopReason::Failed(failure) if failure.code == "MAX_TOKENS_EXCEEDED" => {
                Some(notice_texts::max_tokens(text.is_empty()))
            }
            StopReason::Failed(failure) => Some(notice_texts::turn_failed(failure)),
        };
        Answer {
            text,
            ending_notice,
        }
    }

    /// Whether the agent has done something instead of answering, or has said that it does not answer.
    fn is_silent_on_purpose(&self) -> bool {
        let mut texts = self.messages.iter().map(|(_, text)| text);
        self.has_acted || texts.any(|text| ModelText::of(text, true).no_reply)
    }
}

impl Default for Reply {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
