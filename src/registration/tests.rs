//! What the file says, and how it stays in step with the configuration.

use super::*;

fn config() -> Config {
    serde_yaml::from_str(
        r#"{homeserver: {domain: "my-house.test"}, appservice: {as_token: aaa, hs_token: hhh}}"#,
    )
    .unwrap()
}

#[test]
fn the_sample_in_the_repository_is_the_generated_one() {
    let sample = Registration::new(&Config::default()).unwrap().to_yaml();
    crate::architecture::same_as_on_disk(Path::new("registration.yaml.example"), &sample);
}

#[test]
fn a_homeserver_learns_what_it_needs() {
    insta::assert_snapshot!(Registration::new(&config()).unwrap().to_yaml(), @r#"
    id: letta
    url: http://127.0.0.1:29400
    as_token: aaa
    hs_token: hhh
    sender_localpart: letta
    namespaces:
      users:
      - exclusive: true
        regex: ^@letta:my\-house\.test$
      - exclusive: true
        regex: ^@agent_[a-z0-9_]+:my\-house\.test$
      aliases:
      - exclusive: true
        regex: ^#letta_agents:my\-house\.test$
      - exclusive: true
        regex: ^#agent_[a-z0-9_]+:my\-house\.test$
    rate_limited: false
    protocols: []
    receive_ephemeral: true
    de.sorunome.msc2409.push_ephemeral: true
    org.matrix.msc3202: true
    io.element.msc4190: true
    "#);
}

#[test]
fn conduit_gets_the_stable_key_only() {
    let yaml = Registration::new(&config())
        .unwrap()
        .for_conduit()
        .to_yaml();
    assert!(
        yaml.contains("receive_ephemeral: true") && !yaml.contains("msc2409"),
        "{yaml}"
    );
}

#[test]
fn namespaces_hold_agents_and_nobody_else() {
    let registration = Registration::new(&config()).unwrap();
    let in_namespace = |user: &str| {
        let mut users = registration.stable.namespaces.users.iter();
        users.any(|namespace| Regex::new(&namespace.regex).unwrap().is_match(user))
    };
    assert!(in_namespace("@agent_1:my-house.test"));
    assert!(in_namespace("@letta:my-house.test"));
    for user in [
        "@agent_:my-house.test",
        "@agent-1:my-house.test",
        "@xagent_1:my-house.test",
        "@agent_1:my-housextest",
        "@agent_1:my-house.test.evil.test",
        "@letta2:my-house.test",
        "@alice:my-house.test",
    ] {
        assert!(!in_namespace(user), "{user}");
    }
}

#[test]
fn a_written_file_reads_back_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("registration.yaml");
    let registration = Registration::new(&config()).unwrap();
    registration.write(&path).unwrap();
    let again = Registration::read(&path).unwrap();
    assert_eq!(again.to_yaml(), registration.to_yaml());
    assert_eq!(again.differences(&config()), Vec::<String>::new());
    assert!(!format!("{again:?}").contains("aaa"));
}

#[test]
fn a_file_of_another_bridge_style_is_understood() {
    let yaml = r"
        {id: letta, url: 'http://127.0.0.1:29400/', as_token: aaa, hs_token: hhh,
         sender_localpart: letta, org.matrix.msc3202: true, namespaces: {
           users: [{regex: '@(letta|agent_.*):my-house\.test', exclusive: true}],
           aliases: [{regex: '#(letta_agents|agent_.*):.*', exclusive: true}]}}";
    let registration: Registration = serde_yaml::from_str(yaml).unwrap();
    assert_eq!(registration.differences(&config()), Vec::<String>::new());
}

#[test]
fn every_difference_is_told() {
    let yaml = r"
        {id: other, url: null, as_token: xxx, hs_token: hhh, sender_localpart: bot,
         rate_limited: true, namespaces: {users: [{regex: '.*', exclusive: false}]}}";
    let registration: Registration = serde_yaml::from_str(yaml).unwrap();
    insta::assert_snapshot!(registration.differences(&config()).join("\n"), @"
    `id` is other, but `appservice.id` is letta
    `url` is null, but `appservice.address` is http://127.0.0.1:29400
    `sender_localpart` is bot, but `appservice.bot.username` is letta
    `as_token` is not `appservice.as_token`
    `rate_limited` is true, so answers may come late
    `namespaces.users` holds @letta:my-house.test, but not exclusively
    `namespaces.users` holds @agent_00000000_0000_4000_8000_000000000000:my-house.test, but not exclusively
    no regex of `namespaces.aliases` matches #letta_agents:my-house.test
    no regex of `namespaces.aliases` matches #agent_00000000_0000_4000_8000_000000000000:my-house.test
    the namespace `.*` would claim @somebody:my-house.test, who is no agent
    ");
}

#[test]
fn tokens_are_long_and_never_the_same() {
    let (one, two) = (new_token(), new_token());
    assert_eq!(one.expose().len(), TOKEN_CHARS);
    assert!(one.expose().bytes().all(|b| b.is_ascii_alphanumeric()));
    assert!(one != two);
}
