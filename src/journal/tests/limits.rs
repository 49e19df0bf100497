//! Nothing grows without bound, and nothing that is needed is forgotten.

use std::time::Duration;

use super::*;

const DAY: u64 = 24 * 60 * 60 * 1_000;

fn small() -> JournalLimits {
    JournalLimits {
        keep_events: Duration::from_millis(DAY),
        event_ids_max: 5,
        inbox_events_max: 3,
        queued_prompts_max: 2,
        room_jobs_max: 2,
        outbox_items_max: 2,
        sent_max: 1_000,
        failed_max: 3,
    }
}

fn prune(fixture: &TestJournal, now: u64) -> usize {
    let mut removed = 0;
    loop {
        match fixture.prune(Millis(now)).unwrap() {
            0 => return removed,
            some => removed += some,
        }
    }
}

#[tokio::test]
async fn a_full_inbox_admits_nothing_new() {
    let fixture = TestJournal::with(small());
    fixture
        .admit(vec![event("$a"), event("$b")], Millis(1))
        .unwrap();
    let failure = fixture
        .admit(vec![event("$c"), event("$d")], Millis(1))
        .unwrap_err();
    insta::assert_snapshot!(failure, @"the journal's limit of 3 for events waiting to be routed is reached");
    // All or nothing; and what is known needs no place.
    assert_eq!(fixture.waiting(), ["$a", "$b"]);
    assert_eq!((fixture.take("$c"), fixture.take("$a")), (1, 0));
    // The count survives a restart.
    let fixture = fixture.restart().await;
    fixture.admit(vec![event("$d")], Millis(1)).unwrap_err();
    let (admission, _) = fixture.waiting_events(1).unwrap().remove(0);
    fixture.drop_event(admission).unwrap();
    assert_eq!(fixture.take("$d"), 1);
}

#[tokio::test]
async fn who_fills_a_queue_keeps_nobody_else_out() {
    let limit = 20;
    let fixture = TestJournal::with(JournalLimits {
        queued_prompts_max: limit,
        ..JournalLimits::default()
    });
    let (loud, quiet) = (prompt(0).sender, ruma::user_id!("@quiet:example.org"));
    let mut number = 0;
    while fixture.has_place_for(&home(), &loud).unwrap() {
        fixture.ask(&home(), &prompt(number));
        number += 1;
    }
    assert_eq!(number, limit - limit / 10);
    for _ in 0..limit / 10 {
        assert!(fixture.has_place_for(&home(), quiet).unwrap());
        let of_quiet = QueuedPrompt {
            sender: quiet.to_owned(),
            ..prompt(number)
        };
        fixture.ask(&home(), &of_quiet);
        number += 1;
    }
    for sender in [quiet, &loud] {
        assert!(!fixture.has_place_for(&home(), sender).unwrap(), "{sender}");
    }
    assert_eq!(fixture.queued_prompts(&home()).unwrap().len(), limit);
}

#[tokio::test]
async fn a_conversation_holds_so_many_prompts() {
    let fixture = TestJournal::with(small());
    fixture.ask(&home(), &prompt(0));
    fixture.ask(&home(), &prompt(1));
    fixture.take("$ask2");
    let (admission, _) = fixture.waiting_events(1).unwrap().remove(0);
    let failure = fixture
        .move_to_prompt_queue(admission, &home(), &prompt(2))
        .unwrap_err();
    insta::assert_snapshot!(failure, @"the journal's limit of 2 for waiting prompts of a conversation is reached");
    assert_eq!(fixture.waiting(), ["$ask2"], "it stays where it was");
    let elsewhere = ConversationKey {
        agent: agent("agent-2"),
        ..home()
    };
    fixture
        .move_to_prompt_queue(admission, &elsewhere, &prompt(2))
        .unwrap();
}

#[tokio::test]
async fn a_room_holds_so_many_messages() {
    let fixture = TestJournal::with(small());
    let room = home().room;
    let enqueue = |word: &str| fixture.enqueue(&item(&room, SendId::of(&[word])));
    enqueue("one").unwrap();
    enqueue("two").unwrap();
    let failure = enqueue("three").unwrap_err();
    insta::assert_snapshot!(failure, @"the journal's limit of 2 for messages waiting for a room is reached");
    assert!(!enqueue("two").unwrap(), "what waits is no news");
    assert!(
        fixture
            .enqueue(&item(room_id!("!other:house.test"), SendId::of(&["three"])))
            .unwrap()
    );
    fixture.send_all(&room);
    assert!(enqueue("three").unwrap());
}

