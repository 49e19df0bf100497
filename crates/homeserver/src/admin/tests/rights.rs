//! Who is no admin and gives no command, whatever is said in whose name.

use http::{Method, StatusCode};
use ruma::{OwnedRoomId, OwnedUserId, user_id};

use super::*;
use crate::{
    appservices::{Delivery, Origin},
    config::AppserviceRegistration,
    rooms::{
        aliases,
        membership::{self, MembershipUpdate},
    },
    testing::TestUser,
};

/// What an admin's ghost would love to say.
const MAKE_ADMIN: &str = "users make-user-admin @mallory:letta.test";

/// A server with an admin, an application service whose namespace is its own, and one that reaches for everybody, as bridges
/// with double puppeting do.
async fn started() -> (TestServer, TestUser, OwnedRoomId) {
    let test = TestServer::start_with(|config| config.admin.create_admin_room = true).await;
    let server = &test.server;
    let created = server
        .operations
        .create_account("boss", Some("correct horse"));
    let boss = test.log_in(&created.await.unwrap()).await;
    for (id, regex, exclusive) in [("br", "@br_.*", true), ("puppets", "@.*", false)] {
        let registration = AppserviceRegistration::from_yaml(&format!(
            "id: {id}\nurl: null\nas_token: {id}-as\nhs_token: {id}-hs\nsender_localpart: {id}bot\nnamespaces:\n  \
             users: [{{ regex: '{regex}', exclusive: {exclusive} }}]\n"
        ));
        server
            .add_appservice(registration.unwrap(), Delivery::Http)
            .await
            .unwrap();
    }
    let room = admin_room::room(&server.rooms).unwrap().unwrap();
    (test, boss, room)
}

fn ghosts() -> [OwnedUserId; 3] {
    [
        user_id!("@br_one:letta.test").to_owned(),
        user_id!("@brbot:letta.test").to_owned(),
        user_id!("@puppetsbot:letta.test").to_owned(),
    ]
}

/// Writes the membership without asking whether it may be, as older versions did.
async fn force(test: &TestServer, room: &ruma::RoomId, user: &ruma::UserId, by: &ruma::UserId) {
    for (sender, membership) in [(by, "invite"), (user, "join")] {
        let kind = StateEventType::RoomMember;
        let content = json!({ "membership": membership });
        let draft = Draft::state(sender.to_owned(), &kind, user.as_str(), &content).unwrap();
        let mut writer = test.server.rooms.write(room).await.unwrap();
        writer.add(draft).unwrap();
        writer.commit().await.unwrap();
    }
}

/// Says something and waits until every command before it is done: the answer to a ping that follows.
async fn said(test: &TestServer, sender: &ruma::UserId, in_room: &ruma::RoomId, body: &str) {
    let admins = admin_room::room(&test.server.rooms).unwrap().unwrap();
    let boss = user_id!("@boss:letta.test");
    let mut ping = None;
    for (sender, room, body) in [
        (sender, in_room, body),
        (boss, &*admins, "!admin debug ping"),
    ] {
        let content = to_raw_value(&json!({ "msgtype": "m.text", "body": body })).unwrap();
        let mut writer = test.server.rooms.write(room).await.unwrap();
        let draft = Draft::message(sender.to_owned(), TimelineEventType::RoomMessage, content);
        ping = Some(writer.add(draft).unwrap().event_id.clone());
        writer.commit().await.unwrap();
    }
    let mut visible = test.server.stream.subscribe();
    loop {
        let newest = test
            .server
            .rooms
            .events_down(&admins, test.server.stream.visible());
        let answered = newest.take(20).any(|pdu| {
            let content: Value = pdu.unwrap().content_as().unwrap();
            content["m.relates_to"]["m.in_reply_to"]["event_id"].as_str()
                == ping.as_ref().map(|id| id.as_str())
        });
        if answered {
            return;
        }
        visible.changed().await.unwrap();
    }
}

#[tokio::test]
async fn appservice_user_in_admin_room_commands_nothing() {
    let (test, boss, admins) = started().await;
    let server = &test.server;
    let mallory = test.person("mallory").await;
    for ghost in ghosts() {
        force(&test, &admins, &ghost, &boss.user_id).await;
        assert!(server.rooms.is_joined(&admins, &ghost).unwrap());
        assert!(
            !is_admin(&server.rooms, &ghost).unwrap(),
            "{ghost} is an admin"
        );
        for body in [
            format!("!admin {MAKE_ADMIN}"),
            format!("\\!admin {MAKE_ADMIN}"),
            format!("@conduit:letta.test: {MAKE_ADMIN}"),
        ] {
            said(&test, &ghost, &admins, &body).await;
            assert!(
                !is_admin(&server.rooms, &mallory.user_id).unwrap(),
                "{ghost}: {body}"
            );
        }
    }
    said(
        &test,
        &boss.user_id,
        &admins,
        &format!("\\!admin {MAKE_ADMIN}"),
    )
    .await;
    assert!(is_admin(&server.rooms, &mallory.user_id).unwrap());
}

