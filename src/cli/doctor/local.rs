//! What can be seen on this machine.

use std::{fs, io, path::Path};

use tokio::net::TcpListener;

use super::{Advice, Check};
#[cfg(feature = "embedded")]
use crate::cli::health::way_to;
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

/// Whether the embedded homeserver can be started as it is configured, or is running.
#[cfg(feature = "embedded")]
pub(super) async fn embedded_homeserver(config: &Config) -> Check {
    let outcome = match crate::app::settings(config) {
        Ok(settings) => free_or_ours(&settings.listen).await,
        Err(error) => Err(Advice::new(
            format!("{error:#}"),
            "fix this, then run doctor again",
        )),
    };
    Check {
        name: "homeserver",
        outcome,
    }
}

/// Whether each address is free, or this homeserver is what listens there.
#[cfg(feature = "embedded")]
async fn free_or_ours(listen: &homeserver::Listen) -> Result<String, Advice> {
    let mut free = Vec::new();
    for socket in listen.sockets() {
        match TcpListener::bind(socket).await {
            Ok(_) => free.push(socket.to_string()),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                let (address, client) = way_to(listen, probe::of_this_machine());
                if client_is_answered(client.build(), &address).await {
                    return Ok(format!(
                        "the bridge and its homeserver are running at {address}"
                    ));
                }
                return Err(Advice::new(
                    format!("another program listens on {socket}"),
                    "is another homeserver running? Stop it, or set `homeserver.port`",
                ));
            }
            // One of the built-in addresses may be missing on the machine.
            Err(_) if listen.uses_default_addresses() => {}
            Err(error) => {
                return Err(Advice::new(
                    format!("cannot listen on {socket}: {error}"),
                    "set `homeserver.listen` to addresses of this machine, like 127.0.0.1, and `homeserver.port` to a port above 1023",
                ));
            }
        }
    }
    match (free.is_empty(), &listen.unix_socket_path) {
        (false, _) => Ok(format!(
            "{} is free; the bridge is not running",
            free.join(", ")
        )),
        (true, Some(path)) => Ok(format!("it listens on {}", path.display())),
        (true, None) => Err(Advice::new(
            "none of its addresses is one of this machine",
            "set `homeserver.listen` to addresses of this machine, like 127.0.0.1",
        )),
    }
}

async fn bridge_is_alive(address: &str) -> bool {
    client_is_answered(probe::client_of_this_machine(), address).await
}

async fn client_is_answered<E>(client: Result<reqwest::Client, E>, address: &str) -> bool {
    let Ok(client) = client else {
        return false;
    };
    let answer = client
        .get(format!("{address}/_matrix/mau/live"))
        .send()
        .await;
    answer.is_ok_and(|answer| answer.status().is_success())
}
