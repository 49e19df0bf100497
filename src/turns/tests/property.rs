//! Whatever happens, in whatever order: Letta is asked a bounded number of times, every prompt is answered, refused or set aside
//! with a notice, and the next one goes on.

use std::collections::BTreeSet;

use letta_client::FailureKind;
use proptest::prelude::*;

use super::{
    lab::Lab,
    letta::{Fate, ScriptedLetta},
    sequences,
};
use crate::turns::budget::{FAILURES_MAX, RUNS_MAX};

/// How many questions one prompt may cost at most, looks included: what its budget allows of each kind, several times over.
const ASKS_PER_PROMPT_MAX: usize = 40;

/// How many questions follow one failure: to the history, to the agent, and the same again.
const ASKS_PER_FAILURE: usize = 3;

#[derive(Clone, Debug)]
enum Step {
    Prompt,
    Stop,
    Restart,
    /// The next sends fare so.
    Fates(Fate, usize),
    /// The next calls that send nothing fare so: looks at the history and the agent, runs that are taken up again.
    Looks(Fate, usize),
    /// All sends fare so until the end.
    Always(Fate),
    DeleteAgent,
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        Just(Fate::Letta(500)),
        Just(Fate::Letta(404)),
        Just(Fate::Letta(429)),
        Just(Fate::Proxy(404)),
        Just(Fate::Proxy(403)),
        Just(Fate::Proxy(429)),
        Just(Fate::Proxy(500)),
        Just(Fate::Proxy(504)),
        Just(Fate::Letta(502)),
        Just(Fate::Later(600)),
        Just(Fate::ConversationGone),
        Just(Fate::Hang),
        Just(Fate::Close),
        Just(Fate::LoseRun),
        Just(Fate::Fail(FailureKind::Credits)),
        Just(Fate::Fail(FailureKind::Broken)),
        Just(Fate::Fail(FailureKind::ContextOverflow)),
    ]
}

/// What becomes of calls that send nothing.
fn look_fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        Just(Fate::Letta(500)),
        Just(Fate::Letta(404)),
        Just(Fate::Letta(429)),
        Just(Fate::Proxy(404)),
        Just(Fate::Proxy(429)),
        Just(Fate::Proxy(500)),
        Just(Fate::Later(600)),
        Just(Fate::ConversationGone),
        Just(Fate::Hang),
        Just(Fate::Close),
    ]
}

/// Failures that Letta itself has to answer for: they end by number, not by time.
fn costly() -> impl Strategy<Value = Fate> {
    prop_oneof![
        Just(Fate::Letta(500)),
        Just(Fate::ConversationGone),
        Just(Fate::LoseRun),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Prompt),
        2 => Just(Step::Stop),
        2 => Just(Step::Restart),
        5 => (fate(), 1..6_usize).prop_map(|(fate, times)| Step::Fates(fate, times)),
        3 => (look_fate(), 1..6_usize).prop_map(|(fate, times)| Step::Looks(fate, times)),
        1 => costly().prop_map(Step::Always),
        1 => Just(Step::DeleteAgent),
    ]
}

proptest! {
    #![proptest_config(sequences::config())]

    #[test]
    fn no_prompt_is_lost_and_no_failure_is_asked_for_ever(steps in prop::collection::vec((step(), 0..4_u64), 1..14)) {
        sequences::run(live_through(steps));
    }
}

async fn live_through(steps: Vec<(Step, u64)>) {
    let mut lab = Lab::new();
    let mut asked: Vec<String> = Vec::new();
    let mut stopped = BTreeSet::new();
    let mut gone = false;
    // What a step of these brings with it is asked about, once.
    let mut allowed = 0;
    for (step, pause) in steps {
        match step {
            Step::Prompt => {
                let text = format!("p{}", asked.len());
                lab.say(&text);
                asked.push(text);
            }
            Step::Stop => {
                let turns = lab.journal.turns_in(lab.room()).unwrap();
                lab.stop().await;
                let prompts = turns.into_iter().flat_map(|turn| turn.prompts);
                stopped.extend(prompts.map(|prompt| prompt.text));
            }
            Step::Restart => {
                allowed += ASKS_PER_FAILURE;
                lab.restart().await;
            }
            Step::Fates(fate, times) => {
                allowed += ASKS_PER_FAILURE * times;
                lab.letta.next(vec![fate; times]);
            }
            Step::Looks(fate, times) => {
                allowed += ASKS_PER_FAILURE * times;
                lab.letta.next_looks(vec![fate; times]);
            }
            Step::Always(fate) => lab.letta.always(fate),
            Step::DeleteAgent => {
                lab.letta.delete_agent();
                gone = true;
            }
        }
        // From nothing to minutes, so that steps meet turns in every state.
        tokio::time::sleep(std::time::Duration::from_secs(pause.pow(4))).await;
    }
    lab.until_quiet().await;
    let (asks, runs) = (lab.letta.asked(""), lab.letta.runs());
    let budget = ASKS_PER_PROMPT_MAX * (asked.len() + 1) + allowed;
    assert!(
        asks <= budget,
        "{asks} questions for {} prompts",
        asked.len()
    );
    assert!(
        runs <= budget.min(RUNS_MAX as usize * (asked.len() + 1)),
        "{runs} runs"
    );
    for text in &asked {
        let account = account(&lab, &lab.letta, text, &stopped);
        assert!(
            account.is_some(),
            "nothing became of {text}\n{}",
            lab.homeserver.timeline().join("\n")
        );
    }
    for failed in lab.journal.failed_prompts().unwrap() {
        let words = format!("retry {}`", failed.number);
        assert_eq!(lab.sees(&words), 1, "{failed:?} is set aside in silence");
    }
    the_next_goes_on(&lab, gone).await;
    lab.end().await;
}

async fn the_next_goes_on(lab: &Lab, gone: bool) {
    let asks = lab.letta.asked("");
    lab.letta.heal();
    lab.say("last");
    lab.until_quiet().await;
    let (answered, failed) = (lab.sees("answer to last."), lab.failed().contains("last"));
    assert_eq!(
        (answered > 0, failed),
        (!gone, gone),
        "{}",
        lab.homeserver.timeline().join("\n")
    );
    assert!(lab.letta.asked("") <= asks + FAILURES_MAX as usize);
}

/// What became of a prompt.
fn account(
    lab: &Lab,
    letta: &ScriptedLetta,
    text: &str,
    stopped: &BTreeSet<String>,
) -> Option<&'static str> {
    let timeline = lab.homeserver.timeline();
    let answered = timeline.iter().any(|line| {
        let mut words = line.split([' ', '.']);
        line.contains("answer to") && words.any(|word| word == text)
    });
    let told = [
        (answered, "answered"),
        (lab.failed().contains(text), "set aside"),
        (stopped.contains(text), "stopped"),
        (letta.has_failed(text), "refused"),
    ];
    told.into_iter()
        .find_map(|(holds, what)| holds.then_some(what))
}
