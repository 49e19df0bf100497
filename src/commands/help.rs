//! What help says, made from the table.

use std::fmt::Write;

use super::{DEFINITIONS, Definition, PREFIX};
use crate::config::Level;

/// The longest text from elsewhere that is repeated to its sender, in characters.
const ECHO_CHARS_MAX: usize = 60;

/// Help as Markdown: the commands that somebody of this level may use, or how one is used.
pub fn help(topic: Option<&str>, level: Level, in_management_room: bool) -> String {
    match topic.and_then(Definition::find) {
        Some(definition) => about(definition, in_management_room),
        None => overview(level, in_management_room),
    }
}

/// What somebody hears who may not use a command, as Markdown.
pub fn refusal(definition: &Definition, level: Level) -> String {
    format!(
        "You may not use {}: it needs the level {}, and you have {}. The `permissions` of the \
         bridge decide that.",
        code(definition.name),
        code(&definition.level.to_string()),
        code(&level.to_string()),
    )
}

fn overview(level: Level, in_management_room: bool) -> String {
    let mut text = String::from("**Commands**\n\n");
    for definition in DEFINITIONS
        .iter()
        .filter(|definition| definition.level <= level)
    {
        let usage = code(&invocation(&definition.usage(), in_management_room));
        let _ = writeln!(text, "- {usage}: {}", definition.summary);
    }
    let more = code(&invocation("help [command]", in_management_room));
    let _ = write!(text, "\n{more} tells more about one of them.");
    if in_management_room {
        let _ = write!(text, " In other rooms, put {} in front.", code(PREFIX));
    }
    text
}

fn about(definition: &Definition, in_management_room: bool) -> String {
    let usage = code(&invocation(&definition.usage(), in_management_room));
    let mut text = format!("{usage}\n\n{}", definition.summary);
    if !definition.details.is_empty() {
        text.push_str("\n\n");
        text.push_str(definition.details);
    }
    let aliases: Vec<_> = definition.aliases.iter().map(|alias| code(alias)).collect();
    if !aliases.is_empty() {
        let _ = write!(text, "\n\nAlso: {}.", aliases.join(", "));
    }
    let _ = write!(
        text,
        "\n\nNeeds the level {}.",
        code(&definition.level.to_string())
    );
    text
}

/// A command as it is written in this room.
pub(super) fn invocation(command: &str, in_management_room: bool) -> String {
    if in_management_room {
        command.to_owned()
    } else {
        format!("{PREFIX} {command}")
    }
}

/// Text from elsewhere as inline code, cut to [`ECHO_CHARS_MAX`] characters and one line.
pub(super) fn code(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(ECHO_CHARS_MAX)
        .map(|c| if c == '`' || c.is_control() { ' ' } else { c })
        .collect();
    if text.chars().nth(ECHO_CHARS_MAX).is_some() {
        shown.push('…');
    }
    let shown = shown.trim();
    if shown.is_empty() {
        "` `".to_owned()
    } else {
        format!("`{shown}`")
    }
}
