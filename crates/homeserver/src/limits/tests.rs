//! Every row of the table: what is just within a limit is taken, what is just beyond it is refused as the table says, and nothing of
//! it is stored.

mod accounts;
mod encryption;
mod others;
mod rows;
mod sources;
mod stored;

use std::collections::BTreeSet;

use http::{Method, StatusCode};
use ruma::OwnedRoomId;
use serde_json::{Value, json};

use super::{LimitEffect, all};
use crate::testing::{TestServer, TestUser};

/// Limits whose requests are in other tests, or that no single request reaches.
const ELSEWHERE: &[(&str, &str)] = &[
    (
        "DEVICES_PER_USER",
        "whoever_has_very_many_devices_logs_in_on_one_that_is_known",
    ),
    (
        "ROOMS_PER_USER",
        "rooms::tests::membership, with so many rows",
    ),
    (
        "DELAYED_EVENTS_PER_USER",
        "not_too_many_events_of_one_person_wait",
    ),
    ("FILE_NAME_MAX_BYTES", "names_of_files_have_a_largest_size"),
    (
        "CONTENT_TYPE_MAX_BYTES",
        "names_of_files_have_a_largest_size",
    ),
    ("FILES_PER_USER", "media::quota, with so many files"),
    (
        "ROOM_ACCOUNT_DATA_MAX_BYTES",
        "room_account_data_of_one_room_has_an_end",
    ),
    (
        "BACKUPS_MAX_BYTES",
        "backups_of_one_user_have_an_end_together",
    ),
    ("PREVIEW_TIMEOUT", "a time"),
    ("DOWNLOAD_WAIT_MAX", "a time"),
    (
        "PUSHERS_PER_USER",
        "push::tests::gateways, with so many rows",
    ),
    (
        "JSON_MAX_BYTES_WITHOUT_TOKEN",
        "http::tests, for every route",
    ),
    ("JSON_MAX_BYTES", "http::tests, for every route"),
    ("DEVICE_KEYS_BODY_MAX_BYTES", "http::tests, for every route"),
    ("KEY_BACKUP_BODY_MAX_BYTES", "http::tests, for every route"),
    ("TO_DEVICE_BODY_MAX_BYTES", "http::tests, for every route"),
    ("REGISTER_BODY_MAX_BYTES", "http::tests, for every route"),
    ("JSON_MAX_VALUES", "http::json, with so many values"),
    (
        "BODY_PERMIT_WAIT_MAX",
        "slow_body_is_given_up_and_full_pool_says_when_to_come_again",
    ),
    (
        "BODY_TIME_BASE",
        "slow_body_is_given_up_and_full_pool_says_when_to_come_again",
    ),
    (
        "BODY_BYTES_PER_SECOND_MIN",
        "slow_body_is_given_up_and_full_pool_says_when_to_come_again",
    ),
    ("BODIES_WAITING_PER_USER", "byte_pool::tests"),
    ("BODIES_WAITING_MAX", "byte_pool::tests"),
    ("BODY_GRACE", "byte_pool::tests"),
    (
        "BODY_FIRST_BYTES_TIME",
        "slow_body_is_given_up_and_full_pool_says_when_to_come_again",
    ),
    ("UNREAD_WAIT_MAX", "http::tests::readers"),
    ("WRITTEN_ANSWERS_PER_USER", "byte_pool::tests"),
    ("WRITTEN_ANSWERS_MAX", "byte_pool::tests"),
    ("WALKS_WAITING_PER_USER", "byte_pool::tests"),
    ("WALKS_WAITING_MAX", "byte_pool::tests"),
    ("HASHES_WAITING_MAX", "accounts::tests::guesses"),
    ("HASHES_WAITING_PER_ADDRESS_MAX", "accounts::tests::guesses"),
    ("GUESSES_AT_ACCOUNT_PER_ADDRESS", "accounts::tests::guesses"),
    ("GUESSES_PER_ADDRESS", "accounts::tests::guesses"),
    ("GUESSES_AT_ACCOUNT", "accounts::tests::guesses"),
    ("LOGIN_TOKEN_LIFE", "a time"),
    ("OPENID_TOKEN_LIFE", "a time"),
    (
        "INITIAL_STATE_MAX",
        "initial_state_beyond_its_limits_is_refused",
    ),
    (
        "INITIAL_STATE_MAX_BYTES",
        "initial_state_beyond_its_limits_is_refused",
    ),
    (
        "SIGNED_KEYS_PER_REQUEST",
        "signatures_for_too_many_keys_at_once_are_refused",
    ),
    (
        "TO_DEVICE_KEPT_MAX_BYTES",
        "message_to_many_devices_that_is_too_large_for_all_of_them_is_refused",
    ),
    ("RULES_PER_USER", "rules_of_one_user_are_limited_together"),
    ("RULES_MAX_BYTES", "rules_of_one_user_are_limited_together"),
    ("RULE_MAX_BYTES", "rules_beyond_limits_are_refused"),
    ("CONDITIONS_PER_RULE", "rules_beyond_limits_are_refused"),
    ("ACTIONS_PER_RULE", "rules_beyond_limits_are_refused"),
    ("PATTERN_MAX_BYTES", "rules_beyond_limits_are_refused"),
];