#[tokio::test]
async fn full_room_job_queue_refuses_more() {
    let fixture = TestJournal::with(small());
    let (room, other) = (home().room, room_id!("!other:house.test"));
    let job = |id: &str, room: &RoomId| {
        fixture.take(id);
        let (admission, admitted) = fixture.waiting_events(1).unwrap().remove(0);
        let job = RoomJob {
            event: admitted.event,
            admitted_at: admitted.admitted_at,
        };
        fixture.queue_room_job(admission, room, &job)
    };
    job("$a", &room).unwrap();
    job("$b", &room).unwrap();
    let failure = job("$c", &room).unwrap_err();
    insta::assert_snapshot!(failure, @"the journal's limit of 2 for room jobs waiting in a room is reached");
    assert_eq!(fixture.waiting(), ["$c"], "it stays where it was");
    job("$c", other).unwrap();
    let (first, _) = fixture.next_room_job(&room).unwrap().unwrap();
    fixture.finish_room_job(&room, first).unwrap();
    job("$d", &room).unwrap();
}

#[tokio::test]
async fn old_event_ids_are_forgotten_and_young_ones_kept() {
    let fixture = TestJournal::with(small());
    let now = 10 * DAY;
    fixture.take_at("$old", Millis(now - DAY - 1));
    fixture.take_at("$edge", Millis(now - DAY));
    fixture.take_at("$new", Millis(now));
    assert_eq!(prune(&fixture, now), 1);
    let known = ["$old", "$edge", "$new"]
        .map(|id| fixture.remembers(&EventId::parse(id).unwrap()).unwrap());
    assert_eq!(known, [false, true, true]);
    // The event itself waits on.
    assert_eq!(fixture.waiting(), ["$old", "$edge", "$new"]);
}

#[tokio::test]
async fn too_many_event_ids_lose_the_oldest() {
    let fixture = TestJournal::with(JournalLimits {
        inbox_events_max: 100,
        ..small()
    });
    for number in 0..9_u64 {
        fixture.take_at(&format!("$e{number}"), Millis(10 * DAY + number));
    }
    let fixture = fixture.restart().await;
    assert_eq!(prune(&fixture, 10 * DAY), 4);
    let known: Vec<_> = (0..9)
        .filter(|number| {
            fixture
                .remembers(&EventId::parse(format!("$e{number}")).unwrap())
                .unwrap()
        })
        .collect();
    assert_eq!(known, [4, 5, 6, 7, 8]);
    assert_eq!(prune(&fixture, 10 * DAY), 0);
}

#[tokio::test]
async fn what_was_said_is_forgotten_later_but_not_under_a_running_turn() {
    let fixture = TestJournal::with(small());
    let room = home().room;
    fixture.ask(&home(), &prompt(0));
    let turn = fixture.begin_turn(&home(), Millis(1_000)).unwrap().unwrap();
    let ids = [turn.id.part(0), SendId::of(&["other"])];
    for id in &ids {
        fixture.enqueue(&item(&room, id.clone())).unwrap();
    }
    fixture.send_all(&room);
    let known = |fixture: &TestJournal| {
        ids.clone()
            .map(|id| fixture.event_of(&id).unwrap().is_some())
    };
    prune(&fixture, DAY);
    assert_eq!(known(&fixture), [true, true]);
    prune(&fixture, 3 * DAY);
    // The turn must know which event it is to complete, however long it takes.
    assert_eq!(known(&fixture), [true, false]);
    fixture.end_turn(&turn, &[]).unwrap();
    prune(&fixture, 3 * DAY);
    assert_eq!(known(&fixture), [false, false]);
}

