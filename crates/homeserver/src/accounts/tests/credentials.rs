//! Everything that lets somebody act, and everything that ends it: which outlives which is written down here.

use std::sync::Arc;

use ruma::{OwnedDeviceId, OwnedUserId};
use tokio::task::JoinHandle;

use super::*;
use crate::{
    accounts::HashRequester,
    accounts::{
        credential::Credential,
        record::ShortTokenUse,
        tokens::{IssuedTokens, LoginOptions},
    },
    admin,
    appservices::{Appservice, Delivery, Origin},
    config::AppserviceRegistration,
    keys::record::DehydratedDevice,
    rooms::delayed,
    store::tables,
    testing::TestUser,
};

/// The id of an application service, and its token.
const BRIDGE: &str = "bridge";
const AS_TOKEN: &str = "as";
const OLD: &str = "old-secret";
const NEW: &str = "new-secret";
/// Longer than any of this takes, in milliseconds.
const LONG: u64 = 300_000;

/// What outlives what: of the session that acts (`h`, here), of another one (`o`), of both (`b`), of none (`-`), of the account (`+`).
/// Where an application service is unregistered, it has logged in the session that acts.
const ALLOWED: &str = "
event         access refresh login openid pusher sync | delayed dehydrated media
logout        o      o       o     o      o      o    | +       +          +
logout/all    -      -       -     -      -      -    | +       +          +
other device  h      h       h     h      h      h    | +       +          +
password      h      h       -     h      h      h    | +       +          +
password only b      b       -     b      b      b    | +       +          +
admin reset   b      b       -     b      b      b    | +       +          +
admin device  h      h       h     h      h      h    | +       +          +
lock          -      -       -     -      b      -    | +       +          +
deactivate    -      -       -     -      -      -    | -       -          -
erase         -      -       -     -      -      -    | -       -          -
admin ends    -      -       -     -      -      -    | -       -          -
unregister    o      o       o     o      o      o    | +       +          +
";

/// A session with everything that it can be given.
struct Session {
    person: TestUser,
    device: OwnedDeviceId,
    refresh: String,
    login: String,
    openid: String,
    sync: JoinHandle<StatusCode>,
}

impl Session {
    async fn begin(test: &TestServer, user: &OwnedUserId, credential: Credential) -> Self {
        let (accounts, config) = (&test.server.accounts, &test.server.config.login);
        let wish = LoginOptions {
            refresh: true,
            ..LoginOptions::default()
        };
        let issued: IssuedTokens = accounts
            .log_in(user, credential, wish, config)
            .await
            .unwrap();
        let device = issued.device_id;
        let person = test.with_token(user.localpart(), &issued.access_token);
        let short = async |purpose| {
            let issuing = accounts.issue_short_token(user, Some(&device), purpose, None);
            issuing.await.unwrap()
        };
        let (login, openid) = (
            short(ShortTokenUse::Login).await,
            short(ShortTokenUse::OpenId).await,
        );
        let pusher = json!({
            "kind": "http", "app_id": device, "pushkey": "key", "app_display_name": "App", "append": true,
            "device_display_name": "Phone", "lang": "en",
            "data": { "url": "https://push.example/_matrix/push/v1/notify" },
        });
        person.post("/_matrix/client/v3/pushers/set", pusher).await;
        let first = person.get("/_matrix/client/v3/sync").await;
        let since = first["next_batch"].as_str().unwrap();
        let path = format!("/_matrix/client/v3/sync?since={since}&timeout={LONG}");
        let waiting = person.clone();
        let sync = async move { waiting.call(Method::GET, &path, json!({})).await.0 };
        Self {
            sync: tokio::spawn(sync),
            refresh: issued.refresh_token.unwrap(),
            person,
            device,
            login,
            openid,
        }
    }

    /// Which of its credentials still work, in the order of the table.
    async fn alive(self, test: &TestServer) -> [bool; 6] {
        let ok = |(status, _): (StatusCode, Value)| status == StatusCode::OK;
        let whoami = "/_matrix/client/v3/account/whoami";
        let access = ok(self.person.call(Method::GET, whoami, json!({})).await);
        let sync = self.sync.await.unwrap() == StatusCode::OK;
        let refresh = json!({ "refresh_token": self.refresh });
        let refresh = test.call(Method::POST, "/_matrix/client/v3/refresh", refresh);
        let refresh = ok(refresh.await);
        let openid = format!(
            "/_matrix/federation/v1/openid/userinfo?access_token={}",
            self.openid
        );
        let openid = ok(test.call(Method::GET, &openid, json!({})).await);
        let user = &self.person.user_id;
        let pushers = test.server.pushers.list(user).unwrap();
        let pusher = pushers
            .iter()
            .any(|pusher| pusher.ids.app_id == self.device.as_str());
        let token = json!({ "type": "m.login.token", "token": self.login });
        let login = ok(login(test, token).await);
        [access, refresh, login, openid, pusher, sync]
    }
}