/// A request.
type Ask = (Method, String, Value);

/// What was found out about the rows of the table.
struct Table {
    test: TestServer,
    /// The statuses of requests within their limits that are refused for another reason.
    probed: BTreeSet<&'static str>,
    failures: Vec<String>,
}

fn put(path: impl Into<String>, body: Value) -> Ask {
    (Method::PUT, path.into(), body)
}

fn post(path: impl Into<String>, body: Value) -> Ask {
    (Method::POST, path.into(), body)
}

fn long(length: usize) -> String {
    "x".repeat(length)
}

/// A text that makes the JSON around it so many bytes long.
fn padded(bytes: usize, around: impl Fn(&str) -> Value) -> Value {
    let empty = around("").to_string().len();
    around(&long(bytes - empty))
}

impl Table {
    async fn new() -> Self {
        let test = TestServer::start_with(|config| {
            config.registration.allow_registration = true;
            config.registration.registration_token = Some(crate::config::Secret::new("token"));
        });
        Self {
            test: test.await,
            probed: BTreeSet::new(),
            failures: Vec::new(),
        }
    }

    /// Somebody with a room of their own.
    async fn somebody(&self, name: &str) -> (TestUser, OwnedRoomId) {
        let person = self.test.person(name).await;
        let room = person.post("/_matrix/client/v3/createRoom", json!({}));
        let room = room.await["room_id"].as_str().unwrap().try_into().unwrap();
        (person, room)
    }

    /// Sends a request that is within the limit and one that is beyond it.
    async fn row(&mut self, name: &'static str, who: &TestUser, within: Ask, beyond: Ask) {
        self.row_with(name, who, StatusCode::OK, within, beyond)
            .await;
    }

    /// The same where the request within the limit is answered with another status.
    async fn row_with(
        &mut self,
        name: &'static str,
        who: &TestUser,
        passes: StatusCode,
        within: Ask,
        beyond: Ask,
    ) {
        self.probed.insert(name);
        let limit = all().into_iter().find(|limit| limit.name == name).unwrap();
        let LimitEffect::Refused(status, code) = limit.reached else {
            panic!("{name} refuses nothing");
        };
        let (method, path, body) = within;
        let (answered, answer) = who.call(method, &path, body).await;
        if answered != passes {
            self.fail(name, "within", &path, answered, &answer);
        }
        let before = self.test.server.store.fingerprint();
        let (method, path, body) = beyond;
        let (answered, answer) = who.call(method, &path, body).await;
        if answered.as_u16() != status || answer["errcode"] != code {
            self.fail(name, "beyond", &path, answered, &answer);
        } else if self.test.server.store.fingerprint() != before {
            self.failures.push(format!("{name}: something was stored"));
        }
    }

    fn fail(&mut self, name: &str, which: &str, path: &str, status: StatusCode, answer: &Value) {
        let answer: String = answer.to_string().chars().take(200).collect();
        let path: String = path.chars().take(80).collect();
        self.failures
            .push(format!("{name}, {which}: {path}: {status} {answer}"));
    }
}

#[tokio::test]
async fn every_limit_takes_what_is_within_it_and_refuses_what_is_beyond() {
    let mut table = Table::new().await;
    accounts::probe(&mut table).await;
    encryption::probe(&mut table).await;
    others::probe(&mut table).await;
    let elsewhere = ELSEWHERE.iter().map(|(name, _)| *name);
    table.probed.extend(elsewhere);
    for limit in all() {
        if matches!(limit.reached, LimitEffect::Refused(..)) && !table.probed.contains(limit.name) {
            table.failures.push(format!("{}: no request", limit.name));
        }
    }
    assert!(table.failures.is_empty(), "{}", table.failures.join("\n"));
}

#[test]
fn values_are_written_with_their_units() {
    let value = |name: &str| {
        let limit = all().into_iter().find(|limit| limit.name == name).unwrap();
        limit.value()
    };
    assert_eq!(value("FILTER_MAX_BYTES"), "64 KiB");
    assert_eq!(value("PRESENCE_MESSAGE_MAX_BYTES"), "1,000 bytes");
    assert_eq!(value("BACKUP_KEYS_MAX"), "1,000,000 keys");
    assert_eq!(value("DELAY_MAX"), "1day");
}
