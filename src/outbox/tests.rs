//! What a room shows, whatever happens on the way to it.

use std::path::Path;

use ruma::{owned_user_id, room_id, server_name};
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::{
    config,
    journal::JournalLimits,
    matrix::scripted_homeserver::{Fault, ScriptedHomeserver},
};

const SEND: &str = "/send/";
const MESSAGES: &str = "/messages";

/// A process of the bridge with nothing but an outbox.
struct Process {
    outbox: Outbox,
    journal: Journal,
    tasks: Tasks,
    /// The folder, if it is its own.
    _copy: Option<TempDir>,
}

impl Process {
    fn start(folder: &Path, homeserver: &ScriptedHomeserver) -> Self {
        Self::with_encryption(folder, homeserver, &config::Encryption::default())
    }

    fn with_encryption(
        folder: &Path,
        homeserver: &ScriptedHomeserver,
        config: &config::Encryption,
    ) -> Self {
        let journal = Journal::open(folder, JournalLimits::default()).unwrap();
        let identity = Identity::new(
            server_name!("house.test"),
            "agent_{id}".parse().unwrap(),
            "letta",
            "letta_agents",
        );
        let (tasks, identity) = (Tasks::default(), identity.unwrap());
        let (encryption, _) = Encryption::new(
            config,
            journal.clone(),
            homeserver.client(),
            identity.bot(),
            tasks.clone(),
        )
        .unwrap();
        let outbox = Outbox::new(
            journal.clone(),
            homeserver.client(),
            encryption,
            identity,
            tasks.clone(),
        );
        Self {
            outbox: outbox.unwrap(),
            journal,
            tasks,
            _copy: None,
        }
    }

    async fn enqueue(&self, room: &RoomId, words: &str) {
        self.outbox.enqueue(&item(room, words)).await.unwrap();
    }

    /// The event that the message became.
    async fn event_of(&self, words: &str) -> Option<OwnedEventId> {
        self.outbox.event_of(&send_id(words)).await.unwrap()
    }

    /// Ends with whatever is under way left undone.
    async fn stop(self) {
        self.tasks.stop();
        self.tasks.ended().await;
    }
}

/// Goes on with what is on disk.
fn restart(folder: &TempDir, homeserver: &ScriptedHomeserver) -> Process {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
    }
    let process = Process::start(copy.path(), homeserver);
    Process {
        _copy: Some(copy),
        ..process
    }
}

fn send_id(words: &str) -> SendId {
    SendId::of(&[words])
}

fn item(room: &RoomId, words: &str) -> OutboxItem {
    let send_id = send_id(words);
    let content = json!({ "body": words, "org.letta.send_id": send_id.as_str() });
    OutboxItem {
        room: room.to_owned(),
        sender: owned_user_id!("@agent_1:house.test"),
        event_type: "m.room.message".to_owned(),
        content: serde_json::value::to_raw_value(&content).unwrap(),
        send_id,
    }
}

fn room() -> &'static RoomId {
    room_id!("!room:house.test")
}

fn error(status: u16, code: &str) -> Fault {
    Fault::Answer(status, json!({ "errcode": code, "error": "no" }))
}

/// A homeserver that begins with these faults, and a room to which three things are said.
async fn said_three_times(what: &'static str, faults: Vec<Fault>) -> ScriptedHomeserver {
    let (folder, homeserver) = (tempfile::tempdir().unwrap(), ScriptedHomeserver::default());
    let process = Process::start(folder.path(), &homeserver);
    homeserver.fails(what, faults);
    for words in ["one", "two", "three"] {
        process.enqueue(room(), words).await;
    }
    process.event_of("three").await;
    process.stop().await;
    homeserver
}

/// The configuration of a bridge that encrypts.
#[cfg(feature = "encryption")]
fn with_a_key() -> config::Encryption {
    config::Encryption {
        allow: true,
        pickle_key: Some(config::Secret::new(
            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        )),
    }
}

#[cfg(feature = "encryption")]
#[tokio::test]
async fn message_waits_while_it_is_not_known_whether_it_can_be_encrypted() {
    let (folder, homeserver) = (tempfile::tempdir().unwrap(), ScriptedHomeserver::default());
    let process = Process::with_encryption(folder.path(), &homeserver, &with_a_key());
    let encrypted = json!({ "algorithm": "m.megolm.v1.aes-sha2" });
    homeserver.fails("state/m.room.encryption", [Fault::Answer(200, encrypted)]);
    homeserver.fails("/members", [Fault::Answer(200, json!({ "chunk": [] }))]);
    process.enqueue(room(), "one").await;
    homeserver.until_asked("/members", 1).await;
    // Another room is not encrypted, and none waits for another.
    process.enqueue(room_id!("!plain:house.test"), "two").await;
    process.event_of("two").await.unwrap();
    assert_eq!(homeserver.timeline(), ["@agent_1:house.test two"]);
    assert!(process.journal.is_waiting(room(), &send_id("one")).unwrap());
    process.stop().await;
}

