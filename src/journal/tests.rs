//! The journal's promises, one by one.

mod asks;
mod keys;
mod limits;
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
struct Desk {
    journal: Journal,
    folder: TempDir,
}

impl std::ops::Deref for Desk {
    type Target = Journal;

    fn deref(&self) -> &Journal {
        &self.journal
    }
}

impl Desk {
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
        self.queue_prompt(admission, key, prompt).unwrap();
    }

    fn queued(&self, key: &ConversationKey) -> Vec<String> {
        let prompts = self.queued_prompts(key).unwrap();
        prompts.into_iter().map(|prompt| prompt.text).collect()
    }

    /// The messages that wait for a room, as the outbox would say them.
    fn say_all(&self, room: &RoomId) -> Vec<String> {
        let mut said = Vec::new();
        while let Some((number, item)) = self.next_to_say(room).unwrap() {
            let event = Some(owned_event_id!("$said"));
            self.said(number, &item, event, Millis(1_000)).unwrap();
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

#[tokio::test]
async fn an_event_is_admitted_once_also_after_a_restart() {
    let desk = Desk::open();
    assert_eq!(
        (desk.take("$a"), desk.take("$b"), desk.take("$a")),
        (1, 1, 0)
    );
    let both = desk
        .admit(vec![event("$c"), event("$c"), event("$b")], Millis(1))
        .unwrap();
    assert_eq!(both, 1);
    let desk = desk.restart().await;
    assert_eq!((desk.take("$a"), desk.take("$d")), (0, 1));
    assert_eq!(desk.waiting(), ["$a", "$b", "$c", "$d"]);
}

#[tokio::test]
async fn an_event_that_was_dropped_stays_known() {
    let desk = Desk::open();
    desk.take("$a");
    let (admission, _) = desk.waiting_events(1).unwrap().remove(0);
    desk.drop_event(admission).unwrap();
    let desk = desk.restart().await;
    assert_eq!(desk.take("$a"), 0);
    assert!(desk.waiting().is_empty());
}

#[tokio::test]
async fn order_is_kept_over_a_restart_and_beyond_ten() {
    let desk = Desk::open();
    let ids: Vec<_> = (0..300).map(|number| format!("$e{number}")).collect();
    for id in &ids[..150] {
        desk.take(id);
    }
    let desk = desk.restart().await;
    for id in &ids[150..] {
        desk.take(id);
    }
    assert_eq!(desk.waiting(), ids);
    let first = desk.waiting_events(3).unwrap();
    assert_eq!(first.len(), 3);
    assert!(first.is_sorted_by_key(|(admission, _)| *admission));
}

#[tokio::test]
async fn an_event_keeps_its_time_and_its_bytes() {
    let desk = Desk::open();
    let raw = r#"{ "event_id" : "$a", "content": {"n": 1e2, "é": "\u00e9"} }"#;
    let raw = RawValue::from_string(raw.to_owned()).unwrap();
    desk.admit(vec![(owned_event_id!("$a"), raw.clone())], Millis(77))
        .unwrap();
    let desk = desk.restart().await;
    let (_, admitted) = desk.waiting_events(1).unwrap().remove(0);
    assert_eq!(
        (admitted.event.get(), admitted.admitted_at),
        (raw.get(), Millis(77))
    );
}

#[tokio::test]
async fn an_event_leaves_the_inbox_once() {
    let desk = Desk::open();
    desk.take("$ask0");
    let (admission, _) = desk.waiting_events(1).unwrap().remove(0);
    desk.queue_prompt(admission, &home(), &prompt(0)).unwrap();
    desk.begin_turn(&home(), Millis(1)).unwrap().unwrap();
    // Whoever comes too late neither asks it again nor miscounts.
    desk.queue_prompt(admission, &home(), &prompt(0)).unwrap();
    desk.drop_event(admission).unwrap();
    assert!(desk.queued(&home()).is_empty());
    assert_eq!(desk.take("$b"), 1);
}

#[tokio::test]
async fn errands_of_a_room_wait_in_order() {
    let desk = Desk::open();
    let (odd, long) = odd_rooms();
    for (number, room) in [&odd, &long, &odd].into_iter().enumerate() {
        let id = format!("$errand{number}");
        desk.take(&id);
        let (admission, admitted) = desk.waiting_events(1).unwrap().remove(0);
        let errand = Errand {
            event: admitted.event,
            admitted_at: admitted.admitted_at,
        };
        desk.queue_errand(admission, room, &errand).unwrap();
    }
    let desk = desk.restart().await;
    assert!(desk.waiting().is_empty());
    let mut rooms = desk.rooms_with_errands().unwrap();
    rooms.sort();
    let mut expected = vec![odd.clone(), long.clone()];
    expected.sort();
    assert_eq!(rooms, expected);

    let (first, errand) = desk.next_errand(&odd).unwrap().unwrap();
    assert_eq!(id_of(&errand.event), "$errand0");
    desk.finish_errand(&odd, first).unwrap();
    let (second, errand) = desk.next_errand(&odd).unwrap().unwrap();
    assert_eq!(id_of(&errand.event), "$errand2");
    desk.finish_errand(&odd, second).unwrap();
    assert!(desk.next_errand(&odd).unwrap().is_none());
    assert_eq!(desk.rooms_with_errands().unwrap(), [long]);
}

/// A room of version 12, whose id has no server, and one whose id is as long as ids may be.
fn odd_rooms() -> (OwnedRoomId, OwnedRoomId) {
    let odd = owned_room_id!("!31hneApxJ_1o-63DmFrpeqnkFfWppnzWso1JvH3ogLM");
    let long = RoomId::parse(format!("!{}:house.test", "é".repeat(121))).unwrap();
    assert_eq!(long.as_str().len(), 254);
    (odd, long)
}

#[tokio::test]
async fn a_message_is_said_once() {
    let desk = Desk::open();
    let room = room_id!("!room:house.test");
    let [one, two] = ["one", "two"].map(|word| SendId::of(&[word]));
    assert!(desk.say(&item(room, one.clone())).unwrap());
    assert!(
        !desk.say(&item(room, one.clone())).unwrap(),
        "it waits already"
    );
    assert!(desk.say(&item(room, two.clone())).unwrap());
    assert!(desk.is_waiting(room, &one).unwrap());
    assert_eq!(desk.event_of(&one).unwrap(), None);

    let desk = desk.restart().await;
    assert!(
        !desk.say(&item(room, one.clone())).unwrap(),
        "it waits over a restart"
    );
    assert_eq!(desk.say_all(room), [one.to_string(), two.to_string()]);
    assert!(!desk.is_waiting(room, &one).unwrap());

    let desk = desk.restart().await;
    assert!(!desk.say(&item(room, one.clone())).unwrap(), "it was said");
    assert_eq!(
        desk.event_of(&one).unwrap(),
        Some(Some(owned_event_id!("$said")))
    );
    assert!(desk.rooms_to_tell().unwrap().is_empty());
}

#[tokio::test]
async fn a_refused_message_is_known_as_refused() {
    let desk = Desk::open();
    let room = room_id!("!room:house.test");
    let one = SendId::of(&["one"]);
    desk.say(&item(room, one.clone())).unwrap();
    let (number, waiting) = desk.next_to_say(room).unwrap().unwrap();
    desk.said(number, &waiting, None, Millis(1)).unwrap();
    let desk = desk.restart().await;
    assert_eq!(desk.event_of(&one).unwrap(), Some(None));
    assert!(!desk.say(&item(room, one)).unwrap());
}

#[tokio::test]
async fn rooms_to_tell_are_each_named_once() {
    let desk = Desk::open();
    let (odd, long) = odd_rooms();
    for (number, room) in [&odd, &long, &odd, &long].into_iter().enumerate() {
        let send_id = SendId::of(&[&number.to_string()]);
        desk.say(&item(room, send_id)).unwrap();
    }
    let mut rooms = desk.rooms_to_tell().unwrap();
    rooms.sort();
    let mut expected = vec![odd, long];
    expected.sort();
    assert_eq!(rooms, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_who_say_the_same_at_once_say_it_once() {
    let desk = Arc::new(Desk::open());
    let room = room_id!("!room:house.test");
    for round in 0..100 {
        let speakers: Vec<_> = (0..4)
            .map(|_| {
                let desk = Arc::clone(&desk);
                std::thread::spawn(move || {
                    let said = desk.say(&item(room, SendId::of(&[&round.to_string()])));
                    usize::from(said.unwrap())
                })
            })
            .collect();
        let said: usize = speakers.into_iter().map(|it| it.join().unwrap()).sum();
        assert_eq!(said, 1);
    }
    assert_eq!(desk.say_all(room).len(), 100);
}

#[tokio::test]
async fn agents_rooms_and_the_space_are_remembered() {
    let desk = Desk::open();
    let room = owned_room_id!("!home:house.test");
    let record = agent_record("agent-1", Some(room.clone()));
    desk.set_agent(&record).unwrap();
    let guests = [(agent("agent-2"), true)].into();
    let known = desk.room(&room).unwrap().unwrap();
    desk.set_room(
        &room,
        &RoomRecord {
            guests,
            ..known.clone()
        },
    )
    .unwrap();
    // What else is known of the room stays when the agent is written again.
    desk.set_agent(&record).unwrap();
    let space = SpaceRecord {
        room: owned_room_id!("!space:house.test"),
        invited: [owned_user_id!("@alice:house.test")].into(),
    };
    desk.set_space(&space).unwrap();

    let desk = desk.restart().await;
    assert_eq!(desk.agent(&record.id).unwrap().as_ref(), Some(&record));
    assert_eq!(desk.agents().unwrap(), [(record.id.clone(), record)].into());
    assert_eq!(
        known.kind,
        RoomKind::Home {
            agent: agent("agent-1")
        }
    );
    assert_eq!(desk.room(&room).unwrap().unwrap().guests.len(), 1);
    assert_eq!(desk.space().unwrap(), Some(space));
    assert_eq!(desk.room(room_id!("!other:house.test")).unwrap(), None);
}

#[tokio::test]
async fn management_rooms_are_found_by_their_person() {
    let desk = Desk::open();
    let (odd, long) = odd_rooms();
    desk.set_agent(&agent_record(
        "agent-1",
        Some(owned_room_id!("!home:house.test")),
    ))
    .unwrap();
    for (room, user) in [(&odd, "@alice:house.test"), (&long, "@bob:house.test")] {
        let record = RoomRecord {
            kind: RoomKind::Management {
                user: user.try_into().unwrap(),
            },
            guests: std::collections::BTreeMap::new(),
            bot: true,
        };
        desk.set_room(room, &record).unwrap();
    }
    let rooms = desk.management_rooms().unwrap();
    assert_eq!(rooms.len(), 2);
    assert_eq!(rooms[user_id!("@alice:house.test")], odd);
    assert_eq!(rooms[user_id!("@bob:house.test")], long);
}

fn agent_record(id: &str, room: Option<OwnedRoomId>) -> AgentRecord {
    // As the first version wrote it: what came later has a default.
    let record = json!({ "id": id, "name": "Nora" });
    let record: AgentRecord = serde_json::from_value(record).unwrap();
    AgentRecord { room, ..record }
}

#[tokio::test]
async fn numbers_grow_over_a_crash() {
    let desk = Desk::open();
    let before = desk.next_number().unwrap();
    let desk = desk.crash();
    assert!(desk.next_number().unwrap() > before);
}

#[tokio::test]
async fn a_second_bridge_on_the_folder_is_refused() {
    let desk = Desk::open();
    let second = Journal::open(desk.folder.path(), JournalLimits::default());
    let failure = second.err().unwrap().to_string();
    let failure = failure.replace(&desk.folder.path().display().to_string(), "FOLDER");
    insta::assert_snapshot!(failure, @"cannot open the journal at FOLDER; is another bridge running on it?");
}

#[tokio::test]
async fn a_journal_of_another_format_is_refused() {
    let desk = Desk::open();
    desk.db().insert(key::FORMAT, &[9]).unwrap();
    desk.durable().await.unwrap();
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(desk.folder.path()).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
        }
    }
    let failure = Journal::open(copy.path(), JournalLimits::default())
        .err()
        .unwrap();
    insta::assert_snapshot!(failure, @"the journal has format 9, this program knows format 1");
}

#[tokio::test]
async fn a_record_that_cannot_be_read_names_itself() {
    let desk = Desk::open();
    let id = agent("agent-1");
    desk.set_agent(&agent_record("agent-1", None)).unwrap();
    let key = key::Key::new(key::AGENT).text(id.as_str()).bytes();
    for (value, words) in [
        (&b"\x01{"[..], "the journal's agent record cannot be read"),
        (b"\x01[]", "the journal's agent record cannot be read"),
        (b"", "the journal's agent record cannot be read"),
        (
            b"\x07{}",
            "the journal has format 7, this program knows format 1",
        ),
    ] {
        desk.db().insert(&key, value).unwrap();
        assert_eq!(desk.agent(&id).unwrap_err().to_string(), words);
        assert_eq!(desk.agents().unwrap_err().to_string(), words);
    }
}

#[tokio::test]
async fn those_who_wait_together_share_a_flush() {
    let desk = Desk::open();
    desk.take("$a");
    let mut waiters = tokio::task::JoinSet::new();
    for _ in 0..1_000 {
        let journal = desk.journal.clone();
        waiters.spawn(async move { journal.durable().await });
    }
    for done in waiters.join_all().await {
        done.unwrap();
    }
    assert!(desk.flushes() <= 3, "{}", desk.flushes());
}
