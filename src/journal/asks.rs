//! Turns that wait for a person: who decides first has decided.
//!
//! While a turn waits, its record belongs to whoever brings a verdict; before and after that it
//! belongs to the turn's own worker. That is why a verdict is taken only by a turn that has nothing
//! else to say first, and only once.

use ruma::{EventId, RoomId};

use super::{
    Journal, JournalError, TurnRecord,
    key::{self, Key},
    record::{Ask, ConversationKey, Errand, SendId, TurnId, Verdict},
};
use crate::time::Millis;

impl Journal {
    /// Writes down the verdict on a request. `false`: the request does not wait (any more).
    pub fn decide(
        &self,
        conversation: &ConversationKey,
        card: &SendId,
        verdict: &Verdict,
    ) -> Result<bool, JournalError> {
        let _alone = self.alone();
        let Some(mut turn) = self.open_turn(conversation)? else {
            return Ok(false);
        };
        match turn.waits_for().map(|ask| ask.card == *card) {
            Some(true) => {}
            Some(false) | None => return Ok(false),
        }
        if let Some(ask) = &mut turn.ask {
            ask.verdict = Some(verdict.clone());
        }
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
        ask: Ask,
        now: Millis,
    ) -> Result<bool, JournalError> {
        let _alone = self.alone();
        if self.open_turn(conversation)?.is_some() {
            return Ok(false);
        }
        let turn = TurnRecord {
            ask: Some(ask),
            // There is nothing to say before the room is asked.
            answer: Some(super::Answer::default()),
            ..TurnRecord::new(id, conversation.clone(), Vec::new(), now)
        };
        self.update_turn(&turn)?;
        Ok(true)
    }

    /// Takes back what an event asked for, if it is not done yet.
    pub fn withdraw_errand(&self, room: &RoomId, event_id: &EventId) -> Result<(), JournalError> {
        #[derive(serde::Deserialize)]
        struct Id {
            event_id: ruma::OwnedEventId,
        }
        let prefix = Key::new(key::ERRAND).text(room.as_str()).bytes();
        for entry in self.scan::<Errand>(&prefix, "errand") {
            let (key, errand) = entry?;
            let id = serde_json::from_str::<Id>(errand.event.get());
            if id.is_ok_and(|id| id.event_id == event_id) {
                self.db().remove(key)?;
            }
        }
        Ok(())
    }
}
