//! Who decides about a turn: pure, from the turn and the permissions.
//!
//! Promise: what the room is told about who may approve and what is checked when somebody does are one value, [`Approvers`].
//! Whoever sets a turn going answers for its tools, so a turn that several people have set going is nobody's but an admin's.

use ruma::{OwnedUserId, UserId};

use crate::{
    config::{Level, Permissions},
    journal::{ApprovalRecord, TurnRecord},
};

/// Who wants to decide.
#[derive(Clone, Copy, Debug)]
pub struct Requester<'a> {
    /// The person.
    pub user: &'a UserId,
    /// What they may do at the bridge.
    pub level: Level,
}

impl Requester<'_> {
    pub(super) fn is_admin(self) -> bool {
        self.level >= Level::Admin
    }

    /// Whether they may stop the turn, or deny what it asks: that is always safe, so everybody may who waits for its answer.
    pub(super) fn may_stop(self, turn: &TurnRecord) -> bool {
        self.is_admin() || (self.level >= Level::Talk && turn.is_asked_by(self.user))
    }
}

/// Who may approve what a turn asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Approvers {
    /// The person who has set the turn going, and admins.
    AskerAndAdmins {
        /// The person.
        asker: OwnedUserId,
        /// The level that approving needs, which this person has.
        level: Level,
    },
    /// Admins alone.
    AdminsOnly(AdminsOnly),
}

/// Why only admins may approve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdminsOnly {
    /// The request waited in Letta already, and nobody knows who has set it going.
    Found,
    /// Nobody in the room has set the turn going.
    Nobody,
    /// Several people have set the turn going.
    Several,
    /// The person who has set the turn going may talk to agents, and not more.
    LevelTooLow {
        /// The person.
        asker: OwnedUserId,
        /// The level that approving needs.
        level: Level,
    },
}

impl Approvers {
    /// Who may approve what `turn` asks with `approval`, if that needs `level` (`turns.approve_level`).
    pub fn of(
        turn: &TurnRecord,
        approval: &ApprovalRecord,
        permissions: &Permissions,
        level: Level,
    ) -> Self {
        let mut askers = turn.prompts.iter().map(|prompt| &prompt.sender);
        let Some(asker) = askers.next() else {
            let why = if approval.found {
                AdminsOnly::Found
            } else {
                AdminsOnly::Nobody
            };
            return Self::AdminsOnly(why);
        };
        let level = level.max(Level::Talk);
        Self::AdminsOnly(if approval.found {
            AdminsOnly::Found
        } else if askers.any(|other| other != asker) {
            AdminsOnly::Several
        } else if permissions.level(asker) < level {
            AdminsOnly::LevelTooLow {
                asker: asker.clone(),
                level,
            }
        } else {
            return Self::AskerAndAdmins {
                asker: asker.clone(),
                level,
            };
        })
    }

    /// Whether this person may approve.
    pub fn include(&self, requester: Requester<'_>) -> bool {
        match self {
            Self::AskerAndAdmins { asker, level } => {
                requester.is_admin() || (requester.user == asker && requester.level >= *level)
            }
            Self::AdminsOnly(_) => requester.is_admin(),
        }
    }

    /// The same as a sentence for the room.
    pub fn sentence(&self) -> String {
        match self {
            Self::AskerAndAdmins { asker, level } => {
                format!(
                    "Only {asker} or an admin can approve it, and approving needs the level `{level}`."
                )
            }
            Self::AdminsOnly(AdminsOnly::Found) => {
                "It was asked before, so only an admin can approve it.".to_owned()
            }
            Self::AdminsOnly(AdminsOnly::Nobody) => {
                "Nobody here has asked for it, so only an admin can approve it.".to_owned()
            }
            Self::AdminsOnly(AdminsOnly::Several) => {
                "Several people have asked for it together, so only an admin can approve it."
                    .to_owned()
            }
            Self::AdminsOnly(AdminsOnly::LevelTooLow { asker, level }) => format!(
                "Only an admin can approve it: approving needs the level `{level}` (`turns.approve_level`), which {asker} does \
                 not have."
            ),
        }
    }
}

#[cfg(test)]
mod tests;
