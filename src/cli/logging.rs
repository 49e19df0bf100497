//! Sets up the log, which goes to standard error.

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, fmt};

use crate::config::{LogFormat, Logging};

/// What would tell of every single event; whoever wants that names it in `logging.level`.
const QUIETER: &str = "ruma_state_res=warn";

/// Starts the log. A second call changes nothing.
pub(super) fn start(logging: &Logging) {
    let filter = EnvFilter::try_new(format!("{QUIETER},{}", logging.level))
        .unwrap_or_else(|_| EnvFilter::new("info"));
    // Colors are for eyes, not for files.
    let log = fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        // It would be said on the very output that fails, and panic there: a full disk may hold the log, too.
        .log_internal_errors(false)
        .with_writer(std::io::stderr);
    // An error says that a log is there already.
    drop(match logging.format {
        LogFormat::Pretty => log.try_init(),
        LogFormat::Json => log.json().flatten_event(true).try_init(),
    });
}
