//! What can be seen on this machine.

use std::{fs, io, path::Path};

use tokio::net::TcpListener;

use super::{Advice, Check};
use crate::{
    cli::{health::own_address, probe},
    config::Config,
    registration::Registration,
};

/// Whether the registration file is there and fits.
pub(super) fn registration(config: &Config, path: &Path) -> Check {
    let outcome = match Registration::read(path) {
        Err(error) => Err(Advice::new(
            error.to_string(),
            "run `registration`, then give it to the homeserver",
        )),
        Ok(registration) => match registration.differences(config) {
            differences if differences.is_empty() => {
                Ok(format!("{} fits the configuration", path.display()))
            }
            differences => Err(Advice::new(
                format!("{}: {}", path.display(), differences.join("; ")),
                "run `registration`, then give the new file to the homeserver",
            )),
        },
    };
    Check {
        name: "registration",
        outcome,
    }
}

/// Whether the journal can be written.
pub(super) fn journal(config: &Config) -> Check {
    let path = &config.journal.path;
    let probe = path.join(".doctor");
    let existed = path.exists();
    let tried = fs::create_dir_all(path)
        .and_then(|()| fs::write(&probe, "probe"))
        .and_then(|()| fs::remove_file(&probe));
    if !existed {
        // The bridge makes it when it first starts; `doctor` leaves nothing behind.
        drop(fs::remove_dir(path));
    }
    let outcome = match tried {
        Ok(()) => Ok(format!("{} can be written", path.display())),
        Err(error) => Err(Advice::new(
            format!("cannot write to {}: {error}", path.display()),
            "let the bridge's user write there, or set `journal.path`",
        )),
    };
    Check {
        name: "journal",
        outcome,
    }
}

/// Whether the port is ours to listen on; the listener if nobody does yet.
pub(super) async fn port(config: &Config) -> (Check, Option<TcpListener>) {
    let appservice = &config.appservice;
    let at = format!("{}:{}", appservice.hostname, appservice.port);
    let bound = TcpListener::bind((appservice.hostname.as_str(), appservice.port)).await;
    let (outcome, listener) = match bound {
        Ok(listener) => (
            Ok(format!("{at} is free; the bridge is not running")),
            Some(listener),
        ),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            let outcome = if bridge_is_alive(&own_address(appservice)).await {
                Ok(format!("the bridge is running at {at}"))
            } else {
                Err(Advice::new(
                    format!("another program listens on {at}"),
                    "stop it, or set `appservice.port` and `appservice.address` and run \
                     `registration` again",
                ))
            };
            (outcome, None)
        }
        Err(error) => {
            let advice = Advice::new(
                format!("cannot listen on {at}: {error}"),
                "set `appservice.hostname` to an address of this machine, like 127.0.0.1, and \
                 `appservice.port` to a port above 1023",
            );
            (Err(advice), None)
        }
    };
    (
        Check {
            name: "port",
            outcome,
        },
        listener,
    )
}

async fn bridge_is_alive(address: &str) -> bool {
    let Ok(client) = probe::client_of_this_machine() else {
        return false;
    };
    let answer = client
        .get(format!("{address}/_matrix/mau/live"))
        .send()
        .await;
    answer.is_ok_and(|answer| answer.status().is_success())
}
