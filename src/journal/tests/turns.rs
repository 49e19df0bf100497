//! Conversations: what waits, what runs, and what is left at the end.

use letta_client::Conversation;
use ruma::{RoomId, UserId, event_id, room_id};

use super::*;
use crate::journal::turns::{
    AUDIO_PER_TURN_MAX, PICTURES_PER_TURN_MAX, PROMPT_BYTES_PER_TURN_MAX, PROMPTS_PER_TURN_MAX,
};

fn picture() -> Attachment {
    Attachment {
        kind: AttachmentKind::Picture,
        uri: Some("mxc://house.test/red".into()),
        name: "red.png".to_owned(),
        mimetype: Some("image/png".to_owned()),
        size: Some(67),
        dimensions: Some((8, 8)),
        is_refused: false,
    }
}

fn texts(turn: &TurnRecord) -> Vec<&str> {
    turn.prompts.iter().map(|prompt| &*prompt.text).collect()
}

#[tokio::test]
async fn a_burst_becomes_one_turn() {
    let fixture = TestJournal::open();
    for number in 0..3 {
        fixture.ask(&home(), &prompt(number));
    }
    let turn = fixture.begin_turn(&home(), Millis(9)).unwrap().unwrap();
    assert_eq!(texts(&turn), ["question 0", "question 1", "question 2"]);
    assert_eq!(turn.id, TurnId::of(event_id!("$ask0"), &home().agent));
    assert_eq!(turn.started_at, Millis(9));
    assert!(fixture.queued(&home()).is_empty());
    let fixture = fixture.restart().await;
    assert_eq!(fixture.open_turn(&home()).unwrap(), Some(turn));
    assert_eq!(fixture.begin_turn(&home(), Millis(10)).unwrap(), None);
}

#[tokio::test]
async fn turn_is_of_one_person_and_order_is_kept() {
    let fixture = TestJournal::open();
    let senders = [
        "@ann:house.test",
        "@ann:house.test",
        "@bob:house.test",
        "@ann:house.test",
    ];
    for (number, sender) in senders.into_iter().enumerate() {
        let sender = UserId::parse(sender).unwrap();
        fixture.ask(
            &home(),
            &QueuedPrompt {
                sender,
                ..prompt(number)
            },
        );
    }
    let mut turns = Vec::new();
    while let Some(turn) = fixture.begin_turn(&home(), Millis(1)).unwrap() {
        turns.push(texts(&turn).join(", "));
        fixture.end_turn(&turn, &[]).unwrap();
    }
    assert_eq!(
        turns,
        ["question 0, question 1", "question 2", "question 3"]
    );
}

#[tokio::test]
async fn a_turn_takes_so_many_prompts_and_no_more() {
    let fixture = TestJournal::open();
    for number in 0..=PROMPTS_PER_TURN_MAX {
        fixture.ask(&home(), &prompt(number));
    }
    let turn = fixture.begin_turn(&home(), Millis(1)).unwrap().unwrap();
    assert_eq!(turn.prompts.len(), PROMPTS_PER_TURN_MAX);
    assert_eq!(
        fixture.queued(&home()),
        [format!("question {PROMPTS_PER_TURN_MAX}")]
    );
}

#[tokio::test]
async fn a_turn_takes_so_many_bytes_and_no_more() {
    let fixture = TestJournal::open();
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
        fixture.ask(&home(), &of_bytes(number, bytes));
    }
    let mut turns = Vec::new();
    while let Some(turn) = fixture.begin_turn(&home(), Millis(1)).unwrap() {
        turns.push(turn.prompts.len());
        fixture.end_turn(&turn, &[]).unwrap();
    }
    assert_eq!(turns, [1, 2, 1]);
}

#[tokio::test]
async fn a_turn_takes_so_many_files_of_each_kind_and_no_more() {
    for (kind, size, most) in [
        (AttachmentKind::Picture, None, PICTURES_PER_TURN_MAX),
        (AttachmentKind::Audio, None, AUDIO_PER_TURN_MAX),
        (AttachmentKind::File, Some(10), 7),
        // Whoever does not say how large a file is may send the largest.
        (AttachmentKind::File, None, 1),
    ] {
        let fixture = TestJournal::open();
        for number in 0..7 {
            let attachment = Some(Attachment {
                kind,
                size,
                ..picture()
            });
            fixture.ask(
                &home(),
                &QueuedPrompt {
                    attachment,
                    ..prompt(number)
                },
            );
        }
        let turn = fixture.begin_turn(&home(), Millis(1)).unwrap().unwrap();
        assert_eq!(turn.prompts.len(), most, "{kind:?} {size:?}");
    }
}

#[tokio::test]
async fn prompt_of_before_attachments_opens_and_one_with_a_picture_comes_back() {
    let old = r#"{"event_id":"$e","sender":"@a:x","text":"hi","admitted_at":1,"retries":2}"#;
    let read: QueuedPrompt = serde_json::from_str(old).unwrap();
    assert_eq!(read.file_bytes(), 0);
    assert_eq!(
        serde_json::to_string(&read).unwrap(),
        old,
        "nothing new is written"
    );
    let fixture = TestJournal::open();
    let shown = QueuedPrompt {
        attachment: Some(picture()),
        reply_to: Some(event_id!("$earlier").to_owned()),
        ..prompt(0)
    };
    fixture.ask(&home(), &shown);
    let fixture = fixture.restart().await;
    let turn = fixture.begin_turn(&home(), Millis(1)).unwrap().unwrap();
    assert_eq!(turn.prompts, [shown]);
}

