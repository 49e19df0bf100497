//! What a conversation has stored.

use letta_client::{Backend, Destination, ToolPolicy, backend::Role};

use super::{Lab, Turn, prompt};

#[tokio::test]
async fn the_newest_messages_come_oldest_first_with_their_keys() {
    let lab = Lab::new().await;
    for n in 1..=3 {
        lab.turn(&format!("$event{n}"), &format!("say: answer {n}"))
            .await;
    }
    let items = lab.backend.history(&lab.to, 4).await.unwrap();
    let items: Vec<_> = items
        .iter()
        .map(|item| (item.role, item.key.as_deref(), item.text.as_str()))
        .collect();
    assert_eq!(
        items,
        [
            (Role::User, Some("$event2"), "say: answer 2"),
            (Role::Assistant, None, "answer 2"),
            (Role::User, Some("$event3"), "say: answer 3"),
            (Role::Assistant, None, "answer 3"),
        ]
    );
}

#[tokio::test]
async fn tools_and_reasoning_do_not_count_and_older_pages_make_up_for_them() {
    let lab = Lab::new().await;
    lab.turn("$1", "say: first").await;
    for n in 2..8 {
        lab.turn(&format!("${n}"), "tool: look {}").await;
    }
    let items = lab.backend.history(&lab.to, 14).await.unwrap();
    assert_eq!(items.len(), 14);
    assert_eq!(items[0].text, "say: first");
    assert_eq!(lab.backend.history(&lab.to, 1_000).await.unwrap(), items);
    assert_eq!(lab.backend.history(&lab.to, 0).await.unwrap(), []);
}

#[tokio::test]
async fn what_nobody_said_is_not_shown() {
    let lab = Lab::new().await;
    lab.turn(
        "$1",
        "<system-reminder>be kind</system-reminder>\nsay: hello",
    )
    .await;
    let items = lab.backend.history(&lab.to, 10).await.unwrap();
    let texts: Vec<_> = items.iter().map(|item| item.text.as_str()).collect();
    assert_eq!(texts, ["say: hello", "hello"]);
    assert!(
        items
            .iter()
            .all(|item| item.run.is_some() && item.date.is_some())
    );
}

#[tokio::test]
async fn each_conversation_has_a_history_of_its_own() {
    let lab = Lab::new().await;
    lab.turn("$1", "say: in the room").await;
    let conversation = lab
        .backend
        .create_conversation(&lab.to.agent, "thread")
        .await
        .unwrap();
    let own = Destination {
        conversation,
        ..lab.to.clone()
    };
    assert_eq!(lab.backend.history(&own, 10).await.unwrap(), []);
    let stream = lab
        .backend
        .send(
            &own,
            &[prompt("$2", "say: in the thread")],
            ToolPolicy::default(),
        )
        .await
        .unwrap();
    Turn::read(stream).await;
    let texts = async |to| -> Vec<String> {
        let items = lab.backend.history(to, 10).await.unwrap();
        items.into_iter().map(|item| item.text).collect()
    };
    assert_eq!(texts(&own).await, ["say: in the thread", "in the thread"]);
    assert_eq!(texts(&lab.to).await, ["say: in the room", "in the room"]);
}
