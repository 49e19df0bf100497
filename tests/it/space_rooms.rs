//! Where people are invited to the space only: they join the agents' rooms from there, and nobody else does.

use serde_json::json;

use crate::support::world::{SOON, World};

#[tokio::test(flavor = "multi_thread")]
async fn one_invitation_leads_to_every_room() {
    let mut world = World::plan().with("ROOMS__INVITE", "auto").start().await;
    let mallory = world.person("mallory").await;
    let space = world.enter_space().await;
    let agents = world.agents().len();
    let listed = world
        .alice
        .wait_for("for all agents in the space", &space, SOON, |space| {
            let children = space.children();
            let children: Vec<_> = children.into_iter().map(str::to_owned).collect();
            (children.len() == agents).then_some(children)
        })
        .await;
    for room in &listed {
        let refused = mallory.try_call("join", json!({ "room": room })).await;
        assert!(refused.is_err(), "{refused:?}");
        world.alice.join(room).await;
    }
    let agent = world.agents().remove(0);
    let invited = |room: &crate::support::room::Room| room.invited_by.is_some();
    let (mut rooms, mut home) = (0, None);
    for room in &listed {
        let seen = world.alice.room(room);
        assert!(!invited(&seen), "she came from the space: {seen}");
        if seen.alias() == Some(&agent.alias) {
            home = Some(room.clone());
        }
        rooms += 1;
    }
    assert_eq!(rooms, agents);
    let home = home.expect("the agent's room");
    let question = world.alice.say(&home, "say: from the space").await;
    let answer = world
        .alice
        .wait_for_answer(&home, &question, SOON, |text| text == "from the space")
        .await;
    assert_eq!(answer.sender, agent.ghost);
}
