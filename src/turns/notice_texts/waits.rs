//! Why a message waits, for how long, and what became of it: one sentence each, with what one can do and a code.

use std::time::Duration;

use letta_client::{BackendError, FailureKind, TurnFailure};

use crate::{
    journal::{NoticeText, PauseRecord},
    matrix::{CannotSend, untrusted_text},
    time::Millis,
    turns::budget::{Exhausted, FAILURES_MAX, RESTARTS_MAX, RUNS_MAX, SENDS_MAX, WAIT_MAX},
};

/// The longest room id that is shown, in characters.
const ROOM_ID_CHARS_MAX: usize = 255;
/// The code of a wait for the model provider, which Letta itself asks again.
pub const PROVIDER_RETRIED: &str = "LLM_RETRY";
/// From this on a wait is named by its end.
const NAMED_WAIT_MIN: Duration = Duration::from_secs(5);

/// The message waits because Letta cannot take it now. `wait`: until Letta is asked again.
pub fn waiting(error: &BackendError, wait: Duration, now: Millis) -> NoticeText {
    let until = if error.kind().retry_after().is_some() && wait >= NAMED_WAIT_MIN {
        format!(
            "Your message waits and is tried again {}; `!letta stop` gives it up.",
            at(now.plus(wait), now)
        )
    } else {
        format!(
            "Your message waits and is delivered as soon as that changes, for at most {}. `!letta stop` gives it up.",
            span(WAIT_MAX)
        )
    };
    let is_unreachable = matches!(error.kind(), FailureKind::Unreachable { .. });
    NoticeText::new(format!("{}. {until}", obstacle(error)), error.code())
        .for_admin_if(is_unreachable)
}

/// Letta has not answered yet at all.
pub fn no_answer_yet() -> NoticeText {
    NoticeText::new(
        "Letta has not answered yet. Your message waits for it; `!letta stop` gives it up.",
        "LETTA_SILENT",
    )
}

/// The reason for the wait has changed so often that it is not told any more.
pub fn waiting_on(code: &str) -> NoticeText {
    NoticeText::new(
        format!(
            "Your message still waits and is tried again, for at most {}. `!letta stop` gives it up.",
            span(WAIT_MAX)
        ),
        code,
    )
}

/// The agent is paused.
pub fn paused(pause: &PauseRecord, now: Millis) -> NoticeText {
    NoticeText::new(format!("{} The agent is paused. Your message waits and is tried again {}, or as soon as an admin says `!letta resume`.", pause.reason, at(pause.until.max(now), now)), &*pause.code).for_admin()
}

/// The model provider has failed, and Letta asks it again by itself after `delay`.
pub fn provider_retried(kind: &FailureKind, delay: Duration, now: Millis) -> NoticeText {
    let what = match kind {
        FailureKind::RateLimited { .. } => {
            "The provider of the agent's model asks for fewer requests"
        }
        _ => "The provider of the agent's model does not work at the moment",
    };
    let then = if delay >= NAMED_WAIT_MIN {
        format!("Letta tries it again {}", at(now.plus(delay), now))
    } else {
        "Letta tries it again and again".to_owned()
    };
    NoticeText::new(
        format!("{what}. {then}; `!letta stop` gives your message up."),
        PROVIDER_RETRIED,
    )
}

/// The connection is lost in the middle of an answer.
pub fn connection_lost() -> NoticeText {
    NoticeText::new(
        "The connection to Letta is lost while the agent answers. The bridge tries to get it back; `!letta stop` gives the answer up.",
        "LETTA_UNREACHABLE",
    )
}

/// The connection was lost in the middle of an answer, and is there again.
pub fn connection_back(took: Duration) -> NoticeText {
    NoticeText::new(
        format!("The connection to Letta was lost for {}.", span(took)),
        "LETTA_UNREACHABLE",
    )
}

/// What a wait was for, once it is over.
pub fn waited(code: &str, took: Duration) -> NoticeText {
    NoticeText::new(
        format!(
            "Your message has waited {} and is delivered now.",
            span(took)
        ),
        code,
    )
}

/// The same, where the message was not delivered.
pub fn waited_in_vain(code: &str, took: Duration) -> NoticeText {
    NoticeText::new(
        format!(
            "Your message has waited {} and does not wait any more.",
            span(took)
        ),
        code,
    )
}

/// What stands in the way.
fn obstacle(error: &BackendError) -> &'static str {
    if matches!(error, BackendError::NotLetta { .. }) {
        return "Something else answers in Letta's place";
    }
    match error.kind() {
        FailureKind::Busy => "The agent is busy elsewhere in this conversation",
        FailureKind::ApprovalPending => "The agent waits for a decision about an earlier tool call",
        FailureKind::RateLimited { .. } => "Letta is asked too much at the moment",
        FailureKind::Overloaded { .. } | FailureKind::Broken => "Letta does not work at the moment",
        _ => "Letta cannot be reached",
    }
}

/// Why an agent is paused, and the code of it.
pub fn pause_reason(kind: &FailureKind, code: &str) -> NoticeText {
    let reason = match kind {
        FailureKind::NoPictures => {
            "Its model takes no pictures, and there is one in this conversation. Begin a thread, or let an admin choose another model."
        }
        FailureKind::Credits => {
            "The account that pays for this agent has no credits left, or has used up its quota."
        }
        FailureKind::Unauthorized => {
            "The provider of the agent's model refuses the key that Letta has for it."
        }
        _ => "The provider of the agent's model asks for fewer requests.",
    };
    NoticeText::new(reason, code)
}