/// What belongs to the account, not to a session.
async fn give(test: &TestServer, room: &str, here: &TestUser) {
    let delay = format!(
        "/_matrix/client/v3/rooms/{room}/send/m.room.message/later?org.matrix.msc4140.delay=80000000"
    );
    let later = json!({ "msgtype": "m.text", "body": "later" });
    here.put(&delay, later).await;
    here.post("/_matrix/media/v1/create", json!({})).await;
    let dehydrated = DehydratedDevice {
        device_id: "DRY".into(),
        device_data: serde_json::value::to_raw_value(&json!({})).unwrap(),
        display_name: None,
    };
    let mut batch = test.server.store.batch();
    batch
        .put::<tables::DehydratedDevices>((&here.user_id,), &dehydrated)
        .unwrap();
    test.server.store.commit(batch).await.unwrap();
}

fn kept(test: &TestServer, user: &OwnedUserId) -> [bool; 3] {
    let store = &test.server.store;
    let delayed = !delayed::of_user(&test.server.rooms, user)
        .unwrap()
        .is_empty();
    let dry = store
        .contains::<tables::DehydratedDevices>((user,))
        .unwrap();
    let media = store.scan::<tables::PendingMedia>((user,)).keys().count() > 0;
    [delayed, dry, media]
}

async fn happens(test: &TestServer, event: &str, here: &Session, other: &Session) {
    let person = &here.person;
    let name = person.user_id.localpart();
    let auth = json!({
        "type": "m.login.password", "password": OLD,
        "identifier": { "type": "m.id.user", "user": person.user_id },
    });
    let changed =
        |logout: bool| json!({ "new_password": NEW, "logout_devices": logout, "auth": auth });
    let command = async |text: String| admin::execute(&test.server, &text).await.unwrap();
    match event {
        "logout" => drop(person.post("/_matrix/client/v3/logout", json!({})).await),
        "logout/all" => drop(
            person
                .post("/_matrix/client/v3/logout/all", json!({}))
                .await,
        ),
        "other device" => {
            let path = format!("/_matrix/client/v3/devices/{}", other.device);
            person
                .ok(Method::DELETE, &path, json!({ "auth": auth }))
                .await;
        }
        "password" | "password only" => {
            let body = changed(event == "password");
            person
                .post("/_matrix/client/v3/account/password", body)
                .await;
        }
        "admin reset" => drop(command(format!("users reset-password {name} {NEW}")).await),
        "admin device" => {
            let user = &person.user_id;
            command(format!("users delete-device {user} {}", other.device)).await;
        }
        "lock" => {
            let accounts = &test.server.accounts;
            accounts.set_locked(&person.user_id, true).await.unwrap();
        }
        "deactivate" | "erase" => {
            let body = json!({ "auth": auth, "erase": event == "erase" });
            person
                .post("/_matrix/client/v3/account/deactivate", body)
                .await;
        }
        "unregister" => drop(command(format!("appservices unregister {BRIDGE}")).await),
        "admin ends" => drop(command(format!("users deactivate {name}")).await),
        other => panic!("no such event: {other}"),
    }
}

/// An application service that an admin registered and that may act as everybody.
async fn register_bridge(test: &TestServer) -> Arc<Appservice> {
    let file = serde_json::from_value(json!({
        "id": BRIDGE, "url": null, "as_token": AS_TOKEN, "hs_token": "hs", "sender_localpart": "bridge",
        "namespaces": { "users": [{ "exclusive": false, "regex": "@.*" }] },
    }));
    let registration = AppserviceRegistration::new(file.unwrap()).unwrap();
    let (appservices, origin) = (&test.server.appservices, Origin::AdminRoom);
    let added = appservices.add(registration, Delivery::Http, origin);
    added.await.unwrap()
}

