//! The agents as they stand in Matrix: the journal's records, at hand in memory.
//!
//! One owner of what is known, so that looking costs nothing: discovery compares twice a second.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use letta_client::AgentId;
use ruma::OwnedRoomId;

use crate::journal::{AgentRecord, AgentStatus, Journal, JournalError, SpaceRecord};

/// See the module's documentation.
pub struct Registry {
    journal: Journal,
    records: Mutex<BTreeMap<AgentId, AgentRecord>>,
    space: Mutex<Option<SpaceRecord>>,
    /// Counts the changes.
    revision: AtomicU64,
    locks: Mutex<HashMap<AgentId, Arc<tokio::sync::Mutex<()>>>>,
}

impl Registry {
    /// Reads the journal.
    pub fn load(journal: Journal) -> Result<Self, JournalError> {
        let records = Mutex::new(journal.agents()?);
        let space = Mutex::new(journal.space()?);
        Ok(Self {
            journal,
            records,
            space,
            revision: AtomicU64::new(0),
            locks: Mutex::default(),
        })
    }

    /// Works on all records at once, without copying them.
    pub fn with_all<T>(&self, work: impl FnOnce(&BTreeMap<AgentId, AgentRecord>) -> T) -> T {
        work(&lock(&self.records))
    }

    /// One agent.
    pub fn find(&self, id: &AgentId) -> Option<AgentRecord> {
        lock(&self.records).get(id).cloned()
    }

    /// Agents that Letta lists, by id.
    pub fn live(&self) -> Vec<AgentRecord> {
        lock(&self.records)
            .values()
            .filter(|record| record.status == AgentStatus::Live)
            .cloned()
            .collect()
    }

    /// Writes a record down unless there is one of this agent.
    pub fn add(&self, record: AgentRecord) -> Result<(), JournalError> {
        let mut records = lock(&self.records);
        if records.contains_key(&record.id) {
            return Ok(());
        }
        self.journal.set_agent(&record)?;
        records.insert(record.id.clone(), record);
        self.revision.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// Writes a record down. Durable after the journal's next [`Journal::durable`].
    pub fn set(&self, record: AgentRecord) -> Result<(), JournalError> {
        self.journal.set_agent(&record)?;
        lock(&self.records).insert(record.id.clone(), record);
        self.revision.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// The space, once there is one.
    pub fn space(&self) -> Option<SpaceRecord> {
        lock(&self.space).clone()
    }

    /// The space's room, once there is one.
    pub fn space_room(&self) -> Option<OwnedRoomId> {
        lock(&self.space).as_ref().map(|space| space.room.clone())
    }

    /// Writes the space down.
    pub fn set_space(&self, space: SpaceRecord) -> Result<(), JournalError> {
        self.journal.set_space(&space)?;
        *lock(&self.space) = Some(space);
        self.revision.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// A number that is another one after every change.
    pub fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    /// Whoever holds this works on the agent alone.
    pub async fn lock_agent(&self, id: &AgentId) -> tokio::sync::OwnedMutexGuard<()> {
        let mutex = Arc::clone(lock(&self.locks).entry(id.clone()).or_default());
        mutex.lock_owned().await
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
