//! The embedded homeserver's own configuration: a `tuwunel.toml`, the block `homeserver:`, `TUWUNEL_*`.
//!
//! What nobody has written down is as the bridge needs it; what somebody has is honored, also where it says the default.

use std::{net::IpAddr, path::PathBuf};

use ::settings::{Problem, nearest, quoted};
use homeserver::{ROOM_VERSIONS, Severity, Sources};
use tracing::{info, warn};

use crate::{
    cli::{ExitCode, Failure},
    config::Config,
};

/// The folder of the homeserver's data, beside the journal, unless `database_path` says another.
const FOLDER: &str = "homeserver";

/// The keys of `homeserver` that are the bridge's own.
const OWN_KEYS: [&str; 5] = ["mode", "address", "listen", "domain", "tuwunel_config"];

/// The configuration of the homeserver in this process.
pub fn settings(config: &Config) -> anyhow::Result<homeserver::Config> {
    let variables = std::env::vars_os();
    let env = variables
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    from_sources(config, env.collect())
}

/// Where the homeserver's data are unless `database_path` says another place.
pub(super) fn folder(config: &Config) -> PathBuf {
    config.journal.path.with_file_name(FOLDER)
}

fn from_sources(config: &Config, env: Vec<(String, String)>) -> anyhow::Result<homeserver::Config> {
    let own = &config.homeserver;
    check(config).map_err(|problem| Failure::new(ExitCode::ConfigInvalid, problem))?;
    let mut inline = own.tuwunel.clone();
    inline.insert("server_name".to_owned(), own.domain.as_str().into());
    if !own.listen.is_empty() {
        inline.insert("address".to_owned(), serde_json::to_value(&own.listen)?);
    }
    let sources = Sources {
        files: own.tuwunel_config.clone().into_iter().collect(),
        inline: Some(inline),
        inline_folder: config.folder.clone(),
        env,
        overrides: Vec::new(),
    };
    let invalid = |error| Failure::new(ExitCode::ConfigInvalid, error);
    let (mut settings, warnings) = homeserver::Config::load(&sources).map_err(invalid)?;
    for warning in warnings {
        match warning.severity {
            Severity::Loud => warn!("homeserver: {warning}"),
            Severity::Quiet => info!("homeserver: {warning}"),
        }
    }
    if let Some(why) = address_without_effect(config, &settings.listen.port.0) {
        warn!("{why}");
    }
    if !sources.sets("database_path").map_err(invalid)? {
        settings.database.database_path = folder(config).join("database");
    }
    if !sources.sets("allow_legacy_media").map_err(invalid)? {
        settings.media.allow_legacy_media = is_for_this_network_only(&settings);
    }
    // What the bridge invites its people to is theirs without a click.
    if !sources.sets("auto_accept_invites").map_err(invalid)? {
        settings.rooms.auto_accept_invites = true;
    }
    // Agents cannot read what is encrypted.
    if !sources
        .sets("well_known.element_e2ee_default")
        .map_err(invalid)?
    {
        settings.well_known.element_e2ee_default = Some(false);
    }
    // Nobody gets in without a token; the first person gets one from the log, all others from an admin.
    if own.tuwunel_config.is_none() && !sources.sets("allow_registration").map_err(invalid)? {
        settings.registration.allow_registration = true;
    }
    Ok(settings)
}

