//! The command line, as scripts and people use it.

use std::fs;

use tempfile::TempDir;

use super::*;
use crate::{
    config::{Config, Environment, Level},
    registration::Registration,
};

const INIT: [&str; 8] = [
    "matrix-appservice-letta",
    "init",
    "--homeserver",
    "synapse",
    "--address=http://localhost:8008",
    "--domain=house.test",
    "--backend=demo",
    "--admin=@alice:house.test",
];

fn init_args<'a>(words: impl IntoIterator<Item = &'a str>) -> InitArgs {
    match Cli::try_parse_from(words).unwrap().command {
        Some(Command::Init(args)) => args,
        other => panic!("{other:?}"),
    }
}

struct TestFolder {
    folder: TempDir,
}

impl TestFolder {
    fn new() -> Self {
        Self {
            folder: TempDir::new().unwrap(),
        }
    }

    fn dir(&self) -> &str {
        self.folder.path().to_str().unwrap()
    }

    fn init(&self, words: &[&str], environment: &[(&str, &str)]) -> Result<String, Failure> {
        let dir = ["--dir", self.dir()];
        let args = init_args(words.iter().copied().chain(dir));
        let config = init::prepare(&args, &environment.iter().copied().collect())?;
        let text = init::write(&args, config)?;
        Ok(text.replace(self.dir(), "DIR"))
    }

    fn files(&self) -> Files {
        Files {
            config: Some(self.folder.path().join("config.yaml")),
            registration: None,
        }
    }

    fn config(&self) -> Config {
        Config::load_with(self.files().config(), &Environment::default()).unwrap()
    }

    fn registration(&self) -> Registration {
        Registration::read(&self.files().registration()).unwrap()
    }

    fn write_registration(&self, args: &[&str]) -> Result<String, Failure> {
        let words = ["matrix-appservice-letta", "registration"]
            .iter()
            .chain(args);
        let Some(Command::Registration(args)) = Cli::try_parse_from(words).unwrap().command else {
            panic!("not a registration")
        };
        registration::write(&self.files(), &args, &Environment::default())
    }
}

#[test]
fn the_command_line_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn the_flags_of_mautrix_work() {
    let cli = |words: &[&str]| {
        Cli::try_parse_from(["matrix-appservice-letta"].iter().chain(words)).unwrap()
    };
    let plain = cli(&["-c", "etc/config.yaml"]);
    assert!(plain.command.is_none());
    assert_eq!(
        plain.files.registration(),
        Path::new("etc/registration.yaml")
    );
    let generate = cli(&["-g", "-c", "a.yaml", "-r", "b.yaml"]);
    assert!(generate.generate_registration);
    assert_eq!(generate.files.registration(), Path::new("b.yaml"));
    let run = cli(&["run", "-c", "a.yaml"]);
    assert_eq!(run.files.config(), Path::new("a.yaml"));
    let version = Cli::try_parse_from(["x", "-v"]).unwrap_err();
    assert_eq!(version.kind(), clap::error::ErrorKind::DisplayVersion);
}

#[test]
fn init_writes_two_files_that_fit() {
    let house = TestFolder::new();
    let text = house.init(&INIT, &[]).unwrap();
    insta::assert_snapshot!(text, @"
    Wrote DIR/config.yaml and DIR/registration.yaml.

    Give Synapse the registration. In its homeserver.yaml:

    app_service_config_files:
      - DIR/registration.yaml

    Then restart Synapse. It must be able to read that file: it is readable by you only, so
    let Synapse's user read it, or copy it to where Synapse keeps its files.

    People are invited to the space, and join the agents' rooms from there. If they shall be
    in all of them without a click, and may be put into rooms by everybody on this server,
    set `invite: rooms` in the section `rooms` of config.yaml, and in homeserver.yaml:

    auto_accept_invites:
      enabled: true
      only_for_direct_messages: false
      only_from_local_users: true

    The homeserver will reach the bridge at http://127.0.0.1:29400.
    If one of them runs in a container, set `appservice.address` and `appservice.hostname` in
    config.yaml and run this again.

    Then:

    matrix-appservice-letta doctor -c DIR/config.yaml
    matrix-appservice-letta run -c DIR/config.yaml
    ");
    let config = house.config();
    assert_eq!(
        config
            .permissions
            .level(ruma::user_id!("@alice:house.test")),
        Level::Admin
    );
    assert_eq!(config.permissions.people().count(), 1);
    assert_eq!(config.letta.backend, Some(BackendKind::Demo));
    assert_eq!(
        house.registration().differences(&config),
        Vec::<String>::new()
    );
}

#[test]
fn init_again_keeps_tokens_and_what_was_written_by_hand() {
    let house = TestFolder::new();
    house.init(&INIT, &[]).unwrap();
    let before = house.config();
    let path = house.files().config().to_owned();
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("name: Letta Agents", "name: The Team")).unwrap();
    let again = [
        "matrix-appservice-letta",
        "init",
        "--homeserver=synapse",
        "--address=http://hs:1",
    ];
    house.init(&again, &[]).unwrap();
    let after = house.config();
    assert_eq!(after.space.name, "The Team");
    assert_eq!(after.homeserver.address.as_str(), "http://hs:1/");
    assert_eq!(after.homeserver.domain, "house.test");
    assert_eq!(after.appservice.as_token, before.appservice.as_token);
    assert_eq!(after.permissions, before.permissions);
    fs::remove_file(&path).unwrap();
    house.init(&INIT, &[]).unwrap();
    assert_eq!(
        house.config().appservice.hs_token,
        before.appservice.hs_token
    );
}

