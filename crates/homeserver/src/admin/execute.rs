//! From a command line to what it does.

pub use homeserver_model::admin::name_of;
use homeserver_model::admin::{NoCommand, command::Command, parse};

use super::{appservices, debug, media, rooms, running, token, users};
use crate::services::Services;

/// Does what the command says, and gives the answer, in Markdown. The first line is the command, what follows belongs to it.
///
/// # Errors
///
/// With the reason, in Markdown.
pub async fn execute(services: &Services, text: &str) -> Result<String, String> {
    let (command, below) = match parse(text) {
        Ok(parsed) => parsed,
        Err(NoCommand::Help(help)) => return Ok(help),
        Err(NoCommand::Version) => {
            let software = services.software;
            return Ok(format!("{} {}", software.name, software.version));
        }
        Err(NoCommand::Problem(problem)) => return Err(problem),
    };
    let done = match command {
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
