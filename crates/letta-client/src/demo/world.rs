//! What the demo remembers: agents, conversations, threads and runs, each within a limit.
//!
//! One lock over all of it, never held while waiting for anything.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
    time::SystemTime,
};

use super::{
    faults::{Faults, Records},
    frames::{IdentifiedCall, Message, system},
    ids,
    run::Run,
};
use crate::backend::{Agent, Image};

/// The most runs that are remembered. The oldest ended ones are forgotten first.
pub const RUNS_MAX: usize = 200;

/// The most bytes that the streams of ended runs hold. The oldest are forgotten first.
pub const RUN_BYTES_MAX: usize = 64 * 1024 * 1024;

/// The most messages of one thread's history.
pub const MESSAGES_MAX: usize = 1_000;

/// The most conversations, over all agents. The oldest are forgotten first.
pub const CONVERSATIONS_MAX: usize = 10_000;

/// The most keys of one thread that are remembered for deduplication.
pub const KEYS_MAX: usize = 1_000;

/// The most pictures that are remembered. The oldest are forgotten first.
pub const PICTURES_MAX: usize = 32;

/// One history: an agent's default one (`None`) or that of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ThreadKey {
    pub(super) agent: String,
    pub(super) conversation: Option<String>,
}

#[derive(Debug)]
pub(super) struct World {
    /// Oldest first.
    pub(super) agents: Vec<AgentEntry>,
    /// Oldest first.
    pub(super) conversations: VecDeque<ConversationMetadata>,
    threads: HashMap<ThreadKey, Thread>,
    runs: VecDeque<Arc<Run>>,
    pub(super) faults: Faults,
    pub(super) records: Records,
    /// Oldest first.
    pub(super) pictures: VecDeque<Image>,
    pub(super) password: Option<String>,
    agents_made: usize,
}

#[derive(Clone, Debug)]
pub(super) struct AgentEntry {
    pub(super) agent: Agent,
    pub(super) created: SystemTime,
    pub(super) updated: SystemTime,
}

#[derive(Clone, Debug)]
pub(super) struct ConversationMetadata {
    pub(super) id: String,
    pub(super) agent: String,
    pub(super) summary: Option<String>,
    pub(super) created: SystemTime,
}

/// One history and what is going on in it.
#[derive(Debug)]
pub(super) struct Thread {
    pub(super) messages: VecDeque<Message>,
    /// How many pictures came with them.
    pub(super) images: usize,
    pub(super) active: Option<Arc<Run>>,
    pub(super) pending: Option<Pending>,
    /// All keys of a send, joined, and the run that it started.
    keys: VecDeque<(String, String)>,
}

/// Calls that wait for a person.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    /// The message that asks.
    pub(super) message: String,
    pub(super) calls: Vec<IdentifiedCall>,
}

impl World {
    pub(super) fn new(agents: usize, password: Option<String>) -> Self {
        let mut world = Self {
            agents: Vec::new(),
            conversations: VecDeque::new(),
            threads: HashMap::new(),
            runs: VecDeque::new(),
            faults: Faults::default(),
            records: Records::default(),
            pictures: VecDeque::new(),
            password,
            agents_made: 0,
        };
        for _ in 0..agents {
            world.add_agent(None);
        }
        world
    }

    /// Makes an agent. Its id depends only on how many were made before it.
    pub(super) fn add_agent(&mut self, name: Option<&str>) -> Option<Agent> {
        self.agents_made += 1;
        let name = name.map_or_else(
            || match self.agents_made {
                1 => "Ada (demo)".to_owned(),
                2 => "Grace (demo)".to_owned(),
                3 => "Alan (demo)".to_owned(),
                n => format!("Agent {n} (demo)"),
            },
            str::to_owned,
        );
        let agent = Agent {
            id: ids::agent(self.agents_made).parse().ok()?,
            name,
            description: Some(
                "A scripted demo agent. It is not a model: it repeats what you say and obeys a \
                 few directives such as `say:`, `think:`, `tool:` and `slow:`."
                    .to_owned(),
            ),
            tags: vec!["demo".to_owned()],
            model: Some("demo/script".to_owned()),
        };
        let now = SystemTime::now();
        self.agents.push(AgentEntry {
            agent: agent.clone(),
            created: now,
            updated: now,
        });
        Some(agent)
    }

    pub(super) fn agent(&self, id: &str) -> Option<&AgentEntry> {
        self.agents
            .iter()
            .find(|entry| entry.agent.id.as_str() == id)
    }

    pub(super) fn rename_agent(&mut self, id: &str, name: &str) -> bool {
        let found = self
            .agents
            .iter_mut()
            .find(|entry| entry.agent.id.as_str() == id);
        let Some(entry) = found else { return false };
        name.clone_into(&mut entry.agent.name);
        entry.updated = SystemTime::now();
        true
    }

