//! What holds turns up: agents that are paused, ghosts that cannot speak, answers that were redacted while they grew.

use letta_client::AgentId;
use ruma::{EventId, OwnedEventId, RoomId};
use serde::Deserialize;

use super::{
    Journal, JournalError, OutboxItem,
    key::{self, Key, texts},
    record::{PauseRecord, SilencedRecord, TurnId},
};

impl Journal {
    /// The agents that are paused.
    pub fn pauses(&self) -> Result<Vec<PauseRecord>, JournalError> {
        self.scan(&[key::PAUSE], "pause")
            .map(|entry| entry.map(|(_, pause)| pause))
            .collect()
    }

    /// Writes down that an agent is paused.
    pub fn set_pause(&self, pause: &PauseRecord) -> Result<(), JournalError> {
        self.put(&pause_key(&pause.agent), pause, "pause")
    }

    /// The agent is no longer paused.
    pub fn clear_pause(&self, agent: &AgentId) -> Result<(), JournalError> {
        self.db().remove(pause_key(agent))?;
        Ok(())
    }

    /// Why an agent cannot speak in a room, and who was told; `None`: it can, as far as is known.
    pub fn silenced(
        &self,
        room: &RoomId,
        agent: &AgentId,
    ) -> Result<Option<SilencedRecord>, JournalError> {
        self.get(&silenced_key(room, agent), "silenced")
    }

    /// Writes down why an agent cannot speak in a room; `None`: it can.
    pub fn set_silenced(
        &self,
        room: &RoomId,
        agent: &AgentId,
        silenced: Option<&SilencedRecord>,
    ) -> Result<(), JournalError> {
        let key = silenced_key(room, agent);
        if let Some(silenced) = silenced {
            return self.put(&key, silenced, "silenced");
        }
        self.db().remove(key)?;
        Ok(())
    }

    /// Writes down that the answer of a running turn was redacted.
    pub fn set_redacted(&self, turn: &TurnId) -> Result<(), JournalError> {
        self.put(&redacted(turn).bytes(), &true, "redacted")
    }

    /// Writes down that an event was redacted which may be one of a running turn's: the homeserver has not said yet which events
    /// the turn's messages are.
    pub fn note_unconfirmed_redaction(
        &self,
        turn: &TurnId,
        event_id: &EventId,
    ) -> Result<(), JournalError> {
        let key = redacted(turn).text(event_id.as_str()).bytes();
        self.put(&key, &true, "redacted")
    }

    /// The events that were redacted and may be a running turn's.
    pub fn unconfirmed_redactions(&self, turn: &TurnId) -> Result<Vec<OwnedEventId>, JournalError> {
        let mut suspects = Vec::new();
        for key in self.db().scan_prefix(redacted(turn).bytes()).keys() {
            let key = key?;
            let event_id = texts(&key).nth(1).map(EventId::parse);
            suspects.extend(event_id.and_then(Result::ok));
        }
        Ok(suspects)
    }

    /// What is written down of redactions goes with the turn.
    pub(super) fn forget_redactions(
        &self,
        turn: &TurnId,
        batch: &mut sled::Batch,
    ) -> Result<(), JournalError> {
        for key in self.db().scan_prefix(redacted(turn).bytes()).keys() {
            batch.remove(key?);
        }
        Ok(())
    }

    /// Whether the answer of a running turn was redacted.
    pub fn is_redacted(&self, turn: &TurnId) -> Result<bool, JournalError> {
        Ok(self.db().contains_key(redacted(turn).bytes())?)
    }

    /// Takes out of a room's outbox what would edit an event that was redacted.
    pub fn withdraw_edits(&self, room: &RoomId, event_id: &EventId) -> Result<(), JournalError> {
        #[derive(Deserialize)]
        struct Content {
            #[serde(rename = "m.relates_to")]
            relation: Option<Relation>,
        }
        #[derive(Deserialize)]
        struct Relation {
            rel_type: Option<String>,
            event_id: Option<String>,
        }
        let _guard = self.write_lock();
        let prefix = Key::new(key::OUTBOX).text(room.as_str()).bytes();
        for entry in self.scan::<OutboxItem>(&prefix, "outbox") {
            let (key, item) = entry?;
            let content = serde_json::from_str::<Content>(item.content.get());
            let relation = content.ok().and_then(|content| content.relation);
            let edits = relation.is_some_and(|relation| {
                relation.rel_type.as_deref() == Some("m.replace")
                    && relation.event_id.as_deref() == Some(event_id.as_str())
            });
            if edits {
                self.db().remove(key)?;
            }
        }
        Ok(())
    }
}

fn pause_key(agent: &AgentId) -> Vec<u8> {
    Key::new(key::PAUSE).text(agent.as_str()).bytes()
}

pub(super) fn silenced_key(room: &RoomId, agent: &AgentId) -> Vec<u8> {
    Key::new(key::SILENCED)
        .text(room.as_str())
        .text(agent.as_str())
        .bytes()
}

fn redacted(turn: &TurnId) -> Key {
    Key::new(key::REDACTED).text(&turn.to_string())
}
