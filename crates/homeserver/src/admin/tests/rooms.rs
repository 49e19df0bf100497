//! Commands about rooms, and what the people in them see of it.

use http::{Method, StatusCode};

use super::*;
use crate::testing::TestUser;

async fn done(test: &TestServer, command: &str) -> String {
    execute(&test.server, command).await.unwrap()
}

async fn refused(test: &TestServer, command: &str) -> String {
    execute(&test.server, command).await.unwrap_err()
}

async fn room_of(person: &TestUser, body: Value) -> String {
    let made = person.post("/_matrix/client/v3/createRoom", body).await;
    made["room_id"].as_str().unwrap().to_owned()
}

async fn synced(person: &TestUser, since: Option<&str>) -> Value {
    let since = since.map(|since| format!("?since={since}"));
    let path = format!("/_matrix/client/v3/sync{}", since.unwrap_or_default());
    person.get(&path).await
}

#[tokio::test]
async fn names_lead_where_the_admin_says() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let (one, two) = (
        room_of(&alice, json!({})).await,
        room_of(&alice, json!({})).await,
    );
    let set = done(&test, &format!("rooms alias set {one} tea")).await;
    assert_eq!(set, "Successfully set alias");
    let path = "/_matrix/client/v3/directory/room/%23tea:letta.test";
    assert_eq!(alice.get(path).await["room_id"], one.as_str());
    let taken = refused(&test, &format!("rooms alias set {two} tea")).await;
    assert!(
        taken.contains(&format!("Refusing to overwrite in use alias for {one}")),
        "{taken}"
    );
    let set = done(&test, &format!("rooms alias set -f {two} #tea:letta.test")).await;
    assert_eq!(
        set,
        format!("Successfully overwrote alias (formerly {one})")
    );
    assert_eq!(
        done(&test, "rooms alias which tea").await,
        format!("Alias resolves to {two}")
    );
    assert_eq!(
        done(&test, &format!("rooms alias list {one}")).await,
        format!("Aliases for {one}:\n")
    );
    let all = done(&test, "rooms alias list").await;
    assert_eq!(all, format!("Aliases:\n- `{two}` -> #tea:letta.test\n"));
    assert_eq!(
        done(&test, "rooms alias remove tea").await,
        format!("Removed alias from {two}")
    );
    assert!(
        refused(&test, "rooms alias which tea")
            .await
            .ends_with("Alias isn't in use.")
    );

    assert_eq!(
        done(&test, "rooms directory list").await,
        "No rooms are published."
    );
    done(&test, &format!("rooms directory publish {one}")).await;
    let public = alice.get("/_matrix/client/v3/publicRooms").await;
    assert_eq!(public["chunk"][0]["room_id"], one.as_str());
    let listed = done(&test, "rooms directory list").await;
    assert_eq!(
        listed,
        format!("Rooms (page 1):\n```\n{one} | Members: 1 | Name: \n```")
    );
    done(&test, &format!("rooms directory unpublish {one}")).await;
    assert!(
        refused(&test, "rooms list 2")
            .await
            .ends_with("No more rooms.")
    );
}

#[tokio::test]
async fn a_banned_room_is_empty_until_it_is_unbanned() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let open =
        json!({ "preset": "public_chat", "room_alias_name": "open", "visibility": "public" });
    let room = room_of(&alice, open).await;
    let join = format!("/_matrix/client/v3/join/{room}");
    bob.post(&join, json!({})).await;
    done(&test, "rooms moderation ban_room #open:letta.test").await;
    let joined = bob.get("/_matrix/client/v3/joined_rooms").await;
    assert_eq!(joined["joined_rooms"], json!([]));
    for person in [&alice, &bob] {
        let (status, answer) = person.call(Method::POST, &join, json!({})).await;
        assert_eq!(status, StatusCode::FORBIDDEN);
        assert_eq!(answer["error"], "This room is banned on this homeserver");
    }
    assert!(
        refused(&test, "rooms alias which open")
            .await
            .contains("isn't in use")
    );
    assert_eq!(
        done(&test, "rooms directory list").await,
        "No rooms are published."
    );
    let banned = done(&test, "rooms moderation list-banned-rooms --no-details").await;
    assert_eq!(banned, format!("Rooms Banned (1):\n```\n{room}\n```"));
    assert_eq!(
        done(&test, &format!("rooms moderation unban-room {room}")).await,
        "Room unbanned"
    );
    bob.post(&join, json!({})).await;
    let list = format!("rooms moderation ban-list-of-rooms\n```\n{room}\n!none:letta.test\n```");
    let text = done(&test, &list).await;
    assert!(
        text.starts_with("Finished bulk room ban, banned 1 total rooms"),
        "{text}"
    );
    assert!(text.contains("- !none:letta.test: "), "{text}");
}

