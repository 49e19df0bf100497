//! Agents, rooms and the space are remembered and found.

use letta_client::Conversation;

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
        replaced: None,
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
        let user = user.try_into().unwrap();
        let record = RoomRecord {
            bot: true,
            ..RoomRecord::new(RoomKind::Management { user })
        };
        desk.set_room(room, &record).unwrap();
    }
    let rooms = desk.management_rooms().unwrap();
    assert_eq!(rooms.len(), 2);
    assert_eq!(rooms[user_id!("@alice:house.test")], odd);
    assert_eq!(rooms[user_id!("@bob:house.test")], long);
}

#[tokio::test]
async fn silence_that_an_earlier_version_stored_is_read() {
    let desk = Desk::open();
    let room = room_id!("!room:house.test");
    let agent = agent("agent-1");
    desk.put(
        &holds::silenced_key(room, &agent),
        &"AGENT_MUTED",
        "silenced",
    )
    .unwrap();
    let mut silenced = desk.silenced(room, &agent).unwrap().unwrap();
    assert_eq!(silenced, SilencedRecord::new("AGENT_MUTED"));
    for number in 0..=SilencedRecord::TOLD_MAX {
        let user = ruma::UserId::parse(format!("@p{number}:house.test")).unwrap();
        silenced.note_told(&user);
    }
    assert_eq!(silenced.told.len(), 1, "it is bounded");
    desk.set_silenced(room, &agent, Some(&silenced)).unwrap();
    assert_eq!(desk.silenced(room, &agent).unwrap(), Some(silenced));
}

#[tokio::test]
async fn replaced_room_gives_its_settings_and_conversations_to_the_new_one() {
    let desk = Desk::open();
    let (old, new) = (room_id!("!old:house.test"), room_id!("!new:house.test"));
    let agents = [agent("agent-1"), agent("agent-2")];
    let place = |agent: &AgentId, room: &RoomId, thread: Option<&str>| ConversationKey {
        agent: agent.clone(),
        room: room.to_owned(),
        thread: thread.map(|root| root.try_into().unwrap()),
    };
    let own = |id: &str| Conversation::Own(id.parse().unwrap());
    for (number, agent) in agents.iter().enumerate() {
        desk.set_conversation(&place(agent, old, None), &own(&format!("conv-{number}")))
            .unwrap();
    }
    let thread = place(&agents[0], old, Some("$root"));
    desk.set_conversation(&thread, &own("conv-thread")).unwrap();
    // What the new room has already is not overwritten.
    desk.set_conversation(&place(&agents[1], new, None), &own("conv-new"))
        .unwrap();
    desk.choose(old, |choices| choices.chat_only = true)
        .unwrap();
    let record = RoomRecord::new(RoomKind::Other);
    desk.move_room(&agents, (old, &record), (new, &record))
        .unwrap();
    let conversation = |place: &ConversationKey| desk.conversation(place).unwrap();
    assert_eq!(
        conversation(&place(&agents[0], new, None)),
        Some(own("conv-0"))
    );
    assert_eq!(conversation(&place(&agents[0], old, None)), None);
    assert_eq!(
        conversation(&place(&agents[1], new, None)),
        Some(own("conv-new"))
    );
    assert_eq!(conversation(&thread), Some(own("conv-thread")));
    assert!(desk.choices(new).unwrap().chat_only);
    assert!(!desk.choices(old).unwrap().chat_only);
}