/// Whether only this machine and its own network reach the homeserver, as far as its configuration says: clients from before
/// Matrix 1.11 (nheko) get pictures only without a token, which is not for everybody on the internet.
fn is_for_this_network_only(settings: &homeserver::Config) -> bool {
    let sockets = settings.listen.sockets();
    let behind_proxy = settings.well_known.client.is_some()
        || settings.listen.unix_socket_path.is_some()
        || settings.proxies.ip_source.is_some();
    let private = |ip: IpAddr| match ip.to_canonical() {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private() || ip.is_link_local(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local(),
    };
    !behind_proxy && !sockets.is_empty() && sockets.iter().all(|socket| private(socket.ip()))
}

/// Why `homeserver.address` does not do what somebody may expect who has changed it: it is where an external homeserver is.
fn address_without_effect(config: &Config, listens: &[u16]) -> Option<String> {
    let address = &config.homeserver.address;
    let port = address.port_or_known_default()?;
    if *address == crate::config::Homeserver::default().address || listens.contains(&port) {
        return None;
    }
    Some(format!(
        "`homeserver.address` ({address}) has no effect on the embedded homeserver; set `homeserver.port` to {port}, and \
         `homeserver.listen` to the IP addresses, for where it listens, or `homeserver.mode` to `external`"
    ))
}

/// What the bridge's own keys say that this homeserver cannot do.
fn check(config: &Config) -> Result<(), Problem> {
    let version = &config.rooms.version;
    if !ROOM_VERSIONS.contains(version) {
        let versions = ROOM_VERSIONS.map(|version| version.to_string());
        let versions: Vec<_> = versions.iter().map(String::as_str).collect();
        return Err(Problem::value(
            "rooms.version",
            format_args!("the embedded homeserver has no room version {version}"),
            format!("set it to one of {}", quoted(&versions)),
        ));
    }
    // A key that neither of the two knows is told of; one that is almost one of ours would change what starts.
    let unknown = config
        .homeserver
        .tuwunel
        .keys()
        .filter(|key| !homeserver::Config::is_known_key(key));
    for key in unknown {
        if let Some(meant) = nearest(key, OWN_KEYS) {
            return Err(Problem::key(
                &format!("homeserver.{key}"),
                " is not a key",
                format!("did you mean `{meant}`?"),
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::Environment;

    fn config(homeserver: &str) -> Config {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("config.yaml");
        let text = format!(
            "homeserver:\n  domain: house.test\n{homeserver}\npermissions: {{\"@alice:house.test\": admin}}\n"
        );
        std::fs::write(&path, text).unwrap();
        let mut config = Config::load_with(&path, &Environment::default()).unwrap();
        config.journal.path = "/data/journal".into();
        config
    }

    fn read(homeserver: &str, env: &[(&str, &str)]) -> homeserver::Config {
        let env = env
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        from_sources(&config(homeserver), env.collect()).unwrap()
    }

    #[test]
    fn what_is_written_is_honored_and_what_is_not_lies_beside_the_journal() {
        let usual = "/var/lib/tuwunel";
        let path = |settings: &homeserver::Config| settings.database.database_path.clone();
        let silent = read("", &[]);
        assert_eq!(path(&silent), Path::new("/data/homeserver/database"));
        assert!(silent.registration.allow_registration);
        assert_eq!(
            path(&read(&format!("  database_path: {usual}"), &[])),
            Path::new(usual)
        );
        let env = [
            ("TUWUNEL_DATABASE_PATH", usual),
            ("TUWUNEL_ALLOW_REGISTRATION", "false"),
        ];
        let spoken = read("", &env);
        assert_eq!(path(&spoken), Path::new(usual));
        assert!(!spoken.registration.allow_registration);
    }

    #[test]
    fn key_that_is_almost_one_of_ours_and_unknown_room_version_are_refused() {
        let refused = |config: &Config| {
            let refused = from_sources(config, Vec::new()).err();
            refused.map(|error| error.to_string()).unwrap_or_default()
        };
        for (written, meant) in [
            ("  mod: external", "mode"),
            ("  Mode: external", "mode"),
            ("  adress: http://localhost:8008", "address"),
            ("  domian: other.test", "domain"),
            ("  listn: ['::']", "listen"),
            ("  tuwunel_conf: t.toml", "tuwunel_config"),
        ] {
            let text = refused(&config(written));
            assert!(
                text.contains(&format!("did you mean `{meant}`?")),
                "{written}: {text}"
            );
        }
        // Tuwunel's own keys, and what is like neither.
        for written in ["  port: 1234", "  log: info", "  xyzzy: 1"] {
            assert_eq!(refused(&config(written)), "", "{written}");
        }
        let mut config = config("");
        config.rooms.version = "99".try_into().unwrap();
        let text = refused(&config);
        assert!(text.contains("set it to one of `10`, `11`, `12`"), "{text}");
    }

    #[test]
    fn invitations_of_the_bridge_are_accepted_unless_somebody_says_otherwise() {
        for (written, env, accepted) in [
            ("", None, true),
            ("  auto_accept_invites: false", None, false),
            ("", Some("false"), false),
            ("  auto_accept_invites: true", None, true),
        ] {
            let env: Vec<_> = env
                .map(|value| ("TUWUNEL_AUTO_ACCEPT_INVITES", value))
                .into_iter()
                .collect();
            let rooms = read(written, &env).rooms;
            assert_eq!(rooms.auto_accept_invites, accepted, "{written} {env:?}");
            assert!(rooms.auto_accept_invites_appservices_only);
        }
    }

    #[test]
    fn legacy_media_is_served_to_this_machine_and_network_only() {
        for (written, served) in [
            ("", true),
            ("  listen: [127.0.0.1, '::1']", true),
            ("  listen: [192.168.1.7, 'fd00::7']", true),
            ("  listen: ['::ffff:10.0.0.1']", true),
            ("  listen: [0.0.0.0]", false),
            ("  listen: ['::']", false),
            ("  listen: [127.0.0.1, 203.0.113.7]", false),
            ("  unix_socket_path: /run/letta.sock", false),
            ("  well_known: {client: 'https://house.test'}", false),
            ("  allow_legacy_media: false", false),
            ("  listen: [0.0.0.0]\n  allow_legacy_media: true", true),
        ] {
            let settings = read(written, &[]);
            assert_eq!(settings.media.allow_legacy_media, served, "{written}");
        }
        let off = [("TUWUNEL_ALLOW_LEGACY_MEDIA", "false")];
        assert!(!read("", &off).media.allow_legacy_media);
    }

    #[test]
    fn address_with_a_port_that_nothing_listens_on_is_named() {
        for (written, named) in [
            ("", false),
            ("  address: http://localhost:8008", false),
            ("  address: http://localhost:6167", false),
            ("  address: http://localhost:7777", true),
            ("  address: http://localhost:7777\n  port: 7777", false),
            ("  address: https://chat.house.test", true),
            ("  address: http://localhost:6167\n  port: [80, 81]", true),
        ] {
            let config = config(written);
            let listens = read(written, &[]).listen.port.0;
            let why = address_without_effect(&config, &listens);
            assert_eq!(why.is_some(), named, "{written}: {why:?}");
        }
        let why = address_without_effect(&config("  address: http://localhost:7777"), &[6167]);
        assert!(why.unwrap().contains("set `homeserver.port` to 7777"));
    }

    #[test]
    fn an_address_that_is_no_url_is_where_it_listens() {
        for (written, expected) in [
            ("  address: 0.0.0.0", "[0.0.0.0:6167]"),
            (
                "  address: [127.0.0.1, '::1']\n  port: 1234",
                "[127.0.0.1:1234, [::1]:1234]",
            ),
            ("  listen: ['::']", "[[::]:6167]"),
            (
                "  address: http://localhost:8008\n  listen: [0.0.0.0]",
                "[0.0.0.0:6167]",
            ),
        ] {
            let sockets = read(written, &[]).listen.sockets();
            assert_eq!(format!("{sockets:?}"), expected, "{written}");
        }
    }
}