#[tokio::test]
async fn conversations_do_not_mix() {
    let fixture = TestJournal::open();
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
        fixture.ask(key, &prompt(number));
    }
    let mut expected = all.to_vec();
    expected.sort();
    assert_eq!(fixture.busy_conversations().unwrap(), expected);
    for (number, key) in all.iter().enumerate() {
        let turn = fixture.begin_turn(key, Millis(1)).unwrap().unwrap();
        assert_eq!(texts(&turn), [format!("question {number}")]);
        assert_eq!(turn.key, *key);
    }
    // What runs is busy as well as what waits.
    assert_eq!(fixture.busy_conversations().unwrap(), expected);
    let turn = fixture.open_turn(&all[3]).unwrap().unwrap();
    fixture.end_turn(&turn, &[]).unwrap();
    assert_eq!(fixture.busy_conversations().unwrap().len(), 4);
}

#[tokio::test]
async fn a_turn_ends_and_its_last_words_wait_in_one_step() {
    let fixture = TestJournal::open();
    fixture.ask(&home(), &prompt(0));
    let turn = fixture.begin_turn(&home(), Millis(1)).unwrap().unwrap();
    let last: Vec<_> = (0..3)
        .map(|part| item(&home().room, turn.id.part(part)))
        .collect();
    fixture.end_turn(&turn, &last).unwrap();
    let fixture = fixture.restart().await;
    assert_eq!(fixture.open_turn(&home()).unwrap(), None);
    let ids: Vec<_> = last.iter().map(|item| item.send_id.to_string()).collect();
    assert_eq!(fixture.send_all(&home().room), ids);
}

#[tokio::test]
async fn last_words_that_were_said_already_are_not_said_again() {
    let fixture = TestJournal::open();
    let room = home().room;
    fixture.ask(&home(), &prompt(0));
    let turn = fixture.begin_turn(&home(), Millis(1)).unwrap().unwrap();
    let part = |number| item(&room, turn.id.part(number));
    fixture.enqueue(&part(0)).unwrap();
    assert_eq!(fixture.send_all(&room).len(), 1);
    fixture.enqueue(&part(1)).unwrap();
    fixture
        .end_turn(&turn, &[part(0), part(1), part(2)])
        .unwrap();
    assert_eq!(
        fixture.send_all(&room),
        [turn.id.part(1).to_string(), turn.id.part(2).to_string()]
    );
}

#[tokio::test]
async fn how_far_a_turn_has_come_survives() {
    let fixture = TestJournal::open();
    fixture.ask(&home(), &prompt(0));
    let mut turn = fixture.begin_turn(&home(), Millis(1)).unwrap().unwrap();
    turn.shown.edits_reserved = 60;
    let answer = Answer {
        text: "done".to_owned(),
        ending_notice: None,
    };
    turn.advance(|state| state.finish(answer)).unwrap();
    fixture.update_turn(&turn).unwrap();
    let fixture = fixture.restart().await;
    assert_eq!(fixture.open_turn(&home()).unwrap(), Some(turn));
}

#[tokio::test]
async fn a_prompt_that_waits_can_be_corrected_by_its_author() {
    let fixture = TestJournal::open();
    fixture.ask(&home(), &prompt(0));
    fixture.ask(&home(), &prompt(1));
    let (alice, bob) = (user_id!("@alice:house.test"), user_id!("@bob:house.test"));
    assert!(
        fixture
            .replace_queued(event_id!("$ask1"), alice, "better", None)
            .unwrap()
    );
    assert!(
        !fixture
            .replace_queued(event_id!("$ask0"), bob, "mine", None)
            .unwrap()
    );
    assert!(
        !fixture
            .replace_queued(event_id!("$nothing"), alice, "x", None)
            .unwrap()
    );
    let fixture = fixture.restart().await;
    assert_eq!(fixture.queued(&home()), ["question 0", "better"]);
    fixture.begin_turn(&home(), Millis(1)).unwrap().unwrap();
    assert!(
        !fixture
            .replace_queued(event_id!("$ask1"), alice, "too late", None)
            .unwrap()
    );
}

#[tokio::test]
async fn a_prompt_that_waits_can_be_taken_back() {
    let fixture = TestJournal::open();
    fixture.ask(&home(), &prompt(0));
    fixture.ask(&home(), &prompt(1));
    let withdraw =
        |fixture: &TestJournal, room: &RoomId, event| fixture.withdraw_queued(room, event).unwrap();
    let (here, other) = (home().room, room_id!("!elsewhere:x"));
    assert!(!withdraw(&fixture, other, event_id!("$ask0")));
    assert!(withdraw(&fixture, &here, event_id!("$ask0")));
    assert!(!withdraw(&fixture, &here, event_id!("$ask0")));
    let fixture = fixture.restart().await;
    let turn = fixture.begin_turn(&home(), Millis(1)).unwrap().unwrap();
    assert_eq!(texts(&turn), ["question 1"]);
    assert!(!withdraw(&fixture, &here, event_id!("$ask1")));
}

#[tokio::test]
async fn lettas_conversation_for_a_place_is_remembered() {
    let fixture = TestJournal::open();
    let thread = ConversationKey {
        thread: Some(owned_event_id!("$root")),
        ..home()
    };
    let own = letta_client::ConversationId::parse("conv-1").unwrap();
    assert_eq!(fixture.conversation(&home()).unwrap(), None);
    fixture
        .set_conversation(&home(), &Conversation::Default)
        .unwrap();
    fixture
        .set_conversation(&thread, &Conversation::Own(own.clone()))
        .unwrap();
    let fixture = fixture.restart().await;
    assert_eq!(
        fixture.conversation(&home()).unwrap(),
        Some(Conversation::Default)
    );
    assert_eq!(
        fixture.conversation(&thread).unwrap(),
        Some(Conversation::Own(own))
    );
    fixture.forget_conversation(&thread).unwrap();
    assert_eq!(fixture.conversation(&thread).unwrap(), None);
}
