//! What waits for what: a room that can take no more holds up itself alone, and loses nothing.

mod agent_messages;
mod notices;

use std::time::Duration;

use letta_client::{
    AgentId, Conversation,
    rest::{RestBackend, RestConfig},
};
use ruma::{EventId, RoomId, owned_user_id, room_id, server_name};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::watch;

use super::{notices::notice, *};
use crate::{
    config::{self, Level, Permissions},
    identity::Identity,
    journal::{AgentRecord, Journal, JournalLimits, NoticeText, Replacement, RoomKind, RoomRecord},
    matrix::scripted_homeserver::ScriptedHomeserver,
    outbox::Outbox,
    time::Millis,
    workers::Tasks,
};

const ANN: &str = "@ann:house.test";
const EVE: &str = "@eve:house.test";

fn full() -> &'static RoomId {
    room_id!("!full:house.test")
}

fn free() -> &'static RoomId {
    room_id!("!free:house.test")
}

/// An inbox at work, with two agents' rooms. Nothing takes from where it puts things: no turn
/// begins and no room job is run, and a message is sent only when its room is woken.
struct Lab {
    journal: Journal,
    outbox: Outbox,
    homeserver: ScriptedHomeserver,
    arrived: Arc<Notify>,
    tasks: Tasks,
    _folder: TempDir,
}

struct NobodyRuns;

impl WakeRoomJobs for NobodyRuns {
    fn wake(&self, _: OwnedRoomId) {}
}

impl Lab {
    fn with(limits: JournalLimits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(folder.path(), limits).unwrap();
        for (agent, room) in [("agent-1", full()), ("agent-2", free())] {
            let record = json!({ "id": agent, "name": agent, "room": room });
            let record: AgentRecord = serde_json::from_value(record).unwrap();
            journal.set_agent(&record).unwrap();
        }
        let homeserver = ScriptedHomeserver::default();
        let tasks = Tasks::default();
        let outbox = Outbox::new(
            journal.clone(),
            homeserver.client(),
            crate::encryption::Encryption::default(),
            identity(),
            tasks.clone(),
        );
        Self {
            journal,
            outbox: outbox.unwrap(),
            homeserver,
            arrived: Arc::default(),
            tasks,
            _folder: folder,
        }
    }

    fn begin(&self) {
        let at_rest = Tasks::default();
        at_rest.stop();
        let ctx = |tasks: Tasks| TurnContext {
            encryption: crate::encryption::Encryption::default(),
            journal: self.journal.clone(),
            outbox: self.outbox.clone(),
            homeserver: self.homeserver.client(),
            backend: Arc::new(RestBackend::new(RestConfig::new("http://127.0.0.1:9")).unwrap()),
            identity: identity(),
            permissions: Permissions::nobody(),
            letta_reconnects: watch::channel(0).1,
            config: config::Turns::default(),
            transcriber: None,
            mode: config::ToolPermissionMode::Standard,
            tasks,
        };
        let mut permissions = Permissions::nobody();
        permissions.grant(owned_user_id!("@ann:house.test"), Level::Talk);
        let rules = Rules {
            identity: identity(),
            permissions,
        };
        let turns = Turns::new(ctx(at_rest)).unwrap();
        let (jobs, arrived) = (Arc::new(NobodyRuns), Arc::clone(&self.arrived));
        let inbox = Inbox::new(ctx(self.tasks.clone()), turns, jobs, rules, arrived);
        self.tasks.spawn(inbox.serve());
    }

    /// Somebody says something; its event is named after its words.
    fn said(&self, room: &RoomId, sender: &str, words: &str) {
        self.sent(room, sender, words, "m.room.message");
    }

    /// The same as an event of any type.
    fn sent(&self, room: &RoomId, sender: &str, words: &str, kind: &str) {
        let content = json!({ "msgtype": "m.text", "body": words });
        self.sent_with(room, (sender, words, kind), &content);
    }

    /// The same in a thread.
    fn said_in_thread(&self, room: &RoomId, root: &str, words: &str) {
        let thread = json!({ "rel_type": "m.thread", "event_id": root });
        let content = json!({ "msgtype": "m.text", "body": words, "m.relates_to": thread });
        self.sent_with(room, (ANN, words, "m.room.message"), &content);
    }

    fn sent_with(&self, room: &RoomId, (sender, words, kind): (&str, &str, &str), content: &Value) {
        let id = EventId::parse(format!("${}", words.replace(' ', "_"))).unwrap();
        let event = json!({
            "event_id": id, "room_id": room, "sender": sender, "type": kind,
            "origin_server_ts": 1, "content": content,
        });
        let event = serde_json::value::to_raw_value(&event).unwrap();
        self.journal.admit(vec![(id, event)], Millis(1)).unwrap();
        self.arrived.notify_one();
    }

