//! Which state of a room a client wants to keep up with.
//!
//! `*` stands for all types or all keys, `$ME` for the user, and `$LAZY` for the members that a client needs to show the events
//! that it gets. Spec: <https://github.com/matrix-org/matrix-spec-proposals/pull/4186>

use std::collections::{BTreeMap, BTreeSet};

use ruma::{UserId, events::StateEventType};

/// Everything of its kind.
const ALL: &str = "*";
/// The user who asks.
const ME: &str = "$ME";
/// The members who are needed.
const LAZY: &str = "$LAZY";
/// The type whose keys can be [`LAZY`].
const MEMBER: &str = "m.room.member";

/// Types, each with its state keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequiredState {
    entries: BTreeMap<String, BTreeSet<String>>,
}

/// One thing to look up in the state of a room.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StateLookup {
    /// All of it.
    Everything,
    /// All of one type.
    Type(StateEventType),
    /// One state event.
    One(StateEventType, String),
}

impl RequiredState {
    /// As a client asks for it.
    pub fn new(asked: &[(StateEventType, String)], user: &UserId) -> Self {
        let mut required = Self::default();
        for (kind, key) in asked {
            let key = if key == ME { user.as_str() } else { key };
            let keys = required.entries.entry(kind.to_string()).or_default();
            keys.insert(key.to_owned());
        }
        required
    }

    /// Asks for what the other asks for, too.
    pub fn add(&mut self, other: &Self) {
        for (kind, keys) in &other.entries {
            let all = self.entries.entry(kind.clone()).or_default();
            all.extend(keys.iter().cloned());
        }
    }

    /// What this asks for and the other did not.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        let mut beyond = Self::default();
        for (kind, keys) in &self.entries {
            let new: BTreeSet<_> = keys
                .iter()
                .filter(|key| !other.has(kind, key))
                .cloned()
                .collect();
            if !new.is_empty() {
                beyond.entries.insert(kind.clone(), new);
            }
        }
        beyond
    }

    /// Whether nothing is asked for.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether members are sent as they are needed.
    pub fn is_lazy(&self) -> bool {
        self.has(MEMBER, LAZY)
    }

    /// Whether it asks for this state event by itself. Members that are only needed are not.
    pub fn wants(&self, kind: &str, key: &str) -> bool {
        if self.has(kind, key) || self.has(kind, ALL) || self.has(ALL, key) {
            return true;
        }
        // Who asks for everything and for lazy members does not want all members.
        self.has(ALL, ALL) && !(kind == MEMBER && self.is_lazy())
    }

    /// What to look up to find all that it asks for. What is found has to be wanted, too.
    pub fn state_lookups(&self) -> Vec<StateLookup> {
        if self.entries.contains_key(ALL) {
            return vec![StateLookup::Everything];
        }
        let mut looks = Vec::new();
        for (kind, keys) in &self.entries {
            let of_type = StateEventType::from(kind.as_str());
            if keys.contains(ALL) {
                looks.push(StateLookup::Type(of_type));
                continue;
            }
            let named = keys.iter().filter(|key| !(kind == MEMBER && *key == LAZY));
            looks.extend(named.map(|key| StateLookup::One(of_type.clone(), key.clone())));
        }
        looks
    }

    fn has(&self, kind: &str, key: &str) -> bool {
        self.entries
            .get(kind)
            .is_some_and(|keys| keys.contains(key))
    }
}

#[cfg(test)]
mod tests {
    use ruma::user_id;

    use super::*;

    fn required(asked: &[(&str, &str)]) -> RequiredState {
        let asked: Vec<_> = asked
            .iter()
            .map(|(kind, key)| (StateEventType::from(*kind), (*key).to_owned()))
            .collect();
        RequiredState::new(&asked, user_id!("@alice:letta.test"))
    }

    #[test]
    fn wildcards_me_and_lazy_mean_what_they_say() {
        let some = required(&[
            ("m.room.name", ""),
            ("m.space.child", "*"),
            (MEMBER, ME),
            (MEMBER, LAZY),
        ]);
        assert!(some.wants("m.room.name", "") && some.wants("m.space.child", "!a"));
        assert!(some.wants(MEMBER, "@alice:letta.test") && !some.wants(MEMBER, "@bob:letta.test"));
        assert!(some.is_lazy() && !some.wants("m.room.topic", ""));

        let all = required(&[("*", "*")]);
        assert!(all.wants(MEMBER, "@bob:letta.test") && !all.is_lazy());
        let all_but_members = required(&[("*", "*"), (MEMBER, LAZY)]);
        assert!(!all_but_members.wants(MEMBER, "@bob:letta.test"));
        assert!(all_but_members.wants("m.room.topic", ""));
    }

    #[test]
    fn only_what_is_new_is_beyond() {
        let list = required(&[("m.room.name", ""), (MEMBER, LAZY)]);
        let mut more = required(&[("m.room.pinned_events", "")]);
        more.add(&list);
        assert_eq!(
            more.difference(&list),
            required(&[("m.room.pinned_events", "")])
        );
        assert!(list.difference(&more).is_empty());
        assert_eq!(
            list.state_lookups(),
            [StateLookup::One(StateEventType::RoomName, String::new())]
        );
        assert_eq!(
            required(&[("*", ""), (MEMBER, ME)]).state_lookups(),
            [StateLookup::Everything]
        );
    }
}