/// The turn's budget is spent. `failure`: what Letta said last.
pub fn exhausted(exhausted: Exhausted, failure: Option<&BackendError>) -> NoticeText {
    let what = match exhausted {
        Exhausted::Sends => format!(
            "Letta has taken this message {SENDS_MAX} times and has lost the answer each time."
        ),
        Exhausted::Runs => format!("The agent has begun {RUNS_MAX} runs for this and is not done."),
        Exhausted::Failures => match failure.map(BackendError::kind) {
            Some(FailureKind::Broken | FailureKind::Overloaded { .. }) => {
                format!("Letta fails with this message; {FAILURES_MAX} times is enough.")
            }
            _ => format!("Letta has failed {FAILURES_MAX} times in a row."),
        },
        Exhausted::Restarts => {
            format!("The bridge was restarted {RESTARTS_MAX} times before this was answered.")
        }
        Exhausted::Time => format!("This message has waited {}.", span(WAIT_MAX)),
    };
    let code = match exhausted {
        Exhausted::Sends => "RUNS_LOST",
        Exhausted::Runs => "RUNS_EXHAUSTED",
        Exhausted::Failures => failure.map_or("LETTA_ERROR", BackendError::code),
        Exhausted::Restarts => "RESTARTS_EXHAUSTED",
        Exhausted::Time => "WAIT_EXHAUSTED",
    };
    NoticeText::new(what, code)
        .for_admin_if(!matches!(exhausted, Exhausted::Runs | Exhausted::Time))
}

/// Letta no longer has the agent.
pub fn agent_gone(while_answering: bool) -> NoticeText {
    let what = if while_answering {
        "The agent was removed from Letta while it answered."
    } else {
        "Letta no longer has this agent."
    };
    NoticeText::new(what, "AGENT_GONE")
}

/// The agent cannot say anything in the room.
pub fn silenced(ghost: &ruma::UserId, silence: &CannotSend) -> NoticeText {
    let (what, code) = match silence {
        CannotSend::NotInRoom => (
            format!(
                "{ghost} is not in this room, so it is not asked. Invite it, and it comes back."
            ),
            "AGENT_NOT_IN_ROOM",
        ),
        CannotSend::Banned => (
            format!(
                "{ghost} is banned from this room, so it is not asked. Lift the ban and invite it, and it comes back."
            ),
            "AGENT_BANNED",
        ),
        CannotSend::Muted { power, needed } => (
            format!(
                "{ghost} may not write in this room (power level {power}, needed {needed}), so it is not asked. Raise its power level."
            ),
            "AGENT_MUTED",
        ),
        CannotSend::Closed { successor } => (
            format!(
                "This room was closed, so {ghost} is not asked here. Invite it to the new room, {}.",
                untrusted_text::inline_start(successor, ROOM_ID_CHARS_MAX)
            ),
            "ROOM_CLOSED",
        ),
    };
    NoticeText::new(what, code)
}

/// A thread has stayed behind in a room that was replaced.
pub fn thread_in_upgraded_room(ghost: &ruma::UserId, successor: &str) -> NoticeText {
    NoticeText::new(
        format!(
            "This room was replaced, and a thread cannot go on in another room. {ghost} is in the new one, {}: begin a thread there.",
            untrusted_text::inline_start(successor, ROOM_ID_CHARS_MAX)
        ),
        "ROOM_CLOSED",
    )
}

/// The bridge itself failed, again and again.
pub fn turn_fault() -> NoticeText {
    let what = "A fault of the bridge kept this message from being answered.";
    NoticeText::new(what, "SET_ASIDE").for_admin()
}

/// Prompts are set aside. `number`: what they are called by.
pub fn prompts_set_aside(reason: &NoticeText, number: u64) -> NoticeText {
    let more = format!("Your message is set aside; `!letta retry {number}` tries it again.");
    reason.clone().and(&more)
}

/// The turn failed inside Letta.
pub fn turn_failed(failure: &TurnFailure) -> NoticeText {
    let (hint, is_for_admin) = match failure.kind {
        FailureKind::ContextOverflow => (
            "This conversation, or this message, is too long for the agent's model. Begin a thread, or shorten the message.",
            false,
        ),
        FailureKind::Credits => (
            "The account that pays for this agent has no credits left, or has used up its quota. An admin has to change that.",
            true,
        ),
        FailureKind::Unauthorized => (
            "The provider of the agent's model refuses the key that Letta has for it. An admin has to change that.",
            true,
        ),
        FailureKind::RateLimited { .. } => (
            "The provider of the agent's model asks for fewer requests. Try again later.",
            false,
        ),
        _ if failure.is_transient() => ("Try again in a moment.", false),
        _ => ("An admin finds more in the log.", true),
    };
    NoticeText::new(
        format!("The agent could not answer. {hint}"),
        &*failure.code,
    )
    .for_admin_if(is_for_admin)
}

/// Somebody sets too many turns going.
pub fn rate_limited(user: &ruma::UserId, max: usize, wait: Duration) -> NoticeText {
    NoticeText::new(
        format!(
            "{user} has set {max} answers going here within a minute. What comes now waits up to {}.",
            span(wait)
        ),
        "TOO_MANY_TURNS",
    )
}

/// A moment, and how far away it is.
fn at(then: Millis, now: Millis) -> String {
    let minutes = then.0 / 60_000 % (24 * 60);
    format!(
        "at {:02}:{:02} UTC (in {})",
        minutes / 60,
        minutes % 60,
        span(then.since(now))
    )
}

/// A span to the second, rounded up.
fn span(span: Duration) -> String {
    let seconds = span.as_millis().div_ceil(1000);
    humantime::format_duration(Duration::from_secs(
        u64::try_from(seconds).unwrap_or(u64::MAX),
    ))
    .to_string()
}
