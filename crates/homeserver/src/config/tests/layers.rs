//! Where values come from, and which of them win.

use std::{net::SocketAddr, time::Duration};

use ruma::RoomVersionId;
use serde_json::json;

use super::{TUWUNEL_TOML, env, file, load_file, options};
use crate::config::{Config, Sources, sample};

#[test]
fn a_tuwunel_toml_is_read() {
    let (config, _) = load_file(TUWUNEL_TOML).unwrap();
    assert_eq!(config.server_name, "example.org");
    let sockets: Vec<SocketAddr> = [
        "127.0.0.1:6167",
        "127.0.0.1:8448",
        "[::1]:6167",
        "[::1]:8448",
    ]
    .map(|socket| socket.parse().unwrap())
    .to_vec();
    assert_eq!(config.listen.sockets(), sockets);
    assert_eq!(config.listen.max_request_size.as_len(), 50 << 20);
    assert_eq!(
        config.listen.tls.certs.unwrap().to_str(),
        Some("/etc/tls.crt")
    );
    assert!(config.registration.allow_registration && !config.registration.is_open());
    assert!(
        config
            .registration
            .registration_token
            .unwrap()
            .matches("o&^uCtes4HPf0Vu")
    );
    assert!(
        config
            .registration
            .forbidden_usernames
            .is_match("my_b4d_name")
    );
    assert!(!config.registration.forbidden_usernames.is_match("alice"));
    assert_eq!(config.registration.auto_join_rooms.len(), 1);
    assert_eq!(config.login.access_token_ttl, Duration::from_hours(1));
    assert_eq!(config.login.refresh_token_life(), None);
    assert_eq!(config.rooms.default_room_version, RoomVersionId::V12);
    assert!(config.outbound.forbids("10.1.1.1".parse().unwrap()));
    assert!(!config.outbound.forbids("127.0.0.1".parse().unwrap()));
    assert_eq!(
        config.well_known.client.unwrap().as_str(),
        "https://matrix.example.org/"
    );
    assert_eq!(
        config.well_known.support_email.unwrap(),
        "admin@example.org"
    );
    assert_eq!(config.logging.log, "warn,homeserver=debug");
}

#[test]
fn a_file_needs_no_header() {
    let (config, _) = load_file("server_name = 'a.org'\nport = 1\n[tls]\n").unwrap();
    assert_eq!(config.server_name, "a.org");
    assert_eq!(config.listen.port.0, [1]);
}

#[test]
fn the_defaults_are_those_of_tuwunel_but_for_the_port() {
    let (config, _) = load_file("server_name = 'example.org'").unwrap();
    let sockets = config.listen.sockets();
    assert_eq!(
        sockets,
        [
            "127.0.0.1:6167".parse().unwrap(),
            "[::1]:6167".parse().unwrap()
        ]
    );
    assert!(config.listen.uses_default_addresses());
    assert_eq!(config.listen.max_request_size.0, 24 * 1024 * 1024);
    assert_eq!(config.registration.first_displayname("alice"), "alice");
    assert_eq!(config.rooms.default_room_version, RoomVersionId::V11);
    assert_eq!(config.admin.admin_room_tag, "m.server_notice");
    assert_eq!(config.login.access_token_ttl, Duration::from_hours(168));
    assert!(!config.registration.allow_registration && !config.media.allow_legacy_media);
}

#[test]
fn later_sources_win() {
    let (folder, mut sources) = file("server_name = 'a.org'\nport = 1\nlog = 'warn'");
    let second = folder.path().join("second.toml");
    std::fs::write(&second, "port = 2").unwrap();
    sources.files.push(second);
    let port = |sources: &Sources| Config::load(sources).unwrap().0.listen.port.0[0];
    assert_eq!(port(&sources), 2);
    sources.inline = json!({"port": 3, "well_known": {"client": "https://a.org"}})
        .as_object()
        .cloned();
    assert_eq!(port(&sources), 3);
    sources.env = env(&[
        ("TUWUNEL_PORT", "6"),
        ("CONDUWUIT_PORT", "5"),
        ("CONDUIT_PORT", "4"),
    ]);
    assert_eq!(port(&sources), 6);
    sources.env.remove(0);
    assert_eq!(port(&sources), 5);
    sources.overrides = vec!["port = 7".to_owned(), "port=8".to_owned()];
    assert_eq!(port(&sources), 8);
    let (config, _) = Config::load(&sources).unwrap();
    assert_eq!(
        config.logging.log, "warn",
        "what only the weakest says stays"
    );
}

#[test]
fn sections_are_merged_key_by_key() {
    let (_folder, mut sources) =
        file("server_name = 'a.org'\n[well_known]\nclient = 'https://a.org'\nserver = 'a.org:1'");
    sources.env = env(&[("TUWUNEL_WELL_KNOWN__SERVER", "a.org:2")]);
    sources.overrides = vec!["well_known.support_email='me@a.org'".to_owned()];
    let well_known = Config::load(&sources).unwrap().0.well_known;
    assert_eq!(well_known.client.unwrap().as_str(), "https://a.org/");
    assert_eq!(well_known.server.unwrap(), "a.org:2");
    assert_eq!(well_known.support_email.unwrap(), "me@a.org");
}

