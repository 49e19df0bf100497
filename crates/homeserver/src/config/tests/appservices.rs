//! Registrations of appservices: accepted and refused as by Tuwunel.

use std::fs;

use insta::assert_snapshot;
use ruma::{room_alias_id, room_id, user_id};

use super::{TUWUNEL_TOML, load_file, options};
use crate::config::{AppserviceRegistration, Config};

const YAML: &str = r"
id: irc
url: http://127.0.0.1:9999/
as_token: as
hs_token: hs
sender_localpart: ircbot
rate_limited: false
receive_ephemeral: true
protocols: [irc]
io.element.msc4190: true
org.matrix.msc3202: true
de.sorunome.msc2409.push_ephemeral: true
namespaces:
  users:
    - exclusive: true
      regex: '@irc_.*:example\.org'
    - exclusive: false
      regex: '@friend:example\.org'
      group_id: ignored
  aliases:
    - exclusive: true
      regex: '#irc_.*'
  rooms:
    - exclusive: false
      regex: '!Room'
";

fn read(yaml: &str) -> AppserviceRegistration {
    AppserviceRegistration::from_yaml(yaml).unwrap()
}

fn refused(yaml: &str) -> String {
    AppserviceRegistration::from_yaml(yaml)
        .unwrap_err()
        .to_string()
}

#[test]
fn a_registration_says_whom_it_is_about() {
    let irc = read(YAML);
    assert_eq!(
        (irc.id(), irc.url()),
        ("irc", Some("http://127.0.0.1:9999/"))
    );
    assert!(irc.file().receive_ephemeral && irc.file().device_management);
    assert!(irc.file().device_lists && !irc.is_rate_limited());
    assert_eq!(irc.protocols(), ["irc"]);
    assert!(irc.matches_user(user_id!("@irc_alice:example.org")));
    assert!(
        irc.is_exclusive_user(user_id!("@IRC_alice:example.org")),
        "case is not seen"
    );
    assert!(
        irc.is_exclusive_user(user_id!("@ircbot:example.org")),
        "its own user"
    );
    assert!(irc.matches_user(user_id!("@friend:example.org")));
    assert!(!irc.is_exclusive_user(user_id!("@friend:example.org")));
    assert!(!irc.matches_user(user_id!("@alice:example.org")));
    assert!(irc.matches_alias(room_alias_id!("#IRC_linux:example.org")));
    assert!(
        irc.is_exclusive_alias(room_alias_id!("#my#irc_linux:example.org")),
        "unanchored"
    );
    assert!(irc.matches_room(room_id!("!Room1:example.org")));
    assert!(
        !irc.matches_room(room_id!("!room1:example.org")),
        "case is seen"
    );
}

#[test]
fn a_registration_can_be_shown_and_read_again() {
    let irc = read(YAML);
    assert_eq!(read(&irc.to_yaml().unwrap()).file(), irc.file());
    assert!(irc.to_yaml().unwrap().contains("as_token: as\n"));
    assert!(!format!("{irc:?}").contains("\"as\""));
}

#[test]
fn what_may_be_left_empty_may() {
    let bare = "{id: a, url: null, as_token: a, hs_token: b, sender_localpart: a, namespaces: {}}";
    assert_eq!(read(bare).url(), None);
    assert_eq!(read(&bare.replace("null", "''")).url(), None);
}

#[test]
fn refusals_have_the_texts_of_tuwunel() {
    assert_snapshot!(refused(&YAML.replace("hs_token: hs\n", "")),
        @"missing field `hs_token` at line 2 column 1");
    assert_snapshot!(refused(&YAML.replace("url: http://127.0.0.1:9999/\n", "")),
        @"missing field `url` at line 2 column 1");
    assert_snapshot!(refused("{id: a, url: null, as_token: a, hs_token: b, sender_localpart: a}"),
        @"missing field `namespaces`");
    assert_snapshot!(refused(&YAML.replace("    - exclusive: false\n      regex: '!Room'", "    - regex: '!Room'")),
        @"namespaces.rooms[0]: missing field `exclusive` at line 24 column 7");
    assert_snapshot!(refused(&YAML.replace("rooms:\n    - exclusive: false\n      regex: '!Room'", "rooms: null")),
        @"namespaces.rooms: invalid type: unit value, expected a sequence at line 23 column 10");
    assert_snapshot!(refused(&YAML.replace("@friend", "@(?!irc_)")),
        @r#"the regex "@(?!irc_):example\\.org" of namespaces.users is refused: look-around, including look-ahead and look-behind, is not supported"#);
    assert_snapshot!(refused(&YAML.replace("#irc_.*", r"#(a)\1")),
        @r##"the regex "#(a)\\1" of namespaces.aliases is refused: backreferences are not supported"##);
    assert_snapshot!(refused(&YAML.replace("http:", "unix:")),
        @r#"url "unix://127.0.0.1:9999/" does not begin with http:// or https://"#);
    assert_snapshot!(refused(&YAML.replace("as_token: as", "as_token: ''")),
        @"as_token: it is empty; remove the key to do without it at line 4 column 11");
}

#[test]
fn ids_and_tokens_differ() {
    let irc = read(YAML);
    assert_snapshot!(read(YAML).check_unique_among([&irc]).unwrap_err(),
        @"Duplicate id: irc");
    let renamed = read(&YAML.replace("id: irc", "id: xmpp"));
    assert_snapshot!(renamed.check_unique_among([&irc]).unwrap_err(),
        @"Duplicate as_token: irc");
    let other = read(
        &YAML
            .replace("id: irc", "id: xmpp")
            .replace("as_token: as", "as_token: z"),
    );
    other.check_unique_among([&irc]).unwrap();
}

#[test]
fn a_section_is_a_registration() {
    let (config, _) = load_file(TUWUNEL_TOML).unwrap();
    let all = config.appservices.registrations().unwrap();
    assert_eq!(all.len(), 1);
    assert_eq!(
        all[0].file().sender_localpart,
        "irc",
        "the id, if not given"
    );
    assert!(all[0].file().receive_ephemeral && !all[0].file().device_management);
    assert!(all[0].is_exclusive_user(user_id!("@irc_alice:example.org")));
}

#[test]
fn a_folder_is_read_for_yaml_only() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("irc.yaml"), YAML).unwrap();
    fs::write(folder.path().join("README"), "not: a registration").unwrap();
    fs::write(folder.path().join(".irc.yaml.swp"), "\0").unwrap();
    let option = format!("appservice_dir = {:?}", folder.path().display().to_string());
    let (config, _) = Config::load(&options(&[&option])).unwrap();
    let all = || config.appservices.registrations();
    assert_eq!(all().unwrap().len(), 1);
    fs::write(folder.path().join("same.yml"), YAML).unwrap();
    let text = all().unwrap_err().to_string();
    assert!(text.starts_with("cannot register the appservice of ") && text.contains("same.yml"));
    assert!(text.ends_with("Duplicate id: irc"), "{text}");
    fs::remove_dir_all(folder.path()).unwrap();
    assert!(all().unwrap_err().to_string().starts_with("cannot read "));
}
