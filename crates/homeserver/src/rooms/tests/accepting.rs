//! Invitations that the server accepts for its users: whose, for whom, and what others see of it.

use serde_json::{Value, json};

use super::{room, rooms};
use crate::{
    appservices::Delivery,
    config::{self, AppserviceRegistration},
    testing::{TestServer, TestUser},
};

const SYNC: &str = "/_matrix/client/v3/sync";

/// A server that accepts invitations, and the bot of a bridge.
async fn bridged(change: impl FnOnce(&mut config::Rooms)) -> (TestServer, TestUser) {
    let test = TestServer::start_with(|config| {
        config.rooms.auto_accept_invites = true;
        change(&mut config.rooms);
    })
    .await;
    let registration = AppserviceRegistration::from_yaml(
        "id: br\nurl: null\nas_token: br-as\nhs_token: br-hs\nsender_localpart: brbot\nnamespaces:\n  users:\n  - \
         exclusive: true\n    regex: '@br_.*'\n",
    );
    let added = test
        .server
        .add_appservice(registration.unwrap(), Delivery::Http);
    added.await.unwrap();
    let bot = test.with_token("brbot", "br-as");
    (test, bot)
}

async fn membership(looks: &TestUser, room: &str, user: &str) -> Value {
    let path = rooms(room, &format!("state/m.room.member/{user}"));
    looks.get(&path).await["membership"].clone()
}

#[tokio::test]
async fn invitation_of_a_bridge_is_a_room_without_a_click() {
    let (test, bot) = bridged(|_| {}).await;
    let alice = test.person("alice").await;
    let made = room(
        &bot,
        json!({ "invite": [alice.user_id], "is_direct": true }),
    )
    .await;
    let invited = room(&bot, json!({})).await;
    bot.post(
        &rooms(&invited, "invite"),
        json!({ "user_id": alice.user_id }),
    )
    .await;
    let ghost = "@br_one:letta.test";
    let register = json!({ "type": "m.login.application_service", "username": "br_one", "inhibit_login": true });
    bot.post("/_matrix/client/v3/register", register).await;
    bot.post(&rooms(&made, "invite"), json!({ "user_id": ghost }))
        .await;
    assert_eq!(membership(&bot, &made, ghost).await, "invite");

    let seen = alice.get(SYNC).await;
    assert_eq!(seen["rooms"]["invite"], Value::Null, "{seen}");
    for room in [&made, &invited] {
        let shown = &seen["rooms"]["join"][room];
        let unread = &shown["unread_notifications"]["notification_count"];
        assert_eq!(*unread, 0, "nobody has to look at it");
    }
    let direct = format!(
        "/_matrix/client/v3/user/{}/account_data/m.direct",
        alice.user_id
    );
    let direct = alice.get(&direct).await;
    assert_eq!(direct, json!({ "@brbot:letta.test": [made] }));
    test.server.close().await;
}

#[tokio::test]
async fn only_configured_invitations_are_accepted() {
    type Change = fn(&mut config::Rooms);
    // The bot's to a room, the bot's to a direct chat, another user's of its bridge, a person's.
    let cases: [(Change, [&str; 4]); 4] = [
        (|rooms| rooms.auto_accept_invites = false, ["invite"; 4]),
        (|_| {}, ["join", "join", "invite", "invite"]),
        (
            |rooms| rooms.auto_accept_invites_direct_only = true,
            ["invite", "join", "invite", "invite"],
        ),
        (
            |rooms| rooms.auto_accept_invites_appservices_only = false,
            ["join"; 4],
        ),
    ];
    for (change, expected) in cases {
        let (test, bot) = bridged(change).await;
        let (alice, bob) = (test.person("alice").await, test.person("bob").await);
        let mut seen = Vec::new();
        let register = json!({ "type": "m.login.application_service", "username": "br_one" });
        bot.post("/_matrix/client/v3/register", register).await;
        for (host, is_direct, as_user) in [
            (&bot, false, ""),
            (&bot, true, ""),
            (&bot, false, "?user_id=@br_one:letta.test"),
            (&bob, false, ""),
        ] {
            let body = json!({ "invite": [alice.user_id], "is_direct": is_direct });
            let path = format!("/_matrix/client/v3/createRoom{as_user}");
            let made = host.post(&path, body).await;
            let room = made["room_id"].as_str().unwrap().to_owned();
            let member = rooms(&room, &format!("state/m.room.member/{}", alice.user_id));
            seen.push(host.get(&format!("{member}{as_user}")).await["membership"].clone());
        }
        assert_eq!(seen, expected);
        test.server.close().await;
    }
}

