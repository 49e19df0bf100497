//! Said once, whoever says it again and after whatever restart.

use super::*;

#[tokio::test]
async fn item_with_known_send_id_is_not_enqueued_again() {
    let fixture = TestJournal::open();
    let room = room_id!("!room:house.test");
    let [one, two] = ["one", "two"].map(|word| SendId::of(&[word]));
    assert!(fixture.enqueue(&item(room, one.clone())).unwrap());
    assert!(
        !fixture.enqueue(&item(room, one.clone())).unwrap(),
        "it waits already"
    );
    assert!(fixture.enqueue(&item(room, two.clone())).unwrap());
    assert!(fixture.is_waiting(room, &one).unwrap());
    assert_eq!(fixture.event_of(&one).unwrap(), None);

    let fixture = fixture.restart().await;
    assert!(
        !fixture.enqueue(&item(room, one.clone())).unwrap(),
        "it waits over a restart"
    );
    assert_eq!(fixture.send_all(room), [one.to_string(), two.to_string()]);
    assert!(!fixture.is_waiting(room, &one).unwrap());

    let fixture = fixture.restart().await;
    assert!(
        !fixture.enqueue(&item(room, one.clone())).unwrap(),
        "it was said"
    );
    assert_eq!(
        fixture.event_of(&one).unwrap(),
        Some(Some(owned_event_id!("$said")))
    );
    assert!(fixture.rooms_with_outbox_items().unwrap().is_empty());
}

#[tokio::test]
async fn a_refused_message_is_known_as_refused() {
    let fixture = TestJournal::open();
    let room = room_id!("!room:house.test");
    let one = SendId::of(&["one"]);
    fixture.enqueue(&item(room, one.clone())).unwrap();
    let (number, waiting) = fixture.next_outbox_item(room).unwrap().unwrap();
    fixture
        .mark_sent(number, &waiting, None, Millis(1))
        .unwrap();
    let fixture = fixture.restart().await;
    assert_eq!(fixture.event_of(&one).unwrap(), Some(None));
    assert!(!fixture.enqueue(&item(room, one)).unwrap());
}

#[tokio::test]
async fn rooms_with_items_are_listed_once() {
    let fixture = TestJournal::open();
    let (odd, long) = odd_rooms();
    for (number, room) in [&odd, &long, &odd, &long].into_iter().enumerate() {
        let send_id = SendId::of(&[&number.to_string()]);
        fixture.enqueue(&item(room, send_id)).unwrap();
    }
    let mut rooms = fixture.rooms_with_outbox_items().unwrap();
    rooms.sort();
    let mut expected = vec![odd, long];
    expected.sort();
    assert_eq!(rooms, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_enqueue_of_one_send_id_stores_it_once() {
    let fixture = Arc::new(TestJournal::open());
    let room = room_id!("!room:house.test");
    for round in 0..100 {
        let speakers: Vec<_> = (0..4)
            .map(|_| {
                let fixture = Arc::clone(&fixture);
                std::thread::spawn(move || {
                    let said = fixture.enqueue(&item(room, SendId::of(&[&round.to_string()])));
                    usize::from(said.unwrap())
                })
            })
            .collect();
        let said: usize = speakers.into_iter().map(|it| it.join().unwrap()).sum();
        assert_eq!(said, 1);
    }
    assert_eq!(fixture.send_all(room).len(), 100);
}
