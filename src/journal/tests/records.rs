//! Agents, rooms and the space are remembered and found.

use super::*;

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
