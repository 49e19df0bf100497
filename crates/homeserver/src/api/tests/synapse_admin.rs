//! The part of Synapse's admin API that admin tools call.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use crate::testing::{TestServer, TestUser};

const BASE: &str = "/_synapse/admin";

async fn server_with_admin() -> (TestServer, TestUser) {
    let test = TestServer::start_with(|config| config.admin.create_admin_room = true).await;
    let operations = &test.server.operations;
    let boss = operations
        .create_account("boss", Some("correct horse"))
        .await
        .unwrap();
    let boss = test.log_in(&boss).await;
    (test, boss)
}

async fn put(boss: &TestUser, user: &str, wish: Value) -> (StatusCode, Value) {
    boss.call(Method::PUT, &format!("{BASE}/v2/users/{user}"), wish)
        .await
}

#[allow(clippy::too_many_lines, reason = "one story, told in order")]
#[tokio::test]
async fn accounts_are_listed_made_changed_and_ended() {
    let (test, boss) = server_with_admin().await;
    let (status, version) = test
        .call(Method::GET, &format!("{BASE}/v1/server_version"), json!({}))
        .await;
    assert_eq!(status, StatusCode::OK);
    assert!(
        version["server_version"]
            .as_str()
            .unwrap()
            .starts_with("homeserver ")
    );

    let wish = json!({ "password": "battery staple", "displayname": "Al", "admin": false });
    let (status, alice) = put(&boss, "@alice:letta.test", wish).await;
    assert_eq!(
        (status, &alice["displayname"]),
        (StatusCode::CREATED, &json!("Al")),
        "{alice}"
    );
    let all = boss
        .get(&format!("{BASE}/v2/users?from=0&limit=1&name=al"))
        .await;
    assert_eq!(
        (&all["total"], &all["users"][0]["name"]),
        (&json!(1), &json!("@alice:letta.test"))
    );
    let all = boss
        .get(&format!("{BASE}/v2/users?limit=1&guests=false"))
        .await;
    assert_eq!(
        (&all["total"], &all["next_token"]),
        (&json!(2), &json!("1"))
    );
    let rest = boss.get(&format!("{BASE}/v2/users?limit=5&from=1")).await;
    assert_eq!(rest["users"][0]["name"], "@boss:letta.test");
    assert_eq!(
        (&rest["users"][0]["admin"], rest.get("next_token")),
        (&json!(true), None)
    );

    let login = async |password: &str| {
        let identifier = json!({ "type": "m.id.user", "user": "alice" });
        let body =
            json!({ "type": "m.login.password", "identifier": identifier, "password": password });
        test.call(Method::POST, "/_matrix/client/v3/login", body)
            .await
    };
    let (status, device) = login("battery staple").await;
    assert_eq!(status, StatusCode::OK);
    let alice = test.with_token("alice", device["access_token"].as_str().unwrap());
    let asked = json!({ "new_password": "another one", "logout_devices": true });
    boss.post(
        &format!("{BASE}/v1/reset_password/@alice:letta.test"),
        asked,
    )
    .await;
    let whoami = "/_matrix/client/v3/account/whoami";
    assert_eq!(
        alice.call(Method::GET, whoami, json!({})).await.0,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(login("another one").await.0, StatusCode::OK);

    let (status, changed) = put(
        &boss,
        "@alice:letta.test",
        json!({ "admin": true, "displayname": "Ali" }),
    )
    .await;
    assert_eq!((status, &changed["admin"]), (StatusCode::OK, &json!(true)));
    for wish in [json!({ "admin": false }), json!({ "locked": true })] {
        assert_eq!(
            put(&boss, "@alice:letta.test", wish).await.0,
            StatusCode::BAD_REQUEST
        );
    }
    let ended = boss
        .post(
            &format!("{BASE}/v1/deactivate/@alice:letta.test"),
            json!({ "erase": false }),
        )
        .await;
    assert_eq!(ended["id_server_unbind_result"], "success");
    let alice = boss
        .get(&format!("{BASE}/v2/users/@alice:letta.test"))
        .await;
    assert_eq!(alice["deactivated"], true);
    assert_eq!(
        put(&boss, "@alice:letta.test", json!({ "password": "x" }))
            .await
            .0,
        StatusCode::BAD_REQUEST
    );
    for user in ["@conduit:letta.test", "@bob:elsewhere.test", "nonsense"] {
        assert_eq!(
            put(&boss, user, json!({ "password": "some password" }))
                .await
                .0,
            StatusCode::BAD_REQUEST,
            "{user}"
        );
    }
    test.server.close().await;
}

#[tokio::test]
async fn rooms_are_listed_by_page_and_files_are_kept_back() {
    let (test, boss) = server_with_admin().await;
    let alice = test.person("alice").await;
    for name in ["Cellar", "Attic"] {
        let wish = json!({ "name": name, "preset": "public_chat", "visibility": "public" });
        alice.post("/_matrix/client/v3/createRoom", wish).await;
    }
    let all = boss.get(&format!("{BASE}/v1/rooms?limit=1")).await;
    assert_eq!(
        (&all["total_rooms"], &all["rooms"][0]["name"]),
        (&json!(3), &json!("Attic"))
    );
    assert_eq!(
        (&all["next_batch"], all.get("prev_batch")),
        (&json!(1), None)
    );
    let found = boss.get(&format!("{BASE}/v1/rooms?search_term=cell")).await;
    let room = &found["rooms"][0];
    assert_eq!(
        (&found["total_rooms"], &room["join_rules"]),
        (&json!(1), &json!("public"))
    );
    assert_eq!(
        (&room["public"], &room["joined_members"]),
        (&json!(true), &json!(1))
    );
    let id = room["room_id"].as_str().unwrap();
    assert_eq!(boss.get(&format!("{BASE}/v1/rooms/{id}")).await, *room);
    let members = boss.get(&format!("{BASE}/v1/rooms/{id}/members")).await;
    assert_eq!(
        members,
        json!({ "members": ["@alice:letta.test"], "total": 1 })
    );

    let file = crate::media::Upload::whole(b"bytes".to_vec(), Some("text/plain".to_owned()));
    let uri = test
        .server
        .media
        .upload(&alice.user_id, file)
        .await
        .unwrap();
    let place = uri.as_str().trim_start_matches("mxc://").to_owned();
    let download = async || {
        let path = format!("/_matrix/client/v1/media/download/{place}");
        alice.call(Method::GET, &path, json!({})).await.0
    };
    assert_eq!(download().await, StatusCode::OK);
    boss.post(&format!("{BASE}/v1/media/quarantine/{place}"), json!({}))
        .await;
    assert_eq!(download().await, StatusCode::NOT_FOUND);
    boss.post(&format!("{BASE}/v1/media/unquarantine/{place}"), json!({}))
        .await;
    assert_eq!(download().await, StatusCode::OK);
    let deleted = boss
        .ok(
            Method::DELETE,
            &format!("{BASE}/v1/media/{place}"),
            json!({}),
        )
        .await;
    assert_eq!(deleted["total"], 1);
    assert_eq!(download().await, StatusCode::NOT_FOUND);
    test.server.close().await;
}

#[tokio::test]
async fn whoever_is_no_admin_is_refused_everything() {
    let (test, _boss) = server_with_admin().await;
    let alice = test.person("alice").await;
    let table = crate::api::routes();
    let admin = |route: &&crate::http::Route| {
        route.path.starts_with(BASE)
            && !["/register", "/server_version"]
                .iter()
                .any(|end| route.path.ends_with(end))
    };
    let routes: Vec<_> = table.table().iter().filter(admin).collect();
    assert_eq!(routes.len(), 11);
    for route in routes {
        let path = route
            .path
            .replace("{user_id}", "@boss:letta.test")
            .replace(['{', '}'], "");
        let body = json!({ "new_password": "correct horse" });
        let (status, answer) = alice.call(route.method.clone(), &path, body.clone()).await;
        assert_eq!(
            (status, &answer["errcode"]),
            (StatusCode::FORBIDDEN, &json!("M_FORBIDDEN")),
            "{path}"
        );
        let (status, _) = test.call(route.method.clone(), &path, body).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{path}");
    }
    test.server.close().await;
}
