//! Looking at the names of agents again when people change theirs: whoever takes an agent's name later must not be taken for it.
//!
//! An agent has the mark of [`lookalikes`](super::lookalikes) as long as somebody whom the homeserver shows is called like it: its directory,
//! a profile, or the members of the agent's own room. Who renames gives the name back at once; who only leaves a room has it still.
//! Events tell of most changes. For those of people whom no event of ours is about, every agent is looked at soon after a start and
//! then once in [`COMPARE_EVERY`].

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use letta_client::AgentId;
use ruma::OwnedUserId;
use tokio::{sync::Notify, time::Instant};
use tracing::{debug, info};

use super::{Agents, lookalikes::confusable_key};
use crate::{
    journal::{AgentRecord, AgentStatus},
    workers::Tasks,
};

/// How long after a start all agents are looked at, so that more urgent things come first.
const FIRST_AFTER: Duration = Duration::from_secs(30);
/// How often all agents are looked at.
pub const COMPARE_EVERY: Duration = Duration::from_hours(1);
/// The pause between two rounds, so that who renames again and again makes little work.
const ROUND_PAUSE: Duration = Duration::from_secs(1);
/// The wait before agents are looked at again that could not be.
const RETRY_PAUSE: Duration = Duration::from_secs(30);
/// The most changes that wait to be looked at; beyond it all agents are looked at.
const CHANGES_MAX: usize = 1_000;
/// The most namesakes remembered; then all are forgotten, and found again with the next look at all agents.
const NAMESAKES_MAX: usize = 10_000;

/// Agents, and whose names are to be looked at for them beside what the homeserver finds.
pub type Due = BTreeMap<AgentId, BTreeSet<OwnedUserId>>;

/// See the module's documentation.
#[derive(Debug, Default)]
pub struct Namesakes {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Who is called like which agents.
    of: HashMap<OwnedUserId, BTreeSet<AgentId>>,
    /// Whose membership has changed, and the name in it.
    changes: BTreeMap<OwnedUserId, Option<String>>,
    /// Whether more has changed than is remembered.
    all: bool,
}

