//! What became of a message, from the log alone.

use serde_json::Value;

use crate::support::world::{SOON, World};

#[tokio::test(flavor = "multi_thread")]
async fn log_tells_the_story_of_an_answered_and_of_an_ignored_message() {
    let world = World::plan().with("LOGGING__FORMAT", "json").start().await;
    let (agent, room) = world.first_room().await;
    let secret = "what nobody may find in a log";
    let answered = world
        .alice
        .say(&room, &format!("say: nothing of {secret}"))
        .await;
    world
        .alice
        .wait_for_answer(&room, &answered, SOON, |text| text.contains("nothing"))
        .await;
    let notice = format!("another program's words: {secret}");
    let ignored = world.alice.notice(&room, &notice).await;
    let again = world.alice.notice(&room, &notice).await;
    world.settled(&room).await;

    let log = std::fs::read_to_string(world.bridge.log()).expect("a log");
    assert!(!log.contains(secret), "the log holds what people say");
    let lines: Vec<Value> = log
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    let about = |key: &str, value: &str| -> Vec<&Value> {
        let lines = lines.iter().filter(|line| line[key] == value);
        lines.filter(|line| line["level"] != "DEBUG").collect()
    };
    let story = about("event.id", &answered);
    let messages: Vec<_> = story.iter().map(|line| &line["message"]).collect();
    assert_eq!(messages, ["prompt queued", "turn started", "turn ended"]);
    for line in &story {
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["room.id"], room.as_str());
        assert_eq!(line["agent.id"], agent.id.as_str(), "{line}");
    }
    assert!(story[1]["turn.id"].is_string());
    assert_eq!(story[1]["turn.id"], story[2]["turn.id"]);
    assert_eq!(story[2]["outcome"], "answered");

    let [line] = about("event.id", &ignored)[..] else {
        panic!("not one line for {ignored}:\n{log}");
    };
    let message = line["message"].as_str().expect("a message");
    assert!(message.starts_with("event ignored"), "{line}");
    assert_eq!(line["reason"], "a notice, so sent by a program");
    assert_eq!(line["room.id"], room.as_str());
    assert!(about("event.id", &again).is_empty(), "said twice:\n{log}");
}
