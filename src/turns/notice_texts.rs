//! The sentences that a room hears from the bridge itself: one plain sentence, what to do, a code that people see where an admin has to
//! act.
//!
//! They never hold what Letta said in its own words, which can tell of the inside of a server.

use letta_client::{BackendError, FailureKind};

pub use self::{attachments::*, waits::*};

mod attachments;
mod waits;

use super::rights::Approvers;
use crate::{journal::NoticeText, matrix::untrusted_text};

/// How many tools that do not run are named.
const DROPPED_NAMED_MAX: usize = 10;
/// How much of a tool's name is shown, in characters.
const TOOL_CHARS_MAX: usize = 40;
/// How much of what was asked elsewhere is quoted, in characters.
const QUOTE_CHARS_MAX: usize = 2_000;

/// The agent has ended its turn without a word.
pub fn empty_answer() -> NoticeText {
    NoticeText::new(
        "The agent ended its turn without an answer. Ask again or in other words.",
        "EMPTY_ANSWER",
    )
}

/// An event or a turn was given up because of a fault of the bridge.
pub fn set_aside() -> NoticeText {
    NoticeText::new("A fault of the bridge kept this message from being handled. The log says more under the id of your message; say it in other words.", "SET_ASIDE").for_admin()
}

/// A person has stopped the turn.
pub fn stopped() -> NoticeText {
    NoticeText::new("Stopped.", "STOPPED")
}

/// Letta's limit of steps is reached.
pub fn max_steps() -> NoticeText {
    NoticeText::new(
        "The agent reached its limit of steps before it was done. Ask it to go on.",
        "MAX_STEPS",
    )
}

/// The model's limit of tokens has cut the answer. `nothing`: there is no answer before the cut.
pub fn max_tokens(nothing: bool) -> NoticeText {
    if nothing {
        NoticeText::new("The model reached its limit of tokens before it wrote an answer. Ask for less at once, or let an admin raise \
         the limit of this agent's model.", "MAX_TOKENS_EXCEEDED").for_admin()
    } else {
        NoticeText::new(
            "The model's limit of tokens cut the answer here. Ask the agent to go on.",
            "MAX_TOKENS_EXCEEDED",
        )
    }
}

/// A tool call waits for a decision, and Letta does not say which.
pub fn needs_approval() -> NoticeText {
    NoticeText::new(
        "The agent wants to use a tool that needs an approval, but Letta does not say which tool. \
     Decide it in Letta.",
        "APPROVAL_NEEDED",
    )
}

/// The agent has called more tools in one answer than Letta keeps.
pub fn calls_dropped(tools: &[String]) -> NoticeText {
    let names: Vec<_> = tools
        .iter()
        .take(DROPPED_NAMED_MAX)
        .map(|tool| {
            untrusted_text::one_line(&tool.chars().take(TOOL_CHARS_MAX).collect::<String>())
        })
        .collect();
    let more = match tools.len() - names.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    NoticeText::new(
        format!(
            "The agent called more tools at once than Letta keeps of one answer. Not run: {}{more}. The agent can call them again.",
            names.join(", ")
        ),
        "CALLS_DROPPED",
    )
}

/// A new message, while a person is to decide first.
pub fn waits_for_decision() -> NoticeText {
    NoticeText::new(
        "The agent waits for a decision on a tool. Your message is delivered after that.",
        "APPROVAL_NEEDED",
    )
}

/// A turn begins that nobody in the room has set going.
pub fn external_turn_started(prompt: Option<&str>) -> NoticeText {
    let sentence = match prompt {
        Some(prompt) => {
            let shown: String = prompt.chars().take(QUOTE_CHARS_MAX).collect();
            let more = if shown.len() < prompt.len() {
                "…"
            } else {
                ""
            };
            format!(
                "Asked outside of Matrix: {}{more}",
                untrusted_text::plain(shown.trim())
            )
        }
        None => "Started outside of Matrix.".to_owned(),
    };
    NoticeText::new(sentence, "")
}

/// A turn that was set going elsewhere went on while the bridge was not there.
pub fn missed() -> NoticeText {
    NoticeText::new(
        "The end of this was missed. Letta's own app shows it.",
        "TURN_MISSED",
    )
}

/// Somebody who may not decide has tried to.
pub fn not_yours_to_decide(user: &ruma::UserId) -> NoticeText {
    NoticeText::new(
        format!("Only who asked the agent, or an admin, can decide that, {user}."),
        "NOT_YOURS_TO_DECIDE",
    )
}

/// Somebody who may not approve has tried to.
pub fn not_yours_to_approve(user: &ruma::UserId, approvers: &Approvers) -> NoticeText {
    NoticeText::new(
        format!(
            "That is not yours to approve, {user}. {}",
            approvers.sentence()
        ),
        "NOT_YOURS_TO_DECIDE",
    )
}

/// Somebody has tried to approve what could not be shown.
pub fn too_long_to_approve() -> NoticeText {
    NoticeText::new(
        "What cannot be shown in full cannot be approved here, only denied.",
        "APPROVAL_TOO_LONG",
    )
}

/// What the agent is told when nobody has decided.
pub fn nobody_decided(after: std::time::Duration) -> String {
    format!(
        "Nobody decided within {}.",
        humantime::format_duration(after)
    )
}

/// Somebody has decided in Letta's own app, or with another client.
pub fn decided_outside(approve: bool) -> &'static str {
    if approve {
        "Approved outside of Matrix"
    } else {
        "Denied outside of Matrix"
    }
}