impl Namesakes {
    /// Somebody has come, gone or changed their name.
    pub fn member_changed(&self, user: OwnedUserId, name: Option<String>) {
        let mut state = self.state();
        if state.changes.len() >= CHANGES_MAX {
            state.changes.clear();
            state.all = true;
        }
        if !state.all {
            state.changes.insert(user, name);
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Who is called like an agent, as far as it is known.
    pub fn of(&self, agent: &AgentId) -> BTreeSet<OwnedUserId> {
        let state = self.state();
        let like = state.of.iter().filter(|(_, agents)| agents.contains(agent));
        like.map(|(user, _)| user.clone()).collect()
    }

    /// These people are called like an agent, and nobody else.
    pub fn set_namesakes(&self, agent: &AgentId, users: &BTreeSet<OwnedUserId>) {
        let mut state = self.state();
        state.of.retain(|_, agents| {
            agents.remove(agent);
            !agents.is_empty()
        });
        if state.of.len() + users.len() > NAMESAKES_MAX {
            state.of.clear();
        }
        for user in users {
            let agents = state.of.entry(user.clone()).or_default();
            agents.insert(agent.clone());
        }
    }

    /// The agents that what has changed may be about: those who are called like somebody now, and those who were.
    fn take(&self, agents: &BTreeMap<AgentId, AgentRecord>) -> Due {
        let (changes, all, of) = {
            let mut state = self.state();
            let changes = std::mem::take(&mut state.changes);
            let of: HashMap<_, _> = changes
                .keys()
                .filter_map(|user| Some((user.clone(), state.of.get(user)?.clone())))
                .collect();
            (changes, std::mem::take(&mut state.all), of)
        };
        if all {
            return every(agents);
        }
        let mut due = Due::new();
        let mut named: HashMap<String, Vec<&AgentId>> = HashMap::new();
        if changes.values().any(Option::is_some) {
            for record in agents.values().filter(|record| is_looked_at(record)) {
                let name = confusable_key(&record.name);
                named.entry(name).or_default().push(&record.id);
            }
        }
        for (user, name) in changes {
            let now = name.and_then(|name| named.get(&confusable_key(&name)));
            let before = of.get(&user).into_iter().flatten();
            for agent in now.into_iter().flatten().copied().chain(before) {
                due.entry(agent.clone()).or_default().insert(user.clone());
            }
        }
        due
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn every(agents: &BTreeMap<AgentId, AgentRecord>) -> Due {
    let agents = agents.values().filter(|record| is_looked_at(record));
    agents
        .map(|record| (record.id.clone(), BTreeSet::new()))
        .collect()
}

/// An agent whose name was not compared yet is so when it is set up.
fn is_looked_at(record: &AgentRecord) -> bool {
    record.status == AgentStatus::Live && record.compared_name.is_some()
}

/// Looks at names again until the process is about to end.
pub async fn serve(agents: Agents, tasks: Tasks) {
    let provisioner = &agents.provisioner;
    let mut all_at = Instant::now() + FIRST_AFTER;
    let (mut failed, mut retry_at) = (Due::new(), all_at);
    loop {
        let mut due = tokio::select! {
            () = provisioner.namesakes.changed.notified() => {
                provisioner.registry.with_all(|known| provisioner.namesakes.take(known))
            }
            () = tokio::time::sleep_until(all_at) => {
                all_at = Instant::now() + COMPARE_EVERY;
                provisioner.registry.with_all(every)
            }
            () = tokio::time::sleep_until(retry_at), if !failed.is_empty() => std::mem::take(&mut failed),
            () = tasks.closing() => return,
        };
        let mut is_news = false;
        while let Some((agent, users)) = due.pop_first() {
            if tasks.is_closing() {
                return;
            }
            match provisioner.compare_again(&agent, &users).await {
                Ok(marked) => is_news |= marked,
                Err(error) => {
                    debug!(agent.id = %agent, %error, "the name of an agent cannot be compared (yet)");
                    failed.insert(agent, users);
                    retry_at = Instant::now() + RETRY_PAUSE;
                }
            }
        }
        if is_news {
            info!("the names of agents are marked anew, because people have changed theirs");
            agents.discovery_trigger.look.notify_one();
        }
        tokio::select! {
            () = tokio::time::sleep(ROUND_PAUSE) => {}
            () = tasks.closing() => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use ruma::user_id;

    use super::*;

    fn agents(names: &[&str]) -> BTreeMap<AgentId, AgentRecord> {
        let record = |(number, name): (usize, &&str)| {
            let record = serde_json::json!({
                "id": format!("agent-{number}"), "name": name, "compared_name": name,
                "room": null, "joined": true,
            });
            let record: AgentRecord = serde_json::from_value(record).unwrap();
            (record.id.clone(), record)
        };
        names.iter().enumerate().map(record).collect()
    }

    fn due(namesakes: &Namesakes, agents: &BTreeMap<AgentId, AgentRecord>) -> Vec<String> {
        namesakes
            .take(agents)
            .into_keys()
            .map(|agent| agent.to_string())
            .collect()
    }

    #[test]
    fn agents_are_looked_at_again_whose_name_somebody_takes_or_gives_back() {
        let agents = agents(&["Ada", "Grace", "Ada"]);
        let eve = user_id!("@eve:x").to_owned();
        let namesakes = Namesakes::default();
        let cases: [(Option<&str>, &[&str]); 6] = [
            (None, &[]),
            (Some("Eve"), &[]),
            (Some("Adam"), &[]),
            (Some("ada"), &["agent-0", "agent-2"]),
            (Some("A\u{200b}d\u{430}"), &["agent-0", "agent-2"]),
            (Some("GRACE"), &["agent-1"]),
        ];
        for (name, expected) in cases {
            namesakes.member_changed(eve.clone(), name.map(str::to_owned));
            assert_eq!(due(&namesakes, &agents), expected, "{name:?}");
            assert!(due(&namesakes, &agents).is_empty(), "taken twice");
        }
        let ada: AgentId = "agent-0".parse().unwrap();
        namesakes.set_namesakes(&ada, &BTreeSet::from([eve.clone()]));
        assert_eq!(namesakes.of(&ada), BTreeSet::from([eve.clone()]));
        for name in [None, Some("Eve".to_owned())] {
            namesakes.member_changed(eve.clone(), name);
            assert_eq!(due(&namesakes, &agents), ["agent-0"]);
        }
        namesakes.set_namesakes(&ada, &BTreeSet::new());
        namesakes.member_changed(eve, None);
        assert!(due(&namesakes, &agents).is_empty());
    }

    #[test]
    fn more_changes_than_are_remembered_make_all_agents_due() {
        let agents = agents(&["Ada", "Grace"]);
        let namesakes = Namesakes::default();
        for number in 0..=2 * CHANGES_MAX {
            let user = OwnedUserId::try_from(format!("@u{number}:x")).unwrap();
            namesakes.member_changed(user, Some(format!("User {number}")));
            assert!(namesakes.state().changes.len() <= CHANGES_MAX);
        }
        assert_eq!(due(&namesakes, &agents), ["agent-0", "agent-1"]);
        assert!(due(&namesakes, &agents).is_empty());
    }
}
