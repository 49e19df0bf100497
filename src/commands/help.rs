//! What help says, made from the definitions of the commands.

use super::{Definition, PREFIX};
use crate::{config::Level, matrix::untrusted_text};

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
        code(&definition.name),
        code(&definition.level.to_string()),
        code(&level.to_string()),
    )
}

fn overview(level: Level, in_management_room: bool) -> String {
    let invocation = |command: &str| code(&invocation(command, in_management_room));
    let commands: Vec<_> = Definition::all()
        .iter()
        .filter(|definition| definition.level <= level)
        .map(|definition| {
            format!(
                "- {}: {}",
                invocation(&definition.usage),
                definition.summary
            )
        })
        .collect();
    let elsewhere = if in_management_room {
        format!(" In other rooms, put {} in front.", code(PREFIX))
    } else {
        String::new()
    };
    format!(
        "**Commands**\n\n{}\n\n{} tells more about one of them.{elsewhere}",
        commands.join("\n"),
        invocation("help [command]"),
    )
}

fn about(definition: &Definition, in_management_room: bool) -> String {
    let mut paragraphs = vec![
        code(&invocation(&definition.usage, in_management_room)),
        definition.summary.clone(),
    ];
    if !definition.details.is_empty() {
        paragraphs.push(definition.details.clone());
    }
    let aliases: Vec<_> = definition.aliases.iter().map(|alias| code(alias)).collect();
    if !aliases.is_empty() {
        paragraphs.push(format!("Also: {}.", aliases.join(", ")));
    }
    let level = code(&definition.level.to_string());
    paragraphs.push(format!("Needs the level {level}."));
    paragraphs.join(
        "

",
    )
}

/// A command as it is written in this room.
pub(super) fn invocation(command: &str, in_management_room: bool) -> String {
    if in_management_room {
        command.to_owned()
    } else {
        format!("{PREFIX} {command}")
    }
}

/// Foreign text as inline code, cut to [`ECHO_CHARS_MAX`] characters and one line.
pub(super) fn code(text: &str) -> String {
    untrusted_text::inline_start(text, ECHO_CHARS_MAX)
}
