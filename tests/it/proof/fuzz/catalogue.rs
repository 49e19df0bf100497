//! What can be asked: every operation of the Matrix specification, and those that clients use beside it.
//!
//! `tests/clients/shapes` has both lists; README.md there says where they come from.

use serde::Deserialize;
use serde_json::Value;

const SPECIFIED: &str = include_str!("../../../clients/shapes/requests.json");
const UNSTABLE: &str = include_str!("../../../clients/shapes/unstable.json");

/// These read tokens and write what others depend on, so they are asked more often than the rest.
const BUSY: [&str; 14] = [
    "/sync",
    "/messages",
    "/send/{eventType}/{txnId}",
    "/state/{eventType}/{stateKey}",
    "/context/{eventId}",
    "/createRoom",
    "/keys/upload",
    "/keys/claim",
    "/sendToDevice/{eventType}/{txnId}",
    "/relations/{eventId}",
    "/hierarchy",
    "/search",
    "/receipt/{receiptType}/{eventId}",
    "/account_data/{type}",
];
const BUSY_TIMES: usize = 5;

#[derive(Clone, Debug, Deserialize)]
pub struct Operation {
    pub method: String,
    pub path: String,
    pub parameters: Vec<Parameter>,
    pub body: Option<Body>,
    /// The statuses that the specification has for the answer.
    pub statuses: Vec<u16>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Parameter {
    #[serde(rename = "in")]
    pub place: ParameterLocation,
    pub name: String,
    pub required: bool,
    pub schema: Value,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum ParameterLocation {
    Path,
    Query,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Body {
    #[serde(rename = "type")]
    pub media: String,
    pub schema: Value,
}

impl Operation {
    pub fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }
}

/// All operations, the busy ones several times.
pub fn operations() -> Vec<Operation> {
    let mut all: Vec<Operation> = serde_json::from_str(SPECIFIED).expect("requests.json");
    all.extend(serde_json::from_str::<Vec<Operation>>(UNSTABLE).expect("unstable.json"));
    let busy = all
        .iter()
        .filter(|one| BUSY.iter().any(|end| one.path.ends_with(end)));
    let busy: Vec<Operation> = busy.cloned().collect();
    for _ in 1..BUSY_TIMES {
        all.extend(busy.iter().cloned());
    }
    all
}
