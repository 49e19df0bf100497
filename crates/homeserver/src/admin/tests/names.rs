//! Commands by the names that Tuwunel has for them now, and what it had before.

use http::{Method, StatusCode};
use ruma::{OwnedMxcUri, UserId};

use super::*;
use crate::{media::Upload, testing::TestUser};

async fn done(test: &TestServer, command: &str) -> String {
    execute(&test.server, command).await.unwrap()
}

async fn refused(test: &TestServer, command: &str) -> String {
    execute(&test.server, command).await.unwrap_err()
}

async fn room(creator: &TestUser, wish: Value) -> String {
    let made = creator.post("/_matrix/client/v3/createRoom", wish).await;
    made["room_id"].as_str().unwrap().to_owned()
}

async fn state(user: &TestUser, room: &str, kind: &str) -> Value {
    user.get(&format!("/_matrix/client/v3/rooms/{room}/state/{kind}/"))
        .await
}

#[tokio::test]
async fn media_commands_have_current_and_earlier_names() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let upload = async || -> OwnedMxcUri {
        let file = Upload::whole(b"bytes".to_vec(), Some("text/plain".to_owned()));
        test.server
            .media
            .upload(&alice.user_id, file)
            .await
            .unwrap()
    };
    let room = room(&alice, json!({})).await;
    for name in ["delete-by-event", "delete_by_event", "delete"] {
        let image = json!({ "msgtype": "m.image", "body": "i", "url": upload().await });
        let send = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/{name}");
        let event = alice.put(&send, image).await["event_id"].clone();
        let command = format!("media {name} --event-id {}", event.as_str().unwrap());
        let text = done(&test, &command).await;
        assert!(text.starts_with("Deleted 1 total MXCs"), "{text}");
    }
    let local = "--yes-i-want-to-delete-local-media";
    for (command, deletes) in [
        ("delete-range 1h --older-than", false),
        ("delete-range 1h -n", true),
        ("delete-range 0s -o", true),
        ("delete-past-remote-media 1h --before", false),
        ("delete-past-remote-media 1h -a", true),
        ("delete-past-remote-media -b 0s", true),
    ] {
        let file = upload().await;
        // A file of this very millisecond is neither older nor newer than now.
        let until = crate::clock::now();
        while crate::clock::now() == until {
            tokio::task::yield_now().await;
        }
        let text = done(&test, &format!("media {command} {local}")).await;
        assert_eq!(
            text,
            format!("Deleted {} total files.", usize::from(deletes)),
            "{command}"
        );
        let _ = execute(&test.server, &format!("media delete --mxc {file}")).await;
    }
    let text = refused(&test, &format!("media delete-range 1h {local}")).await;
    assert!(
        text.contains("--newer-than") || text.contains("--older-than"),
        "{text}"
    );
}