#[test]
fn init_writes_what_the_environment_says() {
    let house = TestFolder::new();
    house
        .init(
            &INIT,
            &[
                ("BRIDGE_APPSERVICE__PORT", "29555"),
                ("LETTA_BASE_URL", "http://letta:1"),
                ("LETTA_API_KEY", "not to be written"),
            ],
        )
        .unwrap();
    let config = house.config();
    assert_eq!(config.appservice.port, 29555);
    assert_eq!(
        config.appservice.address.as_str(),
        "http://127.0.0.1:29555/"
    );
    assert_eq!(config.letta.url.as_str(), "http://letta:1/");
    assert!(config.letta.api_key.is_none());
    let address = [("BRIDGE_APPSERVICE__ADDRESS", "http://bridge:29555")];
    house.init(&INIT, &address).unwrap();
    assert_eq!(
        house.config().appservice.address.as_str(),
        "http://bridge:29555/"
    );
    assert_eq!(
        house.registration().differences(&house.config()),
        Vec::<String>::new()
    );
}

#[test]
fn init_without_a_name_writes_nothing() {
    let house = TestFolder::new();
    let words = ["matrix-appservice-letta", "init", "--homeserver=tuwunel"];
    let failure = house.init(&words, &[]).unwrap_err();
    assert_eq!(failure.code(), ExitCode::ConfigInvalid);
    insta::assert_snapshot!(failure, @"
    nothing was written:
    `homeserver.domain`: is still the example; give it with `--domain NAME`
    `permissions`: still names only the examples; give yourself with `--admin @you:server`
    ");
    assert_eq!(fs::read_dir(house.folder.path()).unwrap().count(), 0);
}

#[test]
fn a_new_registration_keeps_tokens_unless_asked() {
    let house = TestFolder::new();
    house.init(&INIT, &[]).unwrap();
    let before = house.config();
    fs::remove_file(house.files().registration()).unwrap();
    house.write_registration(&[]).unwrap();
    assert_eq!(house.registration().as_token(), before.appservice.as_token);
    house.write_registration(&["--rotate-tokens"]).unwrap();
    let after = house.config();
    assert!(after.appservice.as_token != before.appservice.as_token);
    assert_eq!(
        house.registration().differences(&after),
        Vec::<String>::new()
    );
    let printed = house.write_registration(&["--print", "--conduit"]).unwrap();
    assert!(printed.contains(after.appservice.hs_token.expose()) && !printed.contains("msc2409"));
}

#[test]
fn a_registration_for_the_example_is_refused() {
    let house = TestFolder::new();
    let sample = config::sample::render(&Config::default());
    fs::write(house.files().config(), &sample).unwrap();
    let failure = house.write_registration(&["--rotate-tokens"]).unwrap_err();
    assert_eq!(failure.code(), ExitCode::ExampleDomain);
    fs::write(
        house.files().config(),
        sample.replace("domain: example.com", "domain: a.test"),
    )
    .unwrap();
    house.write_registration(&[]).unwrap();
    let text = fs::read_to_string(house.files().config()).unwrap();
    assert!(!text.contains("This value is generated"), "{text}");
}

#[test]
fn a_demo_is_ready_without_questions() {
    let house = TestFolder::new();
    let words = [
        "x",
        "demo",
        "--homeserver=http://localhost:8008",
        "--data",
        house.dir(),
    ];
    let Some(Command::Demo(args)) = Cli::try_parse_from(words).unwrap().command else {
        panic!("not a demo")
    };
    let files = house.files();
    demo::write(
        &args,
        args.homeserver.as_ref().unwrap(),
        files.config(),
        &files.registration(),
        &Environment::default(),
    )
    .unwrap();
    let config = house.config();
    assert_eq!(config.letta.backend, Some(BackendKind::Demo));
    assert_eq!(
        config.permissions.level(ruma::user_id!("@bob:localhost")),
        Level::User
    );
    assert_eq!(
        house.registration().differences(&config),
        Vec::<String>::new()
    );
}

#[test]
fn a_failure_deep_inside_decides_the_exit_code() {
    let inner = Failure::new(ExitCode::NoListener, "cannot listen");
    let outer = anyhow::Error::from(inner).context("the bridge stopped");
    let failure = Failure::from(outer);
    assert_eq!(failure.code(), ExitCode::NoListener);
    assert_eq!(failure.to_string(), "the bridge stopped: cannot listen");
}

#[test]
fn init_writes_the_port_of_the_embedded_homeserver_only() {
    let test = TestFolder::new();
    let words = |more: &'static str| {
        let bare = [
            "matrix-appservice-letta",
            "init",
            "--backend=demo",
            "--admin=@me:localhost",
        ];
        [bare[0], bare[1], bare[2], bare[3], more]
    };
    test.init(&words("--port=7777"), &[]).unwrap();
    let config = test.config();
    assert_eq!(config.homeserver.tuwunel["port"], 7777);
    assert_eq!(config.homeserver.address.port(), Some(7777));
    // Run again without it, it stays.
    test.init(&words("--letta-url=http://localhost:8283"), &[])
        .unwrap();
    assert_eq!(test.config().homeserver.tuwunel["port"], 7777);
    let external = TestFolder::new();
    let refused = external.init(
        &[&INIT[..4], &["--domain=house.test", "--port=7777"]].concat(),
        &[],
    );
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .contains("--port is for the embedded homeserver")
    );
}
