//! Whatever is asked of a turn, in whatever order, with crashes in between: it is in a legal state, a transition that the table
//! does not name is refused and changes nothing, and the turn can end.

use letta_client::ToolCall;
use proptest::prelude::*;
use ruma::{owned_room_id, owned_user_id};

use super::*;
use crate::{
    journal::record::{ConversationKey, TurnId, TurnRecord, turn::ShownSegment},
    time::Millis,
};

#[derive(Clone, Copy, Debug)]
enum Who {
    Approves,
    Denies,
    Stops,
    Elsewhere,
    Nobody,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    StartRun(u8),
    LoseRun,
    RenewKeys,
    Ask {
        calls: u8,
        found: bool,
        repeats: bool,
    },
    Finish,
    SendDecision,
    DecisionNotReceived,
    NothingWaits {
        is_forgotten: bool,
    },
    FollowExternal(Who),
    Renew {
        calls: u8,
    },
    AwaitDecision,
    Allow,
    Decide(Who),
    ReplaceDecision(Who),
    Resume,
    StartPrompts,
    /// What the room was shown of the segment.
    Show,
    /// The turn is written down.
    Store,
    /// The process ends, and the next one goes on from what was written down.
    Crash,
}

fn who() -> impl Strategy<Value = Who> {
    prop_oneof![
        Just(Who::Approves),
        Just(Who::Denies),
        Just(Who::Stops),
        Just(Who::Elsewhere),
        Just(Who::Nobody),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        1 => (0..2_u8).prop_map(Step::StartRun),
        1 => Just(Step::LoseRun),
        1 => Just(Step::RenewKeys),
        2 => (0..2_u8, any::<bool>(), any::<bool>())
            .prop_map(|(calls, found, repeats)| Step::Ask { calls, found, repeats }),
        1 => Just(Step::Finish),
        1 => Just(Step::SendDecision),
        1 => Just(Step::DecisionNotReceived),
        1 => any::<bool>().prop_map(|is_forgotten| Step::NothingWaits { is_forgotten }),
        1 => who().prop_map(Step::FollowExternal),
        1 => (0..2_u8).prop_map(|calls| Step::Renew { calls }),
        1 => Just(Step::AwaitDecision),
        1 => Just(Step::Allow),
        1 => who().prop_map(Step::Decide),
        1 => who().prop_map(Step::ReplaceDecision),
        1 => Just(Step::Resume),
        1 => Just(Step::StartPrompts),
        1 => Just(Step::Show),
        1 => Just(Step::Store),
        1 => Just(Step::Crash),
    ]
}

fn run(number: u8) -> RunId {
    format!("run-{number}").parse().unwrap()
}

fn decision(who: Who) -> ApprovalDecision {
    let ann = owned_user_id!("@ann:house.test");
    let by = match who {
        Who::Approves | Who::Denies => DecidedBy::Person(ann),
        Who::Stops => return ApprovalDecision::stopped(ann),
        Who::Elsewhere => DecidedBy::External(run(9)),
        Who::Nobody => DecidedBy::Timeout,
    };
    ApprovalDecision {
        approve: matches!(who, Who::Approves),
        reason: None,
        by,
    }
}

fn request(calls: u8) -> ApprovalRequest {
    let call = |number: u8| ToolCall {
        id: format!("call-{number}").parse().unwrap(),
        name: "launch".to_owned(),
        arguments: "{}".to_owned(),
    };
    ApprovalRequest {
        id: "message-1".parse().unwrap(),
        calls: (0..=calls).map(call).collect(),
    }
}

fn answer() -> Answer {
    Answer {
        text: "Said.".to_owned(),
        ending_notice: None,
    }
}

/// As `turns::run` makes it.
fn approval(turn: &TurnRecord, calls: u8, found: bool) -> ApprovalRecord {
    let request = request(calls);
    ApprovalRecord {
        found,
        repeats: turn.state().may_have_run(&request),
        ..ApprovalRecord::new(&request, turn.segment_id().approval_message(), Millis(9))
    }
}

