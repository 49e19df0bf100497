//! What comes besides rooms.

use super::*;

async fn nothing_new(client: &mut Client<'_>) {
    let answer = client.next().await;
    assert!(answer["rooms"].is_null(), "{answer}");
}

#[tokio::test]
async fn messages_to_a_device_come_until_they_are_acknowledged() {
    let test = TestServer::start().await;
    let alice = test.person("alice").await;
    let message =
        |text: &str| json!({ "messages": { alice.user_id.as_str(): { "*": { "text": text } } } });
    let message = [message("one"), message("two")];
    let (store, user) = (&test.server.store, &alice.user_id);
    let on = json!({ "to_device": { "enabled": true, "limit": 1 }, "e2ee": { "enabled": true } });
    let mut client = Client::new(&alice, json!({ "conn_id": "encryption", "extensions": on }));
    let first = client.next().await;
    let keys = &first["extensions"]["e2ee"];
    assert_eq!(keys["device_one_time_keys_count"]["signed_curve25519"], 0);
    assert_eq!(keys["device_unused_fallback_key_types"], json!([]));
    for (number, message) in message.into_iter().enumerate() {
        send_to_device(&alice, number, &message).await;
    }
    let mut heard = Vec::new();
    for _ in 0..2 {
        let answer = client.next().await;
        let extension = &answer["extensions"]["to_device"];
        heard.push(extension["events"][0]["content"]["text"].clone());
        let again = client.next().await;
        assert_eq!(
            again["extensions"]["to_device"]["events"],
            extension["events"]
        );
        client.body["extensions"]["to_device"]["since"] = extension["next_batch"].clone();
    }
    assert_eq!(heard, [json!("one"), json!("two")]);
    let answer = client.next().await;
    assert!(answer["extensions"]["to_device"]["events"].is_null());
    let device = ruma::OwnedDeviceId::from(alice.device_id.as_str());
    let left = store.scan::<crate::store::tables::ToDevice>((user, &*device));
    assert_eq!(left.count(), 0, "what was acknowledged is forgotten");
}

async fn send_to_device(person: &TestUser, number: usize, message: &Value) {
    let path = format!("/_matrix/client/v3/sendToDevice/m.test/{number}");
    let (status, answer) = person.call(Method::PUT, &path, message.clone()).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
}

#[tokio::test]
async fn account_data_receipts_and_typing_come_once_for_the_rooms_that_are_seen() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let room = room(&alice, json!({ "preset": "public_chat" })).await;
    join(&bob, &room).await;
    let said = say(&alice, &room, "hello").await;
    let mut body = list(9, 1, json!([]));
    body["extensions"] = json!({
        "account_data": { "enabled": true },
        "receipts": { "enabled": true, "rooms": ["*"] },
        "typing": { "enabled": true },
    });
    let mut client = Client::new(&alice, body);
    let first = client.next().await;
    let global = first["extensions"]["account_data"]["global"]
        .as_array()
        .unwrap();
    assert!(global.iter().any(|event| event["type"] == "m.push_rules"));
    nothing_new(&mut client).await;

    bob.post(&path(&room, &format!("receipt/m.read/{said}")), json!({}))
        .await;
    bob.put(
        &path(&room, &format!("typing/{}", bob.user_id)),
        json!({ "typing": true, "timeout": 30_000 }),
    )
    .await;
    let tags = format!(
        "/_matrix/client/v3/user/{}/rooms/{room}/tags/u.work",
        alice.user_id
    );
    alice.put(&tags, json!({})).await;
    let answer = client.next().await;
    let extensions = &answer["extensions"];
    let receipt = &extensions["receipts"]["rooms"][&room]["content"][&said]["m.read"];
    assert!(receipt[bob.user_id.as_str()]["ts"].is_u64(), "{answer}");
    let typing = &extensions["typing"]["rooms"][&room];
    assert_eq!(typing["content"]["user_ids"], json!([bob.user_id]));
    assert_eq!(
        extensions["account_data"]["rooms"][&room][0]["type"],
        "m.tag"
    );
    let answer = client.next().await;
    assert!(answer["extensions"].is_null(), "{answer}");

    bob.put(
        &path(&room, &format!("typing/{}", bob.user_id)),
        json!({ "typing": false }),
    )
    .await;
    let answer = client.next().await;
    let typing = &answer["extensions"]["typing"]["rooms"][&room];
    assert_eq!(typing["content"]["user_ids"], json!([]));
}

#[tokio::test]
async fn unread_counts_come_with_messages_and_go_with_receipts() {
    let test = TestServer::start().await;
    let (alice, bob) = (test.person("alice").await, test.person("bob").await);
    let room = room(&alice, json!({ "preset": "public_chat" })).await;
    join(&bob, &room).await;
    let mut client = Client::new(&alice, list(9, 1, json!([])));
    client.next().await;
    let said = say(&bob, &room, "hello").await;
    assert_eq!(client.next().await["rooms"][&room]["notification_count"], 1);
    alice
        .post(&path(&room, &format!("receipt/m.read/{said}")), json!({}))
        .await;
    let answer = client.next().await;
    assert_eq!(answer["rooms"][&room]["notification_count"], 0, "{answer}");
    nothing_new(&mut client).await;
}
