//! What the log says of a turn, at its beginning and at its end: see "Logging" in ARCHITECTURE.md.

use tracing::info;

use crate::{journal::TurnRecord, time::Millis};

/// Logs that a turn begins, once for each event that it answers.
pub(super) fn started(turn: &TurnRecord) {
    for prompt in &turn.prompts {
        info!(
            event.id = %prompt.event_id, turn.id = %turn.id, room.id = %turn.key.room, agent.id = %turn.key.agent,
            prompts = turn.prompts.len(), "turn started"
        );
    }
    if turn.prompts.is_empty() {
        info!(
            turn.id = %turn.id, room.id = %turn.key.room, agent.id = %turn.key.agent,
            "turn started outside of Matrix"
        );
    }
}

/// Logs that this process goes on with a turn that an earlier one began.
pub(super) fn resumed(turn: &TurnRecord) {
    info!(
        event.id = first_event(turn), turn.id = %turn.id, room.id = %turn.key.room, agent.id = %turn.key.agent,
        restarts = turn.spent.restarts, "turn resumed"
    );
}

/// Logs that a turn ended. `code` says why it got no answer, as the notice in the room does.
pub(super) fn ended(turn: &TurnRecord, outcome: &'static str, code: Option<&str>) {
    info!(
        event.id = first_event(turn), turn.id = %turn.id, room.id = %turn.key.room, agent.id = %turn.key.agent,
        outcome, code, duration = ?Millis::now().since(turn.started_at), "turn ended"
    );
}

fn first_event(turn: &TurnRecord) -> Option<&str> {
    turn.prompts.first().map(|prompt| prompt.event_id.as_str())
}
