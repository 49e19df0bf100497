//! People change what the bridge made: some of it stays, some of it is repaired (docs/rooms.md).

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::person::Person;
use crate::support::world::{BOT, SOON, World};

async fn put_state(person: &Person, room: &str, kind: &str, key: &str, content: Value) {
    let call = json!({ "room": room, "kind": kind, "key": key, "content": content });
    person.call("put_state", call).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_people_set_stays_and_the_space_lists_the_room_again() {
    let mut world = World::plan().with("ROOMS__TOPIC", "First").start().await;
    let (ada, room) = world.first_room().await;
    let space = world.enter_space().await;
    let alice = &world.alice;
    let shows = |kind: &'static str, field: &'static str, value: &'static str| {
        move |room: &crate::support::room::Room| {
            (room.state(kind, "")?.get(field)? == value).then_some(())
        }
    };
    alice
        .wait_for(
            "for the topic",
            &room,
            SOON,
            shows("m.room.topic", "topic", "First"),
        )
        .await;
    let picture = "mxc://letta.test/hers";
    put_state(alice, &room, "m.room.topic", "", json!({ "topic": "Hers" })).await;
    put_state(alice, &room, "m.room.avatar", "", json!({ "url": picture })).await;
    put_state(alice, &space, "m.space.child", &room, json!({})).await;
    let is_listed = |room: &str| {
        let room = room.to_owned();
        move |space: &crate::support::room::Room| space.children().contains(&&*room).then_some(())
    };
    // Synapse leaves out neither: she sees it go and come back.
    world.quiet_for(Duration::from_millis(1500)).await;
    world
        .alice
        .wait_for("for the room in the space", &space, SOON, is_listed(&room))
        .await;

    // Another topic for all, and another name for her agent.
    world.bridge.set("ROOMS__TOPIC", "Second");
    world.bridge.restart().await;
    assert!(world.letta.demo.rename_agent(&ada.id, "Countess"));
    world
        .alice
        .wait_for(
            "for the new name",
            &room,
            SOON,
            shows("m.room.name", "name", "Countess"),
        )
        .await;
    let seen = world.settled(&room).await;
    assert_eq!(seen.state("m.room.topic", "").unwrap()["topic"], "Hers");
    assert_eq!(seen.state("m.room.avatar", "").unwrap()["url"], picture);
    let other = world.agents().remove(1);
    let other = world.enter(&other).await;
    world
        .alice
        .wait_for(
            "for the new topic",
            &other,
            SOON,
            shows("m.room.topic", "topic", "Second"),
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_makes_an_agent_deaf_and_an_encrypted_room_is_told_so() {
    let plan = World::plan().with("ENCRYPTION__ALLOW", "false");
    let world = plan.start().await;
    let (ada, room) = world.first_room().await;
    let encryption = json!({ "algorithm": "m.megolm.v1.aes-sha2" });
    let on =
        |room: &str| json!({ "room": room, "kind": "m.room.encryption", "content": encryption });
    let refused = world.alice.try_call("put_state", on(&room)).await;
    assert!(refused.is_err(), "she is admin, and may not: {refused:?}");
    let hers = world.alice.create_room(&[]).await;
    world.alice.call("put_state", on(&hers)).await;
    for user in [&ada.ghost, BOT] {
        let call = json!({ "room": hers, "user": user });
        world.alice.call("invite", call).await;
    }
    let alias = ada.alias.clone();
    let notice = world
        .alice
        .wait_for("to be told so", &hers, SOON, |room| {
            let said = room
                .timeline
                .iter()
                .find(|entry| entry.text().contains("encrypted"))?;
            Some(said.event_id.clone())
        })
        .await;
    let seen = world.settled(&hers).await;
    let told: Vec<_> = seen
        .timeline
        .iter()
        .map(|entry| entry.text().to_owned())
        .collect();
    assert_eq!(told.len(), 1, "once, and no greeting: {told:?}");
    assert!(
        told[0].contains(&alias) || told[0].contains("letta_agents"),
        "{told:?}"
    );
    // The way out, once however often she reacts.
    for key in ["✅", "✅\u{fe0f}"] {
        world.alice.react(&hers, &notice, key).await;
    }
    let plain = world
        .alice
        .wait_until("for the room without encryption", SOON, |rooms| {
            let title = format!("{} (20", ada.name);
            let is_new = |name: &str| name.starts_with(&title);
            let mut invited = rooms
                .values()
                .filter(|room| room.name().is_some_and(is_new));
            invited.next().map(|room| room.id.clone())
        })
        .await;
    world.alice.join(&plain).await;
    let said = world.alice.say(&plain, "say: in clear").await;
    world
        .alice
        .wait_for_answer(&plain, &said, SOON, |text| text == "in clear")
        .await;
}