#[tokio::test]
async fn of_too_much_that_was_said_the_newest_is_remembered() {
    let fixture = TestJournal::with(JournalLimits {
        sent_max: 3,
        failed_max: 3,
        ..small()
    });
    let room = home().room;
    fixture.ask(&home(), &prompt(0));
    let turn = fixture.begin_turn(&home(), Millis(1)).unwrap().unwrap();
    let words = ["a", "b", "c", "d", "e"].map(|word| SendId::of(&[word]));
    let ids: Vec<_> = [turn.id.part(0)].into_iter().chain(words).collect();
    let now = 10 * DAY;
    for (age, id) in ids.iter().rev().enumerate() {
        fixture.enqueue(&item(&room, id.clone())).unwrap();
        let (number, waiting) = fixture.next_outbox_item(&room).unwrap().unwrap();
        let at = Millis(now - age as u64);
        fixture.mark_sent(number, &waiting, None, at).unwrap();
    }
    let known = |fixture: &TestJournal| -> Vec<_> {
        let known = |id: &SendId| fixture.event_of(id).unwrap().is_some();
        ids.iter().map(known).collect()
    };
    prune(&fixture, now);
    // The oldest of all is that of a turn which still has to find it.
    assert_eq!(known(&fixture), [true, false, false, true, true, true]);
    fixture.end_turn(&turn, &[]).unwrap();
    prune(&fixture, now);
    assert_eq!(known(&fixture), [false, false, false, true, true, true]);
}

#[tokio::test]
async fn pruning_leaves_what_waits() {
    let fixture = TestJournal::with(small());
    let room = home().room;
    fixture.ask(&home(), &prompt(0));
    fixture
        .enqueue(&item(&room, SendId::of(&["waits"])))
        .unwrap();
    fixture
        .set_agent(&agent_record("agent-1", Some(room.clone())))
        .unwrap();
    fixture.take("$waits");
    prune(&fixture, 100 * DAY);
    assert_eq!(fixture.queued(&home()), ["question 0"]);
    assert_eq!(fixture.waiting(), ["$waits"]);
    assert_eq!(fixture.send_all(&room).len(), 1);
    assert_eq!(fixture.agents().unwrap().len(), 1);
    assert!(fixture.room(&room).unwrap().is_some());
}

#[tokio::test]
async fn what_was_set_aside_is_bounded_and_can_be_tried_again_once() {
    let fixture = TestJournal::with(small());
    for number in 0..5 {
        fixture.ask(&home(), &prompt(number));
        let turn = fixture.begin_turn(&home(), Millis(1)).unwrap().unwrap();
        let failed = FailedRecord {
            number: fixture.next_failed_number().unwrap(),
            key: home(),
            prompts: turn.prompts.clone(),
            reason: "It failed.".to_owned(),
            code: "FAILED".to_owned(),
            at: Millis(2),
        };
        fixture.set_aside(&turn, &failed, &[]).unwrap();
        assert_eq!(fixture.open_turn(&home()).unwrap(), None);
    }
    let numbers = |fixture: &TestJournal| -> Vec<u64> {
        fixture
            .failed_prompts()
            .unwrap()
            .iter()
            .map(|one| one.number)
            .collect()
    };
    assert_eq!(numbers(&fixture), [3, 4, 5], "the oldest go first");
    let fixture = fixture.restart().await;
    assert_eq!(numbers(&fixture), [3, 4, 5]);
    assert_eq!(
        fixture.next_failed_number().unwrap(),
        6,
        "no number comes twice"
    );
    let before = fixture.failed_prompts().unwrap().remove(0).prompts;
    fixture.retry_failed(3).unwrap().unwrap();
    assert_eq!(fixture.retry_failed(3).unwrap(), None);
    let turn = fixture.begin_turn(&home(), Millis(3)).unwrap().unwrap();
    assert_eq!(turn.prompts[0].event_id, before[0].event_id);
    let id = TurnId::of(&before[0].event_id, &home().agent);
    assert_ne!(turn.id, id, "what it says would be taken for said");
    assert_ne!(
        turn.key_of(&turn.prompts[0]),
        turn.prompts[0].event_id.as_str()
    );
    // What is taken back is not kept.
    let event = fixture.failed_prompts().unwrap()[0].prompts[0]
        .event_id
        .clone();
    fixture.withdraw_failed(&home().room, &event).unwrap();
    assert_eq!(numbers(&fixture), [5]);
}

#[test]
fn turn_record_without_budget_still_opens() {
    let old = r#"{"id":"t","key":{"agent":"agent-1","room":"!r:x","thread":null},"prompts":[{"event_id":"$e","sender":"@a:x","text":"hi","admitted_at":1}],"started_at":1,"run":null,"edits_reserved":0,"answer":null}"#;
    let turn: TurnRecord = serde_json::from_str(old).unwrap();
    assert_eq!((turn.spent, &turn.shown.waiting), (Spent::default(), &None));
    assert_eq!(turn.key_of(&turn.prompts[0]), "$e");
}
