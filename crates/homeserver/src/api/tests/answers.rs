//! Every answer has the keys that the specification requires, and those that matrix-js-sdk reads without asking, where there is
//! next to nothing to tell: a filter that hides all, a page behind the end, a user without devices, a room without aliases.

use std::collections::BTreeSet;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::specification::LEFT_OUT;
use crate::testing::{TestServer, TestUser};
use places::{NOT_ASKED, Operation, fits, has, operations};

mod places;

/// Asks, and holds the answers against what is required.
struct Checker {
    operations: Vec<Operation>,
    asked: BTreeSet<String>,
    missing: BTreeSet<String>,
}

impl Checker {
    async fn ask(&mut self, user: &TestUser, method: Method, path: &str, body: Value) -> Value {
        let (status, answer) = user.call(method.clone(), path, body).await;
        assert_eq!(status, StatusCode::OK, "{method} {path}: {answer}");
        let fitting = |one: &&Operation| one.method == method.as_str() && fits(&one.path, path);
        let least = self.operations.iter().filter(fitting);
        let least = least.map(|one| one.path.matches('{').count()).min();
        for one in self.operations.iter().filter(fitting) {
            if Some(one.path.matches('{').count()) != least {
                continue;
            }
            self.asked.insert(format!("{method} {}", one.path));
            let missing = one.required.iter().filter(|place| !has(&answer, place));
            let missing = missing.map(|place| format!("{method} {path}: {}", place.join("/")));
            self.missing.extend(missing);
        }
        answer
    }

    async fn get(&mut self, user: &TestUser, path: &str) -> Value {
        let path = format!("/_matrix/client/{path}");
        self.ask(user, Method::GET, &path, json!({})).await
    }

    async fn post(&mut self, user: &TestUser, path: &str, body: Value) -> Value {
        let path = format!("/_matrix/client/{path}");
        self.ask(user, Method::POST, &path, body).await
    }

    async fn put(&mut self, user: &TestUser, path: &str, body: Value) -> Value {
        let path = format!("/_matrix/client/{path}");
        self.ask(user, Method::PUT, &path, body).await
    }
}

/// Filters that hide every event, and everything else.
const HIDE_ALL: &str = "%7B%22types%22:%5B%5D%7D";
const HIDE_ALL_OF_SYNC: &str = "%7B%22room%22:%7B%22timeline%22:%7B%22types%22:%5B%5D%7D,%22state%22:%7B%22types%22:%5B%5D%7D,%22ephemeral%22:%7B%22types%22:%5B%5D%7D,%22include_leave%22:true%7D%7D";

async fn ask_of_account(check: &mut Checker, alice: &TestUser) {
    let me = &alice.user_id;
    for path in [
        "versions",
        "v3/login",
        "v3/capabilities",
        "v3/account/whoami",
        "v3/account/3pid",
        "v3/devices",
        "v3/joined_rooms",
        "v3/notifications",
        "v3/notifications?only=highlight",
        "v3/publicRooms",
        "v3/pushers",
        "v3/pushrules/",
        "v3/pushrules/global/",
        "v3/pushrules/global/override/.m.rule.master",
        "v3/pushrules/global/override/.m.rule.master/actions",
        "v3/pushrules/global/override/.m.rule.master/enabled",
        "v3/sync",
        "v3/thirdparty/protocols",
        "v1/register/m.login.registration_token/validity?token=none",
        &format!("v3/devices/{}", alice.device_id),
        &format!("v3/presence/{me}/status"),
        "v1/mutual_rooms?user_id=@bob:letta.test",
    ] {
        check.get(alice, path).await;
    }
    for (path, body) in [
        (
            "v3/keys/query",
            json!({ "device_keys": { "@bob:letta.test": [] } }),
        ),
        ("v3/keys/query", json!({ "device_keys": {} })),
        ("v3/keys/claim", json!({ "one_time_keys": {} })),
        ("v3/keys/upload", json!({})),
        ("v3/keys/signatures/upload", json!({})),
        (
            "v3/publicRooms",
            json!({ "filter": { "generic_search_term": "nothing" } }),
        ),
        (
            "v3/user_directory/search",
            json!({ "search_term": "nobody" }),
        ),
        ("v3/search", json!({ "search_categories": {} })),
        (
            "v3/search",
            json!({ "search_categories": { "room_events": { "search_term": "nothing" } } }),
        ),
    ] {
        check.post(alice, path, body).await;
    }
    check
        .post(alice, &format!("v3/user/{me}/filter"), json!({}))
        .await;
    check
        .post(
            alice,
            &format!("v3/user/{me}/openid/request_token"),
            json!({}),
        )
        .await;
    check
        .ask(alice, Method::POST, "/_matrix/media/v1/create", json!({}))
        .await;
}

