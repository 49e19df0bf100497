//! From a command line to what it does.

use clap::{Parser, error::ErrorKind};

use super::{
    answer::block,
    appservices,
    command::{Command, Line},
    debug, media, rooms, running, token, users,
};
use crate::services::Services;

/// How many words at the beginning of a line name the command: in them `_` is as good as `-`.
const NAME_WORDS: usize = 2;
/// The second words that a third one follows.
const GROUPS: [&str; 3] = ["alias", "directory", "moderation"];

/// The name of a command, without what it is given: that may be a password.
pub fn name_of(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().take(NAME_WORDS).collect();
    words.join(" ")
}

/// Does what the command says, and gives the answer, in Markdown. The first line is the command, what follows belongs to it.
///
/// # Errors
///
/// With the reason, in Markdown.
pub async fn execute(services: &Services, text: &str) -> Result<String, String> {
    let (line, below) = text.trim().split_once('\n').unwrap_or((text.trim(), ""));
    let second = line.split_whitespace().nth(1).unwrap_or_default();
    let names = NAME_WORDS + usize::from(GROUPS.contains(&second));
    let words = line.split_whitespace().enumerate().map(|(at, word)| {
        if at < names {
            word.replace('_', "-")
        } else {
            word.to_owned()
        }
    });
    let parsed = Line::try_parse_from(std::iter::once("!admin".to_owned()).chain(words));
    let line = match parsed {
        Ok(line) => line,
        Err(help) if help.kind() == ErrorKind::DisplayHelp => return Ok(block(&help.to_string())),
        Err(error) => return Err(block(&error.to_string())),
    };
    let done = match line.command {
        Command::Appservices(command) => appservices::run(services, command, below).await,
        Command::Users(command) => users::run(services, command, below).await,
        Command::Rooms(command) => rooms::run(services, command, below).await,
        Command::Media(command) => media::run(services, command, below).await,
        Command::Server(command) => running::run(services, command).await,
        Command::Token(command) => token::run(services, command).await,
        Command::Debug(command) => debug::run(services, command).await,
    };
    done.map_err(|reason| format!("Command failed with error: {reason}"))
}
