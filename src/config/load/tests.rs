//! Reading a configuration, as an admin sees it.

use std::time::Duration;

use indoc::indoc;
use tempfile::TempDir;

use super::*;
use crate::config::{BackendKind, Level};

const GOOD: &str = indoc! {r#"
    homeserver:
      address: http://localhost:6167/
      domain: house.test
    appservice:
      as_token: "0123"
      hs_token: "4567"
    permissions:
      "@alice:house.test": admin
"#};

struct House {
    folder: TempDir,
    environment: Environment,
}

impl House {
    fn new(yaml: &str, environment: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("config.yaml"), yaml).unwrap();
        Self { folder, environment: environment.iter().copied().collect() }
    }

    fn load(&self) -> Result<Config, ConfigError> {
        Config::load_with(&self.folder.path().join("config.yaml"), &self.environment)
    }

    fn error(&self) -> String {
        let folder = format!("{}/", self.folder.path().display());
        self.load().unwrap_err().to_string().replace(&folder, "")
    }
}

fn load(environment: &[(&str, &str)]) -> Config {
    House::new(GOOD, environment).load().unwrap()
}

/// The error with `lines` added to a good file.
fn wrong(lines: &str) -> String {
    let mut values: serde_yaml::Mapping = serde_yaml::from_str(GOOD).unwrap();
    let more: serde_yaml::Mapping = serde_yaml::from_str(lines).unwrap();
    for (section, keys) in more {
        match (values.get_mut(&section), keys) {
            (Some(serde_yaml::Value::Mapping(old)), serde_yaml::Value::Mapping(new)) => {
                old.extend(new);
            }
            (_, keys) => drop(values.insert(section, keys)),
        }
    }
    House::new(&serde_yaml::to_string(&values).unwrap(), &[]).error()
}

fn wrong_variable(name: &str, value: &str) -> String {
    House::new(GOOD, &[(name, value)]).error()
}

#[test]
fn a_short_file_is_enough() {
    let house = House::new(GOOD, &[]);
    let config = house.load().unwrap();
    assert_eq!(config.homeserver.address.as_str(), "http://localhost:6167/");
    assert_eq!(config.appservice.port, 29400);
    assert_eq!(config.letta.poll_interval, Duration::from_millis(500));
    assert_eq!(config.rooms.removal_grace, Duration::from_secs(7200));
    assert_eq!(config.journal.path, house.folder.path().join("journal"));
    assert_eq!(config.identity().unwrap().bot(), "@letta:house.test");
    let shown = format!("{config:?}");
    assert!(!shown.contains("0123") && !shown.contains("4567"), "{shown}");
}

#[test]
fn the_environment_wins_over_the_file() {
    let config = load(&[
        ("BRIDGE_APPSERVICE__PORT", "29500"),
        ("BRIDGE_APPSERVICE__AS_TOKEN", "89e1"),
        ("BRIDGE_SPACE__ENABLED", "false"),
        ("BRIDGE_LETTA__BACKEND", "demo"),
        ("BRIDGE_LETTA__INCLUDE", "agent-1, tag:team-*"),
        ("BRIDGE_JOURNAL__KEEP_EVENTS", "1h 30m"),
        ("BRIDGE_APPSERVICE__BOT__DISPLAYNAME", "42"),
        ("BRIDGE_PERMISSIONS", r#"{"@bob:house.test": talk}"#),
        ("BRIDGE_LETTA__URL", ""),
        ("BRIDGE_IMAGE", "somebody else's"),
        ("PATH", "/bin"),
    ]);
    assert_eq!(config.appservice.port, 29500);
    assert!(config.appservice.as_token.matches("89e1"));
    assert!(!config.space.enabled);
    assert_eq!(config.letta.backend, BackendKind::Demo);
    let include: Vec<_> = config.letta.include.iter().map(ToString::to_string).collect();
    assert_eq!(include, ["agent-1", "tag:team-*"]);
    assert_eq!(config.journal.keep_events, Duration::from_secs(5400));
    assert_eq!(config.appservice.bot.displayname, "42");
    assert_eq!(config.permissions.level(ruma::user_id!("@bob:house.test")), Level::Talk);
    assert_eq!(config.permissions.level(ruma::user_id!("@alice:house.test")), Level::Admin);
}

#[test]
fn letta_names_its_own_variables() {
    let own = [("LETTA_BASE_URL", "http://letta:8283"), ("LETTA_API_KEY", "123")];
    let config = load(&own);
    assert_eq!(config.letta.url.as_str(), "http://letta:8283/");
    assert!(config.letta.api_key.unwrap().matches("123"));
    let config = load(&[own[0], ("BRIDGE_LETTA__URL", "http://other:1")]);
    assert_eq!(config.letta.url.as_str(), "http://other:1/");
}

#[test]
fn a_variable_can_name_a_file() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("token");
    fs::write(&path, "00112233\n").unwrap();
    let config = load(&[("BRIDGE_APPSERVICE__HS_TOKEN_FILE", path.to_str().unwrap())]);
    assert!(config.appservice.hs_token.matches("00112233"));
    insta::assert_snapshot!(
        wrong_variable("BRIDGE_APPSERVICE__HS_TOKEN_FILE", "/nowhere/token"),
        @""
    );
}