fn take(turn: &mut TurnRecord, step: Step) -> Result<(), IllegalTransition> {
    match step {
        Step::StartRun(number) => turn.advance(|state| state.start_run(run(number))),
        Step::LoseRun => turn.advance(TurnState::lose_run),
        Step::RenewKeys => turn.renew_keys(),
        Step::Ask {
            calls,
            found,
            repeats,
        } => {
            let mut approval = approval(turn, calls, found);
            approval.repeats |= repeats;
            turn.advance(|state| state.ask(answer(), approval))
        }
        Step::Finish => turn.advance(|state| state.finish(answer())),
        Step::SendDecision => turn.advance(TurnState::send_decision),
        Step::DecisionNotReceived => turn.advance(TurnState::decision_not_received),
        Step::NothingWaits { is_forgotten } => {
            turn.advance(|state| state.nothing_waits(is_forgotten))
        }
        Step::FollowExternal(who) => turn.advance(|state| state.follow_external(decision(who))),
        Step::Renew { calls } => turn.advance(|state| state.renew(&request(calls))),
        Step::AwaitDecision => turn.advance(TurnState::await_decision),
        Step::Allow => turn.advance(TurnState::allow),
        Step::Decide(who) => turn.advance(|state| state.decide(decision(who))),
        Step::ReplaceDecision(who) => turn.advance(|state| state.replace_decision(decision(who))),
        Step::Resume => turn.advance(TurnState::resume),
        Step::StartPrompts => turn.advance(TurnState::start_prompts),
        Step::Show => {
            turn.shown.edits_reserved += 10;
            Ok(())
        }
        Step::Store | Step::Crash => Ok(()),
    }
}

#[expect(
    clippy::match_same_arms,
    reason = "a table: each row is a fact of its own"
)]
/// The table: from which states which steps are taken, and where they lead. `None`: it is refused.
fn table(turn: &TurnRecord, step: Step) -> Option<&'static str> {
    let state = turn.state();
    let in_segment = ["streaming", "resuming"].contains(&state.name());
    let stays = Some(state.name());
    match (state.name(), step) {
        (_, Step::Show | Step::Store | Step::Crash) => stays,
        (_, Step::StartRun(_) | Step::LoseRun | Step::RenewKeys) if in_segment => stays,
        (_, Step::Ask { .. }) if in_segment => Some("asking"),
        (_, Step::Finish) if in_segment => Some("finishing"),
        (
            "resuming",
            Step::SendDecision | Step::DecisionNotReceived | Step::NothingWaits { .. },
        ) => stays,
        ("resuming", Step::FollowExternal(Who::Elsewhere)) => stays,
        ("resuming", Step::Renew { calls }) if state.still_decides(&request(calls)) => stays,
        ("asking", Step::AwaitDecision) => Some("awaiting a decision"),
        ("asking", Step::Allow) if !state.approval()?.repeats => Some("resuming"),
        ("awaiting a decision", Step::Decide(_)) => Some("decided"),
        ("decided", Step::ReplaceDecision(_)) => stays,
        ("decided", Step::Resume) => Some("resuming"),
        ("finishing", Step::StartPrompts)
            if state.approval()?.found && !state.decided()?.is_stopped() =>
        {
            Some("streaming")
        }
        _ => None,
    }
}

fn reread(turn: &TurnRecord) -> TurnRecord {
    serde_json::from_slice(&serde_json::to_vec(turn).unwrap()).unwrap()
}

/// What holds for every turn.
fn check(turn: &TurnRecord) {
    assert_eq!(reread(turn), *turn, "it comes back as it was");
    match turn.state() {
        TurnState::AwaitingDecision(approval)
        | TurnState::Decided(DecidedApproval { approval, .. })
        | TurnState::Asking { approval, .. } => {
            let own = turn.segment_id().approval_message();
            assert_eq!(
                approval.approval_message, own,
                "each segment asks for itself"
            );
        }
        TurnState::Resuming { decided, .. } => {
            let own = turn.segment_id().approval_message();
            assert_ne!(decided.approval.approval_message, own);
        }
        TurnState::Streaming { .. } | TurnState::Finishing { .. } => {}
    }
}

