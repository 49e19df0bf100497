//! Turns that wait for a person: who decides first has decided.
//!
//! While a turn waits, its record belongs to whoever brings a decision; before and after that it
//! belongs to the turn's own worker. That is why a decision is taken only by a turn that has nothing
//! else to say first, and only once.

use ruma::{EventId, RoomId};

use super::{
    Journal, JournalError, TurnRecord,
    key::{self, Key},
    record::{ApprovalDecision, ApprovalRecord, ConversationKey, RoomJob, SendId, TurnId},
};
use crate::time::Millis;

impl Journal {
    /// Writes down the decision on a request. `false`: the request does not wait (any more).
    pub fn decide(
        &self,
        conversation: &ConversationKey,
        approval_message: &SendId,
        decision: &ApprovalDecision,
    ) -> Result<bool, JournalError> {
        let _guard = self.write_lock();
        let Some(mut turn) = self.open_turn(conversation)? else {
            return Ok(false);
        };
        match turn.waits_for() {
            Some(approval) if approval.approval_message == *approval_message => {}
            _ => return Ok(false),
        }
        turn.advance(|state| state.decide(decision.clone()))?;
        self.update_turn(&turn)?;
        Ok(true)
    }

    /// The turns that run in a room.
    pub fn turns_in(&self, room: &RoomId) -> Result<Vec<TurnRecord>, JournalError> {
        self.scan::<TurnRecord>(&[key::TURN], "turn")
            .map(|entry| entry.map(|(_, turn)| turn))
            .filter(|turn| turn.as_ref().map_or(true, |turn| turn.key.room == room))
            .collect()
    }

    /// The places whose conversation in Letta is known.
    pub fn conversations(&self) -> Result<Vec<ConversationKey>, JournalError> {
        let mut places = Vec::new();
        for entry in self.db().scan_prefix([key::CONVERSATION]).keys() {
            places.extend(key::conversation(&entry?));
        }
        Ok(places)
    }

    /// Begins a turn about a request that was found waiting, if no turn runs there.
    pub fn begin_found(
        &self,
        conversation: &ConversationKey,
        id: TurnId,
        approval: ApprovalRecord,
        now: Millis,
    ) -> Result<bool, JournalError> {
        let _guard = self.write_lock();
        if self.open_turn(conversation)?.is_some() {
            return Ok(false);
        }
        let turn = TurnRecord::found(id, conversation.clone(), approval, now);
        self.update_turn(&turn)?;
        Ok(true)
    }

    /// Takes back what an event asked for, if it is not done yet.
    pub fn withdraw_room_job(&self, room: &RoomId, event_id: &EventId) -> Result<(), JournalError> {
        #[derive(serde::Deserialize)]
        struct Id {
            event_id: ruma::OwnedEventId,
        }
        let prefix = Key::new(key::ROOM_JOB).text(room.as_str()).bytes();
        for entry in self.scan::<RoomJob>(&prefix, "room job") {
            let (key, job) = entry?;
            let id = serde_json::from_str::<Id>(job.event.get());
            if id.is_ok_and(|id| id.event_id == event_id) {
                self.db().remove(key)?;
            }
        }
        Ok(())
    }
}
