//! The journal under `kill -9`: what it has acknowledged is there afterwards, and there once.
//!
//! A child process does the bridge's work on a journal and prints what is durable. It is killed at
//! random instants, again and again on the same folder; after each kill the journal is opened and
//! counted.

use std::env;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use letta_client::AgentId;
use matrix_appservice_letta::journal::{
    ConversationKey, Journal, JournalLimits, OutboxItem, QueuedPrompt, SendId,
};
use matrix_appservice_letta::time::Millis;
use rand::Rng as _;
use ruma::{EventId, OwnedEventId, owned_room_id, owned_user_id};
use serde_json::json;
use serde_json::value::to_raw_value;

/// Set, this test binary is the child, and works on this folder.
const FOLDER: &str = "JOURNAL_CRASH_FOLDER";
/// The number of the first event that the child admits.
const FIRST: &str = "JOURNAL_CRASH_FIRST";
const KILLS: usize = 50;
/// After at most so many acknowledgements the child is killed.
const ACKNOWLEDGEMENTS_MAX: usize = 120;

fn open(folder: &Path) -> Journal {
    Journal::open(folder, JournalLimits::default()).unwrap()
}

fn conversation() -> ConversationKey {
    ConversationKey {
        agent: AgentId::parse("agent-1").unwrap(),
        room: owned_room_id!("!room:house.test"),
        thread: None,
    }
}

fn event_id(number: u64) -> OwnedEventId {
    EventId::parse(format!("$event{number}")).unwrap()
}

fn send_id(number: u64) -> SendId {
    SendId::of(&["answer", &number.to_string()])
}

fn number_of(event_id: &EventId) -> u64 {
    event_id.as_str()["$event".len()..].parse().unwrap()
}

fn prompt(number: u64) -> QueuedPrompt {
    QueuedPrompt {
        event_id: event_id(number),
        sender: owned_user_id!("@alice:house.test"),
        text: format!("question {number}"),
        admitted_at: Millis(1),
        retries: 0,
        attachment: None,
        reply_to: None,
    }
}

fn answer(number: u64) -> OutboxItem {
    OutboxItem {
        room: conversation().room,
        sender: owned_user_id!("@agent_1:house.test"),
        event_type: "m.room.message".to_owned(),
        send_id: send_id(number),
        content: to_raw_value(&json!({ "body": number })).unwrap(),
    }
}

/// Not a test by itself: the child of the one below.
#[tokio::test]
async fn a_child_works_until_it_is_killed() {
    let Some(folder) = env::var_os(FOLDER) else {
        return;
    };
    let first: u64 = env::var(FIRST).unwrap().parse().unwrap();
    let journal = open(Path::new(&folder));
    for number in first.. {
        let event = to_raw_value(&json!({ "event_id": event_id(number) })).unwrap();
        let new = journal
            .admit(vec![(event_id(number), event)], Millis(1))
            .unwrap();
        assert_eq!(new, 1);
        acknowledge(&journal, "admitted", number).await;
        // What is admitted goes on in clumps, so that a kill finds something in every place.
        if number % 3 == 0 {
            work(&journal).await;
        }
    }
}

/// Moves everything that waits one step on, as the bridge does.
async fn work(journal: &Journal) {
    let key = conversation();
    for (admission, admitted) in journal.waiting_events(usize::MAX).unwrap() {
        let event: serde_json::Value = serde_json::from_str(admitted.event.get()).unwrap();
        let id = EventId::parse(event["event_id"].as_str().unwrap()).unwrap();
        let number = number_of(&id);
        journal
            .move_to_prompt_queue(admission, &key, &prompt(number))
            .unwrap();
        acknowledge(journal, "queued", number).await;
    }
    if let Some(turn) = journal.open_turn(&key).unwrap() {
        let answers: Vec<_> = turn
            .prompts
            .iter()
            .map(|it| answer(number_of(&it.event_id)))
            .collect();
        journal.end_turn(&turn, &answers).unwrap();
        acknowledge(journal, "ended", number_of(&turn.prompts[0].event_id)).await;
    }
    journal.begin_turn(&key, Millis(1)).unwrap();
    while let Some((number, item)) = journal.next_outbox_item(&key.room).unwrap() {
        let event = EventId::parse(format!("$said-{}", item.send_id)).unwrap();
        journal
            .mark_sent(number, &item, Some(event), Millis(1))
            .unwrap();
        let number = serde_json::from_str::<serde_json::Value>(item.content.get()).unwrap();
        acknowledge(journal, "said", number["body"].as_u64().unwrap()).await;
    }
}

async fn acknowledge(journal: &Journal, what: &str, number: u64) {
    journal.durable().await.unwrap();
    // Past the capture of the test harness.
    let mut out = std::io::stdout().lock();
    writeln!(out, "{what} {number}").unwrap();
    out.flush().unwrap();
}

