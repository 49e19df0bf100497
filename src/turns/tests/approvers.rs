//! Who has asked keeps the right to decide, however the bridge has come to know what waits; where nobody here has asked, only admins
//! have it.

use super::{
    lab::{Lab, admin, ann, bob},
    letta::Fate,
};
use crate::turns::decide::DecisionOutcome;

const ANN_DECIDES: &str = "Only @ann:house.test or an admin";

fn refuses(ruling: &DecisionOutcome) -> bool {
    matches!(ruling, DecisionOutcome::NotTheirsToApprove(_))
}

/// Ann may approve and Bob may not; then Ann does.
async fn ann_decides(lab: &Lab, case: &str) {
    let seen = lab.homeserver.timeline().join("\n");
    assert!(seen.contains(ANN_DECIDES), "{case}: {seen}");
    assert!(refuses(&lab.decide(bob(), true)), "{case}");
    assert_eq!(
        lab.decide(bob(), false),
        DecisionOutcome::NotTheirs,
        "{case}"
    );
    let runs = lab.letta.runs();
    assert_eq!(lab.decide(ann(), true), DecisionOutcome::Taken, "{case}");
    lab.until_seen("it was decided.").await;
    lab.until_quiet().await;
    assert_eq!(lab.letta.runs(), runs, "{case}: the prompt was sent again");
}

/// Neither Ann nor Bob may approve; then an admin does.
fn admins_decide(lab: &Lab, case: &str) {
    let seen = lab.homeserver.timeline().join("\n");
    assert!(!seen.contains(ANN_DECIDES), "{case}: {seen}");
    assert!(
        seen.contains("only an admin can approve it"),
        "{case}: {seen}"
    );
    for who in [ann(), bob()] {
        assert!(refuses(&lab.decide(who, true)), "{case}: {who:?}");
    }
    assert_eq!(lab.decide(admin(), true), DecisionOutcome::Taken, "{case}");
}

/// A Letta whose next send fares so, and which takes decisions.
fn lab(fate: Fate) -> Lab {
    let lab = Lab::new();
    lab.letta.take_decisions();
    lab.letta.next([fate]);
    lab
}

#[tokio::test(start_paused = true)]
async fn asker_decides_after_a_restart_and_after_a_run_was_taken_up_again() {
    for fate in [Fate::Asks, Fate::CloseAndAsks] {
        for restarts in 0..2 {
            let mut lab = lab(fate.clone());
            lab.say("asked");
            lab.until_asked().await;
            for _ in 0..restarts {
                lab.restart().await;
            }
            lab.until_seen("{APPROVAL_NEEDED}").await;
            ann_decides(&lab, &format!("{fate:?}, {restarts} restarts")).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn asker_decides_about_prompts_that_were_asked_together() {
    let lab = lab(Fate::Endless);
    lab.letta.next([Fate::Asks]);
    lab.say("first");
    lab.until_seen("answer to first.").await;
    for text in ["second", "third"] {
        lab.say(text);
    }
    lab.say_in(&lab.home, bob().user.as_str(), "of another");
    lab.stop().await;
    lab.until_asked().await;
    lab.until_seen("{APPROVAL_NEEDED}").await;
    let together = ["second", "third"].map(str::to_owned).to_vec();
    assert!(lab.letta.accepted().contains(&together));
    assert!(!lab.letta.has_accepted("of another"));
    let seen = lab.homeserver.timeline().join("\n");
    assert!(seen.contains(ANN_DECIDES), "{seen}");
    assert!(refuses(&lab.decide(bob(), true)));
    assert_eq!(lab.decide(ann(), true), DecisionOutcome::Taken);
    lab.until_seen("answer to of another.").await;
}

#[tokio::test(start_paused = true)]
async fn asker_decides_about_what_was_read_from_letta_if_letta_says_that_it_is_theirs() {
    let keys = ["$asked", "$asked.r2", "$asked.1000000"];
    for key in keys {
        for fate in [Fate::Waits, Fate::WaitsBefore] {
            let lab = lab(fate.clone());
            lab.letta
                .history_is([Some("$earlier".to_owned()), Some(key.to_owned())]);
            lab.say("asked");
            lab.until_asked().await;
            lab.until_seen("{APPROVAL_NEEDED}").await;
            ann_decides(&lab, &format!("{key}, {fate:?}")).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn admins_decide_about_what_nobody_here_has_asked_for() {
    let foreign = [
        vec![],
        vec![None],
        vec![Some("$other")],
        vec![Some("$asked"), None],
        vec![Some("$asked"), Some("$other")],
        vec![Some("$asked2")],
    ];
    for keys in foreign {
        for fate in [Fate::Waits, Fate::WaitsBefore] {
            let lab = lab(fate.clone());
            lab.letta
                .history_is(keys.iter().map(|key| key.map(str::to_owned)));
            lab.say("asked");
            lab.until_asked().await;
            lab.until_seen("{APPROVAL_NEEDED}").await;
            admins_decide(&lab, &format!("{keys:?}, {fate:?}"));
            // What was found is done with; now for what was asked.
            lab.until_seen("answer to asked.").await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn admins_decide_if_letta_cannot_say_who_has_asked() {
    let lab = lab(Fate::Waits);
    lab.letta.history_is([Some("$asked".to_owned())]);
    lab.letta.fail_all("history");
    lab.say("asked");
    lab.until_asked().await;
    lab.until_seen("{APPROVAL_NEEDED}").await;
    assert_eq!(lab.letta.asked("history"), 1);
    admins_decide(&lab, "no history");
}
