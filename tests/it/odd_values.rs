//! Values that Rust cannot hold, from the model to the room: half of a UTF-16 pair, a NUL, a number beyond `f64`. Each costs itself
//! only, in what the agent says and in the arguments of a tool call, which can be decided all the same.
//!
//! The model is a double; it stands behind the real App Server, its OpenAI-compatible routes, or (`v1`) the real V1 server. V1
//! itself fails at half of a pair (it cannot write it as UTF-8): then the room hears so, and the next message is answered.

use crate::approvals::approval_message;
use crate::support::{
    deployment::{Deployment, PATIENCE},
    peer::Kind,
};

/// What the model says, and what of it the room sees.
const SAID: [(&str, &str); 4] = [
    ("half", "a 😀 b"),
    ("lone", "a \u{fffd} b"),
    ("nul", "a \u{fffd} b"),
    ("number", "n"),
];

/// Odd words, then odd arguments where the server asks before it runs a tool.
async fn odd_values_cost_themselves_only(deployment: &Deployment) {
    let agent = deployment.agents().await.remove(0);
    let room = deployment.enter(&agent).await;
    for (kind, expected) in SAID {
        println!("says {kind}");
        let question = deployment.alice.say(&room, &format!("odd {kind}")).await;
        deployment
            .alice
            .wait_for_answer(&room, &question, PATIENCE, |text| text == expected)
            .await;
    }
    if deployment.peer.kind == Kind::OpenAi {
        return;
    }
    for (kind, shown) in SAID {
        println!("calls with {kind}");
        let tool = deployment.peer.tool(&format!("odd-{kind}"));
        let command = tool.prompt.trim_start_matches("run ");
        let question = deployment
            .alice
            .say(&room, &format!("odd {kind} {command}"))
            .await;
        let asked = approval_message(&deployment.alice, &room, &question).await;
        let arguments = asked.text();
        assert!(arguments.contains(command), "{arguments}");
        // As JSON, or as the text that it stands for.
        let escaped = ["half", "lone", "nul"].contains(&kind) && arguments.contains("\\u");
        assert!(escaped || arguments.contains(shown), "{arguments}");
        deployment.alice.react(&room, &asked.event_id, "✅").await;
        deployment
            .alice
            .wait_for_answer(&room, &question, PATIENCE, |text| {
                text.contains("it returned")
            })
            .await;
        assert_eq!(tool.times_run(), 1, "{kind}");
    }
}

/// The same where the server itself may fail at such a value: at most that answer is lost, which is said, and the next one comes.
pub async fn odd_values_cost_at_most_their_answer(deployment: &Deployment) {
    let agent = deployment.agents().await.remove(0);
    let room = deployment.enter(&agent).await;
    let tool = deployment.peer.tool("odd");
    let command = tool.prompt.trim_start_matches("run ");
    for (kind, expected) in SAID {
        for prompt in [format!("odd {kind}"), format!("odd {kind} {command}")] {
            let question = deployment.alice.say(&room, &prompt).await;
            let first = deployment
                .alice
                .wait_for("for what becomes of it", &room, PATIENCE, |room| {
                    let mut answers = room.answers_to(&question);
                    let told = ["could not answer", "May I use"];
                    answers
                        .find(|entry| {
                            entry.text() == expected || told.iter().any(|words| entry.says(words))
                        })
                        .cloned()
                })
                .await;
            println!("{prompt}: {}", first.text());
            if first.text().contains("May I use") {
                deployment.alice.react(&room, &first.event_id, "✅").await;
                let ended =
                    |text: &str| text.contains("it returned") || text.contains("could not answer");
                deployment
                    .alice
                    .wait_for_answer(&room, &question, PATIENCE, ended)
                    .await;
            }
            let next = format!("after {kind} {}", prompt.len());
            let question = deployment
                .alice
                .say(&room, &deployment.peer.say(&next))
                .await;
            deployment
                .alice
                .wait_for_answer(&room, &question, PATIENCE, |text| text == next)
                .await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn value_that_rust_cannot_hold_costs_itself_only_on_the_app_server() {
    let deployment = Deployment::start(Kind::AppServer, &[]).await;
    odd_values_cost_themselves_only(&deployment).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn value_that_rust_cannot_hold_costs_itself_only_on_openai_routes() {
    let deployment = Deployment::start(Kind::OpenAi, &[]).await;
    odd_values_cost_themselves_only(&deployment).await;
}
