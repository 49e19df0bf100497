//! What differs between Letta and Matrix, and the steps that mend it: pure.
//!
//! Promises: nothing changed means no step; what a record says has been done is not done again; an
//! empty list, or one that lacks more than half of the agents, removes nobody until an admin has
//! agreed; a removed agent keeps its record, and with it its room.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use letta_client::{Agent, AgentId};
use ruma::{OwnedRoomId, OwnedUserId};

use super::lookalikes::shown_name;
use crate::{
    journal::{AgentRecord, AgentStatus, Greeting},
    matrix::untrusted_text,
    time::Millis,
};

/// The longest name, in characters. Synapse refuses display names of more than 256, and an agent
/// whose ghost cannot be named would never get its room. A mark may follow it.
const NAME_CHARS_MAX: usize = 240;
/// How much of a name is looked at, in characters.
const NAME_CHARS_READ_MAX: usize = 10_000;

/// Agents as Letta lists them now, held against what the bridge remembers.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Records whose facts have changed, as they shall be from now on.
    pub changed: Vec<AgentRecord>,
    /// Agents whose grace is over: their rooms are to be closed.
    pub expired: Vec<AgentId>,
    /// Too many are missing at once, so nobody is taken for removed.
    pub hold: Option<RemovalHold>,
}

/// See [`Comparison::hold`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemovalHold {
    /// How many agents are missing.
    pub missing: usize,
    /// How many there were.
    pub known: usize,
}

/// Compares. `accept`: an admin has agreed that whoever is missing is gone.
pub fn diff_agents(
    known: &BTreeMap<AgentId, AgentRecord>,
    seen: &[Agent],
    now: Millis,
    grace: Duration,
    accept: bool,
) -> Comparison {
    let mut comparison = Comparison::default();
    let seen: BTreeMap<&AgentId, &Agent> = seen.iter().map(|agent| (&agent.id, agent)).collect();
    for (id, agent) in &seen {
        let before = known.get(id);
        let after = seen_again(before, agent);
        if before != Some(&after) {
            comparison.changed.push(after);
        }
    }
    let absent = || {
        known
            .values()
            .filter(|record| !seen.contains_key(&record.id))
    };
    let newly_missing: Vec<&AgentRecord> = absent()
        .filter(|record| record.status == AgentStatus::Live)
        .collect();
    let live = known
        .values()
        .filter(|record| record.status == AgentStatus::Live)
        .count();
    let too_many = seen.is_empty() || newly_missing.len() * 2 > live;
    if !newly_missing.is_empty() && too_many && !accept {
        comparison.hold = Some(RemovalHold {
            missing: newly_missing.len(),
            known: live,
        });
        return comparison;
    }
    for record in newly_missing {
        let status = AgentStatus::Gone { since: now };
        comparison.changed.push(AgentRecord {
            status,
            ..record.clone()
        });
    }
    for record in absent() {
        if let AgentStatus::Gone { since } = record.status
            && now.since(since) >= grace
        {
            comparison.expired.push(record.id.clone());
        }
    }
    comparison
}

/// The record of an agent that Letta lists.
fn seen_again(before: Option<&AgentRecord>, agent: &Agent) -> AgentRecord {
    let facts = AgentRecord {
        id: agent.id.clone(),
        name: name_of(agent),
        description: agent.description.clone(),
        model: agent.model.clone(),
        registered: false,
        display_name: None,
        room: None,
        room_name: None,
        room_topic: None,
        joined: false,
        in_space: false,
        previous_room: None,
        invited: BTreeSet::new(),
        status: AgentStatus::Live,
        open_to: None,
        avatar: None,
        greeting: Greeting::None,
        compared_name: None,
        is_lookalike: false,
    };
    match before {
        None => facts,
        Some(before) => AgentRecord {
            name: facts.name,
            description: facts.description,
            model: facts.model,
            status: AgentStatus::Live,
            ..before.clone()
        },
    }
}

/// What an agent is called: its name on one line, without what cannot be seen in it and no longer than a homeserver takes, or its
/// id if nothing is left.
fn name_of(agent: &Agent) -> String {
    // Most of what is too long is not even looked at.
    let start: String = agent.name.chars().take(NAME_CHARS_READ_MAX).collect();
    let name = untrusted_text::name(&start);
    if name.is_empty() {
        return agent.id.to_string();
    }
    if name.chars().count() <= NAME_CHARS_MAX {
        return name;
    }
    let start: String = name.chars().take(NAME_CHARS_MAX - 1).collect();
    start.trim_end().to_owned() + "…"
}

