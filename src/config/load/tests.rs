//! Reading a configuration, as an admin sees it.

use std::time::Duration;

use indoc::indoc;
use tempfile::TempDir;

use super::*;
use crate::config::{BackendKind, Level};

const GOOD: &str = indoc! {r#"
    homeserver:
      mode: external
      address: http://localhost:6167/
      domain: house.test
    appservice:
      as_token: "0123"
      hs_token: "4567"
    permissions:
      "@alice:house.test": admin
"#};

struct TestFolder {
    folder: TempDir,
    environment: Environment,
}

impl TestFolder {
    fn new(yaml: &str, environment: &[(&str, &str)]) -> Self {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("config.yaml"), yaml).unwrap();
        Self {
            folder,
            environment: environment.iter().copied().collect(),
        }
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
    TestFolder::new(GOOD, environment).load().unwrap()
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
    TestFolder::new(&serde_yaml::to_string(&values).unwrap(), &[]).error()
}

fn wrong_variable(name: &str, value: &str) -> String {
    TestFolder::new(GOOD, &[(name, value)]).error()
}

#[test]
fn a_short_file_is_enough() {
    let house = TestFolder::new(GOOD, &[]);
    let config = house.load().unwrap();
    assert_eq!(config.homeserver.address.as_str(), "http://localhost:6167/");
    assert_eq!(config.appservice.port, 29400);
    assert_eq!(config.letta.poll_interval, Duration::from_millis(500));
    assert_eq!(config.rooms.removal_grace, Duration::from_hours(2));
    assert_eq!(config.journal.path, house.folder.path().join("journal"));
    assert_eq!(config.identity().unwrap().bot(), "@letta:house.test");
    let shown = format!("{config:?}");
    assert!(
        !shown.contains("0123") && !shown.contains("4567"),
        "{shown}"
    );
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
    assert_eq!(config.letta.backend, Some(BackendKind::Demo));
    let include: Vec<_> = config
        .letta
        .include
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(include, ["agent-1", "tag:team-*"]);
    assert_eq!(config.journal.keep_events, Duration::from_mins(90));
    assert_eq!(config.appservice.bot.displayname, "42");
    assert_eq!(
        config.permissions.level(ruma::user_id!("@bob:house.test")),
        Level::Talk
    );
    assert_eq!(
        config
            .permissions
            .level(ruma::user_id!("@alice:house.test")),
        Level::Admin
    );
}

#[test]
fn letta_names_its_own_variables() {
    let own = [
        ("LETTA_BASE_URL", "http://letta:8283"),
        ("LETTA_API_KEY", "123"),
    ];
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
        @"`appservice.hs_token`: cannot read /nowhere/token: No such file or directory (os error 2); name a file that the bridge may read (in the environment variable BRIDGE_APPSERVICE__HS_TOKEN_FILE)"
    );
}

