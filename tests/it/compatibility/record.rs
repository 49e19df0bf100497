//! What came of each feature, one line of JSON each, for whoever makes a table of it.

use std::{env, fs::OpenOptions, io::Write};

use serde::Serialize;

use crate::support::deployment::Deployment;

/// What a person can rely on, in the words of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Feature {
    #[serde(rename = "agents appear, each with a room")]
    AgentsAppear,
    #[serde(rename = "an answer grows as it is written")]
    Streamed,
    #[serde(rename = "a thread is a conversation of its own")]
    Thread,
    #[serde(rename = "two rooms of one agent in parallel")]
    TwoRooms,
    #[serde(rename = "stop")]
    Stop,
    #[serde(rename = "a tool asks, ✅ runs it")]
    Approve,
    #[serde(rename = "a tool asks, ❌ does not run it")]
    Deny,
    #[serde(rename = "a picture reaches the model")]
    Picture,
    #[serde(rename = "`kill -9` of the bridge in an answer")]
    KillBridge,
    #[serde(rename = "`kill -9` of Letta in an answer")]
    KillLetta,
    #[serde(rename = "`kill -9` of the homeserver in an answer")]
    KillHomeserver,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// The test has begun. What stays like this has failed.
    Begun,
    Works,
    /// What was lost is told in plain words.
    Told,
    /// It is not to be had there, and was seen not to be.
    NotThere,
}

#[derive(Serialize)]
struct ResultLine<'a> {
    homeserver: &'a str,
    backend: &'a str,
    feature: Feature,
    outcome: Outcome,
}

/// Writes down what came of a feature in this house.
pub fn passed(deployment: &Deployment, feature: Feature, outcome: Outcome) {
    let (homeserver, backend) = (deployment.homeserver.name(), deployment.peer.kind.name());
    record(homeserver, backend, feature, outcome);
}

/// Writes a line, if `LETTA_TEST_RECORD` names a file to write to.
pub fn record(homeserver: &str, backend: &str, feature: Feature, outcome: Outcome) {
    println!("{homeserver} x {backend}: {feature:?} {outcome:?}");
    let Ok(path) = env::var("LETTA_TEST_RECORD") else {
        return;
    };
    let line = ResultLine {
        homeserver,
        backend,
        feature,
        outcome,
    };
    let mut line = serde_json::to_string(&line).expect("a line can be written");
    line.push('\n');
    let file = OpenOptions::new().create(true).append(true).open(&path);
    let written = file.and_then(|mut file| file.write_all(line.as_bytes()));
    written.unwrap_or_else(|error| panic!("cannot write {path}: {error}"));
}
