//! Commands about accounts and files, and about the server itself.

use http::{Method, StatusCode};

use super::*;
use crate::media::Upload;

async fn done(test: &TestServer, command: &str) -> String {
    execute(&test.server, command).await.unwrap()
}

#[tokio::test]
async fn tags_that_an_admin_puts_are_the_users_own() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let made = alice.post("/_matrix/client/v3/createRoom", json!({})).await;
    let room = made["room_id"].as_str().unwrap();
    let path = format!(
        "/_matrix/client/v3/user/{}/rooms/{room}/tags",
        alice.user_id
    );
    let text = done(
        &test,
        &format!("users put_room_tag alice {room} m.favourite"),
    )
    .await;
    assert!(
        text.ends_with(&format!("room {room} with tag m.favourite")),
        "{text}"
    );
    assert!(alice.get(&path).await["tags"]["m.favourite"].is_object());
    let text = done(&test, &format!("users get-room-tags alice {room}")).await;
    assert!(text.contains("\"m.favourite\""), "{text}");
    done(
        &test,
        &format!("users delete-room-tag alice {room} m.favourite"),
    )
    .await;
    assert_eq!(alice.get(&path).await["tags"], json!({}));
}

#[tokio::test]
async fn accounts_end_with_their_rooms_or_without() {
    let test = TestServer::start_with(|config| config.admin.create_admin_room = true).await;
    let server = &test.server;
    let boss = server
        .operations
        .create_account("boss", Some("correct horse"))
        .await
        .unwrap();
    assert!(is_admin(&server.rooms, &boss).unwrap());
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let mut rooms = Vec::new();
    for person in [&alice, &bob] {
        let made = person
            .post("/_matrix/client/v3/createRoom", json!({}))
            .await;
        rooms.push(ruma::RoomId::parse(made["room_id"].as_str().unwrap()).unwrap());
    }
    let seen = done(&test, "users last-active --limit 5").await;
    assert!(
        seen.contains(" alice\n") && seen.contains(" bob\n"),
        "{seen}"
    );
    assert!(
        !seen.contains("boss"),
        "who has no device was never there: {seen}"
    );
    done(&test, "users deactivate --no-leave-rooms alice").await;
    let (status, _) = alice
        .call(Method::GET, "/_matrix/client/v3/account/whoami", json!({}))
        .await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(server.rooms.is_joined(&rooms[0], &alice.user_id).unwrap());
    let list = "users deactivate-all\n```\nbob\nboss\nnobody\n```";
    let text = done(&test, list).await;
    assert!(
        text.starts_with("Deactivated 1 accounts.\nSkipped admin accounts: boss. Use --force"),
        "{text}"
    );
    assert!(text.contains("- nobody: "), "{text}");
    assert!(!server.rooms.is_joined(&rooms[1], &bob.user_id).unwrap());
}

async fn upload(test: &TestServer, user: &ruma::UserId) -> ruma::OwnedMxcUri {
    let file = Upload::whole(b"bytes".to_vec(), Some("text/plain".to_owned()));
    test.server.media.upload(user, file).await.unwrap()
}