#[test]
fn the_environment_has_text_numbers_switches_and_lists() {
    let mut sources = options(&[]);
    sources.env = env(&[
        ("PATH", "/bin"),
        ("TUWUNEL_CONFIG", "/etc/tuwunel.toml"),
        ("TUWUNEL_REGISTRATION_TOKEN", "007"),
        ("TUWUNEL_ALLOW_ENCRYPTION", "false"),
        ("TUWUNEL_TURN_URIS", "[\"turn:a\", \"turn:b\"]"),
        ("TUWUNEL_ADDRESS", "0.0.0.0"),
        ("TUWUNEL_MAX_REQUEST_SIZE", "1000"),
        ("TUWUNEL_DEFAULT_ROOM_VERSION", "10"),
        ("TUWUNEL_LOG", ""),
        ("TUWUNEL_EMERGENCY_PASSWORD", ""),
        ("TUWUNEL_NEW_USER_DISPLAYNAME_SUFFIX", ""),
    ]);
    let (config, warnings) = Config::load(&sources).unwrap();
    assert_eq!(warnings.len(), 1, "only about federation: {warnings:?}");
    assert!(
        config
            .registration
            .registration_token
            .unwrap()
            .matches("007")
    );
    assert_eq!(config.registration.new_user_displayname_suffix, "");
    assert!(!config.rooms.allow_encryption);
    assert_eq!(config.rooms.default_room_version, RoomVersionId::V10);
    assert_eq!(config.turn.turn_uris, ["turn:a", "turn:b"]);
    assert_eq!(config.listen.sockets(), ["0.0.0.0:6167".parse().unwrap()]);
    assert_eq!(config.listen.max_request_size.0, 1000);
    assert_eq!(config.logging.log, "info");
    assert!(config.admin.emergency_password.is_none());
}

#[test]
fn times_are_counts_of_tuwunels_units_or_have_their_own() {
    let sources = options(&[
        "access_token_ttl = 60",
        "refresh_token_ttl = '3d'",
        "client_sync_timeout_min = 100",
        "client_sync_timeout_max = '2m'",
    ]);
    let (config, _) = Config::load(&sources).unwrap();
    assert_eq!(config.login.access_token_ttl, Duration::from_mins(1));
    assert_eq!(
        config.login.refresh_token_life(),
        Some(Duration::from_hours(72))
    );
    let wait = |asked| config.sync.wait(asked).as_millis();
    assert_eq!(wait(None), 0);
    assert_eq!(wait(Some(Duration::ZERO)), 0);
    assert_eq!(wait(Some(Duration::from_millis(1))), 100);
    assert_eq!(wait(Some(Duration::from_hours(1))), 120_000);
}

#[test]
fn the_block_of_another_program_may_have_keys_without_a_value() {
    let inline = json!({"server_name": "a.org", "registration_token": null, "port": null});
    let sources = Sources {
        inline: inline.as_object().cloned(),
        ..Sources::default()
    };
    let (config, _) = Config::load(&sources).unwrap();
    assert!(config.registration.registration_token.is_none());
    assert_eq!(config.listen.port.0, [6167]);
}

#[test]
fn what_is_shown_hides_every_secret_and_keeps_the_keys() {
    let (config, _) = load_file(TUWUNEL_TOML).unwrap();
    let shown = serde_json::to_value(&config).unwrap();
    assert_eq!(shown["registration_token"], "***");
    assert_eq!(shown["port"], json!([6167, 8448]));
    assert_eq!(shown["appservice"]["irc"]["as_token"], "***");
    let debug = format!("{config:?}");
    assert!(
        !debug.contains("o&^uCtes4HPf0Vu") && !debug.contains("relay\""),
        "{debug}"
    );
}

#[test]
fn the_sample_is_a_configuration_and_so_is_what_it_has_commented_out() {
    let block = |text: &str| {
        let value: serde_json::Value = serde_yaml::from_str(text).unwrap();
        Sources {
            inline: value["homeserver"].as_object().cloned(),
            ..Sources::default()
        }
    };
    let (config, _) = Config::load(&block(&sample())).unwrap();
    assert_eq!(config.server_name, "example.org");
    let is_key = |line: &str| {
        line.split_once(": ")
            .is_some_and(|(key, _)| !key.contains(' '))
    };
    let active = sample()
        .lines()
        .map(|line| match line.strip_prefix("  # ") {
            Some(rest) if is_key(rest) => format!("  {rest}\n"),
            _ => format!("{line}\n"),
        })
        .collect::<String>();
    let (config, warnings) = Config::load(&block(&active)).unwrap();
    assert_eq!(warnings.len(), 1, "only about federation: {warnings:?}");
    assert_eq!(config.turn.turn_uris.len(), 1, "it was uncommented");
}
