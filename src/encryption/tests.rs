//! Nothing is sent to an encrypted room in the clear, whatever the homeserver does.

use std::path::Path;

use ruma::{owned_room_id, owned_user_id, user_id};
use serde_json::{Value, json};

use super::*;
use crate::{
    config::Secret,
    journal::{DeviceRecord, JournalLimits, SendId},
    matrix::scripted_homeserver::{BOT, Fault, ScriptedHomeserver},
};

/// More than any step asks.
const OFTEN: usize = 20;

struct Lab {
    homeserver: ScriptedHomeserver,
    encryption: Encryption,
    _folder: tempfile::TempDir,
}

impl Lab {
    /// `was_supported`: an earlier process has found out that the homeserver supports encryption.
    fn new(was_supported: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let homeserver = ScriptedHomeserver::default();
        Self {
            encryption: encryption(folder.path(), &homeserver, &config(), was_supported),
            homeserver,
            _folder: folder,
        }
    }

    /// The room is encrypted, and Ann and the agent are in it.
    fn encrypt_room(&self, content: &Value) {
        let member = |user: &str| {
            json!({
                "type": "m.room.member", "state_key": user, "sender": user, "event_id": "$a", "room_id": "!room:house.test",
                "origin_server_ts": 1, "content": { "membership": "join" },
            })
        };
        let members =
            json!({ "chunk": [member("@ann:house.test"), member("@agent_1:house.test")] });
        self.answer("state/m.room.encryption", 200, content);
        self.answer("/members", 200, &members);
    }

    fn answer(&self, what: &'static str, status: u16, body: &Value) {
        let answers = vec![Fault::Answer(status, body.clone()); OFTEN];
        self.homeserver.fails(what, answers);
    }

    async fn encrypt(&self, item: OutboxItem) -> Result<OutboxItem, MatrixError> {
        self.encryption.encrypt(item).await
    }
}

fn config() -> config::Encryption {
    config::Encryption {
        allow: true,
        pickle_key: Some(Secret::new("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")),
    }
}

fn encryption(
    folder: &Path,
    homeserver: &ScriptedHomeserver,
    config: &config::Encryption,
    was_supported: bool,
) -> Encryption {
    let journal = Journal::open(folder, JournalLimits::default()).unwrap();
    let bot = <&UserId>::try_from(BOT).unwrap();
    if was_supported {
        let device = DeviceRecord {
            device: "BOT".into(),
            published: true,
            receives: true,
        };
        journal.set_device(bot, &device).unwrap();
    }
    let made = Encryption::new(config, journal, homeserver.client(), bot, Tasks::default());
    made.unwrap().0
}

fn message() -> OutboxItem {
    OutboxItem {
        room: owned_room_id!("!room:house.test"),
        sender: owned_user_id!("@agent_1:house.test"),
        event_type: "m.room.message".to_owned(),
        send_id: SendId::of(&["one"]),
        content: serde_json::value::to_raw_value(&json!({ "body": "secret" })).unwrap(),
    }
}

fn assert_unchanged(sent: &OutboxItem, item: &OutboxItem) {
    assert_eq!(sent.event_type, item.event_type);
    assert_eq!(sent.content.get(), item.content.get());
}

fn encrypted() -> Value {
    json!({ "algorithm": "m.megolm.v1.aes-sha2" })
}

#[tokio::test]
async fn message_waits_until_support_is_known() {
    let lab = Lab::new(false);
    assert_eq!(lab.encryption.support(), Support::Unknown);
    lab.encrypt_room(&encrypted());
    let failure = lab.encrypt(message()).await.unwrap_err();
    assert!(!failure.is_permanent(), "{failure}");
}

#[tokio::test]
async fn message_waits_whatever_the_homeserver_refuses() {
    for (what, status) in [
        ("PUT /_matrix/client/v3/devices", 403),
        ("/keys/upload", 400),
        ("/keys/upload", 404),
        ("/device_signing/upload", 401),
        ("/signatures/upload", 403),
        ("/keys/query", 403),
    ] {
        let lab = Lab::new(true);
        assert_eq!(lab.encryption.support(), Support::Supported);
        lab.encrypt_room(&encrypted());
        let refusal = json!({ "errcode": "M_FORBIDDEN", "error": "no" });
        lab.answer(what, status, &refusal);
        lab.answer(
            "/keys/upload",
            200,
            &json!({ "one_time_key_counts": { "signed_curve25519": 50 } }),
        );
        lab.answer("/keys/query", 200, &json!({ "device_keys": {} }));
        let failure = lab.encrypt(message()).await.unwrap_err();
        assert!(!failure.is_permanent(), "{what}: {failure}");
        assert!(
            lab.homeserver.asked_for(what) > 0,
            "{what}: {:#?}",
            lab.homeserver.lines()
        );
    }
}

#[tokio::test]
async fn encrypted_room_with_strange_settings_is_encrypted() {
    for content in [
        json!({ "algorithm": "m.megolm.v1.aes-sha2", "rotation_period_ms": "often" }),
        json!({ "algorithm": "m.megolm.v1.aes-sha2", "rotation_period_msgs": -1 }),
        json!({ "algorithm": 7 }),
    ] {
        let lab = Lab::new(false);
        lab.encrypt_room(&content);
        lab.encrypt(message())
            .await
            .expect_err(&content.to_string());
    }
}

#[tokio::test]
async fn what_is_not_encrypted_goes_as_it_is() {
    let lab = Lab::new(true);
    // The room is asked about once.
    for _ in 0..2 {
        assert_unchanged(&lab.encrypt(message()).await.unwrap(), &message());
    }
    assert_eq!(
        lab.homeserver.lines().len(),
        1,
        "{:?}",
        lab.homeserver.lines()
    );
    let lab = Lab::new(true);
    lab.encrypt_room(&encrypted());
    let reaction = OutboxItem {
        event_type: "m.reaction".to_owned(),
        ..message()
    };
    assert_unchanged(&lab.encrypt(reaction.clone()).await.unwrap(), &reaction);
}

#[tokio::test]
async fn without_a_key_or_a_wish_nothing_is_asked() {
    let no_key = config::Encryption {
        pickle_key: None,
        ..config()
    };
    let not_wanted = config::Encryption {
        allow: false,
        ..config()
    };
    for config in [no_key, not_wanted] {
        let folder = tempfile::tempdir().unwrap();
        let homeserver = ScriptedHomeserver::default();
        let encryption = encryption(folder.path(), &homeserver, &config, false);
        assert_eq!(encryption.support(), Support::Unsupported);
        encryption.begin().unwrap();
        encryption
            .ensure_device(user_id!("@agent_1:house.test"))
            .await
            .unwrap();
        assert_unchanged(&encryption.encrypt(message()).await.unwrap(), &message());
        assert_eq!(homeserver.lines(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn key_of_the_wrong_length_is_named() {
    let short = config::Encryption {
        pickle_key: Some(Secret::new("AAAA")),
        ..config()
    };
    let folder = tempfile::tempdir().unwrap();
    let journal = Journal::open(folder.path(), JournalLimits::default()).unwrap();
    let homeserver = ScriptedHomeserver::default();
    let bot = user_id!("@letta:house.test");
    let made = Encryption::new(&short, journal, homeserver.client(), bot, Tasks::default());
    let failure = made.err().unwrap().to_string();
    assert!(failure.contains("encryption.pickle_key"), "{failure}");
}