#[tokio::test]
async fn power_is_given_and_given_up() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    for version in ["11", "12"] {
        let wish = json!({ "preset": "public_chat", "room_version": version });
        let room = room(&alice, wish).await;
        bob.post(&format!("/_matrix/client/v3/join/{room}"), json!({}))
            .await;
        let level = async |user: &UserId| {
            state(&alice, &room, "m.room.power_levels").await["users"][user.as_str()].clone()
        };
        let before = state(&alice, &room, "m.room.power_levels").await;
        let text = done(&test, &format!("users force-promote bob {room}")).await;
        assert_eq!(
            text,
            format!("User @alice:letta.test promoted @bob:letta.test to 100 power level in {room}")
        );
        assert_eq!(level(&bob.user_id).await, 100);
        done(&test, &format!("users force_demote bob {room}")).await;
        let mut after = state(&alice, &room, "m.room.power_levels").await;
        assert_eq!(
            after["users"]
                .as_object_mut()
                .unwrap()
                .remove(bob.user_id.as_str()),
            None
        );
        assert_eq!(after, before);
        let text = refused(&test, &format!("users force-demote bob {room}")).await;
        assert!(
            text.contains("not allowed to modify their own power levels"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn profile_is_set_and_invitations_are_declined() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let profile = format!("/_matrix/client/v3/profile/{}", bob.user_id);
    done(
        &test,
        "users set-profile-key bob displayname Bob the Builder",
    )
    .await;
    done(
        &test,
        "users set-profile-key bob org.example.tools [\"saw\",2]",
    )
    .await;
    let fields = alice.get(&profile).await;
    assert_eq!(fields["displayname"], "Bob the Builder");
    assert_eq!(fields["org.example.tools"], json!(["saw", 2]));
    done(&test, "users set-profile-key bob org.example.tools --clear").await;
    assert_eq!(alice.get(&profile).await.get("org.example.tools"), None);
    refused(&test, "users set-profile-key bob displayname").await;
    refused(&test, "users set-profile-key nobody displayname x").await;

    let mut rooms = Vec::new();
    for _ in 0..2 {
        rooms.push(room(&alice, json!({ "invite": [bob.user_id] })).await);
    }
    let text = done(&test, "users reject-invites bob --reason spam").await;
    assert_eq!(text, "Rejected 2 invites of @bob:letta.test.");
    for room in rooms {
        let path = format!(
            "/_matrix/client/v3/rooms/{room}/state/m.room.member/{}",
            bob.user_id
        );
        let member = alice.get(&path).await;
        assert_eq!(
            (&member["membership"], &member["reason"]),
            (&json!("leave"), &json!("spam"))
        );
    }
}

#[tokio::test]
async fn rooms_and_their_state_are_shown() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let room = room(&alice, json!({ "name": "Den", "topic": "Bears" })).await;
    let members = done(&test, &format!("rooms list-joined-members {room}")).await;
    assert_eq!(
        done(&test, &format!("rooms info list-joined-members {room}")).await,
        members
    );
    assert_eq!(
        done(
            &test,
            &format!("rooms info list_joined_members {room} --local-only")
        )
        .await,
        members
    );
    let topic = done(&test, &format!("rooms info view-room-topic {room}")).await;
    assert!(topic.contains("Bears"), "{topic}");
    assert!(
        done(&test, &format!("rooms info {room}"))
            .await
            .contains("Name: Den")
    );
    refused(&test, "rooms info").await;

    let all = done(&test, &format!("debug get-room-state {room}")).await;
    assert!(
        all.contains("m.room.create") && all.contains("m.room.name"),
        "{all}"
    );
    let members = done(&test, &format!("debug get-room-state {room} m.room.member")).await;
    assert!(
        members.contains("m.room.member") && !members.contains("m.room.name"),
        "{members}"
    );
    let one = done(
        &test,
        &format!(
            "debug get-room-state {room} m.room.member {}",
            alice.user_id
        ),
    )
    .await;
    assert_eq!(one, members);
    refused(
        &test,
        &format!("debug get-room-state {room} m.room.member @none:letta.test"),
    )
    .await;
}

#[tokio::test]
async fn server_says_what_it_is_and_takes() {
    let test = TestServer::start().await;
    let version = done(&test, "--version").await;
    assert_eq!(version, format!("homeserver {}", env!("CARGO_PKG_VERSION")));
    assert_eq!(done(&test, "debug ping").await, "Pong!");
    assert!(
        done(&test, "debug ping letta.test")
            .await
            .contains("itself")
    );
    assert!(
        refused(&test, "debug ping matrix.org")
            .await
            .contains("does not federate")
    );
    assert!(done(&test, "debug memory-stats").await.contains("VmRSS"));
    let stats = done(
        &test,
        "debug database-stats rocksdb.estimate-num-keys --map accounts",
    )
    .await;
    assert_eq!(stats, "```\naccounts:\n0\n```");
    assert!(
        done(&test, "debug database-stats")
            .await
            .contains("Compaction Stats")
    );
    refused(&test, "debug database-stats rocksdb.none").await;
    refused(&test, "debug change-log-level").await;
    let features = done(&test, "server list-features -a").await;
    assert_eq!(done(&test, "server list-features -e").await, features);
    let all = done(&test, "server list-features").await;
    assert!(all.contains("✅ org.matrix.msc4140 [enabled]"), "{all}");
    assert!(!test.server.restart_requested());
    done(&test, "server reload-config").await;
    assert!(test.server.restart_requested());
}

#[tokio::test]
async fn long_answer_is_several_messages_in_the_room() {
    let test = TestServer::start_with(|config| config.admin.create_admin_room = true).await;
    let server = &test.server;
    let alice = server
        .operations
        .create_account("alice", Some("correct horse"))
        .await
        .unwrap();
    let alice = test.log_in(&alice).await;
    let room = admin_room::room(&server.rooms).unwrap().unwrap();
    let mut batch = server.store.batch();
    let account = server.accounts.get(&alice.user_id).unwrap().unwrap();
    for number in 0..2_000 {
        let user = UserId::parse(format!("@somebody{number}:letta.test")).unwrap();
        server.accounts.put(&mut batch, &user, &account).unwrap();
    }
    server.store.commit(batch).await.unwrap();
    let before = alice.get("/_matrix/client/v3/sync?timeout=0").await["next_batch"].clone();
    let content = json!({ "msgtype": "m.text", "body": "!admin users list-users" });
    let send = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/1");
    alice.put(&send, content).await;
    let (mut since, mut answer) = (before, String::new());
    while answer.matches("@somebody").count() < 2_000 {
        let path = format!(
            "/_matrix/client/v3/sync?timeout=10000&since={}",
            since.as_str().unwrap()
        );
        let sync = alice.get(&path).await;
        since = sync["next_batch"].clone();
        let events = sync["rooms"]["join"][room.as_str()]["timeline"]["events"].clone();
        for event in events.as_array().into_iter().flatten() {
            if event["content"]["msgtype"] == "m.notice" {
                answer.push_str(event["content"]["body"].as_str().unwrap());
                assert!(
                    event["content"]["formatted_body"]
                        .as_str()
                        .unwrap()
                        .contains("</pre>")
                );
            }
        }
    }
    for number in 0..2_000 {
        let line = format!("@somebody{number}:letta.test\n");
        assert!(answer.contains(&line), "{number} of {}", answer.len());
    }
    let (status, _) = alice
        .call(
            Method::GET,
            &format!("/_matrix/client/v3/rooms/{room}/members"),
            json!({}),
        )
        .await;
    assert_eq!(status, StatusCode::OK);
    test.server.close().await;
}