#[tokio::test]
async fn escaped_command_counts_elsewhere_only_if_configured() {
    for configured in [false, true] {
        let test = TestServer::start_with(|config| {
            config.admin.create_admin_room = true;
            if configured {
                config.admin.admin_escape_commands = true;
            }
        })
        .await;
        let created = test
            .server
            .operations
            .create_account("boss", Some("correct horse"));
        let boss = test.log_in(&created.await.unwrap()).await;
        let mallory = test.person("mallory").await;
        let made = boss.post("/_matrix/client/v3/createRoom", json!({})).await;
        let elsewhere = ruma::RoomId::parse(made["room_id"].as_str().unwrap()).unwrap();
        said(
            &test,
            &boss.user_id,
            &elsewhere,
            &format!("\\!admin {MAKE_ADMIN}"),
        )
        .await;
        assert_eq!(
            is_admin(&test.server.rooms, &mallory.user_id).unwrap(),
            configured
        );
        // Nobody but an admin commands anything there either.
        let carol = test.person("carol").await;
        let made = carol.post("/_matrix/client/v3/createRoom", json!({})).await;
        let elsewhere = ruma::RoomId::parse(made["room_id"].as_str().unwrap()).unwrap();
        said(
            &test,
            &carol.user_id,
            &elsewhere,
            "\\!admin users create-user eve",
        )
        .await;
        let eve = user_id!("@eve:letta.test");
        assert!(!test.server.accounts.exists(eve).unwrap());
    }
}

#[tokio::test]
async fn appservice_user_is_refused_every_way_into_the_admin_room() {
    let (test, boss, admins) = started().await;
    let server = &test.server;
    let bridge = test.with_token("brbot", "br-as");
    let path = format!("/_matrix/client/v3/rooms/{admins}");
    let body = json!({ "type": "m.login.application_service", "username": "br_one" });
    bridge.post("/_matrix/client/v3/register", body).await;
    for ghost in ghosts() {
        let invite = json!({ "user_id": ghost });
        let (status, answer) = boss
            .call(Method::POST, &format!("{path}/invite"), invite)
            .await;
        assert_eq!(
            (status, &answer["errcode"]),
            (StatusCode::FORBIDDEN, &json!("M_FORBIDDEN")),
            "{ghost}"
        );
        let state = format!("{path}/state/m.room.member/{ghost}");
        let content = json!({ "membership": "invite" });
        assert_eq!(
            boss.call(Method::PUT, &state, content).await.0,
            StatusCode::FORBIDDEN
        );
        for command in [
            format!("users make-user-admin {ghost}"),
            format!("users force-join-room {ghost} {admins}"),
        ] {
            let refused = execute(server, &command).await.unwrap_err();
            assert!(
                refused.contains("cannot be in the admin room"),
                "{command}: {refused}"
            );
        }
        assert!(server.rooms.membership(&admins, &ghost).unwrap().is_none());
    }
    let (status, _) = bridge
        .call(Method::POST, &format!("{path}/join"), json!({}))
        .await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    // People are let in, although a bridge with double puppeting reaches for them too.
    let bob = test.person("bob").await;
    boss.post(&format!("{path}/invite"), json!({ "user_id": bob.user_id }))
        .await;
    let join = MembershipUpdate::new(
        &server.rooms,
        &bob.user_id,
        ruma::events::room::member::MembershipState::Join,
    );
    membership::set_membership(&server.rooms, &bob.user_id, &admins, join.unwrap())
        .await
        .unwrap();
    assert!(is_admin(&server.rooms, &bob.user_id).unwrap());
}

#[tokio::test]
async fn appservice_users_leave_the_admin_room_at_the_start() {
    let (test, boss, admins) = started().await;
    let ghost = user_id!("@brbot:letta.test");
    let boss_id = boss.user_id.clone();
    force(&test, &admins, ghost, &boss_id).await;
    // It holds the server, too.
    drop(boss);
    let test = test.restart().await;
    assert!(!test.server.rooms.is_joined(&admins, ghost).unwrap());
    assert!(is_admin(&test.server.rooms, &boss_id).unwrap());
}