async fn ask_of_backup(check: &mut Checker, alice: &TestUser) {
    let backup = json!({
        "algorithm": "m.megolm_backup.v1.curve25519-aes-sha2",
        "auth_data": { "public_key": "abcdefg", "signatures": {} },
    });
    let version = check.post(alice, "v3/room_keys/version", backup).await;
    let version = version["version"].as_str().unwrap().to_owned();
    check.get(alice, "v3/room_keys/version").await;
    check
        .get(alice, &format!("v3/room_keys/version/{version}"))
        .await;
    let session = json!({ "first_message_index": 1, "forwarded_count": 0, "is_verified": false, "session_data": { "ephemeral": "AA", "ciphertext": "AA", "mac": "AA" } });
    for (place, body) in [
        ("", json!({ "rooms": {} })),
        ("/!none:letta.test", json!({ "sessions": {} })),
        ("/!one:letta.test/session", session),
    ] {
        let path = format!("v3/room_keys/keys{place}?version={version}");
        if !place.ends_with("session") {
            check.get(alice, &path).await;
        }
        check.put(alice, &path, body).await;
        check.get(alice, &path).await;
        let path = format!("/_matrix/client/{path}");
        check.ask(alice, Method::DELETE, &path, json!({})).await;
    }
}

async fn ask_of_room(check: &mut Checker, alice: &TestUser) -> String {
    let room = check
        .post(alice, "v3/createRoom", json!({ "preset": "public_chat" }))
        .await;
    let room = room["room_id"].as_str().unwrap().to_owned();
    let sent = check
        .put(
            alice,
            &format!("v3/rooms/{room}/send/m.room.message/1"),
            json!({ "msgtype": "m.text", "body": "needle" }),
        )
        .await;
    let event = sent["event_id"].as_str().unwrap();
    check
        .put(
            alice,
            &format!("v3/rooms/{room}/state/m.room.topic/"),
            json!({ "topic": "x" }),
        )
        .await;
    for path in [
        "aliases",
        "members",
        "members?membership=ban",
        "joined_members",
        "state",
        &format!("event/{event}"),
        "messages?dir=b",
        "messages?dir=f&from=s0",
        &format!("messages?dir=b&filter={HIDE_ALL}"),
        &format!("context/{event}"),
        &format!("context/{event}?limit=0&filter={HIDE_ALL}"),
    ] {
        check.get(alice, &format!("v3/rooms/{room}/{path}")).await;
    }
    for path in [
        "hierarchy",
        "threads",
        &format!("relations/{event}"),
        &format!("relations/{event}/m.thread"),
        &format!("relations/{event}/m.thread/m.room.message"),
        "timestamp_to_event?dir=f&ts=0",
    ] {
        check.get(alice, &format!("v1/rooms/{room}/{path}")).await;
    }
    check.get(alice, &format!("v1/room_summary/{room}")).await;
    check
        .get(
            alice,
            &format!("v3/user/{}/rooms/{room}/tags", alice.user_id),
        )
        .await;
    for context in [json!({}), json!({ "before_limit": 0, "after_limit": 0 })] {
        let criteria = json!({ "search_term": "needle", "event_context": context });
        let body = json!({ "search_categories": { "room_events": criteria } });
        let found = check.post(alice, "v3/search", body).await;
        assert_eq!(found["search_categories"]["room_events"]["count"], 1);
    }
    check
        .post(alice, &format!("v3/rooms/{room}/join"), json!({}))
        .await;
    check
        .post(alice, &format!("v3/join/{room}"), json!({}))
        .await;
    room
}

