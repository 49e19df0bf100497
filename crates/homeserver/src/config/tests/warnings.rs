//! Keys without effect: the unknown, and those of Tuwunel that this server does not honor.

use insta::assert_snapshot;

use super::{TUWUNEL_TOML, load_file, options, refusal};
use crate::config::{Config, Severity, Warning};

fn warnings(overrides: &[&str]) -> String {
    let (_, warnings) = Config::load(&options(overrides)).unwrap();
    let line = |warning: &Warning| format!("{:?}: {warning}", warning.severity);
    warnings.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn federation_is_spoken_of_once() {
    assert_snapshot!(warnings(&[]),
        @"Quiet: federation is not served; set `allow_federation = false` to say that you know");
    assert_snapshot!(warnings(&["allow_federation = true"]),
        @"Loud: `allow_federation`: federation is not served; users of other servers cannot be reached, nor reach this one");
    assert_eq!(warnings(&["allow_federation = false"]), "");
}

#[test]
fn a_misspelled_key_is_recognized() {
    let silent = "allow_federation = false";
    assert_snapshot!(warnings(&[silent, "regstration_token = 'x'"]),
        @"Loud: `regstration_token` is not a key, and has no effect; did you mean `registration_token`? (in the option `-O regstration_token=…`)");
    assert_snapshot!(warnings(&[silent, "well_known.clint = 'x'"]),
        @"Loud: `well_known.clint` is not a key, and has no effect; did you mean `well_known.client`? (in the option `-O well_known.clint=…`)");
    assert_snapshot!(warnings(&[silent, "support_email = 'x'"]),
        @"Loud: `support_email` is not a key, and has no effect; did you mean `well_known.support_email`? (in the option `-O support_email=…`)");
    assert_snapshot!(warnings(&[silent, "zebra = 1"]),
        @"Loud: `zebra` is not a key, and has no effect (in the option `-O zebra=…`)");
}

#[test]
fn unknown_keys_can_be_errors() {
    let sources = options(&[
        "error_on_unknown_config_opts = true",
        "prot = 1",
        "dns_timeout = 1",
    ]);
    assert_snapshot!(refusal(&sources),
        @"`prot` is not a key, and has no effect; did you mean `port`? (in the option `-O prot=…`)");
}

#[test]
fn what_somebody_counts_on_is_told_loudly() {
    let loud = [
        "trusted_servers = ['matrix.org']",
        "oidc_native_auth = true",
        "identity_provider = []",
        "ldap.enable = true",
        "jwt.enable = true",
        "media_storage_providers = ['s3']",
        "rocksdb_compression_algo = 'zstd'",
        "proxy.global.url = 'socks5h://localhost:9050'",
        "block_non_admin_invites = true",
    ];
    for option in loud {
        let (_, warnings) = Config::load(&options(&[option])).unwrap();
        let key = option.split([' ', '.']).next().unwrap();
        let about = warnings
            .iter()
            .find(|warning| warning.keys.iter().any(|known| known == key));
        let about = about.unwrap_or_else(|| panic!("nothing about {option}: {warnings:?}"));
        assert_eq!(about.severity, Severity::Loud, "{about}");
    }
}

#[test]
fn a_protection_that_is_off_is_not_missed() {
    assert_eq!(
        warnings(&[
            "allow_federation = false",
            "block_non_admin_invites = false"
        ]),
        ""
    );
}

#[test]
fn keys_of_one_kind_are_told_of_together() {
    let (_, all) = load_file(TUWUNEL_TOML).unwrap();
    let text: Vec<_> = all.iter().map(ToString::to_string).collect();
    assert_snapshot!(text.join("\n"),
        @"
    `rocksdb_parallelism_threads`: has no effect; the database has one tuning of its own, for a single machine
    `dns_timeout`: has no effect; names are looked up by the system
    ");
    let silent = "allow_federation = false";
    assert_snapshot!(warnings(&[silent, "dns_timeout = 1", "dns_attempts = 2"]),
        @"Quiet: `dns_attempts`, `dns_timeout`: have no effect; names are looked up by the system");
}

#[test]
fn the_honored_keys_are_read_off_the_defaults() {
    let honored = crate::config::keys::DEFAULTS.as_object().unwrap();
    assert!(honored.len() > 60, "{}", honored.len());
    let some = [
        "login_with_password",
        "turn_ttl",
        "well_known",
        "appservice",
        "log",
    ];
    for key in some {
        assert!(honored.contains_key(key), "{key}");
    }
}
