//! Whatever a turn waits for, the room hears why and what one can do; and it is not left with what is no longer true.

use std::time::Duration;

use letta_client::FailureKind;

use super::{lab::Lab, letta::Fate};
use crate::matrix::scripted_homeserver::Fault;

/// The longest wait without a word of what one can do.
const SILENCE_MAX: Duration = Duration::from_mins(2);

/// How long an App Server (0.34.12) waits, in milliseconds, before each time that it asks a model provider again which answers 429.
const PROVIDER_RETRIES: [u64; 15] = [
    1_000, 2_000, 4_000, 1_000, 1_000, 2_000, 4_000, 2_000, 1_000, 2_000, 4_000, 4_000, 1_000,
    2_000, 4_000,
];

/// What a turn can wait for.
#[derive(Clone, Debug)]
enum Cause {
    /// Nothing reaches Letta.
    Away,
    /// All sends fare so.
    Fares(Fate),
}

impl Cause {
    fn all() -> Vec<Self> {
        let fates = [
            Fate::Hang,
            Fate::Proxy(502),
            Fate::Letta(503),
            Fate::Later(3_000),
            Fate::Busy,
            Fate::Fail(FailureKind::Credits),
            Fate::Fail(FailureKind::Unauthorized),
            Fate::Fail(FailureKind::RateLimited { retry_after: None }),
            Fate::Endless,
            Fate::Mute,
            Fate::Tool,
            Fate::Interrupt,
            Fate::Asks,
            Fate::Waits,
            Fate::RetriesInVain(vec![1_000]),
            Fate::RetriesInVain(PROVIDER_RETRIES.to_vec()),
        ];
        let fates = fates.map(Self::Fares);
        fates.into_iter().chain([Self::Away]).collect()
    }

    /// Those that end by themselves when Letta is well again.
    fn outages() -> Vec<Self> {
        let fates = [
            Fate::Hang,
            Fate::Proxy(502),
            Fate::Later(600),
            Fate::Busy,
            Fate::Fail(FailureKind::Credits),
            Fate::Interrupt,
        ];
        let fates = fates.map(Self::Fares);
        fates.into_iter().chain([Self::Away]).collect()
    }

    fn begins(&self, lab: &Lab) {
        match self {
            Self::Away => lab.letta.go_away(),
            Self::Fares(fate) => lab.letta.always(fate.clone()),
        }
    }
}

/// Whether a line says what one can do.
fn helps(line: &str) -> bool {
    ["`!letta stop`", "`!letta resume`", "`!letta approve`"]
        .iter()
        .any(|command| line.contains(command))
}

/// Whether a line says that something is still waited for.
fn waits(line: &str) -> bool {
    [
        "message waits and",
        "still waits",
        "message waits for it",
        "cannot be reached",
        "is lost while",
        "gives it up",
        "gives your message up",
    ]
    .iter()
    .any(|words| line.contains(words))
}

