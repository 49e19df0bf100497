//! The push rules of a user as they are stored: the content of the account data of the type `m.push_rules`.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#predefined-rules>

use ruma::{UserId, push::Ruleset};
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};

/// The content of the account data.
#[derive(Deserialize, Serialize)]
struct Content {
    global: Ruleset,
}

/// What was stored, with the server's rules as this version knows them.
pub fn read(user: &UserId, content: Option<&RawValue>) -> Ruleset {
    let server_default = Ruleset::server_default(user);
    let content = content.and_then(|content| serde_json::from_str::<Content>(content.get()).ok());
    let Some(Content { mut global }) = content else {
        return server_default;
    };
    global.update_with_server_default(server_default);
    global
}

/// The rules as the content of the account data.
pub fn write(rules: Ruleset) -> serde_json::Result<Box<RawValue>> {
    to_raw_value(&Content { global: rules })
}
