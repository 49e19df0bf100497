//! Nothing grows without bound, and nothing that is needed is forgotten.

use std::time::Duration;

use super::*;

const DAY: u64 = 24 * 60 * 60 * 1_000;

fn small() -> JournalLimits {
    JournalLimits {
        keep_events: Duration::from_millis(DAY),
        event_ids_max: 5,
        inbox_events_max: 3,
        queued_prompts_max: 2,
        errands_max: 2,
        outbox_items_max: 2,
        sent_max: 1_000,
        failed_max: 3,
    }
}

fn prune(desk: &Desk, now: u64) -> usize {
    let mut removed = 0;
    loop {
        match desk.prune(Millis(now)).unwrap() {
            0 => return removed,
            some => removed += some,
        }
    }
}

#[tokio::test]
async fn a_full_inbox_admits_nothing_new() {
    let desk = Desk::with(small());
    desk.admit(vec![event("$a"), event("$b")], Millis(1))
        .unwrap();
    let failure = desk
        .admit(vec![event("$c"), event("$d")], Millis(1))
        .unwrap_err();
    insta::assert_snapshot!(failure, @"the journal's limit of 3 for events waiting to be routed is reached");
    // All or nothing; and what is known needs no place.
    assert_eq!(desk.waiting(), ["$a", "$b"]);
    assert_eq!((desk.take("$c"), desk.take("$a")), (1, 0));
    // The count survives a restart.
    let desk = desk.restart().await;
    desk.admit(vec![event("$d")], Millis(1)).unwrap_err();
    let (admission, _) = desk.waiting_events(1).unwrap().remove(0);
    desk.drop_event(admission).unwrap();
    assert_eq!(desk.take("$d"), 1);
}

#[tokio::test]
async fn who_fills_a_queue_keeps_nobody_else_out() {
    let limit = 20;
    let desk = Desk::with(JournalLimits {
        queued_prompts_max: limit,
        ..JournalLimits::default()
    });
    let (loud, quiet) = (prompt(0).sender, ruma::user_id!("@quiet:example.org"));
    let mut number = 0;
    while desk.has_place_for(&home(), &loud).unwrap() {
        desk.ask(&home(), &prompt(number));
        number += 1;
    }
    assert_eq!(number, limit - limit / 10);
    for _ in 0..limit / 10 {
        assert!(desk.has_place_for(&home(), quiet).unwrap());
        let of_quiet = QueuedPrompt {
            sender: quiet.to_owned(),
            ..prompt(number)
        };
        desk.ask(&home(), &of_quiet);
        number += 1;
    }
    for sender in [quiet, &loud] {
        assert!(!desk.has_place_for(&home(), sender).unwrap(), "{sender}");
    }
    assert_eq!(desk.queued_prompts(&home()).unwrap().len(), limit);
}

#[tokio::test]
async fn a_conversation_holds_so_many_prompts() {
    let desk = Desk::with(small());
    desk.ask(&home(), &prompt(0));
    desk.ask(&home(), &prompt(1));
    desk.take("$ask2");
    let (admission, _) = desk.waiting_events(1).unwrap().remove(0);
    let failure = desk
        .queue_prompt(admission, &home(), &prompt(2))
        .unwrap_err();
    insta::assert_snapshot!(failure, @"the journal's limit of 2 for waiting prompts of a conversation is reached");
    assert_eq!(desk.waiting(), ["$ask2"], "it stays where it was");
    let elsewhere = ConversationKey {
        agent: agent("agent-2"),
        ..home()
    };
    desk.queue_prompt(admission, &elsewhere, &prompt(2))
        .unwrap();
}

#[tokio::test]
async fn a_room_holds_so_many_messages() {
    let desk = Desk::with(small());
    let room = home().room;
    let say = |word: &str| desk.say(&item(&room, SendId::of(&[word])));
    say("one").unwrap();
    say("two").unwrap();
    let failure = say("three").unwrap_err();
    insta::assert_snapshot!(failure, @"the journal's limit of 2 for messages waiting for a room is reached");
    assert!(!say("two").unwrap(), "what waits is no news");
    assert!(
        desk.say(&item(room_id!("!other:house.test"), SendId::of(&["three"])))
            .unwrap()
    );
    desk.say_all(&room);
    assert!(say("three").unwrap());
}

