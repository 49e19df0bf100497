//! What a person in the room sees of a turn, on a made-up clock.
//!
//! The same pure parts that run in earnest, with everything around them scripted: Letta speaks at
//! a pace, the homeserver takes its time, and the room is read back from the content of the very
//! events that would be sent, the way a client reads it.

use std::time::Duration;

use letta_client::{AgentId, BackendError, TurnEvent};
use ruma::{OwnedEventId, owned_room_id, owned_user_id};

use crate::{
    journal::{ApprovalDecision, ConversationKey, QueuedPrompt, TurnId, TurnRecord},
    time::Millis,
};

mod app_server;
mod room;
mod simulated_view;
mod tests;

use room::Room;
use simulated_view::SimulatedView;

/// How fast everybody is, in milliseconds.
#[derive(Clone, Copy)]
struct Pace {
    /// From the question to Letta's first event.
    first: u64,
    /// From each event of Letta to the next.
    between: u64,
    /// From a request to the homeserver to its answer.
    homeserver: u64,
}

/// One thing that Letta does.
enum Item {
    Says(Result<TurnEvent, BackendError>),
    /// The stream breaks, and is told from its beginning again.
    Breaks,
    /// Nothing comes for so many seconds.
    CannotSend(u64),
    /// Somebody decides what an approval message asks, so many seconds after it was asked.
    Decides(ApprovalDecision, u64),
}

fn agent() -> AgentId {
    let agent = "agent-00000000-0000-4000-8000-000000000001";
    agent.parse().expect("an agent's id")
}

/// A turn that answers these prompts of one person.
fn asked(prompts: &[(OwnedEventId, String)]) -> TurnRecord {
    let prompt = |(event_id, text): &(OwnedEventId, String)| QueuedPrompt {
        event_id: event_id.clone(),
        sender: owned_user_id!("@ann:example.org"),
        text: text.clone(),
        admitted_at: Millis(0),
        retries: 0,
        attachment: None,
        reply_to: None,
    };
    let first = &prompts.first().expect("a prompt").0;
    let id = TurnId::of(first, &agent());
    TurnRecord::new(id, place(), prompts.iter().map(prompt).collect(), Millis(0))
}

fn place() -> ConversationKey {
    ConversationKey {
        agent: agent(),
        room: owned_room_id!("!room:example.org"),
        thread: None,
    }
}

/// What the room has seen at the end of a turn. The question was asked at 0.
fn timeline(items: Vec<Item>, pace: Pace) -> String {
    play(items, pace).render()
}

fn play(items: Vec<Item>, pace: Pace) -> Room {
    let question: OwnedEventId = "$asked".try_into().expect("an event id");
    let turn = asked(&[(question, "?".to_owned())]);
    let asks = |item: &Item| matches!(item, Item::Says(Ok(TurnEvent::Approval(_))));
    let waits = items.iter().rev().take(2).any(asks);
    let (room, _, is_over) =
        SimulatedView::begin(pace, turn, Room::default(), Duration::ZERO).tell(items);
    assert!(
        is_over || waits,
        "a turn without an end:\n{}",
        room.render()
    );
    room
}
