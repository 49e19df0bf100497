//! What is on disk: who may open it, what can be read of it, and how often it is made sure.

use super::*;

#[tokio::test]
async fn numbers_grow_over_a_crash() {
    let fixture = TestJournal::open();
    let before = fixture.next_number().unwrap();
    let fixture = fixture.crash();
    assert!(fixture.next_number().unwrap() > before);
}

#[tokio::test]
async fn a_second_bridge_on_the_folder_is_refused() {
    let fixture = TestJournal::open();
    let second = Journal::open(fixture.folder.path(), JournalLimits::default());
    let failure = second.err().unwrap().to_string();
    let failure = failure.replace(&fixture.folder.path().display().to_string(), "FOLDER");
    insta::assert_snapshot!(failure, @"cannot open the journal at FOLDER; is another bridge running on it?");
}

#[tokio::test]
async fn a_folder_that_is_let_go_soon_is_waited_for() {
    let fixture = TestJournal::open();
    let folder = fixture.folder.path().to_owned();
    let opened = tokio::task::spawn_blocking(move || open_database(&folder).is_ok());
    tokio::time::sleep(LOCK_PAUSE * 3).await;
    let TestJournal { journal, folder } = fixture;
    drop(journal);
    assert!(opened.await.unwrap());
    drop(folder);
}

#[tokio::test]
async fn a_journal_of_another_format_is_refused() {
    let fixture = TestJournal::open();
    fixture.db().insert(key::FORMAT, &[9]).unwrap();
    fixture.durable().await.unwrap();
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(fixture.folder.path()).unwrap() {
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
    let fixture = TestJournal::open();
    let id = agent("agent-1");
    fixture.set_agent(&agent_record("agent-1", None)).unwrap();
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
        fixture.db().insert(&key, value).unwrap();
        assert_eq!(fixture.agent(&id).unwrap_err().to_string(), words);
        assert_eq!(fixture.agents().unwrap_err().to_string(), words);
    }
}

#[tokio::test]
async fn those_who_wait_together_share_a_flush() {
    let fixture = TestJournal::open();
    fixture.take("$a");
    let mut waiters = tokio::task::JoinSet::new();
    for _ in 0..1_000 {
        let journal = fixture.journal.clone();
        waiters.spawn(async move { journal.durable().await });
    }
    for done in waiters.join_all().await {
        done.unwrap();
    }
    assert!(fixture.flushes() <= 3, "{}", fixture.flushes());
}