/// What a step has changed.
fn check_step(before: &TurnRecord, turn: &TurnRecord, step: Step) {
    let begins = turn.state().asks_letta() && !before.state().asks_letta();
    assert_eq!(turn.segment(), before.segment() + u32::from(begins));
    if begins {
        assert_eq!(
            turn.shown,
            ShownSegment::default(),
            "nothing of it was shown"
        );
    }
    let (was, is) = (before.state(), turn.state());
    if was.decided() != is.decided() {
        let anew = matches!(
            step,
            Step::Ask { .. } | Step::Decide(_) | Step::Allow | Step::StartPrompts
        );
        let instead = matches!(
            step,
            Step::ReplaceDecision(_) | Step::FollowExternal(_) | Step::Renew { .. }
        );
        assert!(anew || instead, "{step:?} changes what was decided");
    }
    if let (TurnState::Resuming { delivery, .. }, true) = (is, begins) {
        let external = is
            .decided()
            .and_then(DecidedApproval::external_run)
            .is_some();
        assert_eq!(
            delivery.is_sent(),
            external,
            "Letta has received nothing yet"
        );
    }
}

/// A way to the end from here.
fn ends(mut turn: TurnRecord) -> bool {
    /// More than the longest way: resume, ask, wait, decide, resume, finish.
    const STEPS_MAX: usize = 6;
    for _ in 0..STEPS_MAX {
        let step = match turn.state() {
            TurnState::Streaming { .. } | TurnState::Resuming { .. } => Step::Finish,
            TurnState::Asking { .. } => Step::AwaitDecision,
            TurnState::AwaitingDecision(_) => Step::Decide(Who::Nobody),
            TurnState::Decided(_) => Step::Resume,
            TurnState::Finishing { .. } => return true,
        };
        take(&mut turn, step).unwrap();
    }
    false
}

fn place() -> ConversationKey {
    ConversationKey {
        agent: "agent-1".parse().unwrap(),
        room: owned_room_id!("!room:house.test"),
        thread: None,
    }
}

fn first() -> impl Strategy<Value = TurnRecord> {
    let id = TurnId::named(&["turn"]);
    let plain = TurnRecord::new(id.clone(), place(), Vec::new(), Millis(1));
    let external = TurnRecord::external(id.clone(), place(), Millis(1));
    let asks = approval(&plain, 0, true);
    let found = TurnRecord::found(id, place(), asks, Millis(1));
    prop_oneof![4 => Just(plain), 1 => Just(external), 1 => Just(found)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn any_order_of_steps_leads_to_a_legal_state(mut turn in first(), steps in prop::collection::vec(step(), 1..60)) {
        let mut stored = turn.clone();
        for step in steps {
            match step {
                Step::Store => stored = reread(&turn),
                Step::Crash => turn = stored.clone(),
                _ => {}
            }
            let before = turn.clone();
            let expected = table(&turn, step);
            match take(&mut turn, step) {
                Ok(()) => {
                    prop_assert_eq!(Some(turn.state().name()), expected, "{:?}", step);
                    check_step(&before, &turn, step);
                }
                Err(refused) => {
                    prop_assert_eq!(expected, None, "{:?} is refused", step);
                    prop_assert_eq!(refused.state, before.state().name());
                    prop_assert_eq!(&turn, &before, "what is refused changes nothing");
                }
            }
            check(&turn);
            prop_assert!(ends(turn.clone()), "{:?} cannot end", turn);
        }
    }
}

#[test]
fn refused_transition_says_what_and_where() {
    let turn = TurnRecord::new(TurnId::named(&["turn"]), place(), Vec::new(), Millis(1));
    let refused = turn.state().clone().resume().unwrap_err();
    assert_eq!(
        refused.to_string(),
        "illegal transition of a turn: resume while streaming"
    );
}