/// One row of the table, as it is.
async fn outlives(test: &TestServer, event: &str, number: usize) -> String {
    let name = format!("user{number}");
    let user = test
        .server
        .operations
        .create_account(&name, Some(OLD))
        .await
        .unwrap();
    let bob = test.person(&format!("bob{number}")).await;
    let public = json!({ "preset": "public_chat" });
    let made = bob.post("/_matrix/client/v3/createRoom", public).await;
    let room = made["room_id"].as_str().unwrap().to_owned();
    let guest = test.log_in(&user).await;
    let join = format!("/_matrix/client/v3/join/{room}");
    guest.post(&join, json!({})).await;
    give(test, &room, &guest).await;
    let credential = if event == "unregister" {
        register_bridge(test).await;
        Credential::Appservice(BRIDGE.to_owned())
    } else {
        Credential::NewAccount
    };
    let (here, other) = (
        Session::begin(test, &user, credential).await,
        Session::begin(test, &user, Credential::NewAccount).await,
    );
    happens(test, event, &here, &other).await;
    // Whoever still waits is answered.
    let said = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/1");
    bob.put(&said, json!({ "msgtype": "m.text", "body": "hello" }))
        .await;
    let kept = kept(test, &user);
    let (here, other) = (here.alive(test).await, other.alive(test).await);
    let cell = |(here, other): (bool, bool)| match (here, other) {
        (true, true) => "b",
        (true, false) => "h",
        (false, true) => "o",
        (false, false) => "-",
    };
    let sessions = here.into_iter().zip(other).map(cell);
    let account = kept.map(|kept| if kept { "+" } else { "-" });
    let cells = sessions.chain(["|"]).chain(account);
    format!("{event:14}{}", cells.collect::<Vec<_>>().join(" "))
}

#[tokio::test]
async fn credential_outlives_only_what_the_table_allows() {
    for (number, row) in ALLOWED.trim().lines().skip(1).enumerate() {
        // Tokens that have ended count as wrong guesses of their address.
        let test = TestServer::start().await;
        let (event, cells) = row.split_at(14);
        let cells: Vec<_> = cells.split_whitespace().collect();
        let wanted = format!("{event}{}", cells.join(" "));
        assert_eq!(outlives(&test, event.trim(), number).await, wanted);
    }
}

#[tokio::test]
async fn what_was_proven_with_an_old_password_proves_nothing() {
    let test = TestServer::start().await;
    let accounts = &test.server.accounts;
    let user = test
        .server
        .operations
        .create_account("alice", Some(OLD))
        .await
        .unwrap();
    let alice = test.log_in(&user).await;
    let path = format!("/_matrix/client/v3/devices/{}", alice.device_id);
    let sessions = || accounts.sessions.count();
    for ends in ["password", "account"] {
        let (status, _) = alice.call(Method::DELETE, &path, json!({})).await;
        assert_eq!((status, sessions()), (StatusCode::UNAUTHORIZED, 1));
        if ends == "password" {
            accounts
                .set_password(&user, NEW, &HashRequester::Admin, None)
                .await
                .unwrap();
        } else {
            let kept = SentContent::Kept;
            test.server
                .operations
                .end_account(&user, kept, None)
                .await
                .unwrap();
        }
        assert_eq!(sessions(), 0, "{ends}");
    }
}

#[tokio::test]
async fn appservice_credentials_outlive_users() {
    let test = TestServer::start().await;
    let accounts = &test.server.accounts;
    let token = accounts.issue_registration_token(None, None).await.unwrap();
    let nonce = accounts.nonces.issue(None, tokio::time::Instant::now());
    let user = test
        .server
        .operations
        .create_account("alice", Some(OLD))
        .await
        .unwrap();
    let erased = SentContent::Erased;
    test.server
        .operations
        .deactivate(&user, erased, None)
        .await
        .unwrap();
    assert_eq!(
        accounts.good_registration_token().unwrap(),
        Some(token.clone())
    );
    assert!(accounts.nonces.take(&nonce, tokio::time::Instant::now()));
    accounts.revoke_registration_token(&token).await.unwrap();
    assert_eq!(accounts.good_registration_token().unwrap(), None);
}

