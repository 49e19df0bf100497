//! A model provider that refuses, behind a real Letta: the room hears it in plain words, the agent is paused, admins are told once,
//! and `resume` asks at once.
//!
//! The App Server 0.34.12 tells of 401, 402 and a used-up quota at once, and of 429, 503 and 529 after it has asked sixteen times
//! within 36 s, whatever `Retry-After` says. What it tells holds the status and the words of the provider, never the header. So a
//! test about 429 takes most of a minute, and with `LETTA_TEST_BACKEND=v1` the same is asked of the real V1 server.

use std::time::Duration;

use letta_client::AgentId;
use serde_json::{Value, json};

use crate::approvals::heard;
use crate::support::{
    deployment::{Deployment, PATIENCE},
    peer::{Kind, model::Refusal},
    world::BOT,
};

/// Longer than the bridge needs to ask once more, and less than the shortest pause.
const NOTHING: Duration = Duration::from_secs(5);

/// What admins are told of a pause.
const ADMINS_HEAR: &str = "What people write to it waits";

/// What a provider says, in the words of those that exist.
struct Case {
    refusal: Refusal,
    /// What the room hears.
    told: &'static str,
    /// Whether every other question would be refused as well.
    pauses: bool,
}

fn case(
    status: u16,
    retry_after: Option<u64>,
    body: Value,
    told: &'static str,
    pauses: bool,
) -> Case {
    Case {
        refusal: Refusal {
            status,
            retry_after,
            body,
        },
        told,
        pauses,
    }
}

fn cases() -> Vec<Case> {
    let error = |message: &str, kind: &str, code: Value| json!({"error": {"message": message, "type": kind, "code": code}});
    let credits = "no credits left";
    vec![
        case(
            402,
            None,
            error(
                "Insufficient credits. Add more using the billing page",
                "billing",
                402.into(),
            ),
            credits,
            true,
        ),
        case(
            429,
            None,
            error(
                "You exceeded your current quota, please check your plan and billing details.",
                "insufficient_quota",
                "insufficient_quota".into(),
            ),
            credits,
            true,
        ),
        case(
            401,
            None,
            error(
                "Incorrect API key provided: none.",
                "invalid_request_error",
                "invalid_api_key".into(),
            ),
            "refuses the key",
            true,
        ),
        case(
            429,
            Some(20),
            error(
                "Rate limit reached for requests. Please try again in 20s.",
                "requests",
                "rate_limit_exceeded".into(),
            ),
            "asks for fewer requests. The agent is paused",
            true,
        ),
        case(
            529,
            None,
            json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}),
            "Try again in a moment",
            false,
        ),
    ]
}

/// Each refusal of the provider, and what the bridge does with it.
pub async fn refusals_are_told_and_pause_the_agent(deployment: &Deployment) {
    let agent = deployment.agents().await.remove(0);
    let room = deployment.enter(&agent).await;
    let alice = &deployment.alice;
    let management = alice.chat_with(BOT).await;
    let question = alice.say(&room, &deployment.peer.say("well")).await;
    alice
        .wait_for_answer(&room, &question, PATIENCE, |text| text == "well")
        .await;
    for (number, case) in cases().into_iter().enumerate() {
        println!("{:?}", case.refusal);
        refusal_is_told_and_pauses_the_agent(
            deployment,
            &agent.id,
            [&room, &management],
            number,
            &case,
        )
        .await;
    }
}

async fn refusal_is_told_and_pauses_the_agent(
    deployment: &Deployment,
    agent: &AgentId,
    [room, management]: [&str; 2],
    number: usize,
    case: &Case,
) {
    let (alice, peer) = (&deployment.alice, &deployment.peer);
    let before = heard(&alice.room(management), ADMINS_HEAR);
    peer.refuse(Some(case.refusal.clone()));
    let words = format!("answer {number}");
    let question = alice.say(room, &peer.say(&words)).await;
    alice
        .wait_for("for the reason", room, PATIENCE, |room| {
            let mut answers = room.answers_to(&question);
            answers
                .any(|entry| entry.text().contains(case.told))
                .then_some(())
        })
        .await;
    if case.pauses {
        alice
            .wait_for("for what admins hear", management, PATIENCE, |room| {
                (heard(room, ADMINS_HEAR) > before).then_some(())
            })
            .await;
        let asked = peer.model_asked();
        tokio::time::sleep(NOTHING).await;
        assert_eq!(peer.model_asked(), asked, "a paused agent is asked");
    }
    peer.refuse(None);
    let expected = if case.pauses {
        let resume = format!("resume {agent}");
        alice.say(management, &resume).await;
        (question, words)
    } else {
        let words = format!("next {number}");
        (alice.say(room, &peer.say(&words)).await, words)
    };
    alice
        .wait_for_answer(room, &expected.0, PATIENCE, |text| text == expected.1)
        .await;
    let told = heard(&alice.room(management), ADMINS_HEAR);
    assert_eq!(
        told,
        before + usize::from(case.pauses),
        "admins are told once"
    );
    alice
        .wait_for(
            "for the end of the wait to be told",
            room,
            PATIENCE,
            |room| (heard(room, "The agent is paused.") == 0).then_some(()),
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn provider_that_refuses_pauses_the_agent_until_it_is_resumed() {
    let deployment = Deployment::start(Kind::AppServer, &[]).await;
    refusals_are_told_and_pause_the_agent(&deployment).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn room_hears_that_the_app_server_asks_the_provider_again() {
    let deployment = Deployment::start(Kind::AppServer, &[]).await;
    let agent = deployment.agents().await.remove(0);
    let room = deployment.enter(&agent).await;
    deployment.peer.refuse(Some(Refusal {
        status: 429,
        retry_after: None,
        body: json!({"error": {
            "message": "Rate limit reached for requests.", "type": "requests", "code": "rate_limit_exceeded",
        }}),
    }));
    let question = deployment
        .alice
        .say(&room, &deployment.peer.say("at last"))
        .await;
    deployment
        .alice
        .wait_for("to be told why it takes long", &room, PATIENCE, |room| {
            let mut answers = room.answers_to(&question);
            answers.any(|entry| entry.says("[LLM_RETRY]")).then_some(())
        })
        .await;
    deployment.peer.refuse(None);
    deployment
        .alice
        .wait_for_answer(&room, &question, PATIENCE, |text| text == "at last")
        .await;
    deployment
        .alice
        .wait_for("for the end of the wait", &room, PATIENCE, |room| {
            (heard(room, "is delivered now.") == 1).then_some(())
        })
        .await;
}