#[test]
fn a_wrong_value_says_what_would_be_right() {
    insta::assert_snapshot!(wrong("appservice: {port: x}"), @r#"`appservice.port`: expected a number from 1 to 65535, got "x"; set it like `port: 29400` (in config.yaml)"#);
    insta::assert_snapshot!(wrong("appservice: {port: 70000}"), @"`appservice.port`: expected a number from 1 to 65535, got 70000; set it like `port: 29400` (in config.yaml)");
    insta::assert_snapshot!(wrong("appservice: {port: 0}"), @"`appservice.port`: expected a number from 1 to 65535, got 0; set it like `port: 29400` (in config.yaml)");
    insta::assert_snapshot!(wrong("homeserver: {address: localhost:8008}"), @r#"`homeserver.address`: expected an address that begins with `http://` or `https://`, got "localhost:8008"; set it like `address: http://localhost:8008` (in config.yaml)"#);
    insta::assert_snapshot!(wrong("homeserver: {domain: 'not a name'}"), @"`homeserver.domain`: server name is not a valid IP address or domain name; set it like `domain: example.com` (in config.yaml)");
    insta::assert_snapshot!(wrong("letta: {backend: v1}"), @r#"`letta.backend`: expected `rest` or `app-server` or `openai` or `demo`, got "v1" (in config.yaml)"#);
    insta::assert_snapshot!(wrong("letta: {url: localhost}"), @r#"`letta.url`: expected an address that begins with `http://`, `https://`, `ws://` or `wss://`, got "localhost"; set it like `url: http://localhost:8283` (in config.yaml)"#);
    insta::assert_snapshot!(wrong("letta: {url: 'ws://localhost:4500', backend: openai}"), @"`letta.url`: begins with `ws://`, which `backend: openai` does not speak; set `backend: app-server`, or leave it out (in config.yaml)");
    insta::assert_snapshot!(wrong("letta: {poll_interval: 500}"), @"`letta.poll_interval`: expected a time like 500ms, 30s, 2h or 7d, got 500; set it like `poll_interval: 500ms` (in config.yaml)");
    insta::assert_snapshot!(wrong("letta: {poll_interval: 5 bananas}"), @r#"`letta.poll_interval`: expected a time like 500ms, 30s, 2h or 7d, got "5 bananas"; set it like `poll_interval: 500ms` (in config.yaml)"#);
    insta::assert_snapshot!(wrong("letta: {poll_interval: 1ms}"), @"`letta.poll_interval`: is less than 50ms; set it like `poll_interval: 500ms` (in config.yaml)");
    insta::assert_snapshot!(wrong("letta: {include: '*'}"), @r#"`letta.include`: expected a list, got "*"; set it like `include: []` (in config.yaml)"#);
    insta::assert_snapshot!(wrong("letta: {include: ['a[']}"), @"`letta.include.0`: `a[` is not a pattern: unclosed character class; missing ']' (in config.yaml)");
    insta::assert_snapshot!(wrong("space: {enabled: maybe}"), @r#"`space.enabled`: expected true or false, got "maybe"; set it like `enabled: true` (in config.yaml)"#);
    insta::assert_snapshot!(wrong("logging: {format: xml}"), @r#"`logging.format`: expected `pretty` or `json`, got "xml"; set it like `format: pretty` (in config.yaml)"#);
    insta::assert_snapshot!(wrong("logging: {level: 'a=b=c'}"), @r#"`logging.level`: error parsing level filter: expected one of "off", "error", "warn", "info", "debug", "trace", or a number 0-5; set it like `level: info` or `level: info,matrix_appservice_letta=debug` (in config.yaml)"#);
    insta::assert_snapshot!(wrong("logging: {level: inof}"), @"`logging.level`: `inof` is neither a level nor `target=level`; levels are `off`, `error`, `warn`, `info`, `debug`, `trace`; set it like `level: info` or `level: info,matrix_appservice_letta=debug` (in config.yaml)");
    insta::assert_snapshot!(wrong("appservice: {connections: {max_per_ip: 0}}"), @"`appservice.connections.max_per_ip`: 0 would let nobody in; set it like `max_per_ip: 128`, or leave it out (in config.yaml)");
    insta::assert_snapshot!(wrong("appservice: {connections: {header_timeout: 0s}}"), @"`appservice.connections.header_timeout`: 0 would let nobody in; set it like `header_timeout: 10s`, or leave it out (in config.yaml)");
    insta::assert_snapshot!(wrong("rooms: 11"), @"`rooms`: expected a section with keys of its own, got 11 (in config.yaml)");
    insta::assert_snapshot!(wrong("appservice: {username_template: '{id}'}"), @"`appservice.username_template`: needs 2 to 32 characters before `{id}`, or it would claim users who are no agents; for example `agent_{id}`; set it like `username_template: agent_{id}` (in config.yaml)");
    insta::assert_snapshot!(wrong("appservice: {bot: {username: agent_bot}}"), @"`appservice.bot.username`: `agent_bot` begins like an agent's name (`agent_…`); choose another (in config.yaml)");
    insta::assert_snapshot!(wrong("journal: {keep_events: 0s}"), @"`journal.keep_events`: is nothing, so a message that comes twice would be answered twice; set it like `keep_events: 7d` (in config.yaml)");
}

#[test]
fn a_wrong_secret_is_not_shown() {
    let text = wrong("appservice: {as_token: 987654321}");
    assert!(!text.contains("987654321"));
    insta::assert_snapshot!(text, @r#"`appservice.as_token`: expected text, got something else; put it in quotes: `as_token: "…"` (in config.yaml)"#);
}

#[test]
fn a_misspelled_key_says_which_was_meant() {
    insta::assert_snapshot!(wrong("homesever: {}"), @"`homesever` is not a key; did you mean `homeserver`? (in config.yaml)");
    insta::assert_snapshot!(wrong("appservice: {prot: 1}"), @"`appservice.prot` is not a key; did you mean `port`? (in config.yaml)");
    insta::assert_snapshot!(wrong("homeserver: {port: 1}"), @"`homeserver.port` is not a key; did you mean `appservice.port`? (in config.yaml)");
    insta::assert_snapshot!(wrong("space: {colour: red}"), @"`space.colour` is not a key; there are `enabled`, `name`, `alias`, `topic` (in config.yaml)");
    insta::assert_snapshot!(wrong("appservice: {bot: {nick: red}}"), @"`appservice.bot.nick` is not a key; there are `username`, `displayname`, `avatar` (in config.yaml)");
    insta::assert_snapshot!(wrong_variable("BRIDGE_APPSERVICE__PROT", "1"), @"`appservice.prot` is not a key; did you mean `port`? (in the environment variable BRIDGE_APPSERVICE__PROT)");
    insta::assert_snapshot!(wrong_variable("BRIDGE_APPSERVICE__PORT", "x"), @r#"`appservice.port`: expected a number from 1 to 65535, got "x"; set it like `port: 29400` (in the environment variable BRIDGE_APPSERVICE__PORT)"#);
}

#[test]
fn examples_refuse_to_start() {
    let external = "homeserver: {mode: external}";
    insta::assert_snapshot!(TestFolder::new(external, &[]).error(), @r#"
    `homeserver.domain`: is still the example; set it to the name of your server: what stands after the colon in your user id (in config.yaml)
    `appservice.as_token`: no token has been made yet; run `matrix-appservice-letta -g`, it makes both and writes the registration (in config.yaml)
    `appservice.hs_token`: no token has been made yet; run `matrix-appservice-letta -g`, it makes both and writes the registration (in config.yaml)
    `permissions`: still names only the examples; add yourself, like `"@you:your.server": admin` (in config.yaml)
    "#);
    let sample = crate::config::sample::render(&Config::default());
    assert_eq!(
        TestFolder::new(&sample.replace("mode: embedded", "mode: external"), &[]).error(),
        TestFolder::new(external, &[]).error()
    );
    insta::assert_snapshot!(wrong("appservice: {hs_token: '0123'}"), @"`appservice.hs_token`: is the same as `appservice.as_token`; make new ones with `registration --rotate-tokens` (in config.yaml)");
}

#[test]
fn permissions_name_people_in_full() {
    insta::assert_snapshot!(wrong("permissions: {alice: admin}"), @r#"`permissions`: `alice` is not a whole server name; write a full user id like `"@alice:example.org"`; local parts grant nothing (in config.yaml)"#);
    insta::assert_snapshot!(wrong("permissions: {'@*:house.test': admin}"), @r#"`permissions`: `@*:house.test` holds a wildcard; write a full user id like "@alice:example.org", a whole server like "example.org", or "*" for everybody (in config.yaml)"#);
    insta::assert_snapshot!(wrong("permissions: {Alice Liddell: admin}"), @r#"`permissions`: `Alice Liddell` is neither a user id nor a server name; display names and local parts grant nothing, write a full user id like "@alice:example.org" (in config.yaml)"#);
    insta::assert_snapshot!(wrong("permissions: {'*': admin}"), @"`permissions`: `*` makes everybody an admin; name the admins by their full user ids (in config.yaml)");
    insta::assert_snapshot!(wrong("permissions: {house.test: boss}"), @r#"`permissions.house.test`: expected `block` or `relay` or `talk` or `commands` or `user` or `admin`, got "boss" (in config.yaml)"#);
}

#[test]
fn a_file_that_is_none_says_so() {
    insta::assert_snapshot!(TestFolder::new("a: [1", &[]).error(), @"config.yaml is not valid YAML: did not find expected ',' or ']' at line 2 column 1, while parsing a flow sequence at line 1 column 4");
    insta::assert_snapshot!(TestFolder::new("- 1", &[]).error(), @"config.yaml is not valid YAML: invalid type: sequence, expected a map");
    let missing = Config::load_with(Path::new("/nowhere/config.yaml"), &Environment::default());
    insta::assert_snapshot!(missing.unwrap_err(), @"cannot read /nowhere/config.yaml: No such file or directory (os error 2); make it with `init`, or name it with `-c`");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.yaml");
    fs::write(&path, [0xff, 0xfe, 0]).unwrap();
    for (path, expected) in [
        (path.as_path(), "it is no text in UTF-8: restore it"),
        (folder.path(), "name a file that can be read with `-c`"),
    ] {
        let error = Config::load_with(path, &Environment::default()).unwrap_err();
        let text = error.to_string();
        assert!(text.contains(expected) && !text.contains("init"), "{text}");
    }
}

/// Every path to a value of the sample, with the value; what admins name themselves (`permissions`) is one value.
fn paths_of_sample() -> Vec<(String, serde_yaml::Value)> {
    fn walk(value: serde_yaml::Value, path: &str, found: &mut Vec<(String, serde_yaml::Value)>) {
        match value {
            serde_yaml::Value::Mapping(section) if path != "permissions" => {
                for (key, value) in section {
                    let key = key.as_str().unwrap();
                    let dot = if path.is_empty() { "" } else { "." };
                    walk(value, &format!("{path}{dot}{key}"), found);
                }
            }
            value => found.push((path.to_owned(), value)),
        }
    }
    let mut found = Vec::new();
    let sample = include_str!("../../../config.yaml.example");
    walk(serde_yaml::from_str(sample).unwrap(), "", &mut found);
    found
}

#[test]
fn every_key_of_the_sample_and_of_tuwunel_has_its_variable() {
    let sample = paths_of_sample();
    assert!(sample.len() > 40, "{sample:?}");
    let own = |path: &str, value: &str| (path.to_owned(), serde_yaml::from_str(value).unwrap());
    let tuwunel = [
        own("homeserver.port", "7777"),
        own("homeserver.database_path", "/data"),
        own("homeserver.well_known.client", "https://house.test"),
        own("homeserver.registration_token_file", "/run/token"),
        own("homeserver.allow_registration", "false"),
        own("homeserver.trusted_proxies", "[10.0.0.0/8]"),
    ];
    for (path, value) in sample.into_iter().chain(tuwunel) {
        let variable = format!("BRIDGE_{}", path.to_uppercase().replace('.', "__"));
        let text = match &value {
            serde_yaml::Value::Null => "x".to_owned(),
            serde_yaml::Value::String(text) => text.clone(),
            other => serde_yaml::to_string(other).unwrap().trim().to_owned(),
        };
        let environment: Environment = [(&*variable, &*text)].into_iter().collect();
        let layers = environment.layers();
        let set = layers.as_ref().map(Vec::len).map_err(ToString::to_string);
        assert_eq!(set, Ok(usize::from(!text.trim().is_empty())), "{variable}");
        if !value.is_null() {
            let changed = Config::default().with(&environment);
            assert!(changed.is_ok(), "{variable}={text}: {:?}", changed.err());
        }
    }
    let embedded = GOOD.replace("external", "embedded");
    let config = TestFolder::new(&embedded, &[("BRIDGE_HOMESERVER__PORT", "7777")]).load();
    let config = config.unwrap();
    assert_eq!(config.homeserver.tuwunel["port"], 7777);
}
