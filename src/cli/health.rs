//! `health`: for container health checks and scripts.

use std::net::IpAddr;

use super::{ExitCode, Failure, Files, Outcome, probe, say};
use crate::config::{Appservice, Config, Environment};

/// Asks the running bridge whether it is ready.
pub(super) async fn health(files: &Files) -> Outcome {
    let config = Config::read(files.config(), &Environment::of_process())?;
    let url = format!("{}/_matrix/mau/ready", own_address(&config.appservice));
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
