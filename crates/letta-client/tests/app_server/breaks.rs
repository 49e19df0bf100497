//! Whatever breaks in the middle of a turn: nothing is lost, nothing is said twice, and the conversation goes on.

use std::{env, time::Duration};

use futures_util::StreamExt;
use letta_client::{
    ApprovalRequest, Backend, BackendError, Conversation, Decision, Destination, StopReason,
    ToolPolicy, TurnEvent,
};
use tokio::time::sleep;

use crate::{
    relay::Relay,
    talk::{TurnTranscript, World, backend_at, prompt, read_turn},
};

/// How often each of them happens, unless `KILLS_PER_POINT` says otherwise.
const TIMES: usize = 2;

const COUNT: &str = "count 8";
const COUNTED: &str = "1 2 3 4 5 6 7 8 ";

fn times() -> usize {
    let said = env::var("KILLS_PER_POINT").ok();
    said.and_then(|said| said.parse().ok()).unwrap_or(TIMES)
}

/// Hears a turn to its end as the bridge does: a broken stream is resumed, a lost turn asked again, and where its
/// conversation goes on elsewhere, or is lost, it is asked elsewhere.
async fn read_turn_after_retries(
    world: &World,
    room: &mut Destination,
    key: &str,
    heard: TurnTranscript,
) -> TurnTranscript {
    let mut heard = heard;
    let mut run = Some(key.parse().expect("a key that is a run"));
    loop {
        let Some(Err(failure)) = heard.end else {
            return heard;
        };
        match failure {
            BackendError::Unreachable { .. } | BackendError::Silent { .. } => {
                sleep(Duration::from_millis(200)).await;
            }
            BackendError::NotFound { .. } if run.is_some() => run = None,
            // A server that is killed while it writes a conversation down has lost it (seen on 0.34.12).
            BackendError::NotFound { .. } => *room = world.room().await,
            BackendError::Moved { to } => {
                room.conversation = Conversation::Own(to);
                run = None;
            }
            other => panic!("{key}: {other:?}"),
        }
        let stream = if let Some(run) = &run {
            world.backend.resume(room, run).await
        } else {
            let prompts = [prompt(key, COUNT)];
            world
                .backend
                .send(room, &prompts, ToolPolicy::default())
                .await
        };
        heard = match stream {
            Ok(stream) => read_turn(stream).await,
            Err(failure) => TurnTranscript {
                end: Some(Err(failure)),
                ..TurnTranscript::default()
            },
        };
    }
}

fn counted(heard: &TurnTranscript) {
    assert!(
        matches!(heard.end, Some(Ok(StopReason::EndTurn))),
        "{heard:?}"
    );
    assert_eq!(heard.text, COUNTED, "{heard:?}");
}

