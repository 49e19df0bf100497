//! Agents, rooms and the space are remembered and found.

use letta_client::Conversation;

use super::*;

#[tokio::test]
async fn agents_rooms_and_the_space_are_remembered() {
    let fixture = TestJournal::open();
    let room = owned_room_id!("!home:house.test");
    let record = agent_record("agent-1", Some(room.clone()));
    fixture.set_agent(&record).unwrap();
    let guests = [(agent("agent-2"), true)].into();
    let known = fixture.room(&room).unwrap().unwrap();
    fixture
        .set_room(
            &room,
            &RoomRecord {
                guests,
                ..known.clone()
            },
        )
        .unwrap();
    // What else is known of the room stays when the agent is written again.
    fixture.set_agent(&record).unwrap();
    let space = SpaceRecord {
        room: owned_room_id!("!space:house.test"),
        invited: [owned_user_id!("@alice:house.test")].into(),
        replaced: None,
        has_avatar: true,
    };
    fixture.set_space(&space).unwrap();

    let fixture = fixture.restart().await;
    assert_eq!(fixture.agent(&record.id).unwrap().as_ref(), Some(&record));
    assert_eq!(
        fixture.agents().unwrap(),
        [(record.id.clone(), record)].into()
    );
    assert_eq!(
        known.kind,
        RoomKind::Home {
            agent: agent("agent-1")
        }
    );
    assert_eq!(fixture.room(&room).unwrap().unwrap().guests.len(), 1);
    assert_eq!(fixture.space().unwrap(), Some(space));
    assert_eq!(fixture.room(room_id!("!other:house.test")).unwrap(), None);
}

#[tokio::test]
async fn management_rooms_are_found_by_their_person() {
    let fixture = TestJournal::open();
    let (odd, long) = odd_rooms();
    fixture
        .set_agent(&agent_record(
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
        fixture.set_room(room, &record).unwrap();
    }
    let rooms = fixture.management_rooms().unwrap();
    assert_eq!(rooms.len(), 2);
    assert_eq!(rooms[user_id!("@alice:house.test")], odd);
    assert_eq!(rooms[user_id!("@bob:house.test")], long);
}

#[tokio::test]
async fn silence_that_an_earlier_version_stored_is_read() {
    let fixture = TestJournal::open();
    let room = room_id!("!room:house.test");
    let agent = agent("agent-1");
    fixture
        .put(
            &suspensions::silenced_key(room, &agent),
            &"AGENT_MUTED",
            "silenced",
        )
        .unwrap();
    let mut silenced = fixture.silenced(room, &agent).unwrap().unwrap();
    assert_eq!(silenced, SilencedRecord::new("AGENT_MUTED"));
    for number in 0..=SilencedRecord::TOLD_MAX {
        let user = ruma::UserId::parse(format!("@p{number}:house.test")).unwrap();
        silenced.note_told(&user);
    }
    assert_eq!(silenced.told.len(), 1, "it is bounded");
    fixture.set_silenced(room, &agent, Some(&silenced)).unwrap();
    assert_eq!(fixture.silenced(room, &agent).unwrap(), Some(silenced));
}

#[tokio::test]
async fn replaced_room_gives_its_settings_and_conversations_to_the_new_one() {
    let fixture = TestJournal::open();
    let (old, new) = (room_id!("!old:house.test"), room_id!("!new:house.test"));
    let agents = [agent("agent-1"), agent("agent-2")];
    let place = |agent: &AgentId, room: &RoomId, thread: Option<&str>| ConversationKey {
        agent: agent.clone(),
        room: room.to_owned(),
        thread: thread.map(|root| root.try_into().unwrap()),
    };
    let own = |id: &str| Conversation::Own(id.parse().unwrap());
    for (number, agent) in agents.iter().enumerate() {
        fixture
            .set_conversation(&place(agent, old, None), &own(&format!("conv-{number}")))
            .unwrap();
    }
    let thread = place(&agents[0], old, Some("$root"));
    fixture
        .set_conversation(&thread, &own("conv-thread"))
        .unwrap();
    // What the new room has already is not overwritten.
    fixture
        .set_conversation(&place(&agents[1], new, None), &own("conv-new"))
        .unwrap();
    fixture
        .change_room_settings(old, |choices| choices.chat_only = true)
        .unwrap();
    let record = RoomRecord::new(RoomKind::Other);
    fixture
        .move_room(&agents, (old, &record), (new, &record))
        .unwrap();
    let conversation = |place: &ConversationKey| fixture.conversation(place).unwrap();
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
    assert!(fixture.room_settings(new).unwrap().chat_only);
    assert!(!fixture.room_settings(old).unwrap().chat_only);
}
