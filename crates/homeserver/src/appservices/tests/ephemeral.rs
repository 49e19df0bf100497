//! Typing, receipts and presence, as an application service that asked for them hears them.

use super::*;
use crate::testing::TestUser;

impl Double {
    /// The newest content of this type that came for the room or of the user.
    fn newest(&self, kind: &str, of: &str) -> Value {
        let all = self.all("ephemeral").into_iter().rev();
        let mut fitting = all.filter(|event| {
            event["type"] == kind && (event["room_id"] == of || event["sender"] == of)
        });
        fitting
            .next()
            .map_or(Value::Null, |mut event| event["content"].take())
    }
}

async fn types(person: &TestUser, room: &OwnedRoomId, milliseconds: Option<u32>) {
    let path = format!("/_matrix/client/v3/rooms/{room}/typing/{}", person.user_id);
    let body = json!({ "typing": milliseconds.is_some(), "timeout": milliseconds });
    person.put(&path, body).await;
}

#[tokio::test]
async fn it_hears_who_types_reads_and_is_there_where_its_users_are_and_nowhere_else() {
    let test = TestServer::start().await;
    let (server, double) = (&test.server, Double::default());
    let delivery = Delivery::InProcess(double.router());
    server
        .add_appservice(registration("br", None), delivery)
        .await
        .unwrap();
    let (alice, carol) = (test.person("alice").await, test.person("carol").await);
    let (with, without) = (
        room(server, &alice.user_id).await,
        room(server, &carol.user_id).await,
    );
    let puppet = ghost("br_one");
    add(server, &with, membership(&puppet, &puppet, "join")).await;
    say(server, &with, &puppet, "read me").await;

    types(&carol, &without, Some(30_000)).await;
    types(&alice, &with, Some(30_000)).await;
    let typing = |double: &Double| double.newest("m.typing", with.as_str());
    double
        .until(|double| typing(double) == json!({ "user_ids": ["@alice:letta.test"] }))
        .await;
    types(&alice, &with, None).await;
    double
        .until(|double| typing(double) == json!({ "user_ids": [] }))
        .await;
    let before = double.all("ephemeral").len();
    types(&alice, &with, Some(40)).await;
    // It ends by itself, and that is told, too.
    double
        .until(|double| {
            double.all("ephemeral").len() >= before + 2
                && typing(double) == json!({ "user_ids": [] })
        })
        .await;

    let read = double.events().last().unwrap()["event_id"]
        .as_str()
        .unwrap()
        .to_owned();
    for kind in ["m.read.private", "m.read"] {
        let path = format!("/_matrix/client/v3/rooms/{with}/receipt/{kind}/{read}");
        alice.post(&path, json!({})).await;
    }
    let receipt = |double: &Double| double.newest("m.receipt", with.as_str());
    double.until(|double| !receipt(double).is_null()).await;
    assert!(receipt(&double)[&read]["m.read"]["@alice:letta.test"]["ts"].is_u64());
    assert!(!receipt(&double).to_string().contains("private"));

    for person in [&carol, &alice] {
        let path = format!("/_matrix/client/v3/presence/{}/status", person.user_id);
        let status = json!({ "presence": "online", "status_msg": "here" });
        person.put(&path, status).await;
    }
    let presence = |double: &Double| double.newest("m.presence", alice.user_id.as_str());
    double.until(|double| !presence(double).is_null()).await;
    assert_eq!(presence(&double)["presence"], "online");
    assert_eq!(presence(&double)["status_msg"], "here");
    let everything = json!(double.all("ephemeral")).to_string();
    assert!(!everything.contains("carol"), "{everything}");
    assert!(!everything.contains(without.as_str()), "{everything}");
    server.close().await;
}

#[tokio::test]
async fn who_did_not_ask_for_it_hears_events_only_and_old_typing_is_not_told() {
    let test = TestServer::start().await;
    let (server, curious, plain) = (&test.server, Double::default(), Double::default());
    curious.failing.store(true, Ordering::SeqCst);
    server
        .add_appservice(
            registration("br", None),
            Delivery::InProcess(curious.router()),
        )
        .await
        .unwrap();
    let yaml =
        "id: old\nurl: null\nas_token: a\nhs_token: b\nsender_localpart: oldbot\nnamespaces: {}";
    server
        .add_appservice(
            AppserviceRegistration::from_yaml(yaml).unwrap(),
            Delivery::InProcess(plain.router()),
        )
        .await
        .unwrap();
    let alice = test.person("alice").await;
    let room = room(server, &alice.user_id).await;
    for bot in [ghost("brbot"), ghost("oldbot")] {
        add(server, &room, membership(&bot, &bot, "join")).await;
    }
    types(&alice, &room, Some(30_000)).await;
    types(&alice, &room, None).await;
    say(server, &room, &alice.user_id, "said").await;
    // A transaction that was made while she was typing may be on its way still: it has to arrive in vain.
    let refused = |double: &Double| double.refused.lock().unwrap().len();
    let before = refused(&curious);
    curious.until(|double| refused(double) > before).await;
    curious.failing.store(false, Ordering::SeqCst);
    for double in [&curious, &plain] {
        double.until(|double| double.bodies() == ["said"]).await;
    }
    assert!(plain.all("ephemeral").is_empty());
    let told = curious.all("ephemeral");
    assert!(
        told.iter()
            .all(|event| event["content"] == json!({ "user_ids": [] })),
        "{told:?}"
    );
    server.close().await;
}