#[tokio::test]
async fn a_room_holds_so_many_errands() {
    let desk = Desk::with(small());
    let (room, other) = (home().room, room_id!("!other:house.test"));
    let errand = |id: &str, room: &RoomId| {
        desk.take(id);
        let (admission, admitted) = desk.waiting_events(1).unwrap().remove(0);
        let errand = Errand {
            event: admitted.event,
            admitted_at: admitted.admitted_at,
        };
        desk.queue_errand(admission, room, &errand)
    };
    errand("$a", &room).unwrap();
    errand("$b", &room).unwrap();
    let failure = errand("$c", &room).unwrap_err();
    insta::assert_snapshot!(failure, @"the journal's limit of 2 for errands waiting in a room is reached");
    assert_eq!(desk.waiting(), ["$c"], "it stays where it was");
    errand("$c", other).unwrap();
    let (first, _) = desk.next_errand(&room).unwrap().unwrap();
    desk.finish_errand(&room, first).unwrap();
    errand("$d", &room).unwrap();
}

#[tokio::test]
async fn old_event_ids_are_forgotten_and_young_ones_kept() {
    let desk = Desk::with(small());
    let now = 10 * DAY;
    desk.take_at("$old", Millis(now - DAY - 1));
    desk.take_at("$edge", Millis(now - DAY));
    desk.take_at("$new", Millis(now));
    assert_eq!(prune(&desk, now), 1);
    let known =
        ["$old", "$edge", "$new"].map(|id| desk.remembers(&EventId::parse(id).unwrap()).unwrap());
    assert_eq!(known, [false, true, true]);
    // The event itself waits on.
    assert_eq!(desk.waiting(), ["$old", "$edge", "$new"]);
}

#[tokio::test]
async fn too_many_event_ids_lose_the_oldest() {
    let desk = Desk::with(JournalLimits {
        inbox_events_max: 100,
        ..small()
    });
    for number in 0..9_u64 {
        desk.take_at(&format!("$e{number}"), Millis(10 * DAY + number));
    }
    let desk = desk.restart().await;
    assert_eq!(prune(&desk, 10 * DAY), 4);
    let known: Vec<_> = (0..9)
        .filter(|number| {
            desk.remembers(&EventId::parse(format!("$e{number}")).unwrap())
                .unwrap()
        })
        .collect();
    assert_eq!(known, [4, 5, 6, 7, 8]);
    assert_eq!(prune(&desk, 10 * DAY), 0);
}

#[tokio::test]
async fn what_was_said_is_forgotten_later_but_not_under_a_running_turn() {
    let desk = Desk::with(small());
    let room = home().room;
    desk.ask(&home(), &prompt(0));
    let turn = desk.begin_turn(&home(), Millis(1_000)).unwrap().unwrap();
    let ids = [turn.id.part(0), SendId::of(&["other"])];
    for id in &ids {
        desk.say(&item(&room, id.clone())).unwrap();
    }
    desk.say_all(&room);
    let known = |desk: &Desk| ids.clone().map(|id| desk.event_of(&id).unwrap().is_some());
    prune(&desk, DAY);
    assert_eq!(known(&desk), [true, true]);
    prune(&desk, 3 * DAY);
    // The turn must know which event it is to complete, however long it takes.
    assert_eq!(known(&desk), [true, false]);
    desk.end_turn(&turn, &[]).unwrap();
    prune(&desk, 3 * DAY);
    assert_eq!(known(&desk), [false, false]);
}

