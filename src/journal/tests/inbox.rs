//! Admitted once, kept in order, and gone from the inbox when it is elsewhere.

use std::sync::atomic::Ordering;

use ruma::event_id;

use super::*;

#[tokio::test]
async fn an_event_is_admitted_once_also_after_a_restart() {
    let fixture = TestJournal::open();
    assert_eq!(
        (fixture.take("$a"), fixture.take("$b"), fixture.take("$a")),
        (1, 1, 0)
    );
    let both = fixture
        .admit(vec![event("$c"), event("$c"), event("$b")], Millis(1))
        .unwrap();
    assert_eq!(both, 1);
    let fixture = fixture.restart().await;
    assert_eq!((fixture.take("$a"), fixture.take("$d")), (0, 1));
    assert_eq!(fixture.waiting(), ["$a", "$b", "$c", "$d"]);
}

#[tokio::test]
async fn an_event_that_was_dropped_stays_known() {
    let fixture = TestJournal::open();
    fixture.take("$a");
    let (admission, _) = fixture.waiting_events(1).unwrap().remove(0);
    fixture.drop_event(admission).unwrap();
    let fixture = fixture.restart().await;
    assert_eq!(fixture.take("$a"), 0);
    assert!(fixture.waiting().is_empty());
}

#[tokio::test]
async fn forgotten_event_is_admitted_again_once() {
    let fixture = TestJournal::open();
    fixture.take("$a");
    fixture.take("$b");
    let (admission, _) = fixture.waiting_events(1).unwrap().remove(0);
    let known = fixture.inner.event_ids_len.load(Ordering::Relaxed);
    for _ in 0..2 {
        fixture.forget_event(admission, event_id!("$a")).unwrap();
    }
    assert_eq!(
        fixture.inner.event_ids_len.load(Ordering::Relaxed),
        known - 1
    );
    let fixture = fixture.restart().await;
    assert_eq!(fixture.waiting(), ["$b"]);
    assert_eq!((fixture.take("$a"), fixture.take("$a")), (1, 0));
    assert_eq!(fixture.waiting(), ["$b", "$a"]);
}

#[tokio::test]
async fn order_is_kept_over_a_restart_and_beyond_ten() {
    let fixture = TestJournal::open();
    let ids: Vec<_> = (0..300).map(|number| format!("$e{number}")).collect();
    for id in &ids[..150] {
        fixture.take(id);
    }
    let fixture = fixture.restart().await;
    for id in &ids[150..] {
        fixture.take(id);
    }
    assert_eq!(fixture.waiting(), ids);
    let first = fixture.waiting_events(3).unwrap();
    assert_eq!(first.len(), 3);
    assert!(first.is_sorted_by_key(|(admission, _)| *admission));
}

#[tokio::test]
async fn an_event_keeps_its_time_and_its_bytes() {
    let fixture = TestJournal::open();
    let raw = r#"{ "event_id" : "$a", "content": {"n": 1e2, "é": "\u00e9"} }"#;
    let raw = RawValue::from_string(raw.to_owned()).unwrap();
    fixture
        .admit(vec![(owned_event_id!("$a"), raw.clone())], Millis(77))
        .unwrap();
    let fixture = fixture.restart().await;
    let (_, admitted) = fixture.waiting_events(1).unwrap().remove(0);
    assert_eq!(
        (admitted.event.get(), admitted.admitted_at),
        (raw.get(), Millis(77))
    );
}

#[tokio::test]
async fn an_event_leaves_the_inbox_once() {
    let fixture = TestJournal::open();
    fixture.take("$ask0");
    let (admission, _) = fixture.waiting_events(1).unwrap().remove(0);
    fixture
        .move_to_prompt_queue(admission, &home(), &prompt(0))
        .unwrap();
    fixture.begin_turn(&home(), Millis(1)).unwrap().unwrap();
    // Whoever comes too late neither asks it again nor miscounts.
    fixture
        .move_to_prompt_queue(admission, &home(), &prompt(0))
        .unwrap();
    fixture.drop_event(admission).unwrap();
    assert!(fixture.queued(&home()).is_empty());
    assert_eq!(fixture.take("$b"), 1);
}

#[tokio::test]
async fn room_jobs_keep_their_order() {
    let fixture = TestJournal::open();
    let (odd, long) = odd_rooms();
    for (number, room) in [&odd, &long, &odd].into_iter().enumerate() {
        let id = format!("$errand{number}");
        fixture.take(&id);
        let (admission, admitted) = fixture.waiting_events(1).unwrap().remove(0);
        let job = RoomJob {
            event: admitted.event,
            admitted_at: admitted.admitted_at,
        };
        fixture.queue_room_job(admission, room, &job).unwrap();
    }
    let fixture = fixture.restart().await;
    assert!(fixture.waiting().is_empty());
    let mut rooms = fixture.rooms_with_jobs().unwrap();
    rooms.sort();
    let mut expected = vec![odd.clone(), long.clone()];
    expected.sort();
    assert_eq!(rooms, expected);

    let (first, job) = fixture.next_room_job(&odd).unwrap().unwrap();
    assert_eq!(id_of(&job.event), "$errand0");
    fixture.finish_room_job(&odd, first).unwrap();
    let (second, job) = fixture.next_room_job(&odd).unwrap().unwrap();
    assert_eq!(id_of(&job.event), "$errand2");
    fixture.finish_room_job(&odd, second).unwrap();
    assert!(fixture.next_room_job(&odd).unwrap().is_none());
    assert_eq!(fixture.rooms_with_jobs().unwrap(), [long]);
}