#[test]
fn a_wrong_value_says_what_would_be_right() {
    insta::assert_snapshot!(wrong("appservice: {port: x}"), @"");
    insta::assert_snapshot!(wrong("appservice: {port: 70000}"), @"");
    insta::assert_snapshot!(wrong("appservice: {port: 0}"), @"");
    insta::assert_snapshot!(wrong("homeserver: {address: localhost:8008}"), @"");
    insta::assert_snapshot!(wrong("homeserver: {domain: 'not a name'}"), @"");
    insta::assert_snapshot!(wrong("letta: {backend: app-server}"), @"");
    insta::assert_snapshot!(wrong("letta: {poll_interval: 500}"), @"");
    insta::assert_snapshot!(wrong("letta: {poll_interval: 5 bananas}"), @"");
    insta::assert_snapshot!(wrong("letta: {poll_interval: 1ms}"), @"");
    insta::assert_snapshot!(wrong("letta: {include: '*'}"), @"");
    insta::assert_snapshot!(wrong("letta: {include: ['a[']}"), @"");
    insta::assert_snapshot!(wrong("space: {enabled: maybe}"), @"");
    insta::assert_snapshot!(wrong("logging: {format: xml}"), @"");
    insta::assert_snapshot!(wrong("logging: {level: 'a=b=c'}"), @"");
    insta::assert_snapshot!(wrong("rooms: 11"), @"");
    insta::assert_snapshot!(wrong("appservice: {username_template: '{id}'}"), @"");
    insta::assert_snapshot!(wrong("appservice: {bot: {username: agent_bot}}"), @"");
    insta::assert_snapshot!(wrong("journal: {keep_events: 0s}"), @"");
}

#[test]
fn a_wrong_secret_is_not_shown() {
    let text = wrong("appservice: {as_token: 987654321}");
    assert!(!text.contains("987654321"));
    insta::assert_snapshot!(text, @"");
}

#[test]
fn a_misspelled_key_says_which_was_meant() {
    insta::assert_snapshot!(wrong("homesever: {}"), @"");
    insta::assert_snapshot!(wrong("appservice: {prot: 1}"), @"");
    insta::assert_snapshot!(wrong("homeserver: {port: 1}"), @"");
    insta::assert_snapshot!(wrong("space: {colour: red}"), @"");
    insta::assert_snapshot!(wrong("appservice: {bot: {nick: red}}"), @"");
    insta::assert_snapshot!(wrong_variable("BRIDGE_APPSERVICE__PROT", "1"), @"");
    insta::assert_snapshot!(wrong_variable("BRIDGE_APPSERVICE__PORT", "x"), @"");
}

#[test]
fn examples_refuse_to_start() {
    insta::assert_snapshot!(House::new("", &[]).error(), @"");
    let sample = crate::config::sample::render(&Config::default());
    assert_eq!(House::new(&sample, &[]).error(), House::new("", &[]).error());
    insta::assert_snapshot!(wrong("appservice: {hs_token: '0123'}"), @"");
}

#[test]
fn permissions_name_people_in_full() {
    insta::assert_snapshot!(wrong("permissions: {alice: admin}"), @"");
    insta::assert_snapshot!(wrong("permissions: {'@*:house.test': admin}"), @"");
    insta::assert_snapshot!(wrong("permissions: {Alice Liddell: admin}"), @"");
    insta::assert_snapshot!(wrong("permissions: {'*': admin}"), @"");
    insta::assert_snapshot!(wrong("permissions: {house.test: boss}"), @"");
}

#[test]
fn a_file_that_is_none_says_so() {
    insta::assert_snapshot!(House::new("a: [1", &[]).error(), @"");
    insta::assert_snapshot!(House::new("- 1", &[]).error(), @"");
    let missing = Config::load_with(Path::new("/nowhere/config.yaml"), &Environment::default());
    insta::assert_snapshot!(missing.unwrap_err(), @"");
}