#[tokio::test]
async fn a_deleted_room_is_gone_and_its_people_learn_of_it() {
    let test = TestServer::start_with(|config| config.admin.create_admin_room = true).await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let body = json!({ "preset": "public_chat", "room_alias_name": "gone", "name": "Gone" });
    let room = room_of(&alice, body).await;
    bob.post(&format!("/_matrix/client/v3/join/{room}"), json!({}))
        .await;
    let rooms = format!("/_matrix/client/v3/rooms/{room}");
    let body = json!({ "msgtype": "m.text", "body": "soon forgotten" });
    let said = alice
        .put(&format!("{rooms}/send/m.room.message/1"), body)
        .await;
    let event = said["event_id"].as_str().unwrap().to_owned();
    bob.post(&format!("{rooms}/receipt/m.read/{event}"), json!({}))
        .await;
    let sliding = "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync";
    let list = json!({ "lists": { "all": { "ranges": [[0, 9]], "timeline_limit": 1, "required_state": [] } } });
    let position = bob.post(sliding, list.clone()).await["pos"]
        .as_str()
        .unwrap()
        .to_owned();
    let since = synced(&bob, None).await["next_batch"]
        .as_str()
        .unwrap()
        .to_owned();

    let done_so = done(&test, &format!("rooms delete {room}")).await;
    assert_eq!(done_so, "Successfully deleted the room from our database.");
    let news = synced(&bob, Some(&since)).await;
    assert!(news["rooms"]["leave"][&room].is_object(), "{news}");
    let news = bob.post(&format!("{sliding}?pos={position}"), list).await;
    assert!(news["pos"].is_string(), "{news}");
    for path in [
        format!("{rooms}/event/{event}"),
        format!("{rooms}/messages?dir=b"),
        format!("{rooms}/state"),
    ] {
        let (status, answer) = alice.call(Method::GET, &path, json!({})).await;
        assert!(
            matches!(status, StatusCode::NOT_FOUND | StatusCode::FORBIDDEN),
            "{path}: {answer}"
        );
    }
    assert_eq!(done(&test, &format!("rooms exists {room}")).await, "false");
    assert!(
        refused(&test, "rooms alias which gone")
            .await
            .contains("isn't in use")
    );
    let fresh = synced(&bob, None).await;
    assert!(!fresh.to_string().contains("soon forgotten"));
    let hits = alice
        .post(
            "/_matrix/client/v3/search",
            json!({ "search_categories": { "room_events": { "search_term": "forgotten" } } }),
        )
        .await;
    assert_eq!(hits["search_categories"]["room_events"]["count"], 0);
}

#[tokio::test]
async fn rooms_go_with_whoever_made_them_but_never_the_admin_room() {
    let test = TestServer::start_with(|config| config.admin.create_admin_room = true).await;
    let alice = test.person("alice").await;
    let other = room_of(&alice, json!({})).await;
    let own = room_id(&test);
    assert!(
        refused(&test, &format!("rooms delete {own}"))
            .await
            .contains("Cannot delete the admin room.")
    );
    let planned = done(&test, "rooms purge-user --dry-run alice").await;
    assert_eq!(planned, format!("Would delete 1 rooms:\n```\n{other}\n```"));
    done(&test, "rooms purge-user --regex --sole-member @ali.*").await;
    assert_eq!(done(&test, &format!("rooms exists {other}")).await, "false");
    let since = synced(&alice, None).await["next_batch"]
        .as_str()
        .unwrap()
        .to_owned();
    let last = room_of(&alice, json!({})).await;
    done(&test, &format!("rooms delete --force {last}")).await;
    assert!(
        !synced(&alice, Some(&since))
            .await
            .to_string()
            .contains(&last)
    );
    drop(alice);
    let test = test.restart().await;
    assert!(
        done(&test, "rooms list").await.starts_with("Rooms (1):"),
        "only the admin room is left"
    );
}

fn room_id(test: &TestServer) -> ruma::OwnedRoomId {
    admin_room::room(&test.server.rooms).unwrap().unwrap()
}