    pub(super) fn remove_agent(&mut self, id: &str) -> bool {
        let before = self.agents.len();
        self.agents.retain(|entry| entry.agent.id.as_str() != id);
        self.conversations.retain(|entry| entry.agent != id);
        self.threads.retain(|key, _| key.agent != id);
        self.agents.len() < before
    }

    pub(super) fn conversation(&self, id: &str) -> Option<&ConversationMetadata> {
        self.conversations.iter().find(|entry| entry.id == id)
    }

    pub(super) fn add_conversation(
        &mut self,
        agent: &str,
        summary: Option<String>,
    ) -> ConversationMetadata {
        if self.conversations.len() >= CONVERSATIONS_MAX
            && let Some(oldest) = self.conversations.pop_front()
        {
            self.threads.remove(&ThreadKey {
                agent: oldest.agent,
                conversation: Some(oldest.id),
            });
        }
        let entry = ConversationMetadata {
            id: ids::new("conv-"),
            agent: agent.to_owned(),
            summary,
            created: SystemTime::now(),
        };
        self.conversations.push_back(entry.clone());
        entry
    }

    /// The thread, made on first use: callers have checked its agent and conversation.
    pub(super) fn thread(&mut self, key: &ThreadKey) -> &mut Thread {
        self.threads.entry(key.clone()).or_insert_with(|| Thread {
            messages: VecDeque::from([system("You are a scripted demo agent.")]),
            images: 0,
            active: None,
            pending: None,
            keys: VecDeque::new(),
        })
    }

    pub(super) fn run(&self, id: &str) -> Option<Arc<Run>> {
        self.runs.iter().rfind(|run| run.id == id).cloned()
    }

    /// Runs, newest first.
    pub(super) fn runs(&self) -> impl Iterator<Item = &Arc<Run>> {
        self.runs.iter().rev()
    }

    pub(super) fn add_run(&mut self, run: Arc<Run>) {
        let mut bytes: usize = self.runs.iter().map(|run| run.byte_count()).sum();
        while self.runs.len() >= RUNS_MAX || bytes > RUN_BYTES_MAX {
            let ended = self.runs.iter().position(|run| run.stop_reason().is_some());
            match self.runs.remove(ended.unwrap_or(0)) {
                Some(forgotten) => bytes -= forgotten.byte_count().min(bytes),
                None => break,
            }
        }
        self.runs.push_back(run);
    }

    /// Remembers pictures that came with a prompt of this thread.
    pub(super) fn add_pictures(&mut self, key: &ThreadKey, pictures: Vec<Image>) {
        self.thread(key).images += pictures.len();
        self.pictures.extend(pictures);
        let excess = self.pictures.len().saturating_sub(PICTURES_MAX);
        self.pictures.drain(..excess);
    }

    /// See [`super::Demo::kill_runs`].
    pub(super) fn kill_runs(&mut self) {
        for run in self.runs.iter().filter(|run| run.stop_reason().is_none()) {
            run.kill();
            if run.messages().is_empty()
                && let Some(thread) = self.threads.get_mut(&run.thread)
            {
                thread
                    .messages
                    .retain(|message| message.run_id.as_deref() != Some(&*run.id));
            }
        }
    }

    /// The runs in progress of one thread, or of all threads of an agent.
    pub(super) fn active(&self, agent: &str, thread: Option<&ThreadKey>) -> Vec<Arc<Run>> {
        let ids: HashSet<_> = thread.into_iter().collect();
        self.runs
            .iter()
            .filter(|run| run.stop_reason().is_none() && run.thread.agent == agent)
            .filter(|run| ids.is_empty() || ids.contains(&run.thread))
            .cloned()
            .collect()
    }
}

impl Thread {
    pub(super) fn store(&mut self, message: Message) {
        if self.messages.len() >= MESSAGES_MAX {
            self.messages.pop_front();
        }
        self.messages.push_back(message);
    }

    /// The message that asks for a person, while nobody has decided.
    pub(super) fn waiting_request(&self) -> Option<Message> {
        let pending = self.pending.as_ref()?;
        let mut newest_first = self.messages.iter().rev();
        newest_first
            .find(|message| {
                message.id == pending.message && message.message_type == "approval_request_message"
            })
            .cloned()
    }

    pub(super) fn run_of(&self, key: &str) -> Option<&str> {
        self.keys
            .iter()
            .find(|(known, _)| known == key)
            .map(|(_, run)| run.as_str())
    }

    pub(super) fn remember(&mut self, key: String, run: String) {
        if self.keys.len() >= KEYS_MAX {
            self.keys.pop_front();
        }
        self.keys.push_back((key, run));
    }

    /// Ends `run`'s hold on this thread.
    pub(super) fn release(&mut self, run: &Run) {
        if self
            .active
            .as_ref()
            .is_some_and(|active| active.id == run.id)
        {
            self.active = None;
        }
    }
}
