//! What one event may cost for all members of its room together.
//!
//! Each member has an equal share of what is left, and what one does not need is for those who come after. However many members there
//! are, each has a small share that nobody takes away, which is more than rules of ordinary clients need: so the whole grows with the
//! members by that share only, and expensive rules of some do not hide the rules of others.

use crate::limits::{
    RULES_PARSED_PER_EVENT_BYTES, RULES_PARSED_PER_MEMBER_BYTES, STEPS_OF_ALL_MEMBERS,
    STEPS_PER_MEMBER,
};

/// What is left of one event's work.
#[derive(Debug)]
pub struct EventBudget {
    members: u64,
    own: Shared,
    defaults: Shared,
    parsed: Shared,
}

/// An amount that the members of a room share.
#[derive(Debug)]
struct Shared {
    left: u64,
    least: u64,
}

/// What one member may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberBudget {
    /// Steps for the member's own rules.
    pub own: u64,
    /// Steps for the server's rules.
    pub defaults: u64,
    /// Bytes of rules that are parsed.
    pub parsed: u64,
}

impl EventBudget {
    /// The budget of an event that meets the rules of at most so many members.
    pub fn new(members: usize) -> Self {
        let shared = |left, least| Shared { left, least };
        Self {
            members: u64::try_from(members).unwrap_or(u64::MAX),
            own: shared(STEPS_OF_ALL_MEMBERS, STEPS_PER_MEMBER),
            defaults: shared(STEPS_OF_ALL_MEMBERS, STEPS_PER_MEMBER),
            parsed: shared(RULES_PARSED_PER_EVENT_BYTES, RULES_PARSED_PER_MEMBER_BYTES),
        }
    }

    /// The share of the next member.
    pub fn member_budget(&self) -> MemberBudget {
        MemberBudget {
            own: self.own.member_budget(self.members),
            defaults: self.defaults.member_budget(self.members),
            parsed: self.parsed.member_budget(self.members),
        }
    }

    /// The next member has taken so much of its share.
    pub fn deduct(&mut self, taken: MemberBudget) {
        self.members = self.members.saturating_sub(1);
        self.own.left = self.own.left.saturating_sub(taken.own);
        self.defaults.left = self.defaults.left.saturating_sub(taken.defaults);
        self.parsed.left = self.parsed.left.saturating_sub(taken.parsed);
    }
}

impl Shared {
    fn member_budget(&self, members: u64) -> u64 {
        (self.left / members.max(1)).max(self.least)
    }
}

impl MemberBudget {
    /// All steps.
    pub const fn steps(self) -> u64 {
        self.own + self.defaults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all_of(members: usize, wants: impl Fn(usize) -> u64) -> (u64, Vec<u64>) {
        let mut budget = EventBudget::new(members);
        let mut got = Vec::new();
        for member in 0..members {
            let own = budget.member_budget().own.min(wants(member));
            budget.deduct(MemberBudget {
                own,
                defaults: 0,
                parsed: 0,
            });
            got.push(own);
        }
        (got.iter().sum(), got)
    }

    #[test]
    fn all_members_together_take_what_one_event_may_cost() {
        for members in [1, 2, 15, 100, 5_000] {
            let (all, _) = all_of(members, |_| u64::MAX);
            let most = STEPS_OF_ALL_MEMBERS + members as u64 * STEPS_PER_MEMBER;
            assert!(all <= most, "{members} members took {all} of {most} steps");
        }
    }

    #[test]
    fn expensive_members_leave_cheap_ones_what_they_need() {
        for members in [2, 15, 500] {
            for cheap in [0, members / 2, members - 1] {
                let wants = |member| {
                    if member == cheap {
                        STEPS_PER_MEMBER
                    } else {
                        u64::MAX
                    }
                };
                let (_, got) = all_of(members, wants);
                assert_eq!(got[cheap], STEPS_PER_MEMBER, "{cheap} of {members}");
            }
        }
    }

    #[test]
    fn what_cheap_members_do_not_need_is_for_later_ones() {
        let (_, got) = all_of(100, |member| if member == 99 { u64::MAX } else { 100 });
        assert_eq!(got[99], STEPS_OF_ALL_MEMBERS - 99 * 100);
    }
}
