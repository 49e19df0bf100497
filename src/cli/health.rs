//! `health`: for container health checks and scripts.

use std::net::IpAddr;

use reqwest::ClientBuilder;

use super::{ExitCode, Failure, Files, Outcome, print_out, probe};
#[cfg(feature = "embedded")]
use crate::app;
use crate::config::{Appservice, Config, Environment};

/// Asks the running bridge whether it is ready.
pub(super) async fn health(files: &Files) -> Outcome {
    let config = Config::read(files.config(), &Environment::of_process())?;
    let (address, client) = way(&config)?;
    let url = format!("{address}/_matrix/mau/ready");
    let sick = |why: String| Failure::new(ExitCode::Other, format_args!("not ready: {why}"));
    let client = client.build().map_err(|error| sick(probe::reason(error)))?;
    match client.get(&url).send().await {
        Ok(answer) if answer.status().is_success() => {
            print_out("ready\n");
            Ok(())
        }
        Ok(answer) => Err(sick(format!("the bridge answers {}", answer.status()))),
        Err(error) => Err(sick(probe::reason(error))),
    }
}

/// Where the bridge listens, and who can ask there. The bridge's own homeserver listens for both.
fn way(config: &Config) -> Result<(String, ClientBuilder), Failure> {
    let client = probe::of_this_machine();
    #[cfg(feature = "embedded")]
    if config.homeserver.is_embedded() {
        return Ok(way_to(&app::settings(config)?.listen, client));
    }
    Ok((own_address(&config.appservice), client))
}

#[cfg(feature = "embedded")]
pub(super) fn way_to(
    listen: &homeserver::Listen,
    client: ClientBuilder,
) -> (String, ClientBuilder) {
    if let Some(socket) = &listen.unix_socket_path {
        return (
            "http://localhost".to_owned(),
            client.unix_socket(socket.clone()),
        );
    }
    let first = listen.sockets().into_iter().next();
    let host = match first.map(|socket| socket.ip()) {
        Some(IpAddr::V6(ip)) if !ip.is_loopback() && !ip.is_unspecified() => format!("[{ip}]"),
        Some(IpAddr::V4(ip)) if !ip.is_loopback() && !ip.is_unspecified() => ip.to_string(),
        _ => "localhost".to_owned(),
    };
    let port = first.map_or(0, |socket| socket.port());
    if listen.tls.certs.is_none() || listen.tls.dual_protocol {
        return (format!("http://{host}:{port}"), client);
    }
    // The certificate is for the name that clients know, which this machine need not lead to itself.
    let client = client.tls_danger_accept_invalid_certs(true);
    (format!("https://{host}:{port}"), client)
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

#[cfg(test)]
#[cfg(feature = "embedded")]
mod tests {
    use homeserver::{Listen, OneOrMany};

    use super::*;

    #[test]
    fn the_homeserver_is_asked_where_it_listens() {
        let asked = |listen: &Listen| way_to(listen, probe::of_this_machine()).0;
        let mut listen = Listen::default();
        assert_eq!(asked(&listen), "http://localhost:6167");
        listen.address = OneOrMany(vec!["0.0.0.0".parse().unwrap()]);
        listen.port = OneOrMany(vec![8448, 80]);
        assert_eq!(asked(&listen), "http://localhost:8448");
        listen.tls.certs = Some("tls.crt".into());
        listen.address = OneOrMany(vec!["2001:db8::1".parse().unwrap()]);
        assert_eq!(asked(&listen), "https://[2001:db8::1]:8448");
        listen.tls.dual_protocol = true;
        assert_eq!(asked(&listen), "http://[2001:db8::1]:8448");
        listen.unix_socket_path = Some("/run/homeserver.sock".into());
        assert_eq!(asked(&listen), "http://localhost");
    }
}