#[tokio::test(start_paused = true)]
async fn room_hears_within_two_minutes_what_to_do_whatever_a_turn_waits_for() {
    for cause in Cause::all() {
        for restarts in [0, 1] {
            let mut lab = Lab::new();
            cause.begins(&lab);
            lab.say("asked");
            for _ in 0..restarts {
                tokio::time::sleep(Duration::from_secs(30)).await;
                lab.restart().await;
            }
            tokio::time::sleep(SILENCE_MAX).await;
            let shown = lab.homeserver.shown();
            // What was broken off is complete after a restart.
            let is_over = lab.journal.turns_in(lab.room()).unwrap().is_empty();
            assert!(
                is_over || shown.iter().any(|line| helps(line)),
                "{cause:?}, {restarts} restarts: {shown:?}"
            );
            lab.stop().await;
            lab.end().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn notice_of_a_wait_is_edited_when_it_ends_whatever_restarts() {
    for cause in Cause::outages() {
        for restart in [
            "never",
            "while it waits",
            "twice while it waits",
            "at its end",
        ] {
            let mut lab = Lab::new();
            cause.begins(&lab);
            lab.say("asked");
            lab.until("it waits", |lab| {
                lab.homeserver
                    .shown()
                    .iter()
                    .any(|line| waits(line) || helps(line))
            })
            .await;
            match restart {
                "while it waits" => lab.restart().await,
                "twice while it waits" => {
                    lab.restart().await;
                    tokio::time::sleep(Duration::from_mins(1)).await;
                    lab.restart().await;
                }
                _ => {}
            }
            lab.letta.heal();
            lab.turns.resume_agent(&lab.home.agent).unwrap();
            if restart == "at its end" || matches!(cause, Cause::Fares(Fate::Interrupt)) {
                lab.restart().await;
            }
            lab.until_seen("answer to asked.").await;
            lab.until_quiet().await;
            let shown = lab.homeserver.shown();
            assert!(
                !shown.iter().any(|line| waits(line)),
                "{cause:?}, restarted {restart}: {shown:?}"
            );
            assert!(
                shown
                    .iter()
                    .any(|line| line.contains("is delivered now") || line.contains("was lost for")),
                "{cause:?}, restarted {restart}: {shown:?}"
            );
            assert_eq!(shown.len(), 2, "{cause:?}, restarted {restart}: {shown:?}");
            lab.end().await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn notice_is_edited_also_if_the_process_ends_between_the_answer_and_the_edit() {
    let mut lab = Lab::new();
    lab.letta.always(Fate::Proxy(502));
    // Neither the notice nor the answer can be said, so it is not known which event is to be edited.
    lab.homeserver
        .fails("/send/", vec![Fault::Unreached; 1_000]);
    lab.say("asked");
    lab.until("it waits", |lab| lab.letta.asked("send") > 3)
        .await;
    lab.letta.heal();
    lab.until("it is answered", |lab| {
        let turns = lab.journal.turns_in(lab.room()).unwrap();
        turns.iter().any(|turn| turn.state().answer().is_some())
    })
    .await;
    lab.restart().await;
    lab.homeserver.heal();
    lab.until_seen("answer to asked.").await;
    lab.until_quiet().await;
    let shown = lab.homeserver.shown();
    assert!(!shown.iter().any(|line| waits(line)), "{shown:?}");
}

#[tokio::test(start_paused = true)]
async fn turn_ends_after_a_decision_that_nobody_finds_and_a_restart() {
    let mut lab = Lab::new();
    lab.letta.forget_requests();
    lab.letta.always(Fate::Waits);
    lab.say("asked");
    lab.soon(|lab| lab.letta.asked("pending") >= 1).await;
    lab.restart().await;
    lab.soon(|lab| lab.letta.asked("pending") >= 2).await;
    lab.restart().await;
    lab.letta.heal();
    lab.until_seen("answer to asked.").await;
    lab.until_quiet().await;
    let shown = lab.homeserver.shown();
    assert!(!shown.iter().any(|line| waits(line)), "{shown:?}");
}

#[tokio::test(start_paused = true)]
async fn failure_in_a_stream_is_not_reported_as_silence() {
    let lab = Lab::new();
    lab.letta.next([Fate::FailLate]);
    lab.say("asked");
    lab.until_seen("could not answer").await;
    lab.until_quiet().await;
    assert_eq!(
        lab.sees("LETTA_SILENT"),
        0,
        "{:?}",
        lab.homeserver.timeline()
    );
}

#[tokio::test(start_paused = true)]
async fn notice_names_no_time_that_nothing_corrects() {
    let lab = Lab::new();
    lab.letta.next((600..640).map(Fate::Later));
    lab.letta.always(Fate::Proxy(502));
    lab.say("asked");
    tokio::time::sleep(Duration::from_hours(6)).await;
    let shown = lab.homeserver.shown();
    assert_eq!(shown.len(), 1, "{shown:?}");
    assert!(shown[0].contains("still waits"), "{shown:?}");
    lab.letta.heal();
    lab.until_quiet().await;
    let shown = lab.homeserver.shown();
    assert!(shown[0].contains("is delivered now"), "{shown:?}");
}

#[tokio::test(start_paused = true)]
async fn message_that_is_withdrawn_while_it_waits_is_not_said_to_wait() {
    let mut lab = Lab::new();
    lab.letta.go_away();
    lab.say("asked");
    lab.until_seen("gives it up").await;
    let turn = lab.journal.turns_in(lab.room()).unwrap().remove(0);
    lab.until("noted", |lab| {
        let turns = lab.journal.turns_in(lab.room()).unwrap();
        turns.iter().any(|turn| turn.shown.waiting.is_some())
    })
    .await;
    lab.end().await;
    lab.journal.set_redacted(&turn.id).unwrap();
    lab.restart().await;
    lab.until_quiet().await;
    let shown = lab.homeserver.shown();
    assert!(!shown.iter().any(|line| waits(line)), "{shown:?}");
}

#[tokio::test(start_paused = true)]
async fn room_hears_within_seconds_that_letta_asks_the_model_provider_again() {
    let lab = Lab::new();
    lab.letta.next([Fate::Retries(PROVIDER_RETRIES.to_vec())]);
    lab.say("asked");
    tokio::time::sleep(Duration::from_secs(5)).await;
    let shown = lab.homeserver.shown();
    assert_eq!(shown.len(), 1, "{shown:?}");
    assert!(
        shown[0].contains("asks for fewer requests") && helps(&shown[0]),
        "{shown:?}"
    );
    lab.until_seen("answer to asked.").await;
    lab.until_quiet().await;
    let shown = lab.homeserver.shown();
    assert_eq!(shown.len(), 2, "one notice, edited: {shown:?}");
    assert!(shown[0].contains("has waited 35s"), "{shown:?}");
}

#[tokio::test(start_paused = true)]
async fn long_wait_for_the_model_provider_is_told_at_once_with_its_end() {
    let lab = Lab::new();
    lab.letta.next([Fate::Retries(vec![40_000])]);
    lab.say("asked");
    lab.soon(|lab| !lab.homeserver.shown().is_empty()).await;
    let shown = lab.homeserver.shown();
    assert!(shown[0].contains("UTC (in 40s)"), "{shown:?}");
    lab.until_seen("answer to asked.").await;
    lab.until_quiet().await;
}

#[tokio::test(start_paused = true)]
async fn short_wait_for_the_model_provider_is_not_told() {
    let lab = Lab::new();
    lab.letta.next([Fate::Retries(vec![1_000, 2_000])]);
    lab.say("asked");
    lab.until_seen("answer to asked.").await;
    lab.until_quiet().await;
    let shown = lab.homeserver.shown();
    assert_eq!(shown.len(), 1, "{shown:?}");
}