#[tokio::test]
async fn admin_room_cannot_be_upgraded() {
    let (test, boss, admins) = started().await;
    let upgrade = format!("/_matrix/client/v3/rooms/{admins}/upgrade");
    let (status, answer) = boss
        .call(Method::POST, &upgrade, json!({ "new_version": "11" }))
        .await;
    assert_eq!(status, StatusCode::FORBIDDEN, "{answer}");
    assert_eq!(admin_room::room(&test.server.rooms).unwrap(), Some(admins));
}

#[tokio::test]
async fn admin_room_without_the_server_is_made_anew_at_the_start() {
    let (test, boss, admins) = started().await;
    let made = boss.post("/_matrix/client/v3/createRoom", json!({})).await;
    let elsewhere = OwnedRoomId::try_from(made["room_id"].as_str().unwrap()).unwrap();
    // As older versions did when the room was upgraded.
    let server_name = &test.server.config.server_name;
    let (alias, server) = (
        admin_room::alias(server_name).unwrap(),
        admin_room::server_user(server_name).unwrap(),
    );
    let mut batch = test.server.store.batch();
    aliases::put(&mut batch, &alias, &elsewhere, &server).unwrap();
    test.server.store.commit(batch).await.unwrap();
    let boss_id = boss.user_id.clone();
    assert!(!is_admin(&test.server.rooms, &boss_id).unwrap());
    drop(boss);
    let test = test.restart().await;
    let room = admin_room::room(&test.server.rooms).unwrap().unwrap();
    assert!(room != admins && room != elsewhere);
    let command = format!("users make-user-admin {boss_id}");
    test.server.execute(&command).await.unwrap();
    let boss = test.log_in(&boss_id).await;
    let join = format!("/_matrix/client/v3/join/{room}");
    boss.post(&join, json!({})).await;
    assert!(is_admin(&test.server.rooms, &boss_id).unwrap());
}

#[tokio::test]
async fn first_account_of_an_appservice_is_no_admin() {
    let test = TestServer::start_with(|config| config.admin.create_admin_room = true).await;
    let server = &test.server;
    let registration = AppserviceRegistration::from_yaml(
        "id: br\nurl: null\nas_token: br-as\nhs_token: br-hs\nsender_localpart: brbot\nnamespaces:\n  users: \
         [{ regex: '@br_.*', exclusive: true }]\n",
    );
    let origin = Origin::AdminRoom;
    let added = server
        .appservices
        .add(registration.unwrap(), Delivery::Http, origin);
    added.await.unwrap();
    // By the bridge, and by an admin's hand in its namespace.
    let bridge = test.with_token("brbot", "br-as");
    let body = json!({ "type": "m.login.application_service", "username": "br_one" });
    bridge.post("/_matrix/client/v3/register", body).await;
    let made = server
        .operations
        .create_account("br_two", Some("correct horse"));
    made.await.unwrap();
    for ghost in ghosts() {
        assert!(!is_admin(&server.rooms, &ghost).unwrap(), "{ghost}");
    }
    assert!(!is_admin(&server.rooms, user_id!("@br_two:letta.test")).unwrap());
    let created = server
        .operations
        .create_account("boss", Some("correct horse"));
    assert!(is_admin(&server.rooms, &created.await.unwrap()).unwrap());
}

/// The room of the admins is there, and does not ask the first user to look at it; what is said in it later does.
#[tokio::test]
async fn admin_room_is_read_for_the_first_user() {
    let (test, boss, room) = started().await;
    let unread = async || {
        let seen = boss.get("/_matrix/client/v3/sync").await;
        let shown = &seen["rooms"]["join"][room.as_str()];
        let counts = &shown["unread_notifications"];
        let last = shown["timeline"]["events"]
            .as_array()
            .unwrap()
            .last()
            .unwrap()["event_id"]
            .clone();
        let account_data = shown["account_data"]["events"].as_array().unwrap();
        let fully_read = account_data.iter().find(|it| it["type"] == "m.fully_read");
        let is_read = fully_read.is_some_and(|it| it["content"]["event_id"] == last);
        (counts["notification_count"].as_u64().unwrap(), is_read)
    };
    assert_eq!(unread().await, (0, true));
    let server = admin_room::server_user(&test.server.rooms.server_name).unwrap();
    let news = to_raw_value(&json!({ "msgtype": "m.text", "body": "news" })).unwrap();
    let mut writer = test.server.rooms.write(&room).await.unwrap();
    let draft = Draft::message(server, TimelineEventType::RoomMessage, news);
    writer.add(draft).unwrap();
    writer.commit().await.unwrap();
    assert_eq!(unread().await, (1, false));
}