/// How an agent shall stand in Matrix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredState {
    /// The topic of its room.
    pub topic: Option<String>,
    /// Who shall be invited.
    pub people: Vec<OwnedUserId>,
    /// Whether its room shall be listed in the space.
    pub in_space: bool,
    /// The space whose members can join its room, if that is how people come in.
    pub open_to: Option<OwnedRoomId>,
    /// Which picture it shall have.
    pub avatar: Option<String>,
    /// Whether it shall greet in its new room.
    pub greets: bool,
}

/// One thing to do for an agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Find out whether somebody else is called so. What else is to be done depends on it.
    CompareName,
    /// Make its ghost exist.
    Register,
    /// Give the ghost the agent's name.
    SetDisplayName,
    /// Make its picture, and give it to the ghost, unless that has another one.
    GiveAvatar,
    /// Make its room exist, with name, topic, avatar and invitations.
    CreateRoom,
    /// Bring the ghost into the room.
    Join,
    /// Let the members of the space join the room, unless a person has decided who may.
    OpenToSpace,
    /// List the room in the space.
    List,
    /// Give the room the picture, unless it has another one.
    SetRoomAvatar,
    /// Say once what people can do in the room.
    Greet,
    /// Give the room the agent's new name, unless a person has named it.
    Rename,
    /// Give the room its new topic, unless a person has written it.
    SetTopic,
    /// Invite somebody.
    Invite(OwnedUserId),
}

impl Step {
    /// Whether the agent can be talked to without it.
    pub fn is_decoration(&self) -> bool {
        match self {
            Self::CompareName | Self::Register | Self::CreateRoom | Self::Join => false,
            Self::SetDisplayName
            | Self::GiveAvatar
            | Self::OpenToSpace
            | Self::List
            | Self::SetRoomAvatar
            | Self::Greet
            | Self::Rename
            | Self::SetTopic
            | Self::Invite(_) => true,
        }
    }
}

/// What is left to do for an agent, in order.
pub fn steps(record: &AgentRecord, wanted: &DesiredState) -> Vec<Step> {
    let mut steps = Vec::new();
    if record.status != AgentStatus::Live {
        return steps;
    }
    if record.compared_name.as_ref() != Some(&record.name) {
        steps.push(Step::CompareName);
    }
    if !record.registered {
        steps.push(Step::Register);
    }
    let name = shown_name(record);
    let unnamed = record.display_name.as_ref() != Some(&name);
    let new_ghost = record.display_name.is_none();
    if unnamed && new_ghost {
        steps.push(Step::SetDisplayName);
    }
    if lacks_avatar(record, wanted) {
        steps.push(Step::GiveAvatar);
    }
    let new_room = record.room.is_none();
    if new_room {
        steps.push(Step::CreateRoom);
    }
    if !record.joined {
        steps.push(Step::Join);
    }
    // A new room is open to the space from its beginning.
    let is_closed = wanted.open_to.is_some() && record.open_to != wanted.open_to;
    if is_closed && !new_room {
        steps.push(Step::OpenToSpace);
    }
    if wanted.in_space && !record.in_space {
        steps.push(Step::List);
    }
    if new_room || room_lacks_avatar(record, wanted) {
        steps.extend(wanted.avatar.as_ref().map(|_| Step::SetRoomAvatar));
    }
    if wanted.greets && (new_room || record.greeting != Greeting::None) {
        steps.push(Step::Greet);
    }
    if !new_room {
        if record.room_name.as_ref() != Some(&name) {
            steps.push(Step::Rename);
        }
        if record.room_topic != wanted.topic {
            steps.push(Step::SetTopic);
        }
        let uninvited = wanted
            .people
            .iter()
            .filter(|person| !record.invited.contains(*person));
        steps.extend(uninvited.cloned().map(Step::Invite));
    }
    if unnamed && !new_ghost {
        // Last, because homeservers write the ghost's new membership into its rooms by themselves a
        // little later, and clients keep the old name if the room's new name crosses that.
        steps.push(Step::SetDisplayName);
    }
    steps
}

/// Whether the ghost has not been given the picture that it shall have.
fn lacks_avatar(record: &AgentRecord, wanted: &DesiredState) -> bool {
    let given = record.avatar.as_ref().filter(|given| given.on_ghost);
    wanted.avatar.is_some() && given.map(|given| &given.hash) != wanted.avatar.as_ref()
}

/// The same for the room.
fn room_lacks_avatar(record: &AgentRecord, wanted: &DesiredState) -> bool {
    let shown = record
        .avatar
        .as_ref()
        .and_then(|given| given.on_room.as_ref());
    wanted.avatar.is_some() && (lacks_avatar(record, wanted) || shown != record.room.as_ref())
}

#[cfg(test)]
mod tests;