    /// What waits for the agent of a room.
    fn queued(&self, room: &RoomId) -> Vec<String> {
        let agent = if room == full() { "agent-1" } else { "agent-2" };
        let conversation = ConversationKey {
            agent: AgentId::parse(agent).unwrap(),
            room: room.to_owned(),
            thread: None,
        };
        let prompts = self.journal.queued_prompts(&conversation).unwrap();
        prompts.into_iter().map(|prompt| prompt.text).collect()
    }

    /// What is admitted and not routed.
    fn unrouted(&self) -> Vec<String> {
        let words = |(_, admitted): (InboxPosition, AdmittedEvent)| {
            let event: Value = serde_json::from_str(admitted.event.get()).unwrap();
            event["content"]["body"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        let waiting = self.journal.waiting_events(usize::MAX).unwrap();
        waiting.into_iter().map(words).collect()
    }

    async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let seen = async {
            while !holds(self) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let seen = tokio::time::timeout(Duration::from_secs(20), seen).await;
        assert!(seen.is_ok(), "not seen: {what}");
    }
}

fn identity() -> Identity {
    let template = "agent_{id}".parse().unwrap();
    Identity::new(
        server_name!("house.test"),
        template,
        "letta",
        "letta_agents",
    )
    .unwrap()
}

#[tokio::test]
async fn full_outbox_delays_only_its_room() {
    // More than are taken at once, so that others come after all of them.
    let questions: Vec<_> = (0..EVENTS_AT_ONCE + 10)
        .map(|number| format!("question {number}"))
        .collect();
    let lab = Lab::with(JournalLimits {
        outbox_items_max: 1,
        queued_prompts_max: 2 * questions.len(),
        ..JournalLimits::default()
    });
    let before = SendId::of(&["before"]);
    let ghost = identity().ghost(&AgentId::parse("agent-1").unwrap());
    let before = notice(
        full(),
        &ghost,
        "$before".try_into().unwrap(),
        &NoticeText::new("one", ""),
        before,
    );
    assert!(lab.journal.enqueue(&before).unwrap(), "the outbox is full");
    // Ann has to be told that nobody can read this, and there is no place for it.
    lab.sent(full(), ANN, "a secret", "m.room.encrypted");
    for question in &questions {
        lab.said(full(), ANN, question);
    }
    lab.said(free(), ANN, "meanwhile");
    lab.begin();
    let meanwhile = |lab: &Lab| lab.queued(free()) == ["meanwhile"];
    lab.until("the other room goes on", meanwhile).await;
    lab.said(free(), ANN, "and on");
    let and_on = |lab: &Lab| lab.queued(free()) == ["meanwhile", "and on"];
    lab.until("it goes on and on", and_on).await;
    assert_eq!(lab.unrouted()[0], "a secret");
    assert_eq!(lab.unrouted()[1..], questions, "nothing is lost");
    assert!(lab.queued(full()).is_empty(), "nothing overtakes");

    lab.outbox.wake(full());
    lab.until("all is routed", |lab| lab.unrouted().is_empty())
        .await;
    assert_eq!(lab.queued(full()), questions);
    lab.until("Ann is told", |lab| lab.homeserver.timeline().len() == 2)
        .await;
    let told = lab.homeserver.timeline().remove(1);
    assert!(told.contains("{ENCRYPTED}"), "{told}");
    lab.tasks.stop();
    lab.tasks.ended().await;
}

#[tokio::test]
async fn message_of_before_its_room_was_known_is_queued_when_it_comes_again() {
    let lab = Lab::with(JournalLimits::default());
    let later = room_id!("!later:house.test");
    lab.said(later, ANN, "too early");
    lab.begin();
    lab.until("it is routed", |lab| lab.unrouted().is_empty())
        .await;
    let record = json!({ "id": "agent-2", "name": "agent-2", "room": later });
    let record: AgentRecord = serde_json::from_value(record).unwrap();
    lab.journal.set_agent(&record).unwrap();
    // Whoever comes into a room looks for what was said there before.
    lab.said(later, ANN, "too early");
    lab.until("it is queued", |lab| lab.queued(later) == ["too early"])
        .await;
    lab.said(later, ANN, "too early");
    lab.said(later, ANN, "and on");
    let once = |lab: &Lab| lab.queued(later) == ["too early", "and on"];
    lab.until("it is queued once", once).await;
    lab.tasks.stop();
    lab.tasks.ended().await;
}

#[tokio::test]
async fn event_of_blocked_user_is_not_stored() {
    let lab = Lab::with(JournalLimits::default());
    for words in ["hello", "!letta help", "!letta approve"] {
        lab.said(full(), EVE, words);
    }
    lab.sent(full(), EVE, "a secret", "m.room.encrypted");
    lab.said(full(), ANN, "and now");
    lab.begin();
    lab.until("all is routed", |lab| lab.unrouted().is_empty())
        .await;
    assert_eq!(lab.queued(full()), ["and now"]);
    assert!(lab.journal.next_room_job(full()).unwrap().is_none());
    assert!(lab.journal.rooms_with_outbox_items().unwrap().is_empty());
    assert!(lab.homeserver.timeline().is_empty());
    lab.tasks.stop();
    lab.tasks.ended().await;
}

#[tokio::test]
async fn full_room_job_queue_delays_only_its_room() {
    let lab = Lab::with(JournalLimits {
        room_jobs_max: 1,
        ..JournalLimits::default()
    });
    for words in ["!letta ping", "!letta status", "and you"] {
        lab.said(full(), ANN, words);
    }
    lab.said(free(), ANN, "meanwhile");
    lab.begin();
    let meanwhile = |lab: &Lab| lab.queued(free()) == ["meanwhile"];
    lab.until("the other room goes on", meanwhile).await;
    assert_eq!(lab.unrouted(), ["!letta status", "and you"]);
    assert!(lab.queued(full()).is_empty(), "nothing overtakes");

    let (first, job) = lab.journal.next_room_job(full()).unwrap().unwrap();
    assert!(job.event.get().contains("!letta ping"));
    lab.journal.finish_room_job(full(), first).unwrap();
    lab.until("all is routed", |lab| lab.unrouted().is_empty())
        .await;
    assert_eq!(lab.queued(full()), ["and you"]);
    let (_, job) = lab.journal.next_room_job(full()).unwrap().unwrap();
    assert!(job.event.get().contains("!letta status"));
    lab.tasks.stop();
    lab.tasks.ended().await;
}

#[tokio::test]
async fn thread_in_a_replaced_room_hears_once_where_its_agent_is() {
    let lab = Lab::with(JournalLimits::default());
    let (old, new) = (full(), room_id!("!new:house.test"));
    let agent = AgentId::parse("agent-1").unwrap();
    let place = |room: &RoomId, thread: Option<&str>| ConversationKey {
        agent: agent.clone(),
        room: room.to_owned(),
        thread: thread.map(|root| root.try_into().unwrap()),
    };
    let own = |id: &str| Conversation::Own(id.parse().unwrap());
    let thread = place(old, Some("$root"));
    for (place, id) in [(place(old, None), "conv-1"), (thread.clone(), "conv-2")] {
        lab.journal.set_conversation(&place, &own(id)).unwrap();
    }
    let left = RoomRecord {
        bot: true,
        replaced: Some(Replacement {
            by: new.to_owned(),
            since: Millis(1),
            is_done: true,
        }),
        ..RoomRecord::new(RoomKind::Other)
    };
    let followed = RoomRecord::new(RoomKind::Home {
        agent: agent.clone(),
    });
    let agents = [agent.clone()];
    lab.journal
        .move_room(&agents, (old, &left), (new, &followed))
        .unwrap();
    for words in ["in the thread", "in it again"] {
        lab.said_in_thread(old, "$root", words);
    }
    // Nobody of us was in this one, and the main timeline goes on in the new room.
    lab.said_in_thread(old, "$of_people", "among people");
    lab.said(old, ANN, "in the old room");
    lab.said(new, ANN, "in the new room");
    lab.begin();
    lab.until("all is routed", |lab| lab.unrouted().is_empty())
        .await;
    lab.until("the thread is told", |lab| {
        lab.homeserver.timeline().len() == 1
    })
    .await;
    let told = lab.homeserver.timeline().remove(0);
    assert!(
        told.contains(new.as_str()) && told.contains("{ROOM_CLOSED}"),
        "{told}"
    );
    let prompts = |place: &ConversationKey| lab.journal.queued_prompts(place).unwrap().len();
    assert_eq!(prompts(&thread), 0, "the agent is not asked there");
    assert_eq!(prompts(&place(new, None)), 1);
    let conversation = |place: &ConversationKey| lab.journal.conversation(place).unwrap();
    assert_eq!(conversation(&place(new, None)), Some(own("conv-1")));
    assert_eq!(conversation(&thread), Some(own("conv-2")), "it is kept");
    lab.tasks.stop();
    lab.tasks.ended().await;
}
