//! Rooms that are replaced by others: who of us follows, and what the rooms are told.

use serde_json::json;

use crate::support::world::{BOT, SOON, World};

async fn upgrade(world: &World, room: &str) -> String {
    let call = json!({"room": room, "version": "11"});
    let new = world.alice.call("upgrade", call).await;
    new.as_str().expect("the id of the new room").to_owned()
}

/// Lets nobody come in from the space any more.
async fn close(world: &World, room: &str) {
    let content = json!({ "join_rule": "invite" });
    world
        .alice
        .call(
            "put_state",
            json!({ "room": room, "kind": "m.room.join_rules", "content": content }),
        )
        .await;
}

async fn invite(world: &World, room: &str, user: &str) {
    let call = json!({"room": room, "user": user});
    world.alice.call("invite", call).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn agent_follows_its_replaced_room_when_it_is_invited() {
    let world = World::start().await;
    let (ada, old) = world.first_room().await;
    let before = world.alice.say(&old, "say: before").await;
    world
        .alice
        .wait_for_answer(&old, &before, SOON, |text| text == "before")
        .await;
    world
        .alice
        .say_in_thread(&old, &before, "say: in the thread")
        .await;
    world
        .alice
        .wait_for("for the answer in the thread", &old, SOON, |room| {
            let mut said = room.said_by(&ada.ghost);
            said.any(|entry| entry.text() == "in the thread")
                .then_some(())
        })
        .await;
    let made = world.letta.demo.request_count("POST /v1/conversations/");
    close(&world, &old).await;
    let new = upgrade(&world, &old).await;
    world
        .alice
        .wait_for("to be told whom to invite", &old, SOON, |room| {
            room.said_by(BOT)
                .find(|entry| {
                    let text = entry.text();
                    entry.says("[ROOM_REPLACED]")
                        && text.contains(&ada.ghost)
                        && text.contains(&new)
                })
                .map(|_| ())
        })
        .await;
    for user in [&ada.ghost, BOT] {
        invite(&world, &new, user).await;
    }
    // As in its own room: without being mentioned.
    let question = world.alice.say(&new, "say: after").await;
    let answer = world
        .alice
        .wait_for_answer(&new, &question, SOON, |text| text == "after")
        .await;
    assert_eq!(answer.sender, ada.ghost);
    assert_eq!(
        world.letta.demo.request_count("POST /v1/conversations/"),
        made,
        "the conversation goes on"
    );
    // A thread cannot go on in another room; who writes in it hears where the agent is.
    world
        .alice
        .say_in_thread(&old, &before, "say: still in the thread")
        .await;
    world
        .alice
        .wait_for("for the pointer to the new room", &old, SOON, |room| {
            let mut said = room.said_by(BOT);
            said.any(|entry| entry.says("[ROOM_CLOSED]") && entry.text().contains(&new))
                .then_some(())
        })
        .await;
    assert_eq!(world.alice.resolve(&ada.alias).await, Some(new.clone()));
    let space = world.enter_space().await;
    world
        .alice
        .wait_for("the space to list the new room", &space, SOON, |space| {
            let children = space.children();
            (children.contains(&&*new) && !children.contains(&&*old)).then_some(())
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn room_that_is_open_to_the_space_is_followed_without_an_invitation() {
    let world = World::start().await;
    let (ada, old) = world.first_room().await;
    let new = upgrade(&world, &old).await;
    let ghost = ada.ghost.clone();
    world
        .alice
        .wait_for("for the agent in the new room", &new, SOON, |room| {
            let member = room.member(&ghost)?;
            (member.membership == "join").then_some(())
        })
        .await;
    let question = world.alice.say(&new, "say: here").await;
    world
        .alice
        .wait_for_answer(&new, &question, SOON, |text| text == "here")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replaced_management_room_and_guests_are_followed() {
    let world = World::start().await;
    let ada = world.agents().remove(0);
    let management = world.alice.chat_with(BOT).await;
    let shared = world.alice.create_room(&[&ada.ghost, BOT]).await;
    for (room, user) in [(&management, BOT), (&shared, BOT), (&shared, &*ada.ghost)] {
        world
            .alice
            .wait_for("for all to come in", room, SOON, |room| {
                room.member(user)
                    .is_some_and(|member| member.membership == "join")
                    .then_some(())
            })
            .await;
    }
    let new = upgrade(&world, &management).await;
    invite(&world, &new, BOT).await;
    let question = world.alice.say(&new, "ping").await;
    world
        .alice
        .wait_for("for an answer to the command", &new, SOON, |room| {
            room.answers_to(&question).next().map(|_| ())
        })
        .await;
    let new = upgrade(&world, &shared).await;
    for user in [BOT, &*ada.ghost] {
        invite(&world, &new, user).await;
    }
    world
        .alice
        .wait_for("for the agent to come in", &new, SOON, |room| {
            room.member(&ada.ghost)
                .is_some_and(|member| member.membership == "join")
                .then_some(())
        })
        .await;
    let question = world.alice.mention(&new, &ada.ghost, "say: here").await;
    world
        .alice
        .wait_for_answer(&new, &question, SOON, |text| text == "here")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn room_that_was_replaced_while_the_bridge_was_down_is_followed() {
    let mut world = World::start().await;
    let (ada, old) = world.first_room().await;
    world.bridge.kill9().await;
    let new = upgrade(&world, &old).await;
    for user in [&ada.ghost, BOT] {
        invite(&world, &new, user).await;
    }
    world.bridge.start();
    world.bridge.wait_ready().await;
    let question = world.alice.say(&new, "say: still here").await;
    world
        .alice
        .wait_for_answer(&new, &question, SOON, |text| text == "still here")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn alias_of_a_room_that_lets_nobody_in_does_not_stand_for_the_agent() {
    let mut world = World::start().await;
    let (ada, old) = world.first_room().await;
    close(&world, &old).await;
    world.bridge.kill9().await;
    let new = upgrade(&world, &old).await;
    assert_eq!(world.alice.resolve(&ada.alias).await, Some(new.clone()));
    // The bridge begins with nothing but what the homeserver tells.
    let registration = world.bridge.registration();
    let folder = registration.parent().expect("a folder").join("journal");
    std::fs::remove_dir_all(&folder).expect("the journal was there");
    world.bridge.start();
    world.bridge.wait_ready().await;
    let made = world
        .alice
        .wait_until("for an invitation to another room", SOON, |rooms| {
            let mut rooms = rooms.values();
            let room = rooms.find(|room| {
                room.alias() == Some(&ada.alias) && room.id != new && room.id != old
            })?;
            Some(room.id.clone())
        })
        .await;
    world.alice.join(&made).await;
    let question = world.alice.say(&made, "say: in a new room").await;
    world
        .alice
        .wait_for_answer(&made, &question, SOON, |text| text == "in a new room")
        .await;
    assert_eq!(world.alice.resolve(&ada.alias).await, Some(made));
}
