//! Decisions are written down once, and what was taken back before is as if it had never been.

use letta_client::{ApprovalRequest, ToolCall};
use ruma::{event_id, owned_user_id, room_id};

use super::*;
use crate::{
    config::Detail,
    journal::{Allowance, Ask, By, RoomChoices, Verdict},
};

fn ask(turn: &TurnRecord) -> Ask {
    let request = ApprovalRequest {
        id: "message-1".parse().unwrap(),
        calls: vec![ToolCall {
            id: "call-1".parse().unwrap(),
            name: "launch".to_owned(),
            arguments: "{}".to_owned(),
        }],
    };
    Ask::new(&request, turn.chapter_id().card(), Millis(9))
}

fn verdict(approve: bool) -> Verdict {
    Verdict {
        approve,
        reason: None,
        by: By::Person(owned_user_id!("@ann:house.test")),
    }
}

#[tokio::test]
async fn who_decides_first_has_decided_and_a_crash_changes_nothing() {
    let desk = Desk::open();
    desk.ask(&home(), &prompt(0));
    let mut turn = desk.begin_turn(&home(), Millis(1)).unwrap().unwrap();
    let card = turn.chapter_id().card();
    let decide = |desk: &Desk, approve| desk.decide(&home(), &card, &verdict(approve)).unwrap();
    assert!(!decide(&desk, true), "nothing was asked");
    turn.ask = Some(ask(&turn));
    turn.answer = Some(Answer::default());
    desk.update_turn(&turn).unwrap();
    assert!(!decide(&desk, true), "there is something to say first");
    turn.answer = None;
    desk.end_chapter(&turn, &[]).unwrap();
    assert!(decide(&desk, false));
    assert!(!decide(&desk, true), "it is decided");
    let desk = desk.restart().await;
    let mut turn = desk.open_turn(&home()).unwrap().unwrap();
    assert_eq!(
        turn.decided().map(|(_, verdict)| verdict.approve),
        Some(false)
    );
    assert!(turn.has_news_for_its_card());
    turn.turn_the_page();
    assert!(!turn.has_news_for_its_card() && turn.decided().is_some());
    assert_ne!(turn.chapter_id().part(0), turn.id.part(0));
}

#[tokio::test]
async fn what_is_found_waiting_disturbs_no_turn_and_no_turn_disturbs_it() {
    let desk = Desk::open();
    desk.ask(&home(), &prompt(0));
    let turn = desk.begin_turn(&home(), Millis(1)).unwrap().unwrap();
    let id = TurnId::named(&["found"]);
    let find = || {
        desk.begin_found(&home(), id.clone(), ask(&turn), Millis(2))
            .unwrap()
    };
    assert!(!find());
    desk.end_turn(&turn, &[]).unwrap();
    assert!(find());
    desk.ask(&home(), &prompt(1));
    assert_eq!(desk.begin_turn(&home(), Millis(3)).unwrap(), None);
    assert_eq!(desk.turns_in(&home().room).unwrap().len(), 1);
    assert!(
        desk.turns_in(room_id!("!other:house.test"))
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn choices_are_kept_for_each_room_and_agent() {
    let desk = Desk::open();
    let (room, agent) = (home().room, home().agent);
    assert_eq!(desk.choices(&room).unwrap(), RoomChoices::default());
    desk.choose(&room, |choices| choices.detail = Some(Detail::Full))
        .unwrap();
    desk.choose(&room, |choices| choices.chat_only = true)
        .unwrap();
    let allowance = Allowance {
        by: owned_user_id!("@ann:house.test"),
        at: Millis(1),
    };
    desk.allow_tools(&agent, |tools| {
        tools.insert("launch".to_owned(), allowance.clone());
    })
    .unwrap();
    let desk = desk.restart().await;
    let chosen = desk.choices(&room).unwrap();
    assert_eq!(
        (chosen.detail, chosen.chat_only),
        (Some(Detail::Full), true)
    );
    let other = room_id!("!other:house.test");
    assert_eq!(desk.choices(other).unwrap(), RoomChoices::default());
    assert_eq!(desk.allowed_tools(&agent).unwrap()["launch"], allowance);
}

#[tokio::test]
async fn what_is_taken_back_before_it_is_done_is_nothing() {
    let desk = Desk::open();
    let room = home().room;
    for id in ["$approves", "$stops"] {
        desk.take(id);
        let (admission, admitted) = desk.waiting_events(1).unwrap().remove(0);
        let errand = Errand {
            event: admitted.event,
            admitted_at: Millis(1),
        };
        desk.queue_errand(admission, &room, &errand).unwrap();
    }
    desk.withdraw_errand(&room, event_id!("$approves")).unwrap();
    let (_, next) = desk.next_errand(&room).unwrap().unwrap();
    assert_eq!(id_of(&next.event), "$stops");
}

#[tokio::test]
async fn a_choice_stands_only_for_the_very_same_calls_and_only_if_letta_has_not_heard_it() {
    let desk = Desk::open();
    desk.ask(&home(), &prompt(0));
    let turn = desk.begin_turn(&home(), Millis(1)).unwrap().unwrap();
    let again = |arguments: &str| ApprovalRequest {
        id: "message-2".parse().unwrap(),
        calls: vec![ToolCall {
            id: "call-2".parse().unwrap(),
            name: "launch".to_owned(),
            arguments: arguments.to_owned(),
        }],
    };
    let decided = Ask {
        verdict: Some(verdict(true)),
        forgotten: true,
        ..ask(&turn)
    };
    let renewed = decided.renewed(&again("{}")).expect("it stands");
    assert_eq!(renewed.verdict, decided.verdict);
    assert_eq!(renewed.calls[0].id.as_str(), "call-2");
    assert!(!renewed.forgotten && renewed.untold);
    assert_eq!(decided.renewed(&again(r#"{"twice":true}"#)), None);
    assert_eq!(ask(&turn).renewed(&again("{}")), None, "nobody has decided");
    let told = Ask {
        untold: false,
        ..decided
    };
    assert_eq!(told.renewed(&again("{}")), None, "it may have run");
    assert!(told.may_have_run(&again("{}")) && !told.may_have_run(&again("[]")));
}
