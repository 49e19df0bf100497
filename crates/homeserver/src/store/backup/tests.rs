//! Backups of a server that people use, brought back, and looked at by the same people.

use axum::body::Body;
use http::{Method, Request, header};
use http_body_util::BodyExt;
use ruma::server_name;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{create, list, purge, restore, verify};
use crate::{
    Config, Server,
    testing::{TestServer, TestUser},
};

/// Uploads a text, and gives the path that it is downloaded from.
async fn upload(server: &Server, who: &TestUser, text: &str) -> String {
    let request = asked(who, Method::POST, "/_matrix/media/v3/upload", text);
    let answer: Value = serde_json::from_str(&answer(server, request).await).unwrap();
    let uri = answer["content_uri"].as_str().unwrap().to_owned();
    uri.replacen("mxc:/", "/_matrix/client/v1/media/download", 1)
}

fn asked(who: &TestUser, method: Method, path: &str, body: &str) -> Request<Body> {
    let token = format!("Bearer {}", who.token);
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::AUTHORIZATION, token);
    request.body(Body::from(body.to_owned())).unwrap()
}

async fn answer(server: &Server, request: Request<Body>) -> String {
    let response = server.router().oneshot(request).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

async fn open(database: &std::path::Path) -> Server {
    let mut config = Config::new(server_name!("letta.test").to_owned());
    config.database.database_path = database.to_owned();
    config.admin.create_admin_room = false;
    Server::open(config).await.unwrap()
}

#[tokio::test]
async fn a_backup_brings_back_what_was_there_with_its_files() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let folder = tempfile::tempdir().unwrap();
    let backups = folder.path().join("backups");
    let path = upload(&test.server, &alice, "a letter").await;
    let first = create(&test.server.store, &backups, 5).unwrap();
    let later = upload(&test.server, &alice, "another").await;
    alice.post("/_matrix/client/v3/createRoom", json!({})).await;
    let second = create(&test.server.store, &backups, 5).unwrap();
    let listed = list(&backups).unwrap();
    assert_eq!(
        listed.iter().map(|backup| backup.id).collect::<Vec<_>>(),
        [first, second]
    );
    for backup in &listed {
        verify(&backups, backup.id).unwrap();
    }

    for (id, text, rooms) in [(Some(first), "a letter", 0), (None, "another", 1)] {
        let database = folder.path().join(format!("restored {text}"));
        restore(&backups, id, &database).unwrap();
        restore(&backups, id, &database).unwrap_err();
        let server = open(&database).await;
        let download = |path: &str| answer(&server, asked(&alice, Method::GET, path, ""));
        assert_eq!(download(&path).await, "a letter");
        assert_eq!(download(&later).await == "another", text == "another");
        let joined = download("/_matrix/client/v3/joined_rooms").await;
        let joined: Value = serde_json::from_str(&joined).unwrap();
        assert_eq!(joined["joined_rooms"].as_array().unwrap().len(), rooms);
        server.close().await;
    }
}

#[tokio::test]
async fn damage_is_found_and_what_nobody_needs_goes() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let folder = tempfile::tempdir().unwrap();
    let (backups, files) = (
        folder.path().join("backups"),
        folder.path().join("backups/files"),
    );
    let id = |path: &str| path.rsplit('/').next().unwrap().to_owned();
    let kept = |id: &str| files.join(&id[..2]).join(id);
    let gone = id(&upload(&test.server, &alice, "soon gone").await);
    create(&test.server.store, &backups, 5).unwrap();
    assert!(kept(&gone).exists());
    assert!(test.server.media.delete(&gone).await.unwrap());
    let stays = id(&upload(&test.server, &alice, "stays").await);
    let newest = create(&test.server.store, &backups, 5).unwrap();

    purge(&backups, 1).unwrap();
    assert!(!kept(&gone).exists() && kept(&stays).exists());
    verify(&backups, newest).unwrap();
    std::fs::write(kept(&stays), "stars").unwrap();
    let damaged = verify(&backups, newest).unwrap_err().to_string();
    assert!(
        damaged.contains(&stays) && damaged.contains("damaged"),
        "{damaged}"
    );
    let into = folder.path().join("restored");
    restore(&backups, None, &into).unwrap_err();
    assert!(
        !into.join("CURRENT").exists(),
        "half a backup is no database"
    );
    std::fs::remove_file(kept(&stays)).unwrap();
    assert!(
        verify(&backups, newest)
            .unwrap_err()
            .to_string()
            .contains("missing")
    );
    // A backup that was cut off before its list was written is none.
    std::fs::remove_file(files.join(format!("{newest}.json"))).unwrap();
    assert!(list(&backups).unwrap().is_empty());
    verify(&backups, newest).unwrap_err();
}