/// What the child has acknowledged: of each kind, the numbers.
#[derive(Default)]
struct Acknowledged {
    admitted: Vec<u64>,
    queued: Vec<u64>,
    said: Vec<u64>,
}

impl Acknowledged {
    /// Runs the child until it has acknowledged this much, and kills it wherever it is then.
    fn run_and_kill(&mut self, folder: &Path, first: u64, much: usize) {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "journal_crash::a_child_works_until_it_is_killed"])
            .args(["--nocapture", "--test-threads=1"])
            .env(FOLDER, folder)
            .env(FIRST, first.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        // A child that is killed before its first acknowledgement would leave it open where the next
        // one has to begin.
        let noted = lines.by_ref().map(Result::unwrap);
        let noted = noted.filter(|line| self.note(line)).take(much).count();
        assert_eq!(noted, much, "the child ended by itself");
        child.kill().unwrap();
        child.wait().unwrap();
        // What it had still said before it died counts as well; a torn last line says nothing.
        for line in lines.map_while(Result::ok) {
            self.note(&line);
        }
    }

    /// Whether the line acknowledges something.
    fn note(&mut self, line: &str) -> bool {
        // The harness leaves its first line open, and the first acknowledgement follows on it.
        let line = line.rsplit("... ").next().unwrap();
        let mut words = line.split(' ');
        let (what, number) = (words.next(), words.next().and_then(|it| it.parse().ok()));
        match (what, number) {
            (Some("admitted"), Some(number)) => self.admitted.push(number),
            (Some("queued"), Some(number)) => self.queued.push(number),
            (Some("said"), Some(number)) => self.said.push(number),
            (what, _) => return what == Some("ended"),
        }
        true
    }

    /// Looks for everything that was acknowledged. Answers how many events there are in all.
    fn check(&self, journal: &Journal, last: u64) -> u64 {
        let key = conversation();
        let waiting: Vec<u64> = journal
            .waiting_events(usize::MAX)
            .unwrap()
            .iter()
            .map(|(_, it)| serde_json::from_str::<serde_json::Value>(it.event.get()).unwrap())
            .map(|event| number_of(event["event_id"].as_str().unwrap().try_into().unwrap()))
            .collect();
        assert!(waiting.is_sorted(), "{waiting:?}");
        let mut prompts = journal.queued_prompts(&key).unwrap();
        prompts.extend(
            journal
                .open_turn(&key)
                .unwrap()
                .into_iter()
                .flat_map(|turn| turn.prompts),
        );
        let prompts: Vec<u64> = prompts.iter().map(|it| number_of(&it.event_id)).collect();
        let mut found = 0;
        for number in 0..=last {
            let said = journal.event_of(&send_id(number)).unwrap().is_some();
            let places = waiting.iter().filter(|it| **it == number).count()
                + prompts.iter().filter(|it| **it == number).count()
                + usize::from(journal.is_waiting(&key.room, &send_id(number)).unwrap())
                + usize::from(said);
            assert!(places <= 1, "event {number} is in {places} places");
            assert!(
                places == 1 || !self.admitted.contains(&number),
                "event {number} is lost"
            );
            assert!(
                said || !self.said.contains(&number),
                "event {number} was said"
            );
            let back = waiting.contains(&number) && self.queued.contains(&number);
            assert!(!back, "event {number} has gone back to the inbox");
            found += u64::try_from(places).unwrap();
        }
        found
    }
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_is_doubled_in_fifty_kills() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = Acknowledged::default();
    let mut next = 0;
    for _ in 0..KILLS {
        let much = rand::rng().random_range(1..ACKNOWLEDGEMENTS_MAX);
        acknowledged.run_and_kill(folder.path(), next, much);
        // One more than was acknowledged may have been admitted.
        let last = acknowledged.admitted.last().map_or(next, |last| last + 1);
        with_journal(folder.path(), async |journal| {
            acknowledged.check(&journal, last);
            // An event that the homeserver sends again is not admitted again.
            for number in acknowledged.admitted.iter().rev().take(100) {
                let event = (event_id(*number), to_raw_value(&json!({})).unwrap());
                let new = journal.admit(vec![event], Millis(1)).unwrap();
                assert_eq!(new, 0, "event {number}");
            }
        });
        next = last + 1;
    }
    let said = with_journal(folder.path(), async |journal| {
        // Each round moves everything one step on; the last one finds nothing to do.
        for _ in 0..3 {
            work(&journal).await;
        }
        acknowledged.check(&journal, next)
    });
    let admitted = acknowledged.admitted.len();
    println!("{KILLS} kills, {admitted} events acknowledged, {said} found in the end");
    assert!(admitted > KILLS, "{admitted}");
}

/// Opens the journal in a runtime of its own, whose end gives the folder free.
fn with_journal<T>(folder: &Path, work: impl AsyncFnOnce(Journal) -> T) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async { work(open(folder)).await })
}
