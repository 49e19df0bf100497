//! How a command ends: a sentence for the person, a code for the script.

use std::{
    fmt,
    io::{self, Write},
};

use crate::config::ConfigError;

/// Exit codes. Where a mautrix bridge has one for the same thing, it is the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// Anything without a code of its own.
    Other = 1,
    /// The command line was not understood.
    Usage = 2,
    /// The configuration cannot be read.
    ConfigUnreadable = 10,
    /// The configuration is wrong.
    ConfigInvalid = 11,
    /// The homeserver cannot reach the bridge.
    Unreachable = 13,
    /// The homeserver cannot be reached, or did not accept the `as_token`.
    AsToken = 16,
    /// The `as_token` belongs to another user.
    WrongUser = 17,
    /// The domain is still `example.com`.
    ExampleDomain = 20,
    /// The configuration cannot be written.
    ConfigUnwritable = 21,
    /// The registration cannot be written.
    RegistrationUnwritable = 22,
    /// The bridge cannot listen on its port.
    NoListener = 23,
    /// A task ended that the bridge cannot do without. A supervisor should start it again.
    TaskFailed = 70,
    /// The journal or the database can no longer be written, and has to be opened anew. A supervisor should start it again.
    StoreLost = 74,
}

/// Why a command did not do what it was asked for.
///
/// As the source of an `anyhow` error it decides the exit code.
#[derive(Debug)]
pub struct Failure {
    code: ExitCode,
    message: String,
}

impl Failure {
    /// A failure with a sentence for the person.
    pub fn new(code: ExitCode, message: impl fmt::Display) -> Self {
        Self {
            code,
            message: message.to_string(),
        }
    }

    /// A failure of which everything has been said already.
    pub(super) fn silent(code: ExitCode) -> Self {
        Self {
            code,
            message: String::new(),
        }
    }

    /// The code.
    pub fn code(&self) -> ExitCode {
        self.code
    }

    /// Says it on standard error.
    pub(super) fn report(&self) -> std::process::ExitCode {
        if !self.message.is_empty() {
            // Where nothing can be written, the exit code has to do.
            drop(writeln!(io::stderr(), "{}", self.message));
        }
        std::process::ExitCode::from(self.code as u8)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        let code = match error {
            ConfigError::Unreadable { .. } => ExitCode::ConfigUnreadable,
            ConfigError::Yaml { .. } | ConfigError::Invalid(_) => ExitCode::ConfigInvalid,
        };
        Self::new(code, error)
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        let code = error.chain().find_map(|cause| cause.downcast_ref::<Self>());
        let code = code.map_or(ExitCode::Other, Self::code);
        Self::new(code, format_args!("{error:#}"))
    }
}