#[tokio::test]
async fn files_that_an_admin_deletes_are_gone_from_the_disk() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let files = || {
        let folder = test.server.config.database.database_path.join("media");
        let folders = std::fs::read_dir(folder).unwrap();
        let files = folders.flat_map(|folder| std::fs::read_dir(folder.unwrap().path()).unwrap());
        files.count()
    };
    let (one, two, three) = (
        upload(&test, &alice.user_id).await,
        upload(&test, &alice.user_id).await,
        upload(&test, &bob.user_id).await,
    );
    let info = done(&test, &format!("media get-file-info {one}")).await;
    assert!(
        info.contains("\"uploader\": \"@alice:letta.test\""),
        "{info}"
    );
    done(&test, &format!("media delete --mxc {one}")).await;
    let path = format!(
        "/_matrix/client/v1/media/download/{}",
        one.as_str().trim_start_matches("mxc://")
    );
    assert_eq!(
        alice.call(Method::GET, &path, json!({})).await.0,
        StatusCode::NOT_FOUND
    );
    assert_eq!(files(), 2);
    let again = execute(&test.server, &format!("media delete --mxc {one}")).await;
    assert!(again.is_err());

    let made = alice.post("/_matrix/client/v3/createRoom", json!({})).await;
    let room = made["room_id"].as_str().unwrap();
    let image =
        json!({ "msgtype": "m.image", "body": "i", "url": two, "info": { "thumbnail_url": one } });
    let send = format!("/_matrix/client/v3/rooms/{room}/send/m.room.message/1");
    let sent = alice.put(&send, image).await;
    let event = sent["event_id"].as_str().unwrap();
    let text = done(&test, &format!("media delete --event-id {event}")).await;
    assert!(text.starts_with("Deleted 1 total MXCs"), "{text}");
    assert_eq!(files(), 1);
    assert!(
        done(&test, "media delete-past-remote-media -b 0s")
            .await
            .starts_with("Deleted 0 ")
    );
    assert_eq!(
        done(&test, "media delete-all-from-user bob").await,
        "Deleted 1 total files."
    );
    assert_eq!(files(), 0);
    let list = format!("media delete-list\n```\n{three}\nnonsense\n```");
    let text = done(&test, &list).await;
    assert!(
        text.contains("deleted 0 total MXCs") && text.contains("1 MXCs failed"),
        "{text}"
    );
}

#[tokio::test]
async fn the_server_says_what_it_can_and_ends_or_begins_anew() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let features = done(&test, "server list_features --comma").await;
    let versions = alice.get("/_matrix/client/versions").await;
    for feature in features.split(',') {
        assert_eq!(versions["unstable_features"][feature], true, "{feature}");
    }
    alice.post("/_matrix/client/v3/createRoom", json!({})).await;
    done(&test, "server clear-caches").await;
    assert_eq!(
        alice.get("/_matrix/client/v3/joined_rooms").await["joined_rooms"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert!(!test.server.shutdown.is_cancelled());
    done(&test, "server restart").await;
    assert!(test.server.shutdown.is_cancelled());
    assert!(
        test.server
            .restarts
            .load(std::sync::atomic::Ordering::Acquire)
    );
}

#[tokio::test]
async fn user_of_an_exclusive_namespace_is_not_made_by_command() {
    let test = TestServer::start().await;
    for (id, regex, exclusive) in [("br", "@br_.*", true), ("puppets", "@.*", false)] {
        let registration = crate::config::AppserviceRegistration::from_yaml(&format!(
            "id: {id}\nurl: null\nas_token: {id}-as\nhs_token: {id}-hs\nsender_localpart: {id}bot\nnamespaces:\n  \
             users: [{{ regex: '{regex}', exclusive: {exclusive} }}]\n"
        ));
        let delivery = crate::appservices::Delivery::Http;
        let added = test.server.add_appservice(registration.unwrap(), delivery);
        added.await.unwrap();
    }
    for name in ["br_one", "BR_one", "@br_one:letta.test", "brbot"] {
        let command = format!("users create-user {name} correct-horse");
        let refused = execute(&test.server, &command).await.unwrap_err();
        assert!(
            refused.contains("application service br has"),
            "{name}: {refused}"
        );
    }
    done(&test, "users create-user alice correct-horse").await;
}

#[tokio::test]
async fn alias_of_the_admin_room_is_nobodys_else() {
    let test = TestServer::start_with(|config| config.admin.create_admin_room = false).await;
    let alice = test.person("alice").await;
    let create = json!({ "room_alias_name": "admins" });
    let path = "/_matrix/client/v3/createRoom";
    let (status, answer) = alice.call(Method::POST, path, create).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "{answer}");
    let made = alice.post(path, json!({})).await;
    let alias = "/_matrix/client/v3/directory/room/%23admins:letta.test";
    let body = json!({ "room_id": made["room_id"] });
    let (status, answer) = alice.call(Method::PUT, alias, body).await;
    assert_eq!(status, StatusCode::FORBIDDEN, "{answer}");
    let (status, _) = alice.call(Method::GET, alias, json!({})).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    let other = json!({ "room_alias_name": "admins2" });
    alice.post(path, other).await;
}