#[tokio::test]
async fn guest_acts_only_where_guests_are_wanted() {
    let test = TestServer::start_with(|config| {
        config.registration.allow_guest_registration = true;
    })
    .await;
    let register = "/_matrix/client/v3/register?kind=guest";
    let (_, guest) = test.call(Method::POST, register, json!({})).await;
    let token = guest["access_token"].as_str().unwrap().to_owned();
    let name = guest["user_id"].as_str().unwrap()[1..]
        .split(':')
        .next()
        .unwrap()
        .to_owned();
    let alice = test.person("alice").await;
    let open = json!({
        "preset": "public_chat",
        "initial_state": [{ "type": "m.room.guest_access", "content": { "guest_access": "can_join" } }],
    });
    let made = alice.post("/_matrix/client/v3/createRoom", open).await;
    let room = made["room_id"].as_str().unwrap();
    let person = test.with_token(&name, &token);
    person
        .post(&format!("/_matrix/client/v3/join/{room}"), json!({}))
        .await;
    let members = format!("/_matrix/client/v3/rooms/{room}/joined_members");
    let joined = alice.get(&members).await;
    assert_eq!(joined["joined"].as_object().unwrap().len(), 2);
    let access = format!("/_matrix/client/v3/rooms/{room}/state/m.room.guest_access");
    alice
        .put(&access, json!({ "guest_access": "forbidden" }))
        .await;
    let joined = alice.get(&members).await;
    assert_eq!(joined["joined"].as_object().unwrap().len(), 1);

    let mut config = test.server.config.clone();
    config.registration.allow_guest_registration = false;
    let whoami = "/_matrix/client/v3/account/whoami";
    assert_eq!(
        person.call(Method::GET, whoami, json!({})).await.0,
        StatusCode::OK
    );
    drop((person, alice));
    let test = test.restart_with(config).await;
    let person = test.with_token(&name, &token);
    let (status, answer) = person.call(Method::GET, whoami, json!({})).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(answer["errcode"], "M_UNKNOWN_TOKEN");
}

#[tokio::test]
async fn unregistered_appservice_leaves_no_way_in() {
    let test = TestServer::start().await;
    let bridge = register_bridge(&test).await;
    let whoami = "/_matrix/client/v3/account/whoami";
    let ask = async |token: &str| {
        let answer = with(&test, token, Method::GET, whoami, json!({})).await;
        (
            answer.0,
            answer.1["errcode"].as_str().map(ToOwned::to_owned),
        )
    };
    let register = json!({
        "type": "m.login.application_service", "username": "ghost", "refresh_token": true,
    });
    let path = "/_matrix/client/v3/register";
    let (_, ghost) = with(&test, AS_TOKEN, Method::POST, path, register).await;
    let text = |name: &str| ghost[name].as_str().unwrap().to_owned();
    let (token, refresh) = (text("access_token"), text("refresh_token"));
    let ghost: OwnedUserId = text("user_id").try_into().unwrap();
    // What its user asks for without a device.
    let openid = format!("/_matrix/client/v3/user/{ghost}/openid/request_token?user_id={ghost}");
    let (status, openid) = with(&test, AS_TOKEN, Method::POST, &openid, json!({})).await;
    assert_eq!(status, StatusCode::OK, "{openid}");
    let openid = format!(
        "/_matrix/federation/v1/openid/userinfo?access_token={}",
        openid["access_token"].as_str().unwrap()
    );
    assert_eq!(ask(&token).await.0, StatusCode::OK);
    // Its registration counts no more from the first moment, and what it was given is gone soon after.
    test.server.appservices.remove(bridge.id()).await.unwrap();
    for when in ["removed", "ended"] {
        let unknown = (StatusCode::UNAUTHORIZED, Some("M_UNKNOWN_TOKEN".to_owned()));
        assert_eq!(ask(AS_TOKEN).await, unknown, "{when}");
        assert_eq!(ask(&token).await, unknown, "{when}");
        let refresh = json!({ "refresh_token": refresh });
        let refreshed = test.call(Method::POST, "/_matrix/client/v3/refresh", refresh);
        assert_eq!(refreshed.await.0, StatusCode::UNAUTHORIZED, "{when}");
        let (status, _) = test.call(Method::GET, &openid, json!({})).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{when}");
        test.server
            .operations
            .end_appservice(&bridge)
            .await
            .unwrap();
    }
    let devices = test.server.accounts.devices(&ghost).unwrap();
    assert!(devices.is_empty(), "{devices:?}");
    // One with the same name is another one.
    register_bridge(&test).await;
    assert_eq!(ask(AS_TOKEN).await.0, StatusCode::OK);
    assert_eq!(ask(&token).await.0, StatusCode::UNAUTHORIZED);
}