#[cfg(feature = "encryption")]
#[tokio::test]
async fn who_is_not_told_whether_a_room_is_encrypted_comes_in_first_or_sends_nothing() {
    let (folder, homeserver) = (tempfile::tempdir().unwrap(), ScriptedHomeserver::default());
    let process = Process::with_encryption(folder.path(), &homeserver, &with_a_key());
    let forbidden = || error(403, "M_FORBIDDEN");
    homeserver.fails("state/m.room.encryption", [forbidden()]);
    process.enqueue(room(), "after joining").await;
    process.event_of("after joining").await.unwrap();
    assert_eq!(homeserver.asked_for("/join"), 1);
    let other = room_id!("!other:house.test");
    homeserver.fails("state/m.room.encryption", [forbidden()]);
    homeserver.fails("/join", [forbidden()]);
    process.enqueue(other, "never").await;
    assert_eq!(process.event_of("never").await, None);
    assert_eq!(homeserver.timeline(), ["@agent_1:house.test after joining"]);
    process.stop().await;
}

const ALL_THREE: [&str; 3] = [
    "@agent_1:house.test one",
    "@agent_1:house.test two",
    "@agent_1:house.test three",
];

#[tokio::test]
async fn outbox_sends_messages_in_order() {
    let homeserver = said_three_times(SEND, vec![]).await;
    assert_eq!(homeserver.timeline(), ALL_THREE);
    // Nobody asks the room when all goes well.
    assert_eq!(homeserver.asked_for(MESSAGES), 0);
}

#[tokio::test]
async fn the_bot_speaks_for_itself_and_a_ghost_by_its_name() {
    let (folder, homeserver) = (tempfile::tempdir().unwrap(), ScriptedHomeserver::default());
    let process = Process::start(folder.path(), &homeserver);
    let by_bot = OutboxItem {
        sender: owned_user_id!("@letta:house.test"),
        ..item(room(), "hello")
    };
    process.outbox.enqueue(&by_bot).await.unwrap();
    process.event_of("hello").await.unwrap();
    process.enqueue(room(), "hi").await;
    process.event_of("hi").await.unwrap();
    let named: Vec<_> = homeserver
        .lines()
        .iter()
        .map(|line| line.contains("user_id="))
        .collect();
    assert_eq!(named, [false, true]);
}

