//! What agents do by themselves, through the official MCP client.

use serde_json::Value;

use crate::support::clients::prove;
use crate::support::world::{BOT, SOON, World};

const BINARY: &str = env!("CARGO_BIN_EXE_matrix-appservice-letta");

/// How many steps the client has at least.
const STEPS: usize = 26;

/// What the bot answers to a command in Alice's direct chat with it.
async fn ask_bot(world: &World, chat: &str, command: &str) -> String {
    let said = world.alice.say(chat, command).await;
    let answer = world.alice.wait_for("for an answer", chat, SOON, |room| {
        let mut all = room.said_by(BOT);
        all.find(|entry| entry.reply_to.as_ref() == Some(&said))
            .cloned()
    });
    answer.await.text().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn agent_acts_by_its_tools_where_it_is_and_nowhere_else() {
    let mut world = World::start().await;
    let (ada, room) = world.first_room().await;
    let foreign = world.alice.create_room(&[]).await;
    let event = world.alice.say(&room, "say: hello").await;
    world
        .alice
        .wait_for_answer(&room, &event, SOON, |text| text == "hello")
        .await;
    let chat = world.alice.chat_with(BOT).await;
    let elsewhere = ask_bot(&world, &room, "!letta token Ada").await;
    assert!(!elsewhere.contains("mal_"), "{elsewhere}");
    let answer = ask_bot(&world, &chat, "token Ada").await;
    let token = token_in(&answer);
    let url = format!("{}/mcp", world.bridge.url());
    let arguments = [
        "mcp",
        &url,
        "--token",
        &token,
        "--room",
        &room,
        "--event",
        &event,
        "--foreign",
        &foreign,
    ];
    prove(STEPS, &arguments).await;
    // What a minute allows is spent, so the same on standard input and output is done by another agent.
    let grace = world.agents().remove(1);
    let own = world.enter(&grace).await;
    let event = world.alice.say(&own, "say: hello").await;
    world
        .alice
        .wait_for_answer(&own, &event, SOON, |text| text == "hello")
        .await;
    let answer = ask_bot(&world, &chat, &format!("token {}", grace.name)).await;
    let other = token_in(&answer);
    let arguments = [
        "mcp",
        &url,
        "--token",
        &other,
        "--room",
        &own,
        "--event",
        &event,
        "--foreign",
        &room,
        "--stdio",
        BINARY,
    ];
    prove(STEPS - 1, &arguments).await;
    let seen = world.settled(&room).await;
    let said = |text: &str| seen.said_by(&ada.ghost).any(|entry| entry.text() == text);
    assert!(said("to that") && said("aside"), "as its ghost\n{seen}");
    assert_eq!(world.letta.runs(), 2, "what agents say starts no turn");

    // It outlives a crash, and no log has it.
    world.bridge.kill9().await;
    let log = std::fs::read_to_string(world.bridge.log()).expect("a log");
    assert!(log.contains("tool called") && !log.contains(&token));
    world.bridge.restart().await;
    assert_eq!(listed(&url, &token).await, Some(9));
    let answer = ask_bot(&world, &chat, "revoke-tokens Ada").await;
    assert!(answer.contains("not valid any more"), "{answer}");
    assert_eq!(listed(&url, &token).await, None);
}

fn token_in(answer: &str) -> String {
    let mut words = answer.split('`');
    let token = words.find(|word| word.starts_with("mal_"));
    token.expect("a token").to_owned()
}

/// How many tools a holder of the token is told of; nothing if the token is not valid.
async fn listed(url: &str, token: &str) -> Option<usize> {
    let answer = reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client")
        .post(url)
        .bearer_auth(token)
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2025-06-18")
        .json(&serde_json::json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" }))
        .send()
        .await
        .expect("an answer");
    if answer.status() == 401 {
        return None;
    }
    let answer: Value = answer.json().await.expect("JSON");
    answer["result"]["tools"].as_array().map(Vec::len)
}