/// The conversation still takes something.
async fn is_alive(world: &World, room: &Destination, key: &str) {
    let heard = read_turn(world.say(room, key, "say still here").await).await;
    assert_eq!(heard.text, "still here", "{heard:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_is_killed_in_the_middle_of_a_turn() {
    let mut world = World::start().await;
    let mut room = world.room().await;
    for round in 0..times() {
        let key = format!("$turn-{round}");
        let turn = world.say(&room, &key, COUNT).await;
        let heard = tokio::spawn(read_turn(turn));
        // Before its first word, or after some.
        sleep(Duration::from_millis(100) * u32::try_from(round % 20).unwrap()).await;
        world.server.kill().await;
        world.server.come_back().await;
        let heard = heard.await.unwrap();
        let heard = read_turn_after_retries(&world, &mut room, &key, heard).await;
        counted(&heard);
        is_alive(&world, &room, &format!("$alive-{round}")).await;
    }
}

async fn asks(world: &World, room: &Destination, key: &str) -> ApprovalRequest {
    let heard = read_turn(world.say(room, key, "run echo $((6*7))").await).await;
    assert!(
        matches!(heard.end, Some(Ok(StopReason::NeedsApproval))),
        "{heard:?}"
    );
    match heard.events.last() {
        Some(TurnEvent::Approval(request)) => request.clone(),
        _ => panic!("{heard:?}"),
    }
}

async fn yes(
    world: &World,
    room: &Destination,
    request: &ApprovalRequest,
) -> Result<TurnTranscript, BackendError> {
    let call = request.calls[0].id.clone();
    let decision = Decision {
        call,
        approve: true,
        reason: None,
    };
    let decided = world.backend.decide(room, request, &[decision]).await?;
    Ok(read_turn(decided).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_is_killed_while_a_person_decides() {
    let mut world = World::start().await;
    let room = world.room().await;
    let mut external = world.backend.external_turns().unwrap();
    for round in 0..times() {
        let key = format!("$turn-{round}");
        let old = asks(&world, &room, &key).await;
        world.server.kill().await;
        world.server.come_back().await;
        // The server begins the input anew, and asks with a new request.
        let again = tokio::time::timeout(Duration::from_mins(1), external.next()).await;
        let again = again
            .expect("it is asked again")
            .expect("the backend lives");
        assert!(again.key.starts_with(&key), "{}", again.key);
        let again = read_turn(again.turn).await;
        let Some(TurnEvent::Approval(new)) = again.events.last() else {
            panic!("{again:?}")
        };
        assert_ne!(new.id, old.id);
        assert_eq!(
            world
                .backend
                .pending_approval(&room)
                .await
                .unwrap()
                .as_ref(),
            Some(new)
        );
        assert!(matches!(
            yes(&world, &room, &old).await,
            Err(BackendError::Forgotten { sent: false })
        ));
        let heard = yes(&world, &room, new).await.unwrap();
        assert_eq!(heard.text.trim(), "it returned: 42", "{heard:?}");
        is_alive(&world, &room, &format!("$alive-{round}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_breaks_in_the_middle_of_a_turn() {
    let mut world = World::start().await;
    let relay = Relay::start(world.server.port()).await;
    world.backend = backend_at(&format!("ws://127.0.0.1:{}", relay.port));
    let mut room = world.room().await;
    is_alive(&world, &room, "$first").await;
    for round in 0..times() {
        let key = format!("$turn-{round}");
        let asked = world.server.model.asked();
        let heard = tokio::spawn(read_turn(world.say(&room, &key, COUNT).await));
        sleep(
            Duration::from_millis(700)
                + Duration::from_millis(50) * u32::try_from(round % 20).unwrap(),
        )
        .await;
        let both = round % 3 == 2;
        if both {
            relay.break_all();
        } else {
            relay.break_one(round % 3);
        }
        let heard = heard.await.unwrap();
        if !both {
            assert_eq!(
                world.server.model.asked(),
                asked + 1,
                "the turn goes on by itself"
            );
        }
        let heard = read_turn_after_retries(&world, &mut room, &key, heard).await;
        counted(&heard);
        is_alive(&world, &room, &format!("$alive-{round}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_breaks_while_a_person_decides() {
    let mut world = World::start().await;
    let relay = Relay::start(world.server.port()).await;
    world.backend = backend_at(&format!("ws://127.0.0.1:{}", relay.port));
    let room = world.room().await;
    for round in 0..times() {
        let request = asks(&world, &room, &format!("$turn-{round}")).await;
        // The guard has subscribed by then.
        sleep(Duration::from_millis(300)).await;
        relay.break_one(round % 2);
        let heard = loop {
            match yes(&world, &room, &request).await {
                Err(BackendError::Unreachable { .. }) => sleep(Duration::from_millis(50)).await,
                heard => break heard.unwrap(),
            }
        };
        assert_eq!(heard.text.trim(), "it returned: 42", "{heard:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bridge_is_killed_in_the_middle_of_a_turn() {
    let mut world = World::start().await;
    let mut room = world.room().await;
    for round in 0..times() {
        let key = format!("$turn-{round}");
        let mut turn = world.say(&room, &key, COUNT).await;
        let Some(Ok(TurnEvent::Started { run, .. })) = turn.next().await else {
            panic!("a turn starts")
        };
        sleep(Duration::from_millis(100) * u32::try_from(round % 20).unwrap()).await;
        // All that a process has of the server are its sockets.
        drop(turn);
        world.backend = backend_at(&world.server.url());
        let heard = match world.backend.resume(&room, &run).await {
            Ok(resumed) => read_turn(resumed).await,
            Err(failure) => TurnTranscript {
                end: Some(Err(failure)),
                ..TurnTranscript::default()
            },
        };
        let heard = read_turn_after_retries(&world, &mut room, &key, heard).await;
        counted(&heard);
        // Whoever does not know that it was asked before, and asks again, hears the same.
        let asked = world.server.model.asked();
        let again = world
            .backend
            .send(&room, &[prompt(&key, COUNT)], ToolPolicy::default())
            .await;
        counted(&read_turn(again.unwrap()).await);
        assert_eq!(world.server.model.asked(), asked);
    }
}
