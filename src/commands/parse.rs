//! What a text means as a command.

use super::{
    Command, Definition, PREFIX,
    definition::{DEFINITIONS, Misuse},
    help::{code, invocation},
    lookup::nearest,
};

/// The longest text that is read as a command, in bytes.
pub const TEXT_BYTES_MAX: usize = 1_000;

/// What a text means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// It is not meant as a command.
    NotACommand,
    /// It is this command.
    Command(Command),
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
        Some("") => return Parsed::Command(Command::Help { topic: None }),
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
    match (definition.read)(arguments.trim()) {
        Ok(command) => Parsed::Command(command),
        Err(misuse) => Parsed::Problem(explain(&misuse, definition, in_management_room)),
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

fn explain(misuse: &Misuse, definition: &Definition, in_management_room: bool) -> String {
    let name = code(definition.name);
    let usage = code(&invocation(&definition.usage(), in_management_room));
    match misuse {
        Misuse::TooMuch if definition.arguments.is_empty() => {
            format!("{name} takes nothing after it. Write {usage}.")
        }
        Misuse::TooMuch => format!("{name} does not take that. Write {usage}."),
        Misuse::NoNumber => format!("Which number? Write {usage}."),
        Misuse::NoTool => format!("Which tool? Write {usage}."),
        Misuse::NoSuchChoice(all) => format!("{name} takes one of {all}. Write {usage}."),
        Misuse::NoAgent => format!("Which agent? Write {usage}."),
        Misuse::NotAUser(word) => format!(
            "{} is not a full user id, which looks like `@user:domain`. Write {usage}.",
            code(word),
        ),
        Misuse::NoSuchCommand(word) => no_such_command(word, in_management_room),
    }
}

fn no_such_command(word: &str, in_management_room: bool) -> String {
    let names = DEFINITIONS.iter().flat_map(|definition| definition.names());
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