/// Letta was stopped in the middle of an answer, and what its tools have done is not known.
pub fn broke_off() -> NoticeText {
    NoticeText::new(
        "Letta was stopped in the middle of this answer and does not go on with it. What a tool has done by then is not known. Ask \
     the agent to look, and to go on.",
        "RUN_DIED",
    )
}

/// What was decided has come through, and how the agent went on cannot be had any more.
pub fn cut_off() -> NoticeText {
    NoticeText::new(
        "Letta has taken your decision and has lost the rest of the answer. What a tool has done by then is not known. Ask the agent \
     to look, and to go on.",
        "STREAM_INCOMPLETE",
    )
}

/// Letta does not know a conversation any more that it knew.
pub fn conversation_lost() -> NoticeText {
    NoticeText::new(
        "Letta has lost this conversation. The agent goes on in a new one, and does not know what was \
     said here before.",
        "CONVERSATION_LOST",
    )
}

/// The turn could not begin, or not go on, and will not: why, and the code of it.
pub fn refused(error: &BackendError) -> NoticeText {
    let what = match error.kind() {
        FailureKind::ApprovalPending => {
            "The agent waits for a decision about an earlier tool call. Decide it in Letta."
        }
        FailureKind::NotPending if matches!(error, BackendError::Forgotten { .. }) => {
            "Letta has forgotten what the agent wanted to do."
        }
        FailureKind::NotPending => {
            "The tool call that waited was decided elsewhere. Ask the agent to go on."
        }
        FailureKind::AgentGone => "Letta no longer has this agent.",
        FailureKind::ConversationGone | FailureKind::RunGone => {
            "Letta has lost what was said here."
        }
        FailureKind::Unauthorized if matches!(error, BackendError::Unauthorized) => {
            "Letta refuses the bridge's key. An admin has to change `letta.api_key`."
        }
        FailureKind::Unauthorized => {
            "The provider of the agent's model refuses the key that Letta has for it."
        }
        FailureKind::Credits => {
            "The Letta account has reached its limit. An admin has to change that."
        }
        FailureKind::ContextOverflow => {
            "This conversation, or this message, is too long for the agent's model. Begin a thread, or shorten the message."
        }
        FailureKind::NoPictures => {
            "The agent's model takes no pictures, and there is one in this conversation. Begin a thread, or let an admin choose another model."
        }
        FailureKind::Refused => refused_word(error),
        FailureKind::Unreachable { .. }
        | FailureKind::Overloaded { .. }
        | FailureKind::RateLimited { .. }
        | FailureKind::Broken
        | FailureKind::Busy => "Letta broke off again and again before the agent was done.",
    };
    let is_for_admin = matches!(
        error.kind(),
        FailureKind::Unauthorized
            | FailureKind::Credits
            | FailureKind::Refused
            | FailureKind::Unreachable { .. }
            | FailureKind::Broken
    );
    NoticeText::new(what, error.code()).for_admin_if(is_for_admin)
}

fn refused_word(error: &BackendError) -> &'static str {
    match error {
        BackendError::Unsupported { .. } => {
            "This cannot be done over the way by which the bridge reaches Letta."
        }
        BackendError::Unrecognized { .. } => {
            "What the bridge reaches is no Letta that it knows. An admin has to change `letta.url` or `letta.backend`."
        }
        BackendError::Protocol { .. } => {
            "Letta answered in a way that the bridge does not understand. An admin finds more in the log."
        }
        BackendError::Model { .. } => {
            "The provider of the agent's model refused this message. An admin finds more in the log."
        }
        _ => "Letta refused this message. An admin finds more in the log.",
    }
}

/// A message was edited while its agent answers it.
pub fn edit_too_late() -> NoticeText {
    NoticeText::new(
        "The agent answers this message already and does not see the edit. Send what has changed as a new message.",
        "EDIT_TOO_LATE",
    )
}

/// A message was removed while its agent answers it.
pub fn redaction_too_late() -> NoticeText {
    NoticeText::new(
        "The agent has read this message already and answers it. `!letta stop` ends the answer.",
        "REDACTION_TOO_LATE",
    )
}

/// Too much waits already.
pub fn queue_full(limit: usize) -> NoticeText {
    NoticeText::new(
        format!(
            "{limit} messages wait for this agent already, so this one was not taken. Send it again \
         later."
        ),
        "QUEUE_FULL",
    )
}

/// The room is encrypted.
///
/// `has_one_agent`: a reaction makes a room without encryption for whoever reacts.
pub fn encrypted(has_one_agent: bool) -> NoticeText {
    let way_out = if has_one_agent {
        "React with ✅ to this message, and I invite you to a room without encryption."
    } else {
        "Talk to them in a room without encryption."
    };
    NoticeText::new(
        format!("This room is encrypted, and agents cannot read encrypted messages yet. {way_out}"),
        "ENCRYPTED",
    )
}

/// The room key of a message has not come yet.
pub fn no_room_key() -> NoticeText {
    NoticeText::new(
        "I cannot decrypt this message: its key has not reached me. I answer if it still comes; if not, send the message again.",
        "CANNOT_DECRYPT",
    )
}

/// A message will never be decrypted.
pub fn cannot_decrypt() -> NoticeText {
    NoticeText::new(
        "I cannot decrypt this message. Send it again.",
        "CANNOT_DECRYPT",
    )
}

#[cfg(test)]
mod tests;
