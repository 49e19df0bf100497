//! Agents appear, change their names, vanish and come back.

use std::time::Duration;

use crate::support::letta::{is_listing, list_instead};
use crate::support::wire::matrix_error;
use crate::support::world::{SOON, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_new_agent_is_in_matrix_within_seconds() {
    let world = World::start().await;
    let space = world.enter_space().await;
    let hedy = world.letta.add("Hedy");
    let room = world.enter(&hedy).await;
    world
        .alice
        .wait_for("for the agent in the space", &space, SOON, |space| {
            space.children().contains(&room.as_str()).then_some(())
        })
        .await;
    assert_eq!(world.alice.room(&room).name(), Some("Hedy"));
    assert_eq!(
        world.alice.display_name_of(&hedy.ghost).await.as_deref(),
        Some("Hedy")
    );
    let question = world.alice.say(&room, "say: I am new").await;
    let answer = world
        .alice
        .wait_for_answer(&room, &question, SOON, |text| text == "I am new")
        .await;
    assert_eq!(answer.sender, hedy.ghost);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renamed_agent_is_renamed_everywhere_but_in_a_room_that_a_person_named() {
    let world = World::start().await;
    let (ada, room) = world.first_room().await;
    assert!(world.letta.demo.rename_agent(&ada.id, "Countess"));
    let named = |name: &'static str| {
        let ghost = ada.ghost.clone();
        move |room: &crate::support::room::Room| {
            let shown = room.member(&ghost)?.display_name;
            (shown.as_deref() == Some(name)).then(|| room.name().map(ToOwned::to_owned))
        }
    };
    world
        .alice
        .wait_for("for the new name of the room", &room, SOON, |room| {
            (room.name() == Some("Countess")).then_some(())
        })
        .await;
    world
        .alice
        .wait_for(
            "for the new name of the ghost",
            &room,
            SOON,
            named("Countess"),
        )
        .await;

    world.alice.rename_room(&room, "My Ada").await;
    world
        .alice
        .wait_for("for her own name", &room, SOON, |room| {
            (room.name() == Some("My Ada")).then_some(())
        })
        .await;
    assert!(world.letta.demo.rename_agent(&ada.id, "Lovelace"));
    world
        .alice
        .wait_for(
            "for the third name of the ghost",
            &room,
            SOON,
            named("Lovelace"),
        )
        .await;
    assert_eq!(world.settled(&room).await.name(), Some("My Ada"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_or_empty_list_removes_nobody() {
    let world = World::plan()
        .with("ROOMS__REMOVAL_GRACE", "1s")
        .start()
        .await;
    let space = world.enter_space().await;
    let (_, room) = world.first_room().await;
    let failing = world.ask.always(
        matrix_error(http::StatusCode::BAD_GATEWAY, "M_UNKNOWN"),
        is_listing,
    );
    polls(&world, 5).await;
    world.ask.forget(failing);
    let empty = list_instead(&world.ask, &[]);
    polls(&world, 5).await;
    world.ask.forget(empty);
    assert_eq!(
        world.alice.room(&space).children().len(),
        3,
        "{}",
        world.alice.room(&space)
    );
    let question = world.alice.say(&room, "say: still here").await;
    world
        .alice
        .wait_for_answer(&room, &question, SOON, |text| text == "still here")
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_vanished_retires_after_the_grace_and_comes_back_to_its_room() {
    let world = World::plan()
        .with("ROOMS__REMOVAL_GRACE", "2s")
        .start()
        .await;
    let space = world.enter_space().await;
    let (ada, room) = world.first_room().await;
    let listed = world.letta.listing().await;
    let others: Vec<_> = listed
        .iter()
        .filter(|agent| agent["id"] != ada.id.as_str())
        .cloned()
        .collect();
    assert_eq!(others.len(), 2, "{listed:?}");

    let vanished = list_instead(&world.ask, &others);
    let in_space = |yes: bool| {
        let room = room.clone();
        move |space: &crate::support::room::Room| {
            (space.children().contains(&room.as_str()) == yes).then_some(())
        }
    };
    world
        .alice
        .wait_for(
            "for the agent to leave the space",
            &space,
            SOON,
            in_space(false),
        )
        .await;
    world.ask.forget(vanished);
    world
        .alice
        .wait_for("for the agent to come back", &space, SOON, in_space(true))
        .await;
    assert_eq!(
        world.alice.resolve(&ada.alias).await.as_deref(),
        Some(room.as_str())
    );
    let question = world.alice.say(&room, "say: back again").await;
    let answer = world
        .alice
        .wait_for_answer(&room, &question, SOON, |text| text == "back again")
        .await;
    assert_eq!(answer.sender, ada.ghost);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_bridge_does_not_trouble_the_homeserver() {
    let world = World::start().await;
    world.enter_space().await;
    for agent in world.agents() {
        world.enter(&agent).await;
    }
    world.quiet_for(Duration::from_secs(2)).await;
    world.matrix.clear();
    polls(&world, 4).await;
    let asked = world.matrix.exchanges();
    assert!(asked.is_empty(), "an idle bridge asked {asked:?}");
    // The world wants to see some traffic at its end.
    let (_, room) = world.first_room().await;
    let question = world.alice.say(&room, "say: awake").await;
    world
        .alice
        .wait_for_answer(&room, &question, SOON, |text| text == "awake")
        .await;
}

/// Waits until the bridge has asked Letta for its agents so many times more.
async fn polls(world: &World, times: usize) {
    let count = || {
        world
            .ask
            .count(|one| one.path.trim_end_matches('/').ends_with("/v1/agents"))
    };
    let enough = count() + times;
    let polled = async {
        while count() < enough {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    // After failures the bridge may wait longer than its interval.
    tokio::time::timeout(Duration::from_mins(1), polled)
        .await
        .expect("the bridge keeps asking Letta for its agents");
}
