//! Rows of keys, devices, what was pushed for them, and events that wait for their key.

use serde_json::value::to_raw_value;

use super::*;
use crate::journal::{AdmittedEvent, DeviceRecord, PushedChanges};

fn device(id: &str) -> DeviceRecord {
    DeviceRecord {
        device: id.into(),
        published: false,
        receives: false,
    }
}

fn event(number: usize) -> (OwnedEventId, Box<RawValue>) {
    let id = format!("$event{number}");
    let event = json!({ "event_id": id, "number": number });
    (id.try_into().unwrap(), to_raw_value(&event).unwrap())
}

#[tokio::test]
async fn keys_are_kept_for_each_user_and_go_with_their_device() {
    let mut fixture = TestJournal::open();
    let (ada, bob) = (user_id!("@agent_a:x"), user_id!("@agent_ab:x"));
    fixture.set_device(ada, &device("ONE")).unwrap();
    let rows = |names: &[&str]| -> Vec<_> {
        let name = |name: &&str| (name.as_bytes().to_vec(), Some(vec![1]));
        names.iter().map(name).collect()
    };
    fixture.write_key_rows(ada, rows(&["a", "b\0c"])).unwrap();
    fixture.write_key_rows(bob, rows(&["a"])).unwrap();
    fixture
        .write_key_rows(ada, vec![(b"a".to_vec(), None)])
        .unwrap();
    fixture = fixture.restart().await;
    assert_eq!(
        fixture.key_rows(ada).unwrap(),
        [(b"b\0c".to_vec(), vec![1])]
    );
    assert_eq!(fixture.key_rows(bob).unwrap().len(), 1);
    // The same device again, ready this time.
    let ready = DeviceRecord {
        published: true,
        ..device("ONE")
    };
    fixture.set_device(ada, &ready).unwrap();
    assert_eq!(fixture.key_rows(ada).unwrap().len(), 1);
    // Another device has other keys.
    fixture.set_device(ada, &device("TWO")).unwrap();
    assert_eq!(fixture.key_rows(ada).unwrap(), []);
    assert_eq!(fixture.key_rows(bob).unwrap().len(), 1);
    assert_eq!(fixture.users_with_devices().unwrap(), [ada]);
}

#[tokio::test]
async fn what_was_pushed_is_taken_in_once_and_in_order() {
    let mut fixture = TestJournal::open();
    let ada = user_id!("@agent_a:x");
    let record = |number: usize| PushedChanges {
        to_device: vec![to_raw_value(&json!({ "number": number })).unwrap()],
        ..PushedChanges::default()
    };
    for number in 0..3 {
        fixture
            .queue_pushed_changes(vec![(ada.to_owned(), record(number))])
            .unwrap();
    }
    fixture = fixture.restart().await;
    assert_eq!(fixture.users_with_pushed_changes().unwrap(), [ada]);
    for number in 0..3 {
        let (id, changes) = fixture.next_pushed_changes(ada).unwrap().unwrap();
        assert_eq!(
            changes.to_device[0].get(),
            json!({ "number": number }).to_string()
        );
        fixture.finish_pushed_changes(ada, id).unwrap();
    }
    assert!(fixture.next_pushed_changes(ada).unwrap().is_none());
}

#[tokio::test]
async fn event_waits_for_its_key_and_then_goes_the_way_of_every_event() {
    let mut fixture = TestJournal::open();
    let room = room_id!("!room:x");
    fixture
        .admit((0..3).map(event).collect(), Millis(1))
        .unwrap();
    for (position, admitted) in fixture.waiting_events(10).unwrap() {
        fixture
            .move_to_encrypted(position, room, &admitted)
            .unwrap();
    }
    assert!(fixture.waiting_events(10).unwrap().is_empty());
    fixture = fixture.restart().await;
    assert_eq!(fixture.rooms_with_encrypted_events().unwrap(), [room]);
    let waiting = fixture.encrypted_events(room).unwrap();
    assert_eq!(waiting.len(), 3);
    let opened = AdmittedEvent {
        event: to_raw_value(&json!({ "clear": true })).unwrap(),
        admitted_at: Millis(1),
    };
    fixture
        .finish_encrypted(room, waiting[1].0, Some(&opened))
        .unwrap();
    fixture.finish_encrypted(room, waiting[2].0, None).unwrap();
    let inbox = fixture.waiting_events(10).unwrap();
    assert_eq!(inbox.len(), 1);
    assert_eq!(inbox[0].1.event.get(), opened.event.get());
    assert_eq!(fixture.encrypted_events(room).unwrap().len(), 1);
    // It is no new event if the homeserver sends it again.
    assert_eq!(
        fixture
            .admit((0..3).map(event).collect(), Millis(1))
            .unwrap(),
        0
    );
}

#[tokio::test]
async fn oldest_events_without_a_key_go_when_there_are_too_many() {
    let fixture = TestJournal::open();
    let room = room_id!("!room:x");
    let too_many = 520;
    let mut given_up = Vec::new();
    fixture
        .admit((0..too_many).map(event).collect(), Millis(1))
        .unwrap();
    for (position, admitted) in fixture.waiting_events(too_many).unwrap() {
        for oldest in fixture
            .move_to_encrypted(position, room, &admitted)
            .unwrap()
        {
            given_up.extend(oldest.event_id());
        }
    }
    assert_eq!(given_up.len(), 20);
    assert_eq!(given_up[0], event(0).0);
    let waiting = fixture.encrypted_events(room).unwrap();
    assert_eq!(waiting.len(), 500);
    assert!(waiting[0].1.event.event.get().contains("$event20\""));
}

#[tokio::test]
async fn redacted_event_waits_for_no_key() {
    let fixture = TestJournal::open();
    let room = room_id!("!room:x");
    fixture
        .admit((0..2).map(event).collect(), Millis(1))
        .unwrap();
    for (position, admitted) in fixture.waiting_events(10).unwrap() {
        fixture
            .move_to_encrypted(position, room, &admitted)
            .unwrap();
    }
    let (redacted, _) = event(0);
    fixture
        .withdraw_encrypted(room_id!("!other:x"), &redacted)
        .unwrap();
    assert_eq!(fixture.encrypted_events(room).unwrap().len(), 2);
    fixture.withdraw_encrypted(room, &redacted).unwrap();
    let left = fixture.encrypted_events(room).unwrap();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].1.event_id(), Some(event(1).0));
}
