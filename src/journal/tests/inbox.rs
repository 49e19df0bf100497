//! Admitted once, kept in order, and gone from the inbox when it is elsewhere.

use std::sync::atomic::Ordering;

use ruma::event_id;

use super::*;

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
async fn forgotten_event_is_admitted_again_once() {
    let desk = Desk::open();
    desk.take("$a");
    desk.take("$b");
    let (admission, _) = desk.waiting_events(1).unwrap().remove(0);
    let known = desk.inner.event_ids_len.load(Ordering::Relaxed);
    for _ in 0..2 {
        desk.forget_event(admission, event_id!("$a")).unwrap();
    }
    assert_eq!(desk.inner.event_ids_len.load(Ordering::Relaxed), known - 1);
    let desk = desk.restart().await;
    assert_eq!(desk.waiting(), ["$b"]);
    assert_eq!((desk.take("$a"), desk.take("$a")), (1, 0));
    assert_eq!(desk.waiting(), ["$b", "$a"]);
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
