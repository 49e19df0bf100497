//! What a text means as a command.

use std::error::Error;

use clap::{Parser, error::ErrorKind};

use super::{
    Command, Definition, PREFIX,
    arguments::Misuse,
    definition::Line,
    help::{code, invocation},
    lookup::nearest,
};

/// The longest text that is read as a command, in bytes.
pub const TEXT_BYTES_MAX: usize = 1_000;

/// What a text means.
#[derive(Clone, Debug)]
pub enum Parsed {
    /// It is not meant as a command.
    NotACommand,
    /// It is this command.
    Command(&'static Definition, Command),
    /// It is meant as a command but is none; says in plain words, as Markdown, what is wrong and
    /// how to say it.
    Problem(String),
}

/// Reads a message as a command.
///
/// In the management room every text is one, with or without [`PREFIX`]; elsewhere only a text
/// that begins with it. Names of commands are understood in any case, for phones begin a sentence
/// with a capital letter.
pub fn parse(text: &str, in_management_room: bool) -> Parsed {
    let text = text.trim();
    let text = match after_prefix(text) {
        Some("") => "help",
        Some(rest) => rest,
        None if in_management_room && !text.is_empty() => text,
        None => return Parsed::NotACommand,
    };
    if text.len() > TEXT_BYTES_MAX {
        return Parsed::Problem(format!(
            "That is too long for a command (more than {TEXT_BYTES_MAX} bytes). {}",
            see_help(in_management_room),
        ));
    }
    let (name, arguments) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    let Some(definition) = Definition::find(name) else {
        return Parsed::Problem(no_such_command(name, in_management_room));
    };
    let argument = Some(arguments.trim()).filter(|argument| !argument.is_empty());
    // What begins with a hyphen is no flag.
    let argument = argument.into_iter().flat_map(|argument| ["--", argument]);
    let words = std::iter::once(definition.name.as_str()).chain(argument);
    match Line::try_parse_from(words) {
        Ok(Line { command }) => understood(definition, command, in_management_room),
        Err(error) => Parsed::Problem(explain(&error, definition, in_management_room)),
    }
}

/// Help is asked for by any name of a command, with or without the prefix.
fn understood(
    definition: &'static Definition,
    command: Command,
    in_management_room: bool,
) -> Parsed {
    let Command::Help { topic: Some(topic) } = command else {
        return Parsed::Command(definition, command);
    };
    let asked = after_prefix(&topic).unwrap_or(&topic).trim();
    if asked.is_empty() {
        return Parsed::Command(definition, Command::Help { topic: None });
    }
    match Definition::find(asked) {
        Some(about) => {
            let topic = Some(about.name.clone());
            Parsed::Command(definition, Command::Help { topic })
        }
        None => Parsed::Problem(no_such_command(asked, in_management_room)),
    }
}

/// Whether a text is meant as a command wherever it stands.
pub fn has_prefix(text: &str) -> bool {
    after_prefix(text.trim()).is_some()
}

/// What follows the prefix, if the text begins with it as a word of its own.
fn after_prefix(text: &str) -> Option<&str> {
    let (prefix, rest) = text.split_at_checked(PREFIX.len())?;
    let is_word = rest.is_empty() || rest.starts_with(char::is_whitespace);
    (prefix.eq_ignore_ascii_case(PREFIX) && is_word).then(|| rest.trim_start())
}

fn explain(error: &clap::Error, definition: &Definition, in_management_room: bool) -> String {
    let name = code(&definition.name);
    let usage = code(&invocation(&definition.usage, in_management_room));
    let Some((argument, values)) = &definition.argument else {
        return format!("{name} takes nothing after it. Write {usage}.");
    };
    let misuse = error
        .source()
        .and_then(|source| source.downcast_ref::<Misuse>());
    match (misuse, error.kind()) {
        (Some(Misuse::NotAUser(word)), _) => format!(
            "{} is not a full user id, which looks like `@user:domain`. Write {usage}.",
            code(word),
        ),
        (Some(Misuse::Missing), _) | (None, ErrorKind::MissingRequiredArgument) => {
            format!("Which {argument}? Write {usage}.")
        }
        _ if values.contains('|') => {
            let choices = values.replace('|', ", ");
            format!("{name} takes one of {choices}. Write {usage}.")
        }
        _ => format!("{name} does not take that. Write {usage}."),
    }
}

fn no_such_command(word: &str, in_management_room: bool) -> String {
    let names = Definition::all().iter().flat_map(Definition::names);
    let guess = nearest(word, names)
        .into_iter()
        .next()
        .map_or_else(String::new, |guess| {
            format!(
                "Did you mean {}? ",
                code(&invocation(guess, in_management_room))
            )
        });
    format!(
        "There is no command {}. {guess}{}",
        code(word),
        see_help(in_management_room)
    )
}

fn see_help(in_management_room: bool) -> String {
    format!(
        "{} lists all commands.",
        code(&invocation("help", in_management_room))
    )
}
