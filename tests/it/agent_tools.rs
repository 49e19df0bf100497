//! What agents do by their tools has the same consequences as if a person did it, and touches nothing that a turn has said.

use serde_json::{Value, json};

use crate::approvals::approval_message;
use crate::support::person::Person;
use crate::support::world::{ALICE, BOT, SOON, World};

/// An agent that calls its tools over MCP.
struct ToolUser {
    url: String,
    token: String,
}

impl ToolUser {
    async fn new(world: &World, chat: &str, agent: &str) -> Self {
        let answer = ask_bot(&world.alice, chat, &format!("token {agent}")).await;
        Self {
            url: format!("{}/mcp", world.bridge.url()),
            token: token_in(&answer).expect("a token"),
        }
    }

    /// Calls a tool: its result, or its error as text.
    async fn call(&self, tool: &str, arguments: Value) -> Result<Value, String> {
        let request = json!({
            "jsonrpc": "2.0", "id": 1, "method": "tools/call",
            "params": { "name": tool, "arguments": arguments },
        });
        let client = reqwest::Client::builder().no_proxy().build();
        let request = client.expect("a client").post(&self.url).json(&request);
        let answer = request
            .bearer_auth(&self.token)
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", "2025-06-18")
            .send()
            .await
            .expect("an answer");
        let answer: Value = answer.json().await.expect("JSON");
        let result = &answer["result"];
        if result["isError"] == true || !result.is_object() {
            return Err(answer.to_string());
        }
        Ok(result["structuredContent"].clone())
    }
}

/// What the bot answers to a command.
async fn ask_bot(person: &Person, chat: &str, command: &str) -> String {
    let said = person.say(chat, command).await;
    let answer = person.wait_for("for an answer", chat, SOON, |room| {
        let mut all = room.said_by(BOT);
        all.find(|entry| entry.reply_to.as_ref() == Some(&said))
            .cloned()
    });
    answer.await.text().to_owned()
}

fn token_in(answer: &str) -> Option<String> {
    let mut words = answer.split('`');
    words
        .find(|word| word.starts_with("mal_"))
        .map(str::to_owned)
}

#[tokio::test(flavor = "multi_thread")]
async fn agent_changes_only_what_it_has_sent_by_a_tool() {
    let world = World::start().await;
    let (_, room) = world.first_room().await;
    let question = world.alice.say(&room, "approve: launch {}").await;
    let asked = approval_message(&world.alice, &room, &question).await;
    let chat = world.alice.chat_with(BOT).await;
    let ada = ToolUser::new(&world, &chat, "Ada").await;
    for (tool, text) in [
        ("matrix_edit", Some("May I help?")),
        ("matrix_redact", None),
    ] {
        let mut arguments = json!({ "room_id": room, "event_id": asked.event_id });
        if let Some(text) = text {
            arguments["text"] = text.into();
        }
        let refused = ada.call(tool, arguments).await;
        let refused = refused.expect_err("an approval message is not the agent's to change");
        assert!(refused.contains("approval messages"), "{refused}");
    }
    // The same call twice, as of a client that has given up in between, is one message.
    let news = json!({ "room_id": room, "text": "news", "idempotency_key": "today" });
    let first = ada.call("matrix_send", news.clone()).await.expect("sent");
    let again = ada.call("matrix_send", news).await.expect("sent");
    assert_eq!(first["event_id"], again["event_id"]);
    for text in ["better news", "best news"] {
        let edit = json!({ "room_id": room, "event_id": first["event_id"], "text": text });
        ada.call("matrix_edit", edit).await.expect("edited");
    }
    let seen = world.alice.wait_for("for the edit", &room, SOON, |room| {
        let shown = room
            .timeline
            .iter()
            .filter(|entry| entry.text() == "best news");
        (shown.count() == 1).then(|| room.clone())
    });
    let seen = seen.await;
    assert!(
        seen.entry(&asked.event_id)
            .is_some_and(|entry| entry.says("May I use"))
    );
    let redact = json!({ "room_id": room, "event_id": first["event_id"] });
    ada.call("matrix_redact", redact).await.expect("redacted");
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_heard_in_rooms_that_agents_make() {
    let world = World::plan()
        .with("TOOLS__ALLOW", "[matrix_create_room, matrix_invite]")
        .start()
        .await;
    let (ada, _) = world.first_room().await;
    let grace = world.agents().remove(1);
    let chat = world.alice.chat_with(BOT).await;
    let tools = ToolUser::new(&world, &chat, "Ada").await;
    let arguments = json!({ "name": "Plans", "invite": [ALICE] });
    let made = tools.call("matrix_create_room", arguments).await;
    let made = made.expect("a room")["room_id"].clone();
    let made = made.as_str().expect("a room id");
    world.alice.join(made).await;
    let said = world.alice.say(made, "say: here").await;
    let answer = |text: &'static str| move |heard: &str| heard == text;
    let here = world
        .alice
        .wait_for_answer(made, &said, SOON, answer("here"));
    assert_eq!(here.await.sender, ada.ghost);

    let arguments = json!({ "room_id": made, "user_id": grace.ghost });
    tools
        .call("matrix_invite", arguments)
        .await
        .expect("invited");
    world
        .alice
        .wait_for("for the other agent", made, SOON, |room| {
            room.said_by(&grace.ghost).next().map(drop)
        })
        .await;
    let said = world.alice.mention(made, &grace.ghost, "say: me too").await;
    let too = world
        .alice
        .wait_for_answer(made, &said, SOON, answer("me too"));
    assert_eq!(too.await.sender, grace.ghost);
}

#[tokio::test(flavor = "multi_thread")]
async fn token_is_shown_to_admins_only() {
    let mut world = World::start().await;
    let bob = world.person("bob").await;
    let chat = world.alice.chat_with(BOT).await;
    world
        .alice
        .call("invite", json!({ "room": chat, "user": bob.user_id }))
        .await;
    bob.join(&chat).await;
    let answer = ask_bot(&world.alice, &chat, "token Ada").await;
    assert!(token_in(&answer).is_none(), "{answer}");
    assert!(answer.contains(&*bob.user_id), "{answer}");
}
