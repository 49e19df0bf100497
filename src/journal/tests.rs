//! The journal's promises, one by one.
//!
//! Here is a journal that can be restarted and crashed; the promises are by theme.

mod approvals;
mod disk;
mod encryption;
mod inbox;
mod keys;
mod limits;
mod old_turns;
mod outbox;
mod records;
mod turns;

use letta_client::AgentId;
use ruma::{
    EventId, OwnedEventId, OwnedRoomId, RoomId, owned_event_id, owned_room_id, owned_user_id,
    room_id, user_id,
};
use serde_json::{json, value::RawValue};
use tempfile::TempDir;

use super::*;
use crate::time::Millis;

/// A journal in a folder of its own.
struct TestJournal {
    journal: Journal,
    folder: TempDir,
}

impl std::ops::Deref for TestJournal {
    type Target = Journal;

    fn deref(&self) -> &Journal {
        &self.journal
    }
}

impl TestJournal {
    fn open() -> Self {
        Self::with(JournalLimits::default())
    }

    fn with(limits: JournalLimits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(folder.path(), limits).unwrap();
        Self { journal, folder }
    }

    /// Flushes, and goes on in another process with what is on disk.
    async fn restart(self) -> Self {
        self.durable().await.unwrap();
        self.crash()
    }

    /// Goes on in another process with what happens to be on disk.
    fn crash(self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for entry in std::fs::read_dir(self.folder.path()).unwrap() {
            let entry = entry.unwrap();
            if entry.file_type().unwrap().is_file() {
                std::fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
            }
        }
        let journal = Journal::open(folder.path(), *self.limits()).unwrap();
        Self { journal, folder }
    }

    /// Admits one event now.
    fn take(&self, id: &str) -> usize {
        self.take_at(id, Millis(1_000))
    }

    fn take_at(&self, id: &str, now: Millis) -> usize {
        self.admit(vec![event(id)], now).unwrap()
    }

    fn waiting(&self) -> Vec<String> {
        let waiting = self.waiting_events(usize::MAX).unwrap();
        waiting.iter().map(|(_, it)| id_of(&it.event)).collect()
    }

    /// Admits a message and queues it as a prompt.
    fn ask(&self, key: &ConversationKey, prompt: &QueuedPrompt) {
        self.take(prompt.event_id.as_str());
        let (admission, _) = self.waiting_events(1).unwrap().remove(0);
        self.move_to_prompt_queue(admission, key, prompt).unwrap();
    }

    fn queued(&self, key: &ConversationKey) -> Vec<String> {
        let prompts = self.queued_prompts(key).unwrap();
        prompts.into_iter().map(|prompt| prompt.text).collect()
    }

    /// The messages that wait for a room, as the outbox would say them.
    fn send_all(&self, room: &RoomId) -> Vec<String> {
        let mut said = Vec::new();
        while let Some((number, item)) = self.next_outbox_item(room).unwrap() {
            let event = Some(owned_event_id!("$said"));
            self.mark_sent(number, &item, event, Millis(1_000)).unwrap();
            said.push(item.send_id.to_string());
        }
        said
    }
}

fn event(id: &str) -> (OwnedEventId, Box<RawValue>) {
    let raw = serde_json::value::to_raw_value(&json!({ "event_id": id })).unwrap();
    (EventId::parse(id).unwrap(), raw)
}

fn id_of(event: &RawValue) -> String {
    let event: serde_json::Value = serde_json::from_str(event.get()).unwrap();
    event["event_id"].as_str().unwrap().to_owned()
}

fn agent(id: &str) -> AgentId {
    AgentId::parse(id).unwrap()
}

fn home() -> ConversationKey {
    ConversationKey {
        agent: agent("agent-1"),
        room: owned_room_id!("!room:house.test"),
        thread: None,
    }
}

fn prompt(number: usize) -> QueuedPrompt {
    QueuedPrompt {
        event_id: EventId::parse(format!("$ask{number}")).unwrap(),
        sender: owned_user_id!("@alice:house.test"),
        text: format!("question {number}"),
        admitted_at: Millis(1_000),
        retries: 0,
        attachment: None,
        reply_to: None,
    }
}

fn item(room: &RoomId, send_id: SendId) -> OutboxItem {
    OutboxItem {
        room: room.to_owned(),
        sender: owned_user_id!("@agent_1:house.test"),
        event_type: "m.room.message".to_owned(),
        send_id,
        content: serde_json::value::to_raw_value(&json!({ "body": "hello" })).unwrap(),
    }
}

/// A room of version 12, whose id has no server, and one whose id is as long as ids may be.
fn odd_rooms() -> (OwnedRoomId, OwnedRoomId) {
    let odd = owned_room_id!("!31hneApxJ_1o-63DmFrpeqnkFfWppnzWso1JvH3ogLM");
    let long = RoomId::parse(format!("!{}:house.test", "é".repeat(121))).unwrap();
    assert_eq!(long.as_str().len(), 254);
    (odd, long)
}

fn agent_record(id: &str, room: Option<OwnedRoomId>) -> AgentRecord {
    // As the first version wrote it: what came later has a default.
    let record = json!({ "id": id, "name": "Nora" });
    let record: AgentRecord = serde_json::from_value(record).unwrap();
    AgentRecord { room, ..record }
}
