//! Decisions are written down once, and what was taken back before is as if it had never been.

use letta_client::{ApprovalRequest, ToolCall};
use ruma::{event_id, owned_user_id, room_id};

use super::*;
use crate::{
    config::Detail,
    journal::{Allowance, ApprovalDecision, ApprovalRecord, DecidedBy, Delivery, RoomSettings},
};

fn ask(turn: &TurnRecord) -> ApprovalRecord {
    let request = ApprovalRequest {
        id: "message-1".parse().unwrap(),
        calls: vec![ToolCall {
            id: "call-1".parse().unwrap(),
            name: "launch".to_owned(),
            arguments: "{}".to_owned(),
        }],
    };
    ApprovalRecord::new(&request, turn.segment_id().approval_message(), Millis(9))
}

fn approval_decision(approve: bool) -> ApprovalDecision {
    ApprovalDecision {
        approve,
        reason: None,
        by: DecidedBy::Person(owned_user_id!("@ann:house.test")),
    }
}

#[tokio::test]
async fn first_decision_wins_and_survives_a_crash() {
    let fixture = TestJournal::open();
    fixture.ask(&home(), &prompt(0));
    let mut turn = fixture.begin_turn(&home(), Millis(1)).unwrap().unwrap();
    let approval_message = turn.segment_id().approval_message();
    let decide = |fixture: &TestJournal, approve| {
        fixture
            .decide(&home(), &approval_message, &approval_decision(approve))
            .unwrap()
    };
    assert!(!decide(&fixture, true), "nothing was asked");
    let approval = ask(&turn);
    turn.advance(|state| state.ask(Answer::default(), approval))
        .unwrap();
    fixture.update_turn(&turn).unwrap();
    assert!(!decide(&fixture, true), "there is something to say first");
    turn.advance(TurnState::await_decision).unwrap();
    fixture.end_segment(&turn, &[]).unwrap();
    assert!(decide(&fixture, false));
    assert!(!decide(&fixture, true), "it is decided");
    let fixture = fixture.restart().await;
    let mut turn = fixture.open_turn(&home()).unwrap().unwrap();
    assert!(matches!(turn.state(), TurnState::Decided(decided) if !decided.decision.approve));
    turn.advance(TurnState::resume).unwrap();
    assert!(matches!(turn.state(), TurnState::Resuming { .. }));
    assert_ne!(turn.segment_id().part(0), turn.id.part(0));
}

#[tokio::test]
async fn found_request_and_running_turn_exclude_each_other() {
    let fixture = TestJournal::open();
    fixture.ask(&home(), &prompt(0));
    let turn = fixture.begin_turn(&home(), Millis(1)).unwrap().unwrap();
    let id = TurnId::named(&["found"]);
    let find = || {
        fixture
            .begin_found(&home(), id.clone(), ask(&turn), Millis(2))
            .unwrap()
    };
    assert!(!find());
    fixture.end_turn(&turn, &[]).unwrap();
    assert!(find());
    fixture.ask(&home(), &prompt(1));
    assert_eq!(fixture.begin_turn(&home(), Millis(3)).unwrap(), None);
    assert_eq!(fixture.turns_in(&home().room).unwrap().len(), 1);
    assert!(
        fixture
            .turns_in(room_id!("!other:house.test"))
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn choices_are_kept_for_each_room_and_agent() {
    let fixture = TestJournal::open();
    let (room, agent) = (home().room, home().agent);
    assert_eq!(
        fixture.room_settings(&room).unwrap(),
        RoomSettings::default()
    );
    fixture
        .change_room_settings(&room, |choices| choices.detail = Some(Detail::Full))
        .unwrap();
    fixture
        .change_room_settings(&room, |choices| choices.chat_only = true)
        .unwrap();
    let allowance = Allowance {
        by: owned_user_id!("@ann:house.test"),
        at: Millis(1),
    };
    fixture
        .allow_tools(&agent, |tools| {
            tools.insert("launch".to_owned(), allowance.clone());
        })
        .unwrap();
    let fixture = fixture.restart().await;
    let chosen = fixture.room_settings(&room).unwrap();
    assert_eq!(
        (chosen.detail, chosen.chat_only),
        (Some(Detail::Full), true)
    );
    let other = room_id!("!other:house.test");
    assert_eq!(
        fixture.room_settings(other).unwrap(),
        RoomSettings::default()
    );
    assert_eq!(fixture.allowed_tools(&agent).unwrap()["launch"], allowance);
}

#[tokio::test]
async fn redacted_command_is_removed_from_its_room_queue() {
    let fixture = TestJournal::open();
    let room = home().room;
    for id in ["$approves", "$stops"] {
        fixture.take(id);
        let (admission, admitted) = fixture.waiting_events(1).unwrap().remove(0);
        let job = RoomJob {
            event: admitted.event,
            admitted_at: Millis(1),
        };
        fixture.queue_room_job(admission, &room, &job).unwrap();
    }
    fixture
        .withdraw_room_job(&room, event_id!("$approves"))
        .unwrap();
    let (_, next) = fixture.next_room_job(&room).unwrap().unwrap();
    assert_eq!(id_of(&next.event), "$stops");
}

#[tokio::test]
async fn a_choice_stands_only_for_the_very_same_calls_and_only_if_letta_has_not_heard_it() {
    let fixture = TestJournal::open();
    fixture.ask(&home(), &prompt(0));
    let turn = fixture.begin_turn(&home(), Millis(1)).unwrap().unwrap();
    let again = |arguments: &str| ApprovalRequest {
        id: "message-2".parse().unwrap(),
        calls: vec![ToolCall {
            id: "call-2".parse().unwrap(),
            name: "launch".to_owned(),
            arguments: arguments.to_owned(),
        }],
    };
    let approval = ask(&turn);
    let decided = TurnState::AwaitingDecision(approval)
        .decide(approval_decision(true))
        .and_then(TurnState::resume)
        .unwrap();
    let forgotten = |state: TurnState| state.nothing_waits(true).unwrap();
    let renewed = forgotten(decided.clone()).renew(&again("{}")).unwrap();
    let TurnState::Resuming {
        decided: stands,
        delivery,
        ..
    } = renewed
    else {
        panic!("it stands: {renewed:?}");
    };
    assert_eq!(stands.decision, approval_decision(true));
    assert_eq!(stands.approval.calls[0].id.as_str(), "call-2");
    assert_eq!(delivery, Delivery::Undelivered);
    let twice = again(r#"{"twice":true}"#);
    assert!(forgotten(decided.clone()).renew(&twice).is_err());
    let sent = forgotten(decided.send_decision().unwrap());
    assert!(!sent.still_decides(&again("{}")), "it may have run");
    assert!(sent.may_have_run(&again("{}")) && !sent.may_have_run(&again("[]")));
}
