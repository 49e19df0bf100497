//! What people choose: how much a room sees, and which tools need no asking.

use crate::approvals::{approval_message, heard};
use crate::support::room::{Entry, Room};
use crate::support::world::{SOON, World};

/// Waits for the answer to the command `said`: a reply to it, and not what an agent has to say just then.
async fn answer(world: &World, room: &str, said: &str) -> String {
    let answer = world
        .alice
        .wait_for("for the answer to a command", room, SOON, |room| {
            room.answers_to(said)
                .find(|entry| entry.reply_to.as_deref() == Some(said))
                .cloned()
        });
    answer.await.text().to_owned()
}

async fn command(world: &World, room: &str, text: &str) -> String {
    let said = world.alice.say(room, text).await;
    answer(world, room, &said).await
}

/// Asks, and waits until the last words are there.
async fn ask(world: &World, room: &str, text: &str, last: &str) -> (String, Room) {
    let question = world.alice.say(room, text).await;
    world
        .alice
        .wait_for_answer(room, &question, SOON, |text| text.contains(last))
        .await;
    (question, world.settled(room).await)
}

/// The one message that answers a question.
fn the_answer<'a>(seen: &'a Room, question: &'a str) -> &'a Entry {
    let answers: Vec<&Entry> = seen.answers_to(question).collect();
    let [answer] = answers[..] else {
        panic!("not one message: {seen}");
    };
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_sees_as_much_of_tools_as_it_likes() {
    let world = World::start().await;
    let (_, room) = world.first_room().await;
    let text = r#"tool: weather {"where":"Graz"}"#;
    let (question, seen) = ask(&world, &room, text, "tool weather returned").await;
    let line = the_answer(&seen, &question);
    assert!(
        line.text().contains("\n\n🔧 Used weather\n✓ weather"),
        "{line:?}"
    );
    let html = line.formatted_body.as_deref().unwrap_or_default();
    assert!(html.starts_with("<details><summary>"), "{line:?}");
    assert_eq!(html.matches("demo result").count(), 1, "{line:?}");

    assert!(
        command(&world, &room, "!letta detail full")
            .await
            .contains("full")
    );
    let (question, seen) = ask(&world, &room, text, "tool weather returned").await;
    let line = the_answer(&seen, &question);
    let html = line.formatted_body.as_deref().unwrap_or_default();
    assert_eq!(html.matches("demo result").count(), 2, "{line:?}");

    assert!(
        command(&world, &room, "!letta detail none")
            .await
            .contains("none")
    );
    let (question, seen) = ask(&world, &room, text, "tool weather returned").await;
    assert!(
        !the_answer(&seen, &question).text().contains('🔧'),
        "{seen}"
    );
    let wrong = command(&world, &room, "!letta detail much").await;
    assert!(wrong.contains("none, brief, full"), "{wrong}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_allows_a_tool_for_good_and_takes_it_back() {
    let world = World::start().await;
    let (_, room) = world.first_room().await;
    let said = command(&world, &room, "!letta allow-tool launch").await;
    assert!(said.contains("`launch`"), "{said}");
    let last = "tool launch returned";
    let (question, seen) = ask(&world, &room, "approve: launch {}", last).await;
    let told = seen
        .answers_to(&question)
        .find(|entry| entry.msgtype.as_deref() == Some("m.notice"))
        .expect("it is told");
    assert!(
        told.text().contains("an admin allows it always"),
        "{told:?}"
    );
    assert_eq!(heard(&seen, "May I use"), 0, "{seen}");

    // What is not allowed as well is asked about, with all the rest.
    let question = world
        .alice
        .say(&room, "approve: launch {} ;; wave {}")
        .await;
    let both = approval_message(&world.alice, &room, &question).await;
    world.alice.react(&room, &both.event_id, "❌").await;
    let listed = command(&world, &room, "!letta allowed-tools").await;
    assert!(
        listed.contains("`launch`") && listed.contains("@alice"),
        "{listed}"
    );

    command(&world, &room, "!letta revoke-tool launch").await;
    let question = world.alice.say(&room, "approve: launch {}").await;
    let asked = approval_message(&world.alice, &room, &question).await;
    world.alice.react(&room, &asked.event_id, "❌").await;
}
