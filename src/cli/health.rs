//! `health`: for container health checks and scripts.

use std::net::IpAddr;

use super::{ExitCode, Failure, Files, Outcome, probe, say};
use crate::config::{Appservice, Config, Environment};

/// The port of the embedded homeserver if the configuration names none.
const EMBEDDED_PORT: u64 = 6167;

/// Asks the running bridge whether it is ready.
pub(super) async fn health(files: &Files) -> Outcome {
    let config = Config::read(files.config(), &Environment::of_process())?;
    let url = format!("{}/_matrix/mau/ready", where_it_listens(&config));
    let sick = |why: String| Failure::new(ExitCode::Other, format_args!("not ready: {why}"));
    match probe::client_of_this_machine()
        .map_err(&sick)?
        .get(&url)
        .send()
        .await
    {
        Ok(answer) if answer.status().is_success() => {
            say("ready\n");
            Ok(())
        }
        Ok(answer) => Err(sick(format!("the bridge answers {}", answer.status()))),
        Err(error) => Err(sick(probe::reason(error))),
    }
}

/// The bridge's own homeserver listens for both.
fn where_it_listens(config: &Config) -> String {
    if !config.homeserver.is_embedded() {
        return own_address(&config.appservice);
    }
    let port = config
        .homeserver
        .tuwunel
        .get("port")
        .and_then(serde_json::Value::as_u64);
    format!("http://localhost:{}", port.unwrap_or(EMBEDDED_PORT))
}

/// Where this machine reaches what the bridge listens on.
pub(super) fn own_address(appservice: &Appservice) -> String {
    let host = match appservice.hostname.parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) if ip.is_unspecified() => "127.0.0.1".to_owned(),
        Ok(IpAddr::V6(ip)) if ip.is_unspecified() => "[::1]".to_owned(),
        Ok(IpAddr::V6(ip)) => format!("[{ip}]"),
        Ok(IpAddr::V4(_)) | Err(_) => appservice.hostname.clone(),
    };
    format!("http://{host}:{}", appservice.port)
}
