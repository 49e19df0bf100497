//! Conversations: what waits, what runs, and what is left at the end.

use letta_client::Conversation;
use ruma::{RoomId, UserId, event_id, room_id};

use super::*;
use crate::journal::turns::{PROMPT_BYTES_PER_TURN_MAX, PROMPTS_PER_TURN_MAX};

fn texts(turn: &TurnRecord) -> Vec<&str> {
    turn.prompts.iter().map(|prompt| &*prompt.text).collect()
}

#[tokio::test]
async fn a_burst_becomes_one_turn() {
    let desk = Desk::open();
    for number in 0..3 {
        desk.ask(&home(), &prompt(number));
    }
    let turn = desk.begin_turn(&home(), Millis(9)).unwrap().unwrap();
    assert_eq!(texts(&turn), ["question 0", "question 1", "question 2"]);
    assert_eq!(turn.id, TurnId::of(event_id!("$ask0"), &home().agent));
    assert_eq!(turn.started_at, Millis(9));
    assert!(desk.queued(&home()).is_empty());
    let desk = desk.restart().await;
    assert_eq!(desk.open_turn(&home()).unwrap(), Some(turn));
    assert_eq!(desk.begin_turn(&home(), Millis(10)).unwrap(), None);
}

#[tokio::test]
async fn turn_is_of_one_person_and_order_is_kept() {
    let desk = Desk::open();
    let senders = [
        "@ann:house.test",
        "@ann:house.test",
        "@bob:house.test",
        "@ann:house.test",
    ];
    for (number, sender) in senders.into_iter().enumerate() {
        let sender = UserId::parse(sender).unwrap();
        desk.ask(
            &home(),
            &QueuedPrompt {
                sender,
                ..prompt(number)
            },
        );
    }
    let mut turns = Vec::new();
    while let Some(turn) = desk.begin_turn(&home(), Millis(1)).unwrap() {
        turns.push(texts(&turn).join(", "));
        desk.end_turn(&turn, &[]).unwrap();
    }
    assert_eq!(
        turns,
        ["question 0, question 1", "question 2", "question 3"]
    );
}

#[tokio::test]
async fn a_turn_takes_so_many_prompts_and_no_more() {
    let desk = Desk::open();
    for number in 0..=PROMPTS_PER_TURN_MAX {
        desk.ask(&home(), &prompt(number));
    }
    let turn = desk.begin_turn(&home(), Millis(1)).unwrap().unwrap();
    assert_eq!(turn.prompts.len(), PROMPTS_PER_TURN_MAX);
    assert_eq!(
        desk.queued(&home()),
        [format!("question {PROMPTS_PER_TURN_MAX}")]
    );
}

#[tokio::test]
async fn a_turn_takes_so_many_bytes_and_no_more() {
    let desk = Desk::open();
    let of_bytes = |number: usize, bytes: usize| QueuedPrompt {
        text: "x".repeat(bytes),
        ..prompt(number)
    };
    // One is taken whatever its size; then as many as fit to the byte.
    let sizes = [
        PROMPT_BYTES_PER_TURN_MAX + 1,
        PROMPT_BYTES_PER_TURN_MAX - 10,
        10,
        1,
    ];
    for (number, bytes) in sizes.into_iter().enumerate() {
        desk.ask(&home(), &of_bytes(number, bytes));
    }
    let mut turns = Vec::new();
    while let Some(turn) = desk.begin_turn(&home(), Millis(1)).unwrap() {
        turns.push(turn.prompts.len());
        desk.end_turn(&turn, &[]).unwrap();
    }
    assert_eq!(turns, [1, 2, 1]);
}

#[tokio::test]
async fn conversations_do_not_mix() {
    let desk = Desk::open();
    let thread = ConversationKey {
        thread: Some(owned_event_id!("$root")),
        ..home()
    };
    let other = ConversationKey {
        agent: agent("agent-12"),
        ..home()
    };
    let (odd, long) = odd_rooms();
    let odd = ConversationKey {
        room: odd,
        ..home()
    };
    let long = ConversationKey {
        room: long,
        thread: Some(owned_event_id!("$root")),
        ..home()
    };
    let all = [home(), thread, other, odd, long];
    for (number, key) in all.iter().enumerate() {
        desk.ask(key, &prompt(number));
    }
    let mut expected = all.to_vec();
    expected.sort();
    assert_eq!(desk.busy_conversations().unwrap(), expected);
    for (number, key) in all.iter().enumerate() {
        let turn = desk.begin_turn(key, Millis(1)).unwrap().unwrap();
        assert_eq!(texts(&turn), [format!("question {number}")]);
        assert_eq!(turn.key, *key);
    }
    // What runs is busy as well as what waits.
    assert_eq!(desk.busy_conversations().unwrap(), expected);
    let turn = desk.open_turn(&all[3]).unwrap().unwrap();
    desk.end_turn(&turn, &[]).unwrap();
    assert_eq!(desk.busy_conversations().unwrap().len(), 4);
}

