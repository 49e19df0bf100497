//! What keeps the server from starting, in the words that an admin reads.

use insta::assert_snapshot;
use serde_json::json;

use super::{env, file, options, refusal};
use crate::config::{Config, ConfigError, Secret, Sources};

fn refused(option: &str) -> String {
    refusal(&options(&[option]))
}

fn refused_file(text: &str) -> String {
    let (_folder, sources) = file(text);
    refusal(&sources)
}

#[test]
fn a_server_has_a_name() {
    assert_snapshot!(refusal(&Sources::default()),
        @r#"`server_name` is missing; set it like `server_name = "example.org"`"#);
    assert_snapshot!(refused("server_name = 'not a name'"),
        @r#"`server_name`: server name is not a valid IP address or domain name; set it like `server_name = "example.org"` (in the option `-O server_name=…`)"#);
}

#[test]
fn open_registration_has_to_be_meant() {
    assert_snapshot!(refused("allow_registration = true"),
        @"`allow_registration`: true without a token lets everybody in the world make accounts here; set `registration_token` or `registration_token_file`, or say `yes_i_am_very_very_sure_i_want_an_open_registration_server_prone_to_abuse = true` if you mean it (in the option `-O allow_registration=…`)");
    let meant = "yes_i_am_very_very_sure_i_want_an_open_registration_server_prone_to_abuse = true";
    let (config, _) = Config::load(&options(&["allow_registration = true", meant])).unwrap();
    assert!(config.registration.is_open());
    let token = ["allow_registration = true", "registration_token = 't'"];
    assert!(
        !Config::load(&options(&token))
            .unwrap()
            .0
            .registration
            .is_open()
    );
}

#[test]
fn wrong_types_are_named_with_their_place() {
    assert_snapshot!(refused_file("server_name = 'a.org'\n[global]\nport = 1"),
        @"tuwunel.toml has keys under `[global]` and the key `server_name` outside of it; move `server_name` under `[global]`, or leave the header out");
    assert_snapshot!(refused_file("[global]\nserver_name = 'a.org'\nport = 'http'"),
        @r#"`port`: expected a number from 0 to 65535, got "http"; set it like `port = 6167` (in tuwunel.toml)"#);
    assert_snapshot!(refused_file("server_name = 'a.org'\nallow_encryption = 'maybe'"),
        @r#"`allow_encryption`: expected true or false, got "maybe"; set it like `allow_encryption = true` (in tuwunel.toml)"#);
    assert_snapshot!(refused_file("server_name = 'a.org'\nserver_name = 'secret'"),
        @"tuwunel.toml is not valid TOML: line 2: duplicate key");
    let mut sources = options(&[]);
    sources.env = env(&[("TUWUNEL_ALLOW_ROOM_CREATION", "sometimes")]);
    assert_snapshot!(refusal(&sources),
        @r#"`allow_room_creation`: expected true or false, got "sometimes"; set it like `allow_room_creation = true` (in the environment variable TUWUNEL_ALLOW_ROOM_CREATION)"#);
    let inline = json!({"turn_uris": "turn:a", "max_request_size": "big"});
    sources = Sources {
        inline: inline.as_object().cloned(),
        ..options(&[])
    };
    assert_snapshot!(refusal(&sources),
        @r#"
    `max_request_size`: expected a count of bytes or a size like "24 MiB"; set it like `max_request_size: "24 MiB"` (in the section `homeserver` of the configuration)
    `turn_uris`: expected a list, got "turn:a"; set it like `turn_uris: ["turn:turn.example.org?transport=udp"]` (in the section `homeserver` of the configuration)
    "#);
    assert_snapshot!(refused("port = 70000"),
        @"`port`: expected a number from 0 to 65535, got 70000; set it like `port = 6167` (in the option `-O port=…`)");
    assert_snapshot!(refused("address = ['localhost']"),
        @r#"`address`: entry 1: invalid IP address syntax; set it like `address = ["127.0.0.1","::1"]` (in the option `-O address=…`)"#);
    assert_snapshot!(refused("well_known = 'https://a.org'"),
        @r#"`well_known`: expected a section with keys of its own, got "https://a.org" (in the option `-O well_known=…`)"#);
    assert_snapshot!(refused("well_known.client = 'a.org'"),
        @r#"`well_known.client`: relative URL without a base: "a.org"; set it like `client = "https://matrix.example.org"` (in the option `-O well_known.client=…`)"#);
    assert_snapshot!(refused("well_known.client = 'mailto:a@a.org'"),
        @r#"`well_known.client`: "mailto:a@a.org" is no address of a web server; set it like `client = "https://matrix.example.org"` (in the option `-O well_known.client=…`)"#);
}

#[test]
fn an_option_is_toml() {
    assert_snapshot!(refused("registration_token=hunter2"),
        @r#"the option `registration_token=…` is not valid TOML: string values must be quoted, expected literal string; write it like `port=6167`, and text in quotes, like `server_name='"example.org"'`"#);
    assert_snapshot!(refused("port"),
        @r#"the option `port=…` is not valid TOML: key with no value, expected `=`; write it like `port=6167`, and text in quotes, like `server_name='"example.org"'`"#);
}

#[test]
fn values_that_cannot_be_meant_are_refused() {
    assert_snapshot!(refused("default_room_version = '9'"),
        @r#"`default_room_version`: expected "10", "11" or "12"; set it like `default_room_version = "11"` (in the option `-O default_room_version=…`)"#);
    assert_snapshot!(refused("ip_range_denylist = ['10.0.0.0/8', '300.0.0.0/8']"),
        @r#"`ip_range_denylist`: "300.0.0.0/8" is no network; write it like "10.0.0.0/8" (in the option `-O ip_range_denylist=…`)"#);
    assert_snapshot!(refused("forbidden_usernames = ['[a-']"),
        @r#"`forbidden_usernames`: is no regular expression: unclosed character class; set it like `forbidden_usernames = ["^admin"]` (in the option `-O forbidden_usernames=…`)"#);
    assert_snapshot!(refused("auto_join_rooms = ['lounge']"),
        @r##"`auto_join_rooms`: entry 1: leading sigil is incorrect or missing; set it like `auto_join_rooms = ["#lounge:example.org"]` (in the option `-O auto_join_rooms=…`)"##);
    assert_snapshot!(refused("access_token_ttl = 'a while'"),
        @r#"`access_token_ttl`: expected a count of seconds or a time like "30s" or "7d"; set it like `access_token_ttl = 604800` (in the option `-O access_token_ttl=…`)"#);
    assert_snapshot!(refused("registration_token = ''"),
        @r#"`registration_token`: it is empty; remove the key to do without it; set it like `registration_token = "a long random text"` (in the option `-O registration_token=…`)"#);
    assert_snapshot!(refused("registration_token = 123456"),
        @r#"`registration_token`: expected text in quotes; set it like `registration_token = "a long random text"` (in the option `-O registration_token=…`)"#);
}

#[test]
fn values_have_to_fit_together() {
    assert_snapshot!(refused("tls.certs = '/a.crt'"),
        @"`tls.certs`: stands without `tls.key`; name the certificate and its key, or neither (in the option `-O tls.certs=…`)");
    assert_snapshot!(refused("address = []"),
        @r#"`address`: an empty list, so nobody can connect; set it like `address = "127.0.0.1"` (in the option `-O address=…`)"#);
    assert_snapshot!(refused("max_request_size = 0"),
        @r#"`max_request_size`: 0 would refuse every request; set it like `max_request_size = "24 MiB"` (in the option `-O max_request_size=…`)"#);
    assert_snapshot!(refused("client_sync_timeout_min = 100000"),
        @"`client_sync_timeout_min`: 100000 is more than `client_sync_timeout_max`; set it to at most 90000 (in the option `-O client_sync_timeout_min=…`)");
    assert_snapshot!(refused("client_sync_timeout_default = 1"),
        @"`client_sync_timeout_default`: 1 is out of the limits; set it to 0, or from 5000 to 90000 (in the option `-O client_sync_timeout_default=…`)");
    assert_snapshot!(refused("database_backups_to_keep = 0"),
        @"`database_backups_to_keep`: 0 would delete every backup at once; set it to 1 or more, or leave `database_backup_path` out to do without backups (in the option `-O database_backups_to_keep=…`)");
    assert_snapshot!(refused("database_path = ''"),
        @"`database_path`: it is empty; name a folder (in the option `-O database_path=…`)");
    assert_snapshot!(refused("appservice.irc.as_token = 'as'"),
        @"`appservice.irc.hs_token` is missing (in the option `-O appservice.irc.as_token=…`)");
    assert_snapshot!(refused("turn_username = 'me'"),
        @"`turn_username`: stands without `turn_password`; set both, or neither and `turn_secret` instead (in the option `-O turn_username=…`)");
}

#[test]
fn wrong_values_of_different_themes_are_told_at_once() {
    let sources = options(&["port = 'x'", "allow_encryption = 1", "log = []"]);
    assert_snapshot!(refusal(&sources),
        @r#"
    `port`: expected a number from 0 to 65535, got "x"; set it like `port = 6167` (in the option `-O port=…`)
    `allow_encryption`: expected true or false, got 1; set it like `allow_encryption = true` (in the option `-O allow_encryption=…`)
    `log`: expected text in quotes, got a list; set it like `log = "info"` (in the option `-O log=…`)
    "#);
}

#[test]
fn a_token_file_has_to_be_there_and_hold_tokens() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokens");
    let option = format!("registration_token_file = {:?}", path.display().to_string());
    let sources = options(&[
        "allow_registration = true",
        "registration_token = 'one'",
        &option,
    ]);
    let (config, _) = Config::load(&sources).unwrap();
    let tokens = || config.registration.tokens();
    assert!(matches!(tokens(), Err(ConfigError::Unreadable { .. })));
    std::fs::write(&path, " \n").unwrap();
    let error = tokens().unwrap_err().to_string();
    assert!(error.starts_with("`registration_token_file`: ") && error.contains("is empty"));
    std::fs::write(&path, "two\nthree four\n").unwrap();
    let tokens = tokens().unwrap();
    let tokens: Vec<_> = tokens.iter().map(Secret::expose).collect();
    assert_eq!(tokens, ["one", "two", "three", "four"]);
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let sources = Sources {
        files: vec!["/nowhere/tuwunel.toml".into()],
        ..Sources::default()
    };
    let error = Config::load(&sources).unwrap_err().to_string();
    assert!(
        error.starts_with("cannot read /nowhere/tuwunel.toml: "),
        "{error}"
    );
}
