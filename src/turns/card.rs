//! The card on which a person decides whether tools may run: pure, from a request to Markdown.
//!
//! Promises: what is approved was shown in full, so a request that does not fit one message can
//! only be denied; nothing in it is invisible or out of sight, whatever the model wrote, see
//! [`foreign`](crate::matrix::foreign).

mod arguments;

use std::fmt::Write;

use super::rights::Approvers;
use crate::{
    journal::{Ask, AskedCall, By, Verdict},
    matrix::{
        foreign::{block, inline},
        render::split,
    },
    time::Millis,
};

/// How much of each call is shown of a request that is too long, in characters.
const EXCERPT_CHARS_MAX: usize = 400;
/// How many calls are shown of a request that is too long.
const EXCERPT_CALLS_MAX: usize = 10;

/// The card of a request that waits.
pub(super) fn asking(ask: &Ask, approvers: &Approvers, now: Millis) -> String {
    let mut text = format!("**May I use {}?**\n\n", tools(ask));
    let whole = shows_all(ask);
    text.push_str(&if whole { calls(ask) } else { excerpt(ask) });
    if ask.repeats {
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
    let left = std::time::Duration::from_secs(ask.until.since(now).as_secs());
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "{} Without an answer it is denied in {}. [APPROVAL_NEEDED]",
        approvers.sentence(),
        humantime::format_duration(left)
    );
    text
}

/// The card of a request that was decided.
pub(super) fn decided(ask: &Ask, verdict: &Verdict) -> String {
    let mut text = match (&verdict.by, verdict.approve) {
        (By::Person(user), true) => format!("✅ **Approved** by {user}"),
        (By::Person(user), false) => format!("❌ **Denied** by {user}"),
        (By::Stop(user), _) => format!("🛑 **Denied**, because {user} stopped the turn"),
        (By::Rule, _) => "✅ **Approved**, because an admin allows it always".to_owned(),
        (By::Timeout, _) => "⌛ **Denied**, because nobody decided in time".to_owned(),
        (By::Elsewhere(_), _) if verdict.reason.is_some() => {
            format!("↪️ **{}**", verdict.reason.as_deref().unwrap_or_default())
        }
        (By::Elsewhere(_), _) => "↪️ **No longer asked**, because it was decided outside of \
             Matrix or Letta began anew"
            .to_owned(),
    };
    if let (By::Person(_), Some(reason)) = (&verdict.by, &verdict.reason) {
        let _ = write!(text, ": {}", inline(reason));
    }
    let _ = write!(text, "\n\n{}", tools(ask));
    text.push_str("\n\n");
    text.push_str(&if shows_all(ask) {
        calls(ask)
    } else {
        excerpt(ask)
    });
    text.trim_end().to_owned()
}

/// The one line that tells of tools that ran because an admin allows them always.
pub(super) fn allowed(ask: &Ask) -> String {
    format!(
        "{} runs without asking, because an admin allows it always. [APPROVED]",
        tools(ask)
    )
}

/// Whether one message shows all of a request.
pub(super) fn shows_all(ask: &Ask) -> bool {
    // What is around it takes less than the excerpt.
    let around = "x".repeat(2 * EXCERPT_CHARS_MAX);
    split(&(calls(ask) + &around)).len() == 1
}

/// The names of the tools, each once.
fn tools(ask: &Ask) -> String {
    let mut names: Vec<String> = Vec::new();
    for call in ask.calls.iter().take(EXCERPT_CALLS_MAX) {
        let name = inline(&call.tool);
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if ask.calls.len() > EXCERPT_CALLS_MAX {
        names.push(format!("{} more", ask.calls.len() - EXCERPT_CALLS_MAX));
    }
    match names.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => names.concat(),
    }
}

fn calls(ask: &Ask) -> String {
    let whole = |call: &AskedCall| name_shown(ask, call) + &arguments::shown(&call.arguments);
    ask.calls.iter().map(whole).collect()
}

/// The name of a call's tool, where the heading names more than one.
fn name_shown(ask: &Ask, call: &AskedCall) -> String {
    if ask.calls.len() > 1 {
        format!("{}\n\n", inline(&call.tool))
    } else {
        String::new()
    }
}

fn excerpt(ask: &Ask) -> String {
    let start = |call: &AskedCall| {
        let cut: String = call.arguments.chars().take(EXCERPT_CHARS_MAX).collect();
        let more = if cut.len() < call.arguments.len() {
            format!(
                "\n… ({} characters)",
                call.arguments.chars().count() - EXCERPT_CHARS_MAX
            )
        } else {
            String::new()
        };
        name_shown(ask, call) + &format!("{}\n\n", block(&(cut + &more)))
    };
    ask.calls
        .iter()
        .take(EXCERPT_CALLS_MAX)
        .map(start)
        .collect()
}

#[cfg(test)]
mod tests;
