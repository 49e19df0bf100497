//! Two machines that talk by way of a double of a homeserver, and are opened again from their rows.

mod key_server;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use ruma::{
    OwnedUserId, RoomId, UserId, device_id,
    events::room::{encryption::RoomEncryptionEventContent, history_visibility::HistoryVisibility},
    room_id, user_id,
};
use serde_json::{Value, json, value::to_raw_value};

use self::key_server::{KeyServer, Refused, User};
use crate::{
    CannotDecrypt, Cipher, EncryptionChanges, Machine, PickleKey, Recipients, Row, RowStore,
    RowStoreError, StoredRows,
};

/// A `RowStore` in memory: a double of the journal.
#[derive(Debug, Default)]
struct MemoryRowStore(Mutex<AllRows>);

type AllRows = BTreeMap<(OwnedUserId, Vec<u8>), Vec<u8>>;

#[async_trait]
impl RowStore for MemoryRowStore {
    fn load(&self, user: &UserId) -> Result<StoredRows, RowStoreError> {
        let rows = self.0.lock().unwrap();
        let own = rows.iter().filter(|((owner, _), _)| owner == user);
        Ok(own
            .map(|((_, name), value)| (name.clone(), value.clone()))
            .collect())
    }

    async fn write(&self, user: &UserId, rows: Vec<Row>) -> Result<(), RowStoreError> {
        let mut all = self.0.lock().unwrap();
        for (name, value) in rows {
            match value {
                Some(value) => all.insert((user.to_owned(), name), value),
                None => all.remove(&(user.to_owned(), name)),
            };
        }
        Ok(())
    }
}

struct Lab {
    server: KeyServer,
    rows: Arc<MemoryRowStore>,
    key: PickleKey,
}

impl Lab {
    fn new() -> Self {
        Self {
            server: KeyServer::default(),
            rows: Arc::default(),
            key: PickleKey::random(),
        }
    }

    async fn open(&self, user: &UserId) -> Machine {
        let cipher = Cipher::new(&self.key);
        let device = device_id!("LETTA").to_owned();
        Machine::open::<Refused>(user, device, self.rows.clone(), cipher)
            .await
            .unwrap()
    }

    async fn new_user(&self, user: &UserId) -> Machine {
        let machine = self.open(user).await;
        machine.publish(&self.as_user(user)).await.unwrap();
        machine
    }

    fn as_user(&self, user: &UserId) -> User<'_> {
        self.server.as_user(user, device_id!("LETTA"))
    }

    /// An event that `machine` says.
    async fn say(&self, machine: &Machine, from: &UserId, to: &[&UserId], text: &str) -> Value {
        let recipients = Recipients {
            room: room(),
            users: to.iter().map(|&user| user.to_owned()).collect(),
            encryption: RoomEncryptionEventContent::with_recommended_defaults(),
            history: HistoryVisibility::Shared,
        };
        let content = to_raw_value(&json!({"msgtype": "m.text", "body": text})).unwrap();
        let sealed = machine
            .encrypt(recipients, "m.room.message", &content, &self.as_user(from))
            .await
            .unwrap();
        json!({
            "type": "m.room.encrypted", "event_id": format!("${text}"), "sender": from, "room_id": room(),
            "origin_server_ts": 1, "content": serde_json::from_str::<Value>(sealed.get()).unwrap(),
        })
    }

    /// Takes in what waits for a user.
    async fn receive(&self, machine: &Machine, user: &UserId) -> usize {
        let changes = EncryptionChanges {
            to_device: self.server.take_messages(user),
            ..EncryptionChanges::default()
        };
        let rooms = machine
            .receive_changes(changes, &self.as_user(user))
            .await
            .unwrap();
        rooms.len()
    }
}

fn room() -> &'static RoomId {
    room_id!("!room:house.test")
}

