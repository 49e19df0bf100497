//! An admin talks to the bridge itself.

use crate::support::person::Person;
use crate::support::room::Entry;
use crate::support::world::{ALICE, BOT, SOON, World};

#[tokio::test(flavor = "multi_thread")]
async fn the_bot_greets_who_opens_a_chat_and_answers_every_command() {
    let world = World::start().await;
    let room = world.alice.chat_with(BOT).await;
    let greeting = next(&world.alice, &room, 0).await;
    assert!(
        greeting.text().contains("help"),
        "the greeting names no way on: {greeting:?}"
    );

    let mut heard = 1;
    for (command, expected) in [
        ("help", vec!["status", "agents", "version"]),
        ("status", vec!["3"]),
        ("agents", vec!["Ada", "Grace", "Alan"]),
        ("version", vec![env!("CARGO_PKG_VERSION")]),
        ("statsu", vec!["status"]),
    ] {
        world.alice.say(&room, command).await;
        let answer = next(&world.alice, &room, heard).await;
        heard += 1;
        for piece in expected {
            assert!(
                answer.text().contains(piece),
                "{command} says nothing of {piece}: {answer:?}"
            );
        }
        assert_eq!(answer.msgtype.as_deref(), Some("m.notice"), "{command}");
    }
    world.alice.say(&room, "agnets").await;
    let answer = next(&world.alice, &room, heard).await;
    assert!(
        answer.text().to_lowercase().contains("did you mean"),
        "{answer:?}"
    );
    assert_eq!(world.settled(&room).await.said_by(BOT).count(), heard + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_in_the_room_of_an_agent_is_answered_and_starts_no_turn() {
    let world = World::start().await;
    let (_, room) = world.first_room().await;
    world.alice.say(&room, "!letta help").await;
    let answer = world
        .alice
        .wait_for("for the help", &room, SOON, |room| {
            room.timeline
                .iter()
                .find(|entry| entry.sender != ALICE && entry.text().contains("status"))
                .cloned()
        })
        .await;
    assert_eq!(answer.msgtype.as_deref(), Some("m.notice"));
    world.settled(&room).await;
    assert_eq!(world.letta.runs(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_no_admin_is_refused_in_words() {
    let mut world = World::plan()
        .permissions(&[(ALICE, "admin"), ("@bob:letta.test", "talk")])
        .start()
        .await;
    let bob = world.person("bob").await;
    let room = bob.chat_with(BOT).await;
    bob.say(&room, "status").await;
    bob.wait_for("to be refused", &room, SOON, |room| {
        room.said_by(BOT)
            .any(|entry| entry.text().contains("may not"))
            .then_some(())
    })
    .await;
    let seen = bob.room(&room);
    assert!(
        !seen.said_by(BOT).any(|entry| entry.text().contains("Ada")),
        "{seen}"
    );
}

/// The message of the bot after those that were heard already.
async fn next(person: &Person, room: &str, heard: usize) -> Entry {
    person
        .wait_for("for the bot", room, SOON, |room| {
            room.said_by(BOT).nth(heard).cloned()
        })
        .await
}
