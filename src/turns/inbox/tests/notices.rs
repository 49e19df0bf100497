//! What the inbox says by itself: once, to the right place, and to each agent's room members separately.

use super::*;
use crate::turns::notice_texts;

/// Lets the outbox send what waits for a room, until so many notices are in its timeline.
async fn told(lab: &Lab, room: &RoomId, count: usize) -> Vec<String> {
    lab.outbox.wake(room);
    lab.until("the room is told", |lab| {
        lab.homeserver.timeline().len() >= count
    })
    .await;
    lab.homeserver.timeline()
}

#[tokio::test]
async fn change_of_a_message_that_is_being_answered_is_told_once() {
    let lab = Lab::with(JournalLimits::default());
    let conversation = ConversationKey {
        agent: AgentId::parse("agent-1").unwrap(),
        room: full().to_owned(),
        thread: None,
    };
    lab.said(full(), ANN, "running");
    lab.begin();
    lab.until("it is queued", |lab| lab.queued(full()) == ["running"])
        .await;
    lab.journal.begin_turn(&conversation, Millis(2)).unwrap();
    lab.said(full(), ANN, "waiting");
    lab.until("it waits", |lab| lab.queued(full()) == ["waiting"])
        .await;
    let edit = |of: &str, words: &str| {
        json!({
            "msgtype": "m.text", "body": format!("* {words}"),
            "m.new_content": { "msgtype": "m.text", "body": words },
            "m.relates_to": { "rel_type": "m.replace", "event_id": of },
        })
    };
    let redacts = |of: &str| json!({ "redacts": of });
    for (id, kind, content) in [
        ("edit 1", "m.room.message", edit("$running", "better")),
        ("edit 2", "m.room.message", edit("$waiting", "changed")),
        ("edit 3", "m.room.message", edit("$unknown", "nothing")),
        ("gone", "m.room.redaction", redacts("$running")),
    ] {
        lab.sent_with(full(), (ANN, id, kind), &content);
    }
    // Nobody else can change it.
    lab.sent_with(
        full(),
        (EVE, "edit 4", "m.room.message"),
        &edit("$running", "evil"),
    );
    lab.until("all is routed", |lab| lab.unrouted().is_empty())
        .await;
    assert_eq!(lab.queued(full()), ["changed"], "what waits is changed");
    let told = told(&lab, full(), 2).await;
    let texts = [
        notice_texts::edit_too_late(),
        notice_texts::redaction_too_late(),
    ];
    assert_eq!(told.len(), 2, "{told:?}");
    for (told, text) in told.iter().zip(texts) {
        assert!(told.contains(&text.sentence), "{told}");
    }
    lab.tasks.stop();
    lab.tasks.ended().await;
}

#[tokio::test]
async fn each_mentioned_agent_whose_queue_is_full_says_so() {
    let lab = Lab::with(JournalLimits {
        queued_prompts_max: 0,
        ..JournalLimits::default()
    });
    let several = room_id!("!several:house.test");
    let agents = ["agent-1", "agent-2"].map(|agent| AgentId::parse(agent).unwrap());
    let record = RoomRecord {
        guests: agents.iter().map(|agent| (agent.clone(), false)).collect(),
        ..RoomRecord::new(RoomKind::Other)
    };
    lab.journal.set_room(several, &record).unwrap();
    let ghosts = agents.map(|agent| identity().ghost(&agent));
    let content = json!({
        "msgtype": "m.text", "body": "both of you", "m.mentions": { "user_ids": ghosts },
    });
    lab.sent_with(several, (ANN, "both", "m.room.message"), &content);
    lab.begin();
    lab.until("it is routed", |lab| lab.unrouted().is_empty())
        .await;
    let told = told(&lab, several, 2).await;
    for ghost in &ghosts {
        let own = |line: &&String| line.starts_with(ghost.as_str()) && line.contains("QUEUE_FULL");
        assert_eq!(told.iter().filter(own).count(), 1, "{told:?}");
    }
    lab.tasks.stop();
    lab.tasks.ended().await;
}
