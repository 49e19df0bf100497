//! Replies and reactions to agents' messages find their agent.

use super::*;

const ADA: &str = "@agent_1:house.test";
const BOB: &str = "@agent_2:house.test";

fn home() -> ConversationKey {
    ConversationKey {
        agent: AgentId::parse("agent-1").unwrap(),
        room: full().to_owned(),
        thread: None,
    }
}

#[tokio::test]
async fn reaction_to_an_agents_message_is_kept_until_it_is_redacted() {
    let lab = Lab::with(JournalLimits::default());
    lab.begin();
    lab.sent(full(), ADA, "answer", "m.room.message");
    lab.said(full(), ANN, "words");
    let react = |room: &RoomId, name: &str, on: &str, key: &str| {
        let relation = json!({ "rel_type": "m.annotation", "event_id": on, "key": key });
        let content = json!({ "m.relates_to": relation });
        lab.sent_with(room, (ANN, name, "m.reaction"), &content);
    };
    react(full(), "thumb", "$answer", "👍");
    // To a person's message, to one of another room, to one that is not known, and by a sign that decides.
    react(full(), "person", "$words", "👍");
    react(free(), "elsewhere", "$answer", "👍");
    react(full(), "unknown", "$unknown", "👍");
    react(full(), "approve", "$answer", "✅");
    lab.until("routed", |lab| lab.unrouted().is_empty()).await;
    let kept = lab.journal.reactions(&home()).unwrap();
    let kept: Vec<_> = kept.iter().map(|one| one.event_id.as_str()).collect();
    assert_eq!(kept, ["$thumb"]);
    let content = json!({ "redacts": "$thumb" });
    lab.sent_with(full(), (ANN, "back", "m.room.redaction"), &content);
    lab.until("taken back", |lab| {
        lab.journal.reactions(&home()).unwrap().is_empty()
    })
    .await;
    lab.tasks.stop();
}

#[tokio::test]
async fn reply_to_a_guest_agent_is_for_the_guest() {
    let lab = Lab::with(JournalLimits::default());
    let mut room = lab.journal.room(full()).unwrap().unwrap();
    room.guests
        .insert(AgentId::parse("agent-2").unwrap(), false);
    lab.journal.set_room(full(), &room).unwrap();
    lab.begin();
    lab.sent(full(), BOB, "answer", "m.room.message");
    for (words, on) in [("to guest", "$answer"), ("to nobody", "$unknown")] {
        let reply = json!({ "m.in_reply_to": { "event_id": on } });
        let content = json!({ "msgtype": "m.text", "body": words, "m.relates_to": reply });
        lab.sent_with(full(), (ANN, words, "m.room.message"), &content);
    }
    lab.until("routed", |lab| lab.unrouted().is_empty()).await;
    assert_eq!(lab.queued(full()), ["to nobody"]);
    let guest = ConversationKey {
        agent: AgentId::parse("agent-2").unwrap(),
        ..home()
    };
    let queued = lab.journal.queued_prompts(&guest).unwrap();
    assert_eq!(queued.len(), 1);
    assert_eq!(queued[0].text, "to guest");
    lab.tasks.stop();
}
