//! The card on which a person decides whether tools may run: pure, from a request to Markdown.
//!
//! Promises: what is approved was shown in full, so a request that does not fit one message can
//! only be denied; nothing in it is invisible or out of sight, whatever the model wrote: characters
//! that show nothing or turn others around are spelled out, and long lines are broken.

use std::fmt::Write;

use ruma::UserId;

use crate::{
    journal::{Ask, AskedCall, By, Verdict},
    matrix::render::split,
    time::Millis,
};

/// Where a line of arguments is broken, in characters.
const LINE_CHARS_MAX: usize = 100;
/// How much of each call is shown of a request that is too long, in characters.
const EXCERPT_CHARS_MAX: usize = 400;
/// How many calls are shown of a request that is too long.
const EXCERPT_CALLS_MAX: usize = 10;

/// The card of a request that waits.
pub(super) fn asking(ask: &Ask, asker: Option<&UserId>, now: Millis) -> String {
    let mut text = format!("**May I use {}?**\n\n", tools(ask));
    let whole = shows_all(ask);
    text.push_str(&if whole { calls(ask) } else { excerpt(ask) });
    if ask.repeats {
        text.push_str("The very same was approved before, and may have run already. ");
    }
    if whole {
        text.push_str("✅ lets it run, ❌ does not; so do `!letta approve` and `!letta deny`. ");
    } else {
        text.push_str(
            "That is not all of it: it is too long to be shown, so it cannot be approved here. ❌ \
             or `!letta deny` denies it. ",
        );
    }
    match asker {
        _ if ask.found => text.push_str("It was asked before, so only an admin can approve it. "),
        Some(asker) => {
            // Writing to a String cannot fail.
            let _ = write!(text, "Only {asker} or an admin decides. ");
        }
        None => text.push_str("Only an admin decides. "),
    }
    let left = std::time::Duration::from_secs(ask.until.since(now).as_secs());
    let _ = write!(
        text,
        "Without an answer it is denied in {}. [APPROVAL_NEEDED]",
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
    let whole = |call: &AskedCall| block(&call.tool, &visible(&call.arguments));
    ask.calls.iter().map(whole).collect()
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
        block(&call.tool, &(visible(&cut) + &more))
    };
    ask.calls
        .iter()
        .take(EXCERPT_CALLS_MAX)
        .map(start)
        .collect()
}

/// One call: its tool, and what is visible of its arguments as a block of code.
fn block(tool: &str, arguments: &str) -> String {
    let longest = arguments
        .split(|c| c != '`')
        .map(str::len)
        .max()
        .unwrap_or_default();
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{}\n\n{fence}\n{arguments}\n{fence}\n\n", inline(tool))
}

/// Foreign text inside a line.
fn inline(text: &str) -> String {
    let shown: String = visible(text)
        .chars()
        .map(|c| match c {
            '`' => '\'',
            '\n' => ' ',
            other => other,
        })
        .collect();
    let shown = shown.trim();
    if shown.is_empty() {
        "(nothing)".to_owned()
    } else {
        format!("`{shown}`")
    }
}

/// A text of which every character can be seen, in lines that need no scrolling.
fn visible(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut column = 0;
    for c in text.chars() {
        if c == '\n' {
            column = 0;
            out.push(c);
            continue;
        }
        if column >= LINE_CHARS_MAX {
            column = 0;
            out.push('\n');
        }
        if hides(c) {
            let spelled = c.escape_unicode().to_string();
            column += spelled.len();
            out.push_str(&spelled);
        } else {
            column += 1;
            out.push(c);
        }
    }
    out
}

/// Whether a character shows nothing, or changes how others are shown: controls and the format
/// characters of Unicode, the fillers, and every space but the plain one.
fn hides(c: char) -> bool {
    c.is_control()
        || (c.is_whitespace() && c != ' ')
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}'
            | '\u{8e2}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{2800}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{110bd}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests;
