//! Sets up the log, which goes to standard error.

use std::io::IsTerminal;

use tracing_subscriber::{EnvFilter, fmt, reload};

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
        LogFormat::Pretty => {
            let log = log.with_filter_reloading();
            let filter = log.reload_handle();
            log.try_init().map(|()| let_admins_change(filter, logging))
        }
        LogFormat::Json => {
            let log = log.json().flatten_event(true).with_filter_reloading();
            let filter = log.reload_handle();
            log.try_init().map(|()| let_admins_change(filter, logging))
        }
    });
}

/// Lets admins of the embedded homeserver change what is logged while the program runs.
#[cfg(feature = "embedded")]
fn let_admins_change<S>(filter: reload::Handle<EnvFilter, S>, logging: &Logging)
where
    reload::Handle<EnvFilter, S>: Send + Sync + 'static,
{
    let configured = logging.level.clone();
    homeserver::provide_log_filter(move |wanted| {
        let wanted = format!("{QUIETER},{}", wanted.unwrap_or(&configured));
        let wanted = EnvFilter::try_new(wanted).map_err(|error| error.to_string())?;
        filter.reload(wanted).map_err(|error| error.to_string())
    });
}

#[cfg(not(feature = "embedded"))]
fn let_admins_change<S>(_: reload::Handle<EnvFilter, S>, _: &Logging) {}