#[tokio::test]
async fn of_too_much_that_was_said_the_newest_is_remembered() {
    let desk = Desk::with(JournalLimits {
        sent_max: 3,
        failed_max: 3,
        ..small()
    });
    let room = home().room;
    desk.ask(&home(), &prompt(0));
    let turn = desk.begin_turn(&home(), Millis(1)).unwrap().unwrap();
    let words = ["a", "b", "c", "d", "e"].map(|word| SendId::of(&[word]));
    let ids: Vec<_> = [turn.id.part(0)].into_iter().chain(words).collect();
    let now = 10 * DAY;
    for (age, id) in ids.iter().rev().enumerate() {
        desk.say(&item(&room, id.clone())).unwrap();
        let (number, waiting) = desk.next_to_say(&room).unwrap().unwrap();
        let at = Millis(now - age as u64);
        desk.said(number, &waiting, None, at).unwrap();
    }
    let known = |desk: &Desk| -> Vec<_> {
        let known = |id: &SendId| desk.event_of(id).unwrap().is_some();
        ids.iter().map(known).collect()
    };
    prune(&desk, now);
    // The oldest of all is that of a turn which still has to find it.
    assert_eq!(known(&desk), [true, false, false, true, true, true]);
    desk.end_turn(&turn, &[]).unwrap();
    prune(&desk, now);
    assert_eq!(known(&desk), [false, false, false, true, true, true]);
}

#[tokio::test]
async fn pruning_leaves_what_waits() {
    let desk = Desk::with(small());
    let room = home().room;
    desk.ask(&home(), &prompt(0));
    desk.say(&item(&room, SendId::of(&["waits"]))).unwrap();
    desk.set_agent(&agent_record("agent-1", Some(room.clone())))
        .unwrap();
    desk.take("$waits");
    prune(&desk, 100 * DAY);
    assert_eq!(desk.queued(&home()), ["question 0"]);
    assert_eq!(desk.waiting(), ["$waits"]);
    assert_eq!(desk.say_all(&room).len(), 1);
    assert_eq!(desk.agents().unwrap().len(), 1);
    assert!(desk.room(&room).unwrap().is_some());
}

#[tokio::test]
async fn what_was_set_aside_is_bounded_and_can_be_tried_again_once() {
    let desk = Desk::with(small());
    for number in 0..5 {
        desk.ask(&home(), &prompt(number));
        let turn = desk.begin_turn(&home(), Millis(1)).unwrap().unwrap();
        let failed = FailedRecord {
            number: desk.next_failed_number().unwrap(),
            key: home(),
            prompts: turn.prompts.clone(),
            reason: "It failed.".to_owned(),
            code: "FAILED".to_owned(),
            at: Millis(2),
        };
        desk.set_aside(&turn, &failed, &[]).unwrap();
        assert_eq!(desk.open_turn(&home()).unwrap(), None);
    }
    let numbers = |desk: &Desk| -> Vec<u64> {
        desk.failed()
            .unwrap()
            .iter()
            .map(|one| one.number)
            .collect()
    };
    assert_eq!(numbers(&desk), [3, 4, 5], "the oldest go first");
    let desk = desk.restart().await;
    assert_eq!(numbers(&desk), [3, 4, 5]);
    assert_eq!(
        desk.next_failed_number().unwrap(),
        6,
        "no number comes twice"
    );
    let before = desk.failed().unwrap().remove(0).prompts;
    desk.retry_failed(3).unwrap().unwrap();
    assert_eq!(desk.retry_failed(3).unwrap(), None);
    let turn = desk.begin_turn(&home(), Millis(3)).unwrap().unwrap();
    assert_eq!(turn.prompts[0].event_id, before[0].event_id);
    let id = TurnId::of(&before[0].event_id, &home().agent);
    assert_ne!(turn.id, id, "what it says would be taken for said");
    assert_ne!(
        turn.key_of(&turn.prompts[0]),
        turn.prompts[0].event_id.as_str()
    );
    // What is taken back is not kept.
    let event = desk.failed().unwrap()[0].prompts[0].event_id.clone();
    desk.withdraw_failed(&home().room, &event).unwrap();
    assert_eq!(numbers(&desk), [5]);
}

#[test]
fn turns_of_before_budgets_still_open() {
    let old = r#"{"id":"t","key":{"agent":"agent-1","room":"!r:x","thread":null},"prompts":[{"event_id":"$e","sender":"@a:x","text":"hi","admitted_at":1}],"started_at":1,"run":null,"edits_reserved":0,"answer":null}"#;
    let turn: TurnRecord = serde_json::from_str(old).unwrap();
    assert_eq!((turn.spent, &turn.waiting), (Spent::default(), &None));
    assert_eq!(turn.key_of(&turn.prompts[0]), "$e");
}
