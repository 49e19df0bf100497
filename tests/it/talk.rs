//! A person and an agent talk.

use std::time::Duration;

use http::Method;
use regex::Regex;

use crate::support::room::{Entry, Room};
use crate::support::world::{ALICE, SOON, World};

/// `slow: N` and `long: N` answer `w0 w1 …`.
pub fn words(count: usize) -> String {
    (0..count)
        .map(|n| format!("w{n}"))
        .collect::<Vec<_>>()
        .join(" ")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_finds_every_agent_in_the_space_and_is_answered() {
    let world = World::start().await;
    let space = world.enter_space().await;
    assert!(world.alice.room(&space).is_space());
    let mut rooms = Vec::new();
    for agent in world.agents() {
        rooms.push(world.enter(&agent).await);
    }
    let children = world
        .alice
        .wait_for("for three agents in the space", &space, SOON, |space| {
            (space.children().len() == 3).then(|| {
                space
                    .children()
                    .iter()
                    .map(ToString::to_string)
                    .collect::<Vec<_>>()
            })
        })
        .await;
    for room in &rooms {
        assert!(
            children.contains(room),
            "{room} is not in the space, which has {children:?}"
        );
    }

    for (agent, room) in world.agents().iter().zip(&rooms) {
        assert_eq!(world.alice.room(room).name(), Some(agent.name.as_str()));
        let ghost = world
            .alice
            .room(room)
            .member(&agent.ghost)
            .expect("the ghost is in its room");
        assert_eq!(
            (ghost.membership.as_str(), ghost.display_name.as_deref()),
            ("join", Some(agent.name.as_str()))
        );
        let question = world.alice.say(room, "hello").await;
        let answer = world
            .alice
            .wait_for_answer(room, &question, SOON, |text| text.contains("You said:"))
            .await;
        assert!(answer.text().contains("hello"), "{answer:?}");
        assert_eq!(answer.sender, agent.ghost);
        assert_eq!(answer.msgtype.as_deref(), Some("m.text"));
        world
            .alice
            .wait_for("for the read receipt", room, SOON, |room| {
                room.was_read(&question, &agent.ghost).then_some(())
            })
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_grows_in_one_message_while_the_agent_is_typing() {
    let world = World::start().await;
    let (agent, room) = world.first_room().await;
    let question = world.alice.say(&room, "slow: 12").await;
    world
        .alice
        .wait_for("for typing", &room, SOON, |room| {
            room.typing.contains(&agent.ghost).then_some(())
        })
        .await;
    let answer = world
        .alice
        .wait_for_answer(&room, &question, SOON, |text| text == words(12))
        .await;
    assert_eq!(answer.sender, agent.ghost);
    assert!(
        answer.edits >= 2,
        "the answer did not grow: {:?}",
        answer.bodies
    );
    // Growing means that nothing that was shown is taken back.
    let shown: Vec<&str> = answer
        .bodies
        .iter()
        .flatten()
        .map(|body| body.trim_end_matches([' ', '…', '⋯', '▍']))
        .collect();
    for pair in shown.windows(2) {
        assert!(
            pair[1].starts_with(pair[0]) || !pair[0].starts_with('w'),
            "{shown:?}"
        );
    }
    let room = world.settled(&room).await;
    assert_eq!(room.said_by(&agent.ghost).count(), 1, "{room}");
    assert_eq!(room.answers_to(&question).count(), 1, "{room}");
    assert!(
        !room.typing.contains(&agent.ghost),
        "still typing after the answer\n{room}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn markdown_comes_out_as_tables_and_code_blocks() {
    let world = World::start().await;
    let (_, room) = world.first_room().await;
    let question = world.alice.say(&room, "md:").await;
    let answer = world
        .alice
        .wait_for_answer(&room, &question, SOON, |text| text.contains("raw html"))
        .await;
    let html = answer.formatted_body.as_deref().expect("a formatted body");
    for piece in [
        "<table>",
        "<code class=\"language-rust\">",
        "<strong>bold</strong>",
        "<h1>",
        "<li>",
    ] {
        assert!(html.contains(piece), "{piece} is missing in {html}");
    }
    assert_eq!(answer.content["format"], "org.matrix.custom.html");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_goes_wrong_is_said_in_one_plain_sentence_with_a_code() {
    let world = World::start().await;
    let (agent, room) = world.first_room().await;
    for directive in ["error: 500", "empty:", "die:"] {
        let before = world.alice.room(&room).said_by(&agent.ghost).count();
        let question = world.alice.say(&room, directive).await;
        world
            .alice
            .wait_for(
                &format!("for what became of {directive}"),
                &room,
                Duration::from_mins(1),
                |room| {
                    room.said_by(&agent.ghost)
                        .skip(before)
                        .any(says_what_went_wrong)
                        .then_some(())
                },
            )
            .await;
        let seen = world.settled(&room).await;
        // An answer that broke off stays as far as it came; that it broke off is said once.
        let said: Vec<_> = seen.said_by(&agent.ghost).skip(before).collect();
        let broken_off = usize::from(directive == "die:");
        let troubles = said
            .iter()
            .filter(|entry| says_what_went_wrong(entry))
            .count();
        assert_eq!(
            troubles, 1,
            "{directive} is not told in one sentence\n{seen}"
        );
        assert!(
            said.len() <= 1 + broken_off,
            "{directive} is told in more than that\n{seen}"
        );
        for entry in said {
            let reply_to = entry.reply_to.as_deref();
            assert!(reply_to.is_none_or(|to| to == question), "{seen}");
        }
    }
    // And the agent is well afterwards.
    let question = world.alice.say(&room, "say: still here").await;
    world
        .alice
        .wait_for_answer(&room, &question, SOON, |text| text == "still here")
        .await;
}

/// A sentence that a person understands, with a code in its event that an admin can search for.
fn says_what_went_wrong(entry: &Entry) -> bool {
    let sentence = Regex::new(r"(?s)^.*\b\w+ \w+ \w+.*[.\]]$").unwrap();
    let text = entry.text();
    let has_code = entry.content["org.letta.code"].is_string();
    has_code
        && sentence.is_match(text)
        && !text.contains("http://")
        && !text.contains('{')
        && text.len() < 500
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notice_starts_no_turn() {
    let world = World::start().await;
    let (agent, room) = world.first_room().await;
    let runs = world.letta.runs();
    world
        .alice
        .notice(&room, "say: you must not hear this")
        .await;
    // What is said after it is answered, so the notice has been seen and left alone.
    let question = world.alice.say(&room, "say: but this").await;
    world
        .alice
        .wait_for_answer(&room, &question, SOON, |text| text == "but this")
        .await;
    let seen = world.settled(&room).await;
    assert_eq!(seen.said_by(&agent.ghost).count(), 1, "{seen}");
    assert_eq!(world.letta.runs(), runs + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_messages_is_answered_in_order_and_none_is_lost() {
    let world = World::start().await;
    let (agent, room) = world.first_room().await;
    let burst = ["first", "second", "third", "fourth", "fifth"];
    for word in burst {
        world.alice.say(&room, word).await;
    }
    let all_said = |room: &Room| {
        let said: Vec<_> = room.said_by(&agent.ghost).map(Entry::text).collect();
        burst
            .iter()
            .all(|word| said.iter().any(|text| text.contains(word)))
            .then(|| said.join("\n"))
    };
    let said = world
        .alice
        .wait_for(
            "for the last answer",
            &room,
            Duration::from_secs(30),
            all_said,
        )
        .await;
    let places: Vec<_> = burst.iter().map(|word| said.find(word)).collect();
    assert!(places.is_sorted(), "answered in another order: {said}");
    let seen = world.settled(&room).await;
    for word in burst {
        let times = seen
            .said_by(&agent.ghost)
            .filter(|entry| entry.text().contains(word))
            .count();
        assert_eq!(times, 1, "{word} is answered {times} times\n{seen}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_in_a_thread_is_answered_in_the_thread() {
    let world = World::start().await;
    let (agent, room) = world.first_room().await;
    let top = world.alice.notice(&room, "let us talk here").await;
    let question = world.alice.say_in_thread(&room, &top, "slow: 6").await;
    let answer = world
        .alice
        .wait_for("for the answer in the thread", &room, SOON, |room| {
            room.said_by(&agent.ghost)
                .find(|entry| entry.text() == words(6))
                .cloned()
        })
        .await;
    assert_eq!(answer.thread.as_deref(), Some(top.as_str()), "{answer:?}");
    assert_eq!(
        answer.reply_to.as_deref(),
        Some(question.as_str()),
        "{answer:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn person_named_in_no_permission_gets_no_answer() {
    let mut world = World::plan().permissions(&[(ALICE, "admin")]).start().await;
    let (agent, room) = world.first_room().await;
    let bob = world.person("bob").await;
    world
        .alice
        .call(
            "invite",
            serde_json::json!({"room": room, "user": bob.user_id}),
        )
        .await;
    bob.wait_for("for the invitation", &room, SOON, |room| {
        (room.membership == "invite").then_some(())
    })
    .await;
    bob.join(&room).await;
    bob.say(&room, "say: a secret").await;
    bob.say(&room, "say: another secret").await;
    let seen = world.settled(&room).await;
    let others = seen
        .timeline
        .iter()
        .filter(|entry| entry.sender != bob.user_id);
    assert_eq!(others.count(), 0, "{seen}");
    assert_eq!(world.letta.runs(), 0);

    let question = world.alice.say(&room, "say: for Alice").await;
    let answer = world
        .alice
        .wait_for_answer(&room, &question, SOON, |text| text == "for Alice")
        .await;
    assert_eq!(answer.sender, agent.ghost);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bridge_acts_as_its_ghosts_and_never_logs_in_nor_syncs() {
    let world = World::start().await;
    let (agent, room) = world.first_room().await;
    let question = world.alice.say(&room, "slow: 5").await;
    world
        .alice
        .wait_for_answer(&room, &question, SOON, |text| text == words(5))
        .await;
    let said = world.matrix.exchanges();
    let said: Vec<_> = said
        .iter()
        .filter(|one| one.path.contains("/send/") && one.method == Method::PUT)
        .collect();
    assert!(!said.is_empty());
    for exchange in said {
        assert_eq!(
            exchange.acts_as().as_deref(),
            Some(agent.ghost.as_str()),
            "{exchange:?}"
        );
    }
    assert!(world.matrix.with_segment("login").is_empty());
    assert!(world.matrix.with_segment("sync").is_empty());
    let ordinary_registrations = world.matrix.with_segment("register");
    for registration in ordinary_registrations {
        assert_eq!(
            registration.json()["type"],
            "m.login.application_service",
            "{registration:?}"
        );
    }
}
