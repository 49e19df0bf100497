//! Who has set too many turns going waits alone: others in the same conversation go on.

use super::lab::{ANN, Lab};

const BOT: &str = "@bot:other.test";

/// A conversation in which the bot has used up its turns, and waits with these.
async fn rate_limited(waiting: &[&str]) -> Lab {
    let lab = Lab::new();
    for number in 0..20 {
        lab.say_in(&lab.home, BOT, &format!("n{number}"));
        lab.soon(|lab| lab.sees(&format!("answer to n{number}.")) > 0)
            .await;
    }
    for text in waiting {
        lab.say_in(&lab.home, BOT, text);
    }
    lab.soon(|lab| lab.sees("{TOO_MANY_TURNS}") > 0).await;
    lab
}

#[tokio::test(start_paused = true)]
async fn braked_sender_holds_up_nobody_else_in_the_conversation() {
    let lab = rate_limited(&["b1", "b2"]).await;
    for text in ["a1", "a2"] {
        lab.say_in(&lab.home, ANN, text);
        lab.say_in(&lab.home, BOT, &format!("after {text}"));
        lab.soon(|lab| lab.letta.has_accepted(text)).await;
        assert!(!lab.letta.has_accepted("b1"), "the brake is off");
    }
    lab.until("what waited is answered", |lab| {
        lab.letta.has_accepted("after a2")
    })
    .await;
    for text in ["b1", "b2", "after a1"] {
        assert!(lab.letta.has_accepted(text), "{text} is lost");
    }
    assert_eq!(lab.sees("{TOO_MANY_TURNS}"), 1, "said once");
    lab.until_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn prompts_of_several_people_are_never_one_turn_when_some_are_overtaken() {
    let lab = rate_limited(&["b1"]).await;
    lab.letta.next([super::letta::Fate::Endless]);
    lab.say_in(&lab.home, ANN, "a1");
    lab.soon(|lab| lab.letta.has_accepted("a1")).await;
    lab.say_in(&lab.home, ANN, "a2");
    lab.say_in(&lab.home, BOT, "b2");
    lab.say_in(&lab.home, ANN, "a3");
    lab.say_in(&lab.home, "@bob:house.test", "c1");
    assert_eq!(lab.stop().await.turns, 1);
    lab.until("all are asked", |lab| {
        ["a3", "b2", "c1"]
            .iter()
            .all(|text| lab.letta.has_accepted(text))
    })
    .await;
    let turns = lab.letta.accepted();
    let together = |texts: &[&str]| turns.iter().any(|turn| turn == texts);
    assert!(together(&["a2", "a3"]), "{turns:?}");
    assert!(together(&["b1", "b2"]), "{turns:?}");
    assert!(together(&["c1"]), "{turns:?}");
}

#[tokio::test(start_paused = true)]
async fn what_a_braked_sender_waits_with_survives_a_restart_and_is_withdrawn_in_time() {
    let mut lab = rate_limited(&["b1", "b2"]).await;
    lab.restart().await;
    lab.until("asked after a restart", |lab| lab.letta.has_accepted("b2"))
        .await;
    let lab = rate_limited(&["b1"]).await;
    let event = ruma::event_id!("$b1");
    assert!(lab.journal.withdraw_queued(lab.room(), event).unwrap());
    tokio::time::sleep(std::time::Duration::from_mins(5)).await;
    assert!(!lab.letta.has_accepted("b1"));
    assert_eq!(lab.turns.in_flight(), 0);
}
