//! What the program that runs the server does for its admins, as far as it says so: the log and the configuration are its own.

use std::sync::OnceLock;

type SetLogFilter = Box<dyn Fn(Option<&str>) -> Result<(), String> + Send + Sync>;
type CheckConfig = Box<dyn Fn() -> Result<(), String> + Send + Sync>;

/// There is one log in a process, and one configuration that it was started with.
static LOG_FILTER: OnceLock<SetLogFilter> = OnceLock::new();
static CONFIG_CHECK: OnceLock<CheckConfig> = OnceLock::new();

/// Says how the filter of the log is replaced while the program runs; `None` is that of the configuration. The first one counts.
pub fn provide_log_filter(
    set: impl Fn(Option<&str>) -> Result<(), String> + Send + Sync + 'static,
) {
    // Whoever comes second has no other log.
    _ = LOG_FILTER.set(Box::new(set));
}

/// Says how the configuration is read anew and checked, without being applied. The first one counts.
pub fn provide_config_check(check: impl Fn() -> Result<(), String> + Send + Sync + 'static) {
    // Whoever comes second was started with the same configuration.
    _ = CONFIG_CHECK.set(Box::new(check));
}

/// Replaces the filter of the log.
pub(crate) fn set_log_filter(filter: Option<&str>) -> Result<(), String> {
    let set = LOG_FILTER.get().ok_or_else(|| {
        "This program has no log that can be changed while it runs: set `log` and restart the server.".to_owned()
    })?;
    set(filter)
}

/// Checks the configuration as it is now.
pub(crate) fn check_config() -> Result<(), String> {
    CONFIG_CHECK.get().map_or(Ok(()), |check| {
        check().map_err(|reason| {
            format!(
                "The configuration has errors, and the server goes on with the old one: {reason}"
            )
        })
    })
}