async fn read(machine: &Machine, event: &Value) -> Result<String, CannotDecrypt> {
    let raw = to_raw_value(event).unwrap();
    let clear = machine.decrypt(room(), &raw).await?;
    let clear: Value = serde_json::from_str(clear.event.get()).unwrap();
    assert_eq!(clear["type"], "m.room.message");
    assert_eq!(clear["sender"], event["sender"]);
    assert_eq!(clear["event_id"], event["event_id"]);
    Ok(clear["content"]["body"].as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_person_and_an_agent_read_each_other_also_after_each_was_opened_again() {
    let (ann, agent) = (user_id!("@ann:house.test"), user_id!("@agent:house.test"));
    let lab = Lab::new();
    let hers = lab.new_user(ann).await;
    let mut its = lab.new_user(agent).await;
    assert!(
        lab.server.is_cross_signed(agent),
        "clients would show a shield"
    );
    for round in 0..3 {
        let words = format!("question {round}");
        let asked = lab.say(&hers, ann, &[ann, agent], &words).await;
        assert!(
            !asked["content"].to_string().contains(&words),
            "in the clear"
        );
        let came = lab.receive(&its, agent).await;
        assert_eq!(came, usize::from(round == 0), "one key for the session");
        assert_eq!(read(&its, &asked).await.unwrap(), words);
        let words = format!("answer {round}");
        let said = lab.say(&its, agent, &[ann, agent], &words).await;
        lab.receive(&hers, ann).await;
        assert_eq!(read(&hers, &said).await.unwrap(), words);
        // The process ends, at any moment, and begins again.
        its = lab.open(agent).await;
        assert_eq!(
            read(&its, &asked).await.unwrap(),
            format!("question {round}")
        );
        its.publish(&lab.as_user(agent)).await.unwrap();
    }
}

#[tokio::test]
async fn an_event_whose_key_comes_late_is_read_then() {
    let (ann, agent) = (user_id!("@ann:house.test"), user_id!("@agent:house.test"));
    let lab = Lab::new();
    let hers = lab.new_user(ann).await;
    let its = lab.new_user(agent).await;
    let asked = lab.say(&hers, ann, &[ann, agent], "early").await;
    let failure = read(&its, &asked).await.unwrap_err();
    assert!(matches!(failure, CannotDecrypt::NoKey), "{failure:?}");
    assert_eq!(lab.receive(&its, agent).await, 1);
    assert_eq!(read(&its, &asked).await.unwrap(), "early");
}

#[tokio::test]
async fn who_is_no_recipient_reads_nothing_and_a_new_key_serves_after_one_has_left() {
    let (ann, agent, bob) = (
        user_id!("@ann:house.test"),
        user_id!("@agent:house.test"),
        user_id!("@bob:house.test"),
    );
    let lab = Lab::new();
    let its = lab.new_user(agent).await;
    let hers = lab.new_user(ann).await;
    let his = lab.new_user(bob).await;
    let all = lab.say(&its, agent, &[ann, bob, agent], "all").await;
    let without = lab.say(&its, agent, &[ann, agent], "without bob").await;
    for (machine, user) in [(&hers, ann), (&his, bob)] {
        lab.receive(machine, user).await;
        assert_eq!(read(machine, &all).await.unwrap(), "all");
    }
    assert_eq!(read(&hers, &without).await.unwrap(), "without bob");
    let failure = read(&his, &without).await.unwrap_err();
    assert!(matches!(failure, CannotDecrypt::NoKey), "{failure:?}");
    let session = |event: &Value| event["content"]["session_id"].clone();
    assert_ne!(session(&all), session(&without));
}

#[tokio::test]
async fn damaged_events_are_called_so() {
    let agent = user_id!("@agent:house.test");
    let lab = Lab::new();
    let its = lab.new_user(agent).await;
    let mut event = lab.say(&its, agent, &[agent], "x").await;
    event["content"]["ciphertext"] = json!("AwgAEnAC");
    let failure = read(&its, &event).await.unwrap_err();
    assert!(matches!(failure, CannotDecrypt::Damaged(_)), "{failure:?}");
    event["content"] = json!({});
    let failure = read(&its, &event).await.unwrap_err();
    assert!(matches!(failure, CannotDecrypt::Damaged(_)), "{failure:?}");
}

#[tokio::test]
async fn rows_of_another_key_are_refused_and_left_as_they_are() {
    let agent = user_id!("@agent:house.test");
    let mut lab = Lab::new();
    lab.new_user(agent).await;
    let before = lab.rows.load(agent).unwrap();
    lab.key = PickleKey::random();
    let opened = Machine::open::<Refused>(
        agent,
        device_id!("LETTA").to_owned(),
        lab.rows.clone(),
        Cipher::new(&lab.key),
    );
    let failure = opened.await.unwrap_err();
    let chain = format!(
        "{failure}: {}",
        std::error::Error::source(&failure).unwrap()
    );
    assert!(chain.contains("pickle_key"), "{chain}");
    assert_eq!(lab.rows.load(agent).unwrap(), before);
}

#[tokio::test]
async fn rows_are_not_in_the_clear() {
    let agent = user_id!("@agent:house.test");
    let lab = Lab::new();
    lab.new_user(agent).await;
    for (name, value) in lab.rows.load(agent).unwrap() {
        let text = String::from_utf8_lossy(&value);
        assert!(!text.contains('{') || !text.contains("ed25519"), "{name:?}");
    }
}
