//! Said once, whoever says it again and after whatever restart.

use super::*;

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