#[tokio::test]
async fn a_turn_ends_and_its_last_words_wait_in_one_step() {
    let desk = Desk::open();
    desk.ask(&home(), &prompt(0));
    let turn = desk.begin_turn(&home(), Millis(1)).unwrap().unwrap();
    let last: Vec<_> = (0..3)
        .map(|part| item(&home().room, turn.id.part(part)))
        .collect();
    desk.end_turn(&turn, &last).unwrap();
    let desk = desk.restart().await;
    assert_eq!(desk.open_turn(&home()).unwrap(), None);
    let ids: Vec<_> = last.iter().map(|item| item.send_id.to_string()).collect();
    assert_eq!(desk.say_all(&home().room), ids);
}

#[tokio::test]
async fn last_words_that_were_said_already_are_not_said_again() {
    let desk = Desk::open();
    let room = home().room;
    desk.ask(&home(), &prompt(0));
    let turn = desk.begin_turn(&home(), Millis(1)).unwrap().unwrap();
    let part = |number| item(&room, turn.id.part(number));
    desk.say(&part(0)).unwrap();
    assert_eq!(desk.say_all(&room).len(), 1);
    desk.say(&part(1)).unwrap();
    desk.end_turn(&turn, &[part(0), part(1), part(2)]).unwrap();
    assert_eq!(
        desk.say_all(&room),
        [turn.id.part(1).to_string(), turn.id.part(2).to_string()]
    );
}

#[tokio::test]
async fn how_far_a_turn_has_come_survives() {
    let desk = Desk::open();
    desk.ask(&home(), &prompt(0));
    let mut turn = desk.begin_turn(&home(), Millis(1)).unwrap().unwrap();
    turn.edits_reserved = 60;
    turn.answer = Some(Answer {
        text: "done".to_owned(),
        remark: None,
    });
    desk.update_turn(&turn).unwrap();
    let desk = desk.restart().await;
    assert_eq!(desk.open_turn(&home()).unwrap(), Some(turn));
}

#[tokio::test]
async fn a_prompt_that_waits_can_be_corrected_by_its_author() {
    let desk = Desk::open();
    desk.ask(&home(), &prompt(0));
    desk.ask(&home(), &prompt(1));
    let (alice, bob) = (user_id!("@alice:house.test"), user_id!("@bob:house.test"));
    assert!(
        desk.replace_queued(event_id!("$ask1"), alice, "better")
            .unwrap()
    );
    assert!(
        !desk
            .replace_queued(event_id!("$ask0"), bob, "mine")
            .unwrap()
    );
    assert!(
        !desk
            .replace_queued(event_id!("$nothing"), alice, "x")
            .unwrap()
    );
    let desk = desk.restart().await;
    assert_eq!(desk.queued(&home()), ["question 0", "better"]);
    desk.begin_turn(&home(), Millis(1)).unwrap().unwrap();
    assert!(
        !desk
            .replace_queued(event_id!("$ask1"), alice, "too late")
            .unwrap()
    );
}

#[tokio::test]
async fn a_prompt_that_waits_can_be_taken_back() {
    let desk = Desk::open();
    desk.ask(&home(), &prompt(0));
    desk.ask(&home(), &prompt(1));
    let withdraw = |desk: &Desk, room: &RoomId, event| desk.withdraw_queued(room, event).unwrap();
    let (here, other) = (home().room, room_id!("!elsewhere:x"));
    assert!(!withdraw(&desk, other, event_id!("$ask0")));
    assert!(withdraw(&desk, &here, event_id!("$ask0")));
    assert!(!withdraw(&desk, &here, event_id!("$ask0")));
    let desk = desk.restart().await;
    let turn = desk.begin_turn(&home(), Millis(1)).unwrap().unwrap();
    assert_eq!(texts(&turn), ["question 1"]);
    assert!(!withdraw(&desk, &here, event_id!("$ask1")));
}

#[tokio::test]
async fn lettas_conversation_for_a_place_is_remembered() {
    let desk = Desk::open();
    let thread = ConversationKey {
        thread: Some(owned_event_id!("$root")),
        ..home()
    };
    let own = letta_client::ConversationId::parse("conv-1").unwrap();
    assert_eq!(desk.conversation(&home()).unwrap(), None);
    desk.set_conversation(&home(), &Conversation::Default)
        .unwrap();
    desk.set_conversation(&thread, &Conversation::Own(own.clone()))
        .unwrap();
    let desk = desk.restart().await;
    assert_eq!(
        desk.conversation(&home()).unwrap(),
        Some(Conversation::Default)
    );
    assert_eq!(
        desk.conversation(&thread).unwrap(),
        Some(Conversation::Own(own))
    );
    desk.forget_conversation(&thread).unwrap();
    assert_eq!(desk.conversation(&thread).unwrap(), None);
}
