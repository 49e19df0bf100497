//! What single failures make of a turn.

use std::time::Duration;

use letta_client::FailureKind;
use serde_json::json;

use super::{
    lab::{ANN, Lab, admin, ann},
    letta::Fate,
};
use crate::{
    journal::AgentStatus,
    matrix::scripted_homeserver::Fault,
    turns::{
        budget::{FAILURES_MAX, RESTARTS_MAX, SENDS_MAX},
        failed_prompts::RetryOutcome,
    },
};

#[tokio::test(start_paused = true)]
async fn deleted_agent_is_asked_once_and_known_gone_agent_never() {
    let lab = Lab::new();
    lab.letta.delete_agent();
    lab.say("first");
    lab.until_quiet().await;
    assert_eq!(lab.letta.asked("send"), 1);
    assert_eq!(lab.sees("{AGENT_GONE}"), 1);
    let mut record = lab.journal.agent(&lab.home.agent).unwrap().unwrap();
    record.status = AgentStatus::Gone {
        since: crate::time::Millis(1),
    };
    lab.journal.set_agent(&record).unwrap();
    let asked = lab.letta.asked("");
    lab.say("second");
    lab.until_quiet().await;
    assert_eq!(lab.letta.asked(""), asked, "a known-gone agent is asked");
    assert_eq!(lab.sees("{AGENT_GONE}"), 2);
    assert_eq!(lab.failed().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn agent_deleted_while_it_answers_is_said_so_and_not_as_lost_conversation() {
    for place in ["home", "thread"] {
        let lab = Lab::new();
        let key = if place == "home" {
            lab.home.clone()
        } else {
            lab.thread("$root")
        };
        lab.letta.next([Fate::Close]);
        // The look at the agent after the break finds it gone, and so does the conversation.
        lab.letta.next([Fate::ConversationGone]);
        lab.say_in(&key, ANN, "asked");
        lab.until("asked", |lab| lab.letta.asked("send") == 1).await;
        lab.letta.delete_agent();
        lab.until_quiet().await;
        let seen = lab.homeserver.timeline().join("\n");
        assert!(
            seen.contains("{AGENT_GONE}") || seen.contains("answer to"),
            "{place}: {seen}"
        );
        assert!(!seen.contains("CONVERSATION_LOST"), "{place}: {seen}");
    }
}

#[tokio::test(start_paused = true)]
async fn lost_runs_are_begun_a_bounded_number_of_times_whatever_restarts() {
    let mut lab = Lab::new();
    lab.letta.always(Fate::LoseRun);
    lab.say("asked");
    lab.until("a run", |lab| lab.letta.runs() >= 1).await;
    lab.restart().await;
    lab.until_quiet().await;
    assert!(
        lab.letta.runs() <= SENDS_MAX as usize,
        "{} runs",
        lab.letta.runs()
    );
    assert_eq!(lab.sees("is set aside; `!letta retry 1`"), 1);
    lab.letta.heal();
    lab.say("next");
    lab.until_seen("answer to next.").await;
}

#[tokio::test(start_paused = true)]
async fn poison_prompt_is_set_aside_with_the_reason_and_can_be_tried_again() {
    let lab = Lab::new();
    lab.letta.poison("bad");
    lab.say("bad");
    lab.until("asked", |lab| lab.letta.asked("send") >= 1).await;
    lab.say("good");
    lab.until_seen("answer to good.").await;
    assert_eq!(lab.letta.asked("send"), FAILURES_MAX as usize + 1);
    assert_eq!(lab.sees("Letta fails with this message"), 1);
    assert_eq!(lab.turns.failed(ann(), Some(lab.room())).unwrap().len(), 1);
    assert_eq!(lab.turns.failed(admin(), None).unwrap().len(), 1);
    lab.letta.poison("nothing");
    assert_eq!(
        lab.turns.retry(ann(), 7).await.unwrap(),
        RetryOutcome::Nothing
    );
    let stranger = crate::turns::decide::Requester {
        user: ruma::user_id!("@eve:x"),
        ..ann()
    };
    assert_eq!(
        lab.turns.retry(stranger, 1).await.unwrap(),
        RetryOutcome::NotTheirs
    );
    assert!(matches!(
        lab.turns.retry(ann(), 1).await.unwrap(),
        RetryOutcome::Queued(_)
    ));
    lab.until_seen("answer to bad.").await;
    assert!(lab.failed().is_empty());
}

#[tokio::test(start_paused = true)]
async fn wait_that_letta_asks_for_is_named_at_once_and_its_notice_is_edited_at_the_end() {
    let lab = Lab::new();
    lab.letta.next([Fate::Later(600)]);
    lab.say("asked");
    lab.until_seen("Your message waits and is tried again at")
        .await;
    assert_eq!(
        lab.letta.asked("send"),
        1,
        "it was asked again before the room was told"
    );
    assert_eq!(lab.sees("(in 10m)"), 1);
    lab.until_seen("answer to asked.").await;
    lab.until_quiet().await;
    let notices: Vec<_> = lab
        .homeserver
        .timeline()
        .into_iter()
        .filter(|line| line.contains("LETTA_RATE_LIMITED"))
        .collect();
    assert_eq!(notices.len(), 2, "the notice and its edit: {notices:?}");
    assert!(notices[1].contains("is delivered now"), "{notices:?}");
    assert_eq!(
        lab.letta.asked("send"),
        2,
        "Letta was asked before the time that it named"
    );
}

#[tokio::test(start_paused = true)]
async fn stop_is_heard_while_letta_is_away_hangs_or_the_agent_is_paused() {
    for fate in [
        Fate::Proxy(502),
        Fate::Hang,
        Fate::Later(3_000),
        Fate::Letta(500),
        Fate::Endless,
        Fate::Fail(FailureKind::Credits),
    ] {
        let lab = Lab::new();
        lab.letta.always(fate.clone());
        lab.say("asked");
        lab.until("asked", |lab| lab.letta.asked("send") >= 1).await;
        assert_eq!(lab.stop().await.turns, 1, "{fate:?}");
        let asked = lab.letta.asked("send");
        lab.until_quiet().await;
        assert!(lab.letta.asked("send") <= asked + 1, "{fate:?}: it goes on");
        assert_eq!(
            lab.sees("Stopped. {STOPPED}"),
            0,
            "{fate:?}: the command is the answer"
        );
        assert!(lab.failed().is_empty(), "{fate:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn shutdown_is_heard_while_letta_is_away_hangs_or_the_agent_is_paused() {
    for fate in [
        Fate::Proxy(404),
        Fate::Hang,
        Fate::Later(3_000),
        Fate::Fail(FailureKind::Credits),
    ] {
        let mut lab = Lab::new();
        lab.letta.always(fate.clone());
        lab.say("asked");
        lab.until("asked", |lab| lab.letta.asked("send") >= 1).await;
        lab.letta.heal();
        lab.restart().await;
        lab.until_seen("answer to asked.").await;
    }
}

#[tokio::test(start_paused = true)]
async fn restarts_begin_no_budget_anew() {
    let mut lab = Lab::new();
    lab.letta.always(Fate::Letta(500));
    lab.say("asked");
    for _ in 0..4 {
        let before = lab.letta.asked("send");
        lab.until("asked again", |lab| {
            lab.letta.asked("send") > before || lab.turns.in_flight() == 0
        })
        .await;
        lab.restart().await;
    }
    lab.until_quiet().await;
    let asked = lab.letta.asked("send");
    assert!(asked <= FAILURES_MAX as usize + 4, "{asked} questions");
    assert_eq!(lab.failed().len(), 1);

    // One that ends the process each time is given up as well.
    let mut lab = Lab::new();
    lab.letta.always(Fate::Hang);
    lab.say("asked");
    for _ in 0..=RESTARTS_MAX {
        let before = lab.letta.asked("send");
        lab.restart().await;
        lab.until("asked again", |lab| {
            lab.letta.asked("send") > before || !lab.failed().is_empty()
        })
        .await;
    }
    lab.until_quiet().await;
    assert_eq!(lab.sees("[RESTARTS_EXHAUSTED]"), 1);
}

#[tokio::test(start_paused = true)]
async fn agent_without_credits_is_paused_and_one_prompt_is_tried() {
    let lab = Lab::new();
    lab.letta.always(Fate::Fail(FailureKind::Credits));
    let (one, two) = (lab.thread("$one"), lab.thread("$two"));
    lab.say_in(&one, ANN, "first");
    lab.until_seen("no credits left").await;
    lab.say_in(&two, ANN, "second");
    lab.until("both wait", |lab| lab.sees("The agent is paused") >= 2)
        .await;
    lab.until("it is tried", |lab| lab.turns.pauses().all()[0].tries >= 4)
        .await;
    let asked = lab.letta.asked("send");
    assert_eq!(
        asked,
        lab.turns.pauses().all()[0].tries as usize,
        "one question for each try"
    );
    lab.letta.heal();
    assert!(lab.turns.resume_agent(&lab.home.agent).unwrap());
    lab.until_seen("answer to first.").await;
    lab.until_seen("answer to second.").await;
    assert!(lab.turns.pauses().all().is_empty());
    assert!(lab.journal.pauses().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn letta_that_is_away_is_waited_for_a_day_and_then_the_next_goes_on() {
    let lab = Lab::new();
    lab.letta.always(Fate::Proxy(404));
    lab.say("asked");
    lab.until_seen("{WAIT_EXHAUSTED}").await;
    assert_eq!(lab.failed().len(), 1);
    assert_eq!(
        lab.sees("Something else answers in Letta's place"),
        1,
        "said once"
    );
    lab.letta.heal();
    lab.say("next");
    lab.until_seen("answer to next.").await;
}

#[tokio::test(start_paused = true)]
async fn redacted_answer_ends_its_turn_and_is_not_sent_again() {
    let lab = Lab::new();
    lab.letta.next([Fate::Endless]);
    lab.say("asked");
    lab.until_seen("answer to asked.").await;
    let turn = lab.journal.turns_in(lab.room()).unwrap().remove(0);
    lab.until("confirmed", |lab| {
        lab.journal.event_of(&turn.id.part(0)).unwrap().is_some()
    })
    .await;
    let event = lab
        .journal
        .event_of(&turn.id.part(0))
        .unwrap()
        .flatten()
        .unwrap();
    let before = lab.homeserver.timeline().len();
    lab.turns
        .redacted(lab.room(), &event, ann().user)
        .await
        .unwrap();
    lab.until_quiet().await;
    tokio::time::sleep(Duration::from_mins(5)).await;
    assert_eq!(
        lab.homeserver.timeline().len(),
        before,
        "{:?}",
        lab.homeserver.timeline()
    );
    assert_eq!(lab.letta.asked("cancel"), 1);
    lab.say("next");
    lab.until_seen("answer to next.").await;
}

#[tokio::test(start_paused = true)]
async fn agent_that_cannot_speak_is_not_asked_and_each_person_hears_once() {
    let refused = |status, code| Fault::Answer(status, json!({ "errcode": code, "error": "no" }));
    let state = |content| Fault::Answer(200, content);
    let cases = [
        (
            "/state/m.room.power_levels",
            state(json!({ "events_default": 50 })),
            "{AGENT_MUTED}",
        ),
        (
            "/state/m.room.member/@agent",
            state(json!({ "membership": "ban" })),
            "{AGENT_BANNED}",
        ),
        (
            "/state/m.room.member/@agent",
            state(json!({ "membership": "leave" })),
            "{AGENT_NOT_IN_ROOM}",
        ),
        (
            "/state/m.room.tombstone",
            state(json!({ "replacement_room": "!new:x" })),
            "{ROOM_CLOSED}",
        ),
        (
            "/state/m.room.member/@agent",
            refused(404, "M_NOT_FOUND"),
            "{AGENT_NOT_IN_ROOM}",
        ),
    ];
    for (what, fault, code) in cases {
        let lab = Lab::new();
        lab.homeserver.fails(what, vec![fault; 4]);
        for (text, sender, told) in [
            ("first", ANN, 1),
            ("second", ANN, 1),
            ("other", "@bob:house.test", 2),
            ("again", "@bob:house.test", 2),
        ] {
            lab.say_in(&lab.home, sender, text);
            lab.until_quiet().await;
            let seen = lab.homeserver.timeline();
            assert_eq!(lab.sees(code), told, "{code}, {text}: {seen:?}");
        }
        assert_eq!(lab.letta.asked(""), 0, "{code}");
        assert_eq!(lab.failed().len(), 4, "{code}");
        let line = lab.homeserver.timeline().remove(0);
        assert!(line.starts_with("@letta:house.test"), "{line}");
        // It was let in again.
        lab.say("third");
        lab.until_seen("answer to third.").await;
    }
}

#[tokio::test(start_paused = true)]
async fn message_that_the_homeserver_refuses_is_told_of_once() {
    let lab = Lab::new();
    let forbidden = Fault::Answer(403, json!({ "errcode": "M_FORBIDDEN", "error": "no" }));
    lab.homeserver
        .fails("user_id=@agent_1", vec![forbidden; 200]);
    for text in ["first", "second"] {
        lab.say(text);
        lab.until_quiet().await;
    }
    assert_eq!(
        lab.sees("{AGENT_NOT_HEARD}"),
        1,
        "{:?}",
        lab.homeserver.timeline()
    );
    lab.homeserver.heal();
    lab.say("third");
    lab.until_seen("answer to third.").await;
    assert_eq!(lab.sees("{AGENT_NOT_HEARD}"), 1);
}

#[tokio::test(start_paused = true)]
async fn sender_who_never_stops_is_braked_and_loses_nothing() {
    let lab = Lab::new();
    // A program that answers every answer.
    for number in 0..60 {
        lab.say_in(&lab.home, "@bot:other.test", &format!("n{number}"));
        lab.soon(|lab| {
            lab.sees(&format!("answer to n{number}.")) > 0 || lab.sees("{TOO_MANY_TURNS}") > 0
        })
        .await;
    }
    lab.until("all is answered", |lab| lab.letta.has_accepted("n59"))
        .await;
    assert_eq!(
        lab.sees("{TOO_MANY_TURNS}"),
        1,
        "{:?}",
        lab.homeserver.timeline()
    );
    assert!(lab.letta.runs() < 40, "{} runs", lab.letta.runs());
    assert!(
        (0..60).all(|number| lab.letta.has_accepted(&format!("n{number}"))),
        "something is lost"
    );
}

#[tokio::test(start_paused = true)]
async fn redaction_that_comes_before_the_message_is_confirmed_is_not_missed() {
    let lab = Lab::new();
    lab.letta.next([Fate::Endless]);
    let send = "/send/m.room.message/";
    lab.homeserver.fails(send, [Fault::DoneAndUnheard]);
    lab.say("asked");
    lab.homeserver.until_asked(send, 1).await;
    let event = ruma::event_id!("$event0");
    let by = ann().user;
    lab.turns.redacted(lab.room(), event, by).await.unwrap();
    lab.until_quiet().await;
    tokio::time::sleep(Duration::from_mins(5)).await;
    assert_eq!(lab.sees("answer to"), 1, "it is sent again");
    assert_eq!(lab.letta.asked("cancel"), 1);
    assert!(lab.journal.turns_in(lab.room()).unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn decision_that_is_waited_for_is_asked_about_also_if_a_stream_says_so() {
    let lab = Lab::new();
    lab.letta.next([Fate::Waits]);
    lab.say("asked");
    lab.until_seen("{APPROVAL_NEEDED}").await;
    assert_eq!(
        (lab.letta.asked("send"), lab.letta.asked("pending")),
        (1, 1)
    );
}
