//! What an admin sees who writes commands.

use ruma::events::{StateEventType, TimelineEventType};
use serde_json::{Value, json, value::to_raw_value};

use super::{admin_room, execute, is_admin};
use crate::{rooms::Draft, testing::TestServer};

mod names;
mod rights;
mod rooms;
mod users;

#[tokio::test]
async fn the_first_person_is_admin_and_registers_an_appservice() {
    let test = TestServer::start_with(|config| config.admin.create_admin_room = true).await;
    let server = &test.server;
    let alice = server
        .operations
        .create_account("alice", Some("correct horse"))
        .await
        .unwrap();
    let bob = server
        .operations
        .create_account("bob", Some("correct horse"))
        .await
        .unwrap();
    assert!(is_admin(&server.rooms, &alice).unwrap());
    assert!(!is_admin(&server.rooms, &bob).unwrap());

    let room = admin_room::room(&server.rooms).unwrap().unwrap();
    for (user, name) in [
        (alice.as_str(), "alice"),
        ("@conduit:letta.test", "Homeserver"),
    ] {
        let state = server.rooms.state(&room);
        let member = state.get(&StateEventType::RoomMember, user).unwrap();
        let content: Value = member.unwrap().content_as().unwrap();
        assert_eq!(content["displayname"], name);
    }
    let block = "```yaml\nid: br\nurl: null\nas_token: one\nhs_token: two\nsender_localpart: brbot\nnamespaces: {}\n```";
    let mut answers = Vec::new();
    for command in [
        "!admin appservices register\n",
        "!admin appservices register\n",
    ] {
        let body = format!("{command}{block}");
        let content = to_raw_value(&json!({ "msgtype": "m.text", "body": body })).unwrap();
        let mut writer = server.rooms.write(&room).await.unwrap();
        let draft = Draft::message(alice.clone(), TimelineEventType::RoomMessage, content);
        let sent = writer.add(draft).unwrap().event_id.clone();
        writer.commit().await.unwrap();
        answers.push(loop {
            let newest = server
                .rooms
                .events_down(&room, server.stream.visible())
                .next();
            let content: Value = newest.unwrap().unwrap().content_as().unwrap();
            if content["m.relates_to"]["m.in_reply_to"]["event_id"] == sent.as_str() {
                break content["body"].as_str().unwrap().to_owned();
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        });
    }
    assert_eq!(answers[0], "Appservice registered with ID: br");
    assert_eq!(
        answers[1],
        "Command failed with error: Failed to register appservice: Duplicate id: br"
    );
    assert_eq!(
        execute(server, "appservices list").await.unwrap(),
        "Appservices (1): br"
    );
    let wrong = execute(server, "appservice list").await.unwrap_err();
    assert!(
        wrong.contains("error: unrecognized subcommand 'appservice'"),
        "{wrong}"
    );
    let made = execute(server, "users create_user carol").await.unwrap();
    assert!(made.starts_with("Created user with user_id: @carol:letta.test and password: `"));
    server.close().await;
}

#[tokio::test]
async fn a_backup_brings_everything_back() {
    let folder = tempfile::TempDir::new().unwrap();
    let path = folder.path().join("backups");
    let backups = path.clone();
    let test =
        TestServer::start_with(|config| config.database.database_backup_path = Some(backups)).await;
    test.server
        .operations
        .create_account("alice", Some("correct horse"))
        .await
        .unwrap();
    let made = execute(&test.server, "server backup-database")
        .await
        .unwrap();
    assert_eq!(made, "Created database backup #1.");
    for command in ["server verify-backup 1", "server verify-backup"] {
        let verified = execute(&test.server, command).await.unwrap();
        assert_eq!(verified, "Backup #1 is whole.");
    }
    let into = folder.path().join("restored");
    crate::store::backup::restore(&path, None, &into).unwrap();
    let store = crate::store::Store::open(&into, &test.server.config.server_name).unwrap();
    let alice = ruma::user_id!("@alice:letta.test");
    assert!(
        store
            .contains::<crate::store::tables::Accounts>((alice,))
            .unwrap()
    );
    assert!(crate::store::backup::restore(&path, None, &into).is_err());
    test.server.close().await;
}
