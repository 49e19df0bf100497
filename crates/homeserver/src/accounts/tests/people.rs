//! Profiles, looking people up, `OpenID`, and what the server says of itself.

use http::{Method, StatusCode};
use serde_json::json;

use super::*;

#[tokio::test]
async fn a_profile_is_its_owners_and_has_limits() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let path = "/_matrix/client/v3/profile/@alice:letta.test";
    let name = format!("{path}/displayname");
    alice.put(&name, json!({ "displayname": "Alice" })).await;
    alice
        .put(
            &format!("{path}/avatar_url"),
            json!({ "avatar_url": "mxc://letta.test/a" }),
        )
        .await;
    alice
        .put(
            &format!("{path}/org.example.pet"),
            json!({ "org.example.pet": ["cat"] }),
        )
        .await;
    assert_eq!(
        bob.get(path).await,
        json!({
            "displayname": "Alice", "avatar_url": "mxc://letta.test/a", "org.example.pet": ["cat"],
        })
    );
    assert_eq!(bob.get(&name).await, json!({ "displayname": "Alice" }));
    let (status, _) = bob
        .call(Method::PUT, &name, json!({ "displayname": "Eve" }))
        .await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let huge = json!({ "org.example.pet": "x".repeat(70_000) });
    let (_, answer) = alice
        .call(Method::PUT, &format!("{path}/org.example.pet"), huge)
        .await;
    assert_eq!(answer["errcode"], "M_PROFILE_TOO_LARGE");
    alice
        .ok(
            Method::DELETE,
            &format!("{path}/org.example.pet"),
            json!({}),
        )
        .await;
    alice
        .put(&format!("{path}/avatar_url"), json!({ "avatar_url": "" }))
        .await;
    assert_eq!(bob.get(path).await, json!({ "displayname": "Alice" }));
    let (status, _) = bob
        .call(
            Method::GET,
            "/_matrix/client/v3/profile/@nobody:letta.test",
            json!({}),
        )
        .await;
    assert_eq!(status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn strangers_are_found_by_their_exact_name_only() {
    let test = TestServer::start().await;
    let (alice, _bob) = (test.person("alice").await, test.person("bobby").await);
    let path = "/_matrix/client/v3/user_directory/search";
    let found = alice.post(path, json!({ "search_term": "bob" })).await;
    assert_eq!(found, json!({ "results": [], "limited": false }));
    let found = alice
        .post(path, json!({ "search_term": "@bobby:letta.test" }))
        .await;
    assert_eq!(found["results"][0]["user_id"], "@bobby:letta.test");
}

#[tokio::test]
async fn a_third_party_learns_who_shows_an_openid_token() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let path = "/_matrix/client/v3/user/@alice:letta.test/openid/request_token";
    let token = alice.post(path, json!({})).await;
    let info = |token: &str| format!("/_matrix/federation/v1/openid/userinfo?access_token={token}");
    let path = info(token["access_token"].as_str().unwrap());
    let (_, answer) = test.call(Method::GET, &path, json!({})).await;
    assert_eq!(answer, json!({ "sub": "@alice:letta.test" }));
    // An access token proves nothing to a third party.
    let (status, _) = test.call(Method::GET, &info(&alice.token), json!({})).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn the_server_says_what_it_is() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let capabilities = &alice.get("/_matrix/client/v3/capabilities").await["capabilities"];
    assert_eq!(capabilities["m.room_versions"]["default"], "11");
    assert_eq!(capabilities["m.3pid_changes"], json!({ "enabled": false }));
    for path in [
        "/_matrix/client/v1/auth_metadata",
        "/.well-known/matrix/client",
    ] {
        let (status, answer) = alice.call(Method::GET, path, json!({})).await;
        assert_eq!(status, StatusCode::NOT_FOUND, "{path}: {answer}");
    }
    assert_eq!(
        alice.get("/_matrix/client/v3/thirdparty/protocols").await,
        json!({})
    );
    assert_eq!(
        alice.get("/_matrix/client/v3/account/3pid").await,
        json!({ "threepids": [] })
    );
    assert_eq!(
        alice.get("/_matrix/client/v3/voip/turnServer").await,
        json!({})
    );
    let (status, _) = test
        .call(Method::GET, "/_matrix/client/v3/account/3pid", json!({}))
        .await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    let keys = alice.get("/_matrix/key/v2/server").await;
    assert_eq!(keys["server_name"], "letta.test");
    assert_eq!(
        keys["signatures"]["letta.test"].as_object().unwrap().len(),
        1
    );
    assert!(alice.get("/_tuwunel/server_version").await["version"].is_string());

    let version = alice.get("/_matrix/federation/v1/version").await;
    assert!(version["server"]["version"].is_string());
    let users = alice.get("/_tuwunel/local_user_count").await;
    assert_eq!(users, json!({ "count": 1 }));
    alice.get("/health").await;

    let test = TestServer::start_with(|config| {
        config.well_known.client = Some("https://matrix.letta.test".parse().unwrap());
        config.well_known.element_e2ee_default = Some(false);
        config.turn.turn_uris = vec!["turn:relay.letta.test".to_owned()];
        config.turn.turn_secret = Some(crate::config::Secret::new("relay"));
    })
    .await;
    let bob = test.person("bob").await;
    let found = bob.get("/.well-known/matrix/client").await;
    assert_eq!(
        found,
        json!({
            "m.homeserver": { "base_url": "https://matrix.letta.test" },
            "io.element.e2ee": { "default": false },
        })
    );
    let relay = bob.get("/_matrix/client/v3/voip/turnServer").await;
    assert!(
        relay["username"]
            .as_str()
            .unwrap()
            .ends_with(":@bob:letta.test")
    );
    assert_eq!(relay["ttl"], 86_400);
}
