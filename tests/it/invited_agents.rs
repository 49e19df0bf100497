//! Agents in rooms that people make: direct chats, rooms of several, and invitations of all kinds.

use std::time::Duration;

use crate::support::world::{ALICE, BOT, SOON, World};

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_in_a_direct_chat_answers_what_was_said_before_it_came_in() {
    let world = World::start().await;
    let ada = world.agents().remove(0);
    let room = world.alice.chat_with(&ada.ghost).await;
    let question = world.alice.say(&room, "say: welcome").await;
    let answer = world
        .alice
        .wait_for_answer(&room, &question, SOON, |text| text == "welcome")
        .await;
    assert_eq!(answer.sender, ada.ghost);
    let made = world.letta.demo.request_count("POST /v1/conversations/");
    assert_eq!(made, 1, "a chat is a conversation of its own");
    assert_eq!(world.settled(&room).await.said_by(&ada.ghost).count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_room_of_several_an_agent_answers_who_mentions_it() {
    let world = World::start().await;
    let ada = world.agents().remove(0);
    let room = world.alice.create_room(&[&ada.ghost]).await;
    world
        .alice
        .wait_for("to be greeted", &room, SOON, |room| {
            room.said_by(&ada.ghost)
                .any(|entry| entry.text().contains("mention"))
                .then_some(())
        })
        .await;
    world.alice.say(&room, "say: nobody asked").await;
    let question = world
        .alice
        .mention(&room, &ada.ghost, "say: you asked")
        .await;
    world
        .alice
        .wait_for_answer(&room, &question, SOON, |text| text == "you asked")
        .await;
    world.settled(&room).await;
    assert_eq!(world.letta.runs(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn greeting_is_said_where_it_is_read_and_nowhere_else() {
    let world = World::start().await;
    let ada = world.agents().remove(0);
    let space = world.enter_space().await;
    let own_space = world.alice.create_space(&[&ada.ghost, BOT]).await;
    let room = world.alice.create_room(&[&ada.ghost, BOT]).await;
    let both = [ada.ghost.as_str(), BOT];
    world
        .alice
        .wait_for("to be greeted by both", &room, SOON, |room| {
            let greeted = |user: &&str| room.said_by(user).count() == 1;
            both.iter().all(greeted).then_some(())
        })
        .await;
    world
        .alice
        .wait_for("both to come in", &own_space, SOON, |room| {
            let inside = |user: &&str| room.member(user).is_some_and(|it| it.membership == "join");
            both.iter().all(inside).then_some(())
        })
        .await;
    for place in [&own_space, &space] {
        let seen = world.settled(place).await;
        assert!(seen.timeline.is_empty(), "nobody reads that: {seen}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_only_letta_knows_comes_when_it_is_invited() {
    let world = World::start().await;
    world.enter_space().await;
    world.letta.demo.set_listing_failing(Some(500));
    let hedy = world.letta.add("Hedy");
    let room = world.alice.chat_with(&hedy.ghost).await;
    let question = world.alice.say(&room, "say: here I am").await;
    let answer = world
        .alice
        .wait_for_answer(&room, &question, SOON, |text| text == "here I am")
        .await;
    assert_eq!(answer.sender, hedy.ghost);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_waits_can_be_edited_and_taken_back() {
    let world = World::start().await;
    let (ada, room) = world.first_room().await;
    let alice = &world.alice;
    alice.say(&room, "slow: 16").await;
    alice
        .wait_for("for the first words", &room, SOON, |room| {
            room.said_by(&ada.ghost).next().map(|_| ())
        })
        .await;
    let changed = alice.say(&room, "say: before").await;
    let withdrawn = alice.say(&room, "say: never").await;
    alice.edit(&room, &changed, "say: after").await;
    alice.redact(&room, &withdrawn).await;
    alice
        .wait_for("for the edited message", &room, SOON, |room| {
            room.said_by(&ada.ghost)
                .any(|entry| entry.text() == "after")
                .then_some(())
        })
        .await;
    let seen = world.settled(&room).await;
    assert!(!seen.to_string().contains("\"before\""), "{seen}");
    assert!(
        !seen
            .said_by(&ada.ghost)
            .any(|entry| entry.text().contains("never")),
        "{seen}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_ends_an_answer_and_keeps_what_was_said() {
    let world = World::start().await;
    let (_, room) = world.first_room().await;
    let question = world.alice.say(&room, "slow: 80").await;
    world
        .alice
        .wait_for_answer(&room, &question, SOON, |text| text.contains("w2"))
        .await;
    world.alice.say(&room, "!letta stop").await;
    world
        .alice
        .wait_for("for the end", &room, SOON, |room| {
            // As the answer to the command, by whoever answers commands here.
            room.timeline
                .iter()
                .any(|entry| entry.says("Stopped."))
                .then_some(())
        })
        .await;
    let seen = world.settled(&room).await;
    assert!(
        seen.answers_to(&question)
            .any(|entry| entry.text().starts_with("w0 w1 w2") && !entry.text().contains("w79")),
        "{seen}"
    );
    let next = world.alice.say(&room, "say: still here").await;
    world
        .alice
        .wait_for_answer(&room, &next, SOON, |text| text == "still here")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn start_chat_opens_a_room_with_the_agent() {
    let world = World::start().await;
    let ada = world.agents().remove(0);
    let management = world.alice.chat_with(BOT).await;
    world.alice.say(&management, "start-chat ada").await;
    let room = world
        .alice
        .wait_until("for an invitation to a chat", SOON, |rooms| {
            rooms
                .values()
                .find(|room| {
                    room.membership == "invite"
                        && room.alias().is_none()
                        && room
                            .name()
                            .is_some_and(|name| name.starts_with(&format!("{} (20", ada.name)))
                })
                .map(|room| room.id.clone())
        })
        .await;
    world.alice.join(&room).await;
    let question = world.alice.say(&room, "say: just us").await;
    let answer = world
        .alice
        .wait_for_answer(&room, &question, Duration::from_secs(20), |text| {
            text == "just us"
        })
        .await;
    assert_eq!(answer.sender, ada.ghost);
    assert!(world.alice.room(&room).member(ALICE).is_some());
}
