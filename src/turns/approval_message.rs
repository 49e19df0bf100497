//! The card on which a person decides whether tools may run: pure, from a request to Markdown.
//!
//! Promises: what is approved was shown in full, so a request that does not fit one message can
//! only be denied; nothing in it is invisible or out of sight, whatever the model wrote, see
//! [`untrusted_text`](crate::matrix::untrusted_text).

mod arguments;

use std::fmt::Write;

use super::rights::Approvers;
use crate::{
    journal::{ApprovalCall, ApprovalDecision, ApprovalRecord, DecidedBy},
    matrix::{
        render::split,
        untrusted_text::{block, inline},
    },
    time::Millis,
};

/// The code of a card that waits.
pub(super) const ASKING: &str = "APPROVAL_NEEDED";

/// How much of each call is shown of a request that is too long, in characters.
const EXCERPT_CHARS_MAX: usize = 400;
/// How many calls are shown of a request that is too long.
const EXCERPT_CALLS_MAX: usize = 10;

/// The card of a request that waits.
pub(super) fn asking(approval: &ApprovalRecord, approvers: &Approvers, now: Millis) -> String {
    let mut text = format!("**May I use {}?**\n\n", tools(approval));
    let whole = shows_all(approval);
    text.push_str(&if whole {
        calls(approval)
    } else {
        excerpt(approval)
    });
    if approval.repeats {
        text.push_str("The very same was approved before, and may have run already. ");
    }
    if whole {
        text.push_str("React with ✅ to run it or with ❌ to deny it, or write `!letta approve` or `!letta deny`. ");
    } else {
        text.push_str(
            "That is not all of it: it is too long to be shown, so it cannot be approved here. React \
             with ❌ to deny it, or write `!letta deny`. ",
        );
    }
    let left = std::time::Duration::from_secs(approval.until.since(now).as_secs());
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "{} Without an answer it is denied in {}.",
        approvers.sentence(),
        humantime::format_duration(left)
    );
    text
}

/// The card of a request that was decided.
pub(super) fn decided(approval: &ApprovalRecord, decision: &ApprovalDecision) -> String {
    let mut text = match (&decision.by, decision.approve) {
        (DecidedBy::Person(user), true) => format!("✅ **Approved** by {user}"),
        (DecidedBy::Person(user), false) => format!("❌ **Denied** by {user}"),
        (DecidedBy::Stop(user), _) => format!("🛑 **Denied**, because {user} stopped the turn"),
        (DecidedBy::Rule, _) => "✅ **Approved**, because an admin allows it always".to_owned(),
        (DecidedBy::Timeout, _) => "⌛ **Denied**, because nobody decided in time".to_owned(),
        (DecidedBy::External(_), _) if decision.reason.is_some() => {
            format!("↪️ **{}**", decision.reason.as_deref().unwrap_or_default())
        }
        (DecidedBy::External(_), _) => "↪️ **No longer asked**, because it was decided outside of \
             Matrix or Letta began anew"
            .to_owned(),
    };
    if let (DecidedBy::Person(_), Some(reason)) = (&decision.by, &decision.reason) {
        let _ = write!(text, ": {}", inline(reason));
    }
    let _ = write!(text, "\n\n{}", tools(approval));
    text.push_str("\n\n");
    text.push_str(&if shows_all(approval) {
        calls(approval)
    } else {
        excerpt(approval)
    });
    text.trim_end().to_owned()
}

/// The one line that tells of tools that ran because an admin allows them always.
pub(super) fn allowed(approval: &ApprovalRecord) -> String {
    format!(
        "{} runs without asking, because an admin allows it always.",
        tools(approval)
    )
}

/// Whether one message shows all of a request.
pub(super) fn shows_all(approval: &ApprovalRecord) -> bool {
    // What is around it takes less than the excerpt.
    let around = "x".repeat(2 * EXCERPT_CHARS_MAX);
    split(&(calls(approval) + &around)).len() == 1
}

/// The names of the tools, each once.
fn tools(approval: &ApprovalRecord) -> String {
    let mut names: Vec<String> = Vec::new();
    for call in approval.calls.iter().take(EXCERPT_CALLS_MAX) {
        let name = inline(&call.tool);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if approval.calls.len() > EXCERPT_CALLS_MAX {
        names.push(format!("{} more", approval.calls.len() - EXCERPT_CALLS_MAX));
    }
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => names.concat(),
    }
}

fn calls(approval: &ApprovalRecord) -> String {
    let whole =
        |call: &ApprovalCall| name_shown(approval, call) + &arguments::shown(&call.arguments);
    approval.calls.iter().map(whole).collect()
}

/// The name of a call's tool, where the heading names more than one.
fn name_shown(approval: &ApprovalRecord, call: &ApprovalCall) -> String {
    if approval.calls.len() > 1 {
        format!("{}\n\n", inline(&call.tool))
    } else {
        String::new()
    }
}

fn excerpt(approval: &ApprovalRecord) -> String {
    let start = |call: &ApprovalCall| {
        let cut: String = call.arguments.chars().take(EXCERPT_CHARS_MAX).collect();
        let more = if cut.len() < call.arguments.len() {
            format!(
                "\n… ({} characters)",
                call.arguments.chars().count() - EXCERPT_CHARS_MAX
            )
        } else {
            String::new()
        };
        name_shown(approval, call) + &format!("{}\n\n", block(&(cut + &more)))
    };
    approval
        .calls
        .iter()
        .take(EXCERPT_CALLS_MAX)
        .map(start)
        .collect()
}

#[cfg(test)]
mod tests;
