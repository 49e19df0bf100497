//! Whatever happens to turns that ask for decisions, in whatever order: every request is decided once and the room sees how, no tool
//! runs that nobody has approved, every turn ends, and the next prompt is answered.

use proptest::prelude::*;

use super::{
    lab::{Lab, admin, ann, bob},
    letta::Fate,
    sequences,
};
use crate::{
    journal::{TurnRecord, TurnState},
    turns::decide::{DecisionOutcome, Requester},
};

#[derive(Clone, Debug)]
enum Step {
    Prompt,
    /// The next sends fare so.
    Fates(Fate, usize),
    Decide(Who, bool),
    Stop,
    Restart,
    /// The conversation is lost before the next decision arrives.
    LoseConversation,
}

#[derive(Clone, Copy, Debug)]
enum Who {
    Ann,
    Bob,
    Admin,
}

impl Who {
    fn requester(self) -> Requester<'static> {
        match self {
            Self::Ann => ann(),
            Self::Bob => bob(),
            Self::Admin => admin(),
        }
    }
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        6 => Just(Fate::Asks),
        2 => Just(Fate::CloseAndAsks),
        1 => Just(Fate::Waits),
        1 => Just(Fate::WaitsBefore),
        1 => Just(Fate::Close),
        1 => Just(Fate::Letta(500)),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let who = prop_oneof![
        3 => Just(Who::Ann),
        1 => Just(Who::Bob),
        2 => Just(Who::Admin)
    ];
    prop_oneof![
        4 => Just(Step::Prompt),
        4 => (fate(), 1..3_usize).prop_map(|(fate, times)| Step::Fates(fate, times)),
        6 => (who, any::<bool>()).prop_map(|(who, approve)| Step::Decide(who, approve)),
        1 => Just(Step::Stop),
        2 => Just(Step::Restart),
        1 => Just(Step::LoseConversation),
    ]
}

proptest! {
    #![proptest_config(sequences::config())]

    #[test]
    fn every_request_is_decided_once_and_every_turn_ends(steps in prop::collection::vec((step(), 0..4_u64), 1..16)) {
        sequences::run(live_through(steps));
    }
}

async fn live_through(steps: Vec<(Step, u64)>) {
    let mut lab = Lab::new();
    lab.letta.take_decisions();
    let (mut prompts, mut approvals, mut restarts) = (0, 0, 0);
    for (step, pause) in steps {
        match step {
            Step::Prompt => {
                lab.say(&format!("p{prompts}"));
                prompts += 1;
            }
            Step::Fates(fate, times) => lab.letta.next(vec![fate; times]),
            Step::Decide(who, approve) => {
                let outcome = lab.decide(who.requester(), approve);
                approvals += usize::from(approve && outcome == DecisionOutcome::Taken);
            }
            Step::Stop => _ = lab.stop().await,
            Step::Restart => {
                restarts += 1;
                lab.restart().await;
            }
            Step::LoseConversation => lab.letta.forget_before_decision(),
        }
        // From nothing to minutes, so that steps meet turns in every state.
        tokio::time::sleep(std::time::Duration::from_secs(pause.pow(4))).await;
        for turn in lab.journal.turns_in(lab.room()).unwrap() {
            check(&turn);
        }
    }
    // What nobody decides is denied in time.
    lab.letta.heal();
    lab.until_quiet().await;
    assert!(lab.journal.turns_in(lab.room()).unwrap().is_empty());
    let shown = lab.homeserver.shown();
    let open = shown
        .iter()
        .filter(|text| text.contains("[APPROVAL_NEEDED]"));
    assert_eq!(open.count(), 0, "a request is left open: {shown:#?}");
    let ran = lab
        .letta
        .approved()
        .into_iter()
        .filter(|approved| *approved);
    // Who was told a decision when the process ended may be told once more.
    assert!(
        ran.count() <= approvals + restarts,
        "{approvals} approvals, {:?}",
        lab.letta.approved()
    );
    lab.say("last");
    lab.until_seen("answer to last.").await;
    lab.end().await;
}

/// What holds of every turn that is written down.
fn check(turn: &TurnRecord) {
    if let TurnState::AwaitingDecision(approval) = turn.state() {
        let own = turn.segment_id().approval_message();
        assert_eq!(approval.approval_message, own, "{turn:?}");
    }
    let stored = serde_json::to_vec(turn).unwrap();
    assert_eq!(
        serde_json::from_slice::<TurnRecord>(&stored).unwrap(),
        *turn
    );
}