#[tokio::test(start_paused = true)]
async fn send_is_retried_until_the_homeserver_answers() {
    for fault in [
        error(500, "M_UNKNOWN"),
        error(401, "M_UNKNOWN_TOKEN"),
        Fault::Answer(
            429,
            json!({ "errcode": "M_LIMIT_EXCEEDED", "error": "x", "retry_after_ms": 60_000 }),
        ),
        Fault::Words(404, "404 page not found"),
        Fault::Words(502, "Bad Gateway"),
        Fault::Unreached,
    ] {
        let homeserver = said_three_times(SEND, vec![fault.clone(); 20]).await;
        assert_eq!(homeserver.timeline(), ALL_THREE, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn message_with_lost_response_is_sent_once() {
    for fault in [Fault::DoneAndUnheard, Fault::DoneAndGarbled] {
        let (folder, homeserver) = (tempfile::tempdir().unwrap(), ScriptedHomeserver::default());
        let process = Process::start(folder.path(), &homeserver);
        homeserver.fails(SEND, [fault.clone()]);
        // The homeserver comes back with no memory of send ids, after the first look fails too.
        homeserver.fails(MESSAGES, [Fault::Words(502, "Bad Gateway")]);
        process.enqueue(room(), "one").await;
        homeserver.until_asked(SEND, 1).await;
        homeserver.forget_send_ids();
        assert!(process.event_of("one").await.is_some());
        process.enqueue(room(), "two").await;
        assert!(process.event_of("two").await.is_some());
        assert_eq!(homeserver.timeline(), ALL_THREE[..2], "{fault:?}");
        assert_eq!(homeserver.asked_for(SEND), 2, "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn too_many_requests_is_a_clear_answer_and_nobody_asks_the_room() {
    let slow_down = Fault::Answer(429, json!({ "errcode": "M_LIMIT_EXCEEDED", "error": "x" }));
    let homeserver = said_three_times(SEND, vec![slow_down; 3]).await;
    assert_eq!(homeserver.asked_for(MESSAGES), 0);
}

#[tokio::test]
async fn sender_outside_the_room_joins_once_and_sends() {
    let homeserver = said_three_times(SEND, vec![error(403, "M_FORBIDDEN")]).await;
    assert_eq!(homeserver.timeline(), ALL_THREE);
    assert_eq!(homeserver.asked_for("/join"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_join_that_does_not_get_through_is_tried_again() {
    let (folder, homeserver) = (tempfile::tempdir().unwrap(), ScriptedHomeserver::default());
    let process = Process::start(folder.path(), &homeserver);
    homeserver.fails("/join", vec![Fault::Unreached; 7]);
    homeserver.fails(SEND, vec![error(403, "M_FORBIDDEN"); 2]);
    process.enqueue(room(), "one").await;
    assert!(process.event_of("one").await.is_some());
    assert_eq!(homeserver.timeline(), ALL_THREE[..1]);
}

#[tokio::test]
async fn permanently_refused_message_is_dropped_and_the_rest_is_sent() {
    for faults in [
        vec![error(413, "M_TOO_LARGE")],
        vec![error(400, "M_BAD_JSON")],
        vec![error(403, "M_FORBIDDEN"), error(403, "M_FORBIDDEN")],
    ] {
        let (folder, homeserver) = (tempfile::tempdir().unwrap(), ScriptedHomeserver::default());
        let process = Process::start(folder.path(), &homeserver);
        homeserver.fails(SEND, faults);
        for words in ["one", "two", "three"] {
            process.enqueue(room(), words).await;
        }
        assert_eq!(process.event_of("one").await, None);
        assert!(process.event_of("three").await.is_some());
        assert_eq!(homeserver.timeline(), ALL_THREE[1..]);
        // The journal knows that it was refused, and does not try it again.
        assert_eq!(
            process.journal.event_of(&send_id("one")).unwrap(),
            Some(None)
        );
        assert!(!process.journal.enqueue(&item(room(), "one")).unwrap());
    }
}

#[tokio::test(start_paused = true)]
async fn message_that_panics_twice_is_sent_at_the_third_try() {
    let homeserver = said_three_times(SEND, vec![Fault::Panic; 2]).await;
    assert_eq!(homeserver.timeline(), ALL_THREE);
}

#[tokio::test(start_paused = true)]
async fn message_that_always_panics_is_set_aside_and_the_rest_is_sent() {
    let homeserver = said_three_times(SEND, vec![Fault::Panic; 3]).await;
    assert_eq!(homeserver.timeline(), ALL_THREE[1..]);
}

#[tokio::test]
async fn sent_message_is_not_sent_again() {
    let (folder, homeserver) = (tempfile::tempdir().unwrap(), ScriptedHomeserver::default());
    let process = Process::start(folder.path(), &homeserver);
    for _ in 0..3 {
        process.enqueue(room(), "one").await;
        process.event_of("one").await.unwrap();
    }
    assert_eq!(homeserver.asked_for(SEND), 1);
}

#[tokio::test(start_paused = true)]
async fn stuck_room_delays_no_other_room() {
    let (folder, homeserver) = (tempfile::tempdir().unwrap(), ScriptedHomeserver::default());
    let process = Process::start(folder.path(), &homeserver);
    homeserver.fails("!stuck:house.test/send", vec![Fault::Unreached; 1_000]);
    homeserver.fails("!stuck:house.test/messages", vec![Fault::Unreached; 1_000]);
    process
        .enqueue(room_id!("!stuck:house.test"), "never")
        .await;
    homeserver.until_asked("!stuck:house.test/send", 1).await;
    process.enqueue(room(), "one").await;
    assert!(process.event_of("one").await.is_some());
    assert_eq!(homeserver.timeline(), ALL_THREE[..1]);
    process.stop().await;
}

#[tokio::test(start_paused = true)]
async fn restarted_outbox_reuses_send_ids() {
    let (folder, homeserver) = (tempfile::tempdir().unwrap(), ScriptedHomeserver::default());
    let process = Process::start(folder.path(), &homeserver);
    homeserver.fails(SEND, vec![Fault::Unreached; 1_000]);
    homeserver.fails(MESSAGES, vec![Fault::Unreached; 1_000]);
    for words in ["one", "two"] {
        process.enqueue(room(), words).await;
    }
    homeserver.until_asked(SEND, 1).await;
    process.stop().await;
    assert!(homeserver.timeline().is_empty());

    let homeserver = ScriptedHomeserver::default();
    let process = restart(&folder, &homeserver);
    process.outbox.resume().unwrap();
    assert!(process.event_of("two").await.is_some());
    assert_eq!(homeserver.timeline(), ALL_THREE[..2]);
    for words in ["one", "two"] {
        assert_eq!(
            homeserver.asked_for(&format!("/send/m.room.message/{}", send_id(words))),
            1
        );
    }
}

#[tokio::test(start_paused = true)]
async fn restarted_outbox_looks_for_its_message_before_sending() {
    let (folder, homeserver) = (tempfile::tempdir().unwrap(), ScriptedHomeserver::default());
    let process = Process::start(folder.path(), &homeserver);
    homeserver.fails(SEND, [Fault::DoneAndUnheard]);
    homeserver.fails(MESSAGES, vec![Fault::Unreached; 1_000]);
    process.enqueue(room(), "one").await;
    homeserver.until_asked(SEND, 1).await;
    process.stop().await;

    // The homeserver was restarted too, and has forgotten send ids.
    homeserver.forget_send_ids();
    homeserver.heal();
    let process = restart(&folder, &homeserver);
    process.outbox.resume().unwrap();
    process.enqueue(room(), "two").await;
    assert!(process.event_of("two").await.is_some());
    assert_eq!(homeserver.timeline(), ALL_THREE[..2]);
    assert_eq!(
        process
            .journal
            .event_of(&send_id("one"))
            .unwrap()
            .flatten()
            .unwrap(),
        "$event0"
    );
}
