//! The commands of admins: what a text means as one, and how it is answered.

use clap::{Parser, error::ErrorKind};
use ruma::UserId;

use answer::block;
use command::{Command, CommandLine};

pub mod answer;
pub mod command;

/// How a command begins in the admin room.
const PREFIX: &str = "!admin";
/// How a command begins in any other room, where the configuration lets it count there. The admin room knows it too.
const ESCAPED: &str = "\\!admin";
/// How many words at the beginning of a line name the command: in them `_` is as good as `-`.
const NAME_WORDS: usize = 2;
/// The second words that a third one follows.
const GROUPS: [&str; 4] = ["alias", "directory", "info", "moderation"];

/// What stands after the sign of a command in a message, if it is one: in capital or small letters, with or without space before it. `own` is the server's user, whom one can speak to as well.
pub fn command_in<'a>(body: &'a str, own: &UserId, in_admin_room: bool) -> Option<&'a str> {
    let body = body.trim_start();
    // Keyboards of phones begin a text with a capital letter.
    let behind = |prefix: &str| {
        let (begin, rest) = body.split_at_checked(prefix.len())?;
        begin.eq_ignore_ascii_case(prefix).then_some(rest)
    };
    let escaped = behind(ESCAPED);
    let rest = if in_admin_room {
        let addressed = behind(own.as_str());
        let addressed = addressed.map(|rest| rest.trim_start_matches([':', ',']));
        behind(PREFIX).or(addressed).or(escaped)
    } else {
        escaped
    };
    rest.filter(|rest| rest.is_empty() || rest.starts_with(char::is_whitespace))
}

/// The name of a command, without what it is given: that may be a password.
pub fn name_of(text: &str) -> String {
    let words: Vec<_> = text.split_whitespace().take(NAME_WORDS).collect();
    words.join(" ")
}

/// Why a text is no command that can be done. Both are Markdown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoCommand {
    /// It asks for help, which is this.
    Help(String),
    /// It asks which server this is.
    Version,
    /// This is wrong with it.
    Problem(String),
}

/// The command in a text, and the text below it. The first line is the command, what follows belongs to it.
pub fn parse(text: &str) -> Result<(Command, &str), NoCommand> {
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
    match CommandLine::try_parse_from(std::iter::once("!admin".to_owned()).chain(words)) {
        Ok(line) => Ok((line.command, below)),
        Err(help) if help.kind() == ErrorKind::DisplayHelp => {
            Err(NoCommand::Help(block(&help.to_string())))
        }
        Err(error) if error.kind() == ErrorKind::DisplayVersion => Err(NoCommand::Version),
        Err(error) => Err(NoCommand::Problem(block(&error.to_string()))),
    }
}

#[cfg(test)]
mod tests {
    use ruma::user_id;

    use super::*;

    #[test]
    fn sign_of_command_is_found_however_it_is_typed() {
        let own = user_id!("@conduit:letta.test");
        for body in [
            "!admin x",
            "!Admin x",
            "!ADMIN x",
            " !admin x",
            "\n\t!Admin x",
            "\\!admin x",
            " \\!Admin x",
            "@conduit:letta.test: x",
            "@Conduit:letta.test, x",
            " @conduit:letta.test x",
        ] {
            assert_eq!(command_in(body, own, true), Some(" x"), "{body:?}");
            let escaped = body.trim_start().starts_with('\\');
            assert_eq!(command_in(body, own, false).is_some(), escaped, "{body:?}");
        }
        for body in [
            "!administrate",
            "!adminx",
            "admin x",
            "!",
            "",
            "! admin x",
            "say !admin x",
            "!admiñ x",
        ] {
            assert_eq!(command_in(body, own, true), None, "{body:?}");
        }
        assert_eq!(command_in("!admin", own, true), Some(""));
    }
}