#[tokio::test]
async fn who_cannot_act_or_ignores_the_sender_is_only_invited() {
    let (test, bot) = bridged(|_| {}).await;
    let ignoring = test.person("ignoring").await;
    let path = format!(
        "/_matrix/client/v3/user/{}/account_data/m.ignored_user_list",
        ignoring.user_id
    );
    let ignored = json!({ "ignored_users": { "@brbot:letta.test": {} } });
    ignoring.put(&path, ignored).await;
    let services = &test.server;
    for (name, change) in [
        ("locked", "locked"),
        ("suspended", "suspended"),
        ("guest", "guest"),
    ] {
        let person = test.person(name).await;
        let mut account = services.accounts.get(&person.user_id).unwrap().unwrap();
        match change {
            "locked" => account.locked = true,
            "suspended" => account.suspended = true,
            _ => account.guest = true,
        }
        let mut batch = services.store.batch();
        services
            .accounts
            .put(&mut batch, &person.user_id, &account)
            .unwrap();
        services.store.commit(batch).await.unwrap();
    }
    let room = room(&bot, json!({})).await;
    for name in ["ignoring", "locked", "suspended", "guest", "nobody"] {
        let user = format!("@{name}:letta.test");
        bot.post(&rooms(&room, "invite"), json!({ "user_id": user }))
            .await;
        assert_eq!(membership(&bot, &room, &user).await, "invite", "{name}");
    }
    test.server.close().await;
}

#[tokio::test]
async fn invitation_into_a_private_room_stays_one() {
    let (test, bot) = bridged(|_| {}).await;
    let alice = test.person("alice").await;
    let private = json!({ "type": "m.room.join_rules", "content": { "join_rule": "private" } });
    let body = json!({ "invite": [alice.user_id], "initial_state": [private] });
    let room = room(&bot, body).await;
    assert_eq!(
        membership(&bot, &room, alice.user_id.as_str()).await,
        "invite"
    );
    test.server.close().await;
}

#[tokio::test]
async fn new_account_is_in_the_rooms_that_waited_for_it() {
    let (test, bot) = bridged(|_| {}).await;
    let me = "@me:letta.test";
    let mut waiting = Vec::new();
    for number in 0..20 {
        let body = json!({ "invite": [me], "is_direct": number == 0 });
        waiting.push(room(&bot, body).await);
        let room = &waiting[number];
        assert_eq!(membership(&bot, room, me).await, "invite");
    }
    let made = test
        .server
        .operations
        .create_account("me", Some("correct horse battery"));
    let made = made.await.unwrap();
    for room in &waiting {
        assert_eq!(membership(&bot, room, me).await, "join");
    }
    let me = test.log_in(&made).await;
    let seen = me.get(SYNC).await;
    assert_eq!(seen["rooms"]["invite"], Value::Null, "{seen}");
    let direct = format!("/_matrix/client/v3/user/{made}/account_data/m.direct");
    assert_eq!(
        me.get(&direct).await,
        json!({ "@brbot:letta.test": [waiting[0]] })
    );
    test.server.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn account_that_is_made_while_rooms_are_is_in_all_of_them() {
    const ROUNDS: usize = 5;
    const MAKERS: usize = 4;
    let (test, bot) = bridged(|_| {}).await;
    for round in 0..ROUNDS {
        let name = format!("late{round}");
        let user = format!("@{name}:letta.test");
        let is_made = std::sync::atomic::AtomicBool::new(false);
        let make = async || {
            let mut made = Vec::new();
            while !is_made.load(std::sync::atomic::Ordering::Relaxed) {
                made.push(room(&bot, json!({ "invite": [user] })).await);
            }
            made
        };
        let account = async {
            let operations = &test.server.operations;
            let made = operations.create_account(&name, Some("correct horse battery"));
            made.await.unwrap();
            is_made.store(true, std::sync::atomic::Ordering::Relaxed);
        };
        let makers = futures_util::future::join_all((0..MAKERS).map(|_| make()));
        let (rooms, ()) = tokio::join!(makers, account);
        for made in rooms.into_iter().flatten() {
            assert_eq!(membership(&bot, &made, &user).await, "join", "{round}");
        }
    }
}