async fn ask_of_sync(check: &mut Checker, alice: &TestUser, bob: &TestUser, room: &str) {
    let since = check.get(alice, "v3/sync").await["next_batch"]
        .as_str()
        .unwrap()
        .to_owned();
    check.get(alice, &format!("v3/sync?since={since}")).await;
    let read = format!(
        "/_matrix/client/v3/user/{}/rooms/{room}/account_data/m.any",
        alice.user_id
    );
    alice.put(&read, json!({ "any": 1 })).await;
    // A room that has only data of the account to tell.
    check.get(alice, &format!("v3/sync?since={since}")).await;
    check
        .get(alice, &format!("v3/sync?filter={HIDE_ALL_OF_SYNC}"))
        .await;
    let body = json!({ "user_id": bob.user_id });
    alice
        .post(&format!("/_matrix/client/v3/rooms/{room}/invite"), body)
        .await;
    check.get(bob, "v3/sync").await;
    bob.post(&format!("/_matrix/client/v3/rooms/{room}/leave"), json!({}))
        .await;
    check
        .get(bob, &format!("v3/sync?filter={HIDE_ALL_OF_SYNC}"))
        .await;
    let upgraded = json!({ "new_version": "12" });
    check
        .post(alice, &format!("v3/rooms/{room}/upgrade"), upgraded)
        .await;
}

/// Spec: <https://spec.matrix.org/v1.18/client-server-api/>, `required` of every schema of an answer.
#[tokio::test]
async fn answer_with_nothing_to_tell_has_every_required_key() {
    let test = TestServer::start_with(|config| {
        config.sync.client_sync_timeout_default = std::time::Duration::ZERO;
        config.well_known.client = "https://letta.test".parse().ok();
    })
    .await;
    let made = test
        .server
        .operations
        .create_account("alice", Some("correct horse"));
    let alice = test.log_in(&made.await.unwrap()).await;
    let bob = test.person("bob").await;
    let mut check = Checker {
        operations: operations(),
        asked: BTreeSet::new(),
        missing: BTreeSet::new(),
    };
    ask_of_account(&mut check, &alice).await;
    ask_of_backup(&mut check, &alice).await;
    let room = ask_of_room(&mut check, &alice).await;
    ask_of_sync(&mut check, &alice, &bob, &room).await;
    check
        .ask(&alice, Method::GET, "/.well-known/matrix/client", json!({}))
        .await;
    let password = json!({ "type": "m.login.password", "identifier": { "type": "m.id.user", "user": "alice" }, "password": "correct horse" });
    check.post(&alice, "v3/login", password.clone()).await;
    check
        .post(&alice, "v1/login/get_token", json!({ "auth": password }))
        .await;
    check
        .post(&alice, "v3/account/deactivate", json!({ "auth": password }))
        .await;

    assert!(check.missing.is_empty(), "{:#?}", check.missing);
    let left_out = LEFT_OUT.iter().flat_map(|(_, names)| *names).copied();
    let excused: BTreeSet<_> = left_out
        .chain(NOT_ASKED.iter().map(|(name, _)| *name))
        .collect();
    let names = check
        .operations
        .iter()
        .map(|one| format!("{} {}", one.method, one.path));
    let forgotten: BTreeSet<_> = names
        .filter(|name| !check.asked.contains(name) && !excused.contains(&**name))
        .collect();
    assert!(forgotten.is_empty(), "{forgotten:#?}");
}
