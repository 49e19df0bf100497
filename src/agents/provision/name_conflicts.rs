//! Whether an agent is called like somebody else: the people that `permissions` names, whom the homeserver's directory finds, who is
//! in the agent's room, and the bot.

use std::{
    collections::BTreeSet,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use ruma::OwnedUserId;
use tokio::time::Instant;
use tracing::info;

use super::{ProvisionError, Provisioner, cannot};
use crate::{
    agents::lookalikes::{is_lookalike, plainly},
    journal::AgentRecord,
    matrix::{Actor, MatrixError},
};

/// How long the names of the people in `permissions` are remembered: all agents of a start are compared with the same.
const PEOPLE_AGE: Duration = Duration::from_mins(1);
/// The most people in `permissions` whose display names are asked for.
const PEOPLE_MAX: usize = 100;

/// Names of people, and since when they are known.
#[derive(Debug, Default)]
pub(super) struct UserNames {
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    names: Option<(Instant, Vec<Taken>)>,
    /// Counts how often they were forgotten, so that nothing is remembered that was asked for before.
    forgotten: u64,
}

/// A name that somebody has; `None`: the bot.
type Taken = (Option<OwnedUserId>, String);

impl Provisioner {
    /// Compares the name of an agent with those of others; those of `users` and of its known namesakes are asked for.
    pub(super) async fn compare_name(
        &self,
        record: &mut AgentRecord,
        users: &BTreeSet<OwnedUserId>,
    ) -> Result<(), ProvisionError> {
        let mut taken = self.names_of_people().await?;
        taken.extend(self.names_of_members(record).await?);
        let mut asked = self.namesakes.of(&record.id);
        asked.extend(users.iter().cloned());
        let mut terms = vec![record.name.clone(), plainly(&record.name)];
        terms.dedup();
        for term in terms {
            for (user, name) in self.find_people(&term).await? {
                taken.push((Some(user.clone()), user.localpart().to_owned()));
                // A directory may know a name that its owner has given back.
                if name.is_some_and(|name| is_lookalike(&record.name, [name.as_str()])) {
                    asked.insert(user);
                }
            }
        }
        for user in asked {
            if let Some(name) = self.display_name(&user).await? {
                taken.push((Some(user), name));
            }
        }
        let before = record.is_lookalike;
        let is_taken = |name: &str| is_lookalike(&record.name, [name]);
        taken.retain(|(_, name)| is_taken(name));
        // A name can also be one that nobody may have.
        record.is_lookalike = !taken.is_empty() || is_lookalike(&record.name, std::iter::empty());
        record.compared_name = Some(record.name.clone());
        let users = taken.into_iter().filter_map(|(user, _)| user).collect();
        self.namesakes.set_namesakes(&record.id, &users);
        match (before, record.is_lookalike) {
            (false, true) => {
                info!(agent.id = %record.id, "agent name conflicts with a user; marking it");
            }
            (true, false) => {
                info!(agent.id = %record.id, "nobody else is called like an agent any more, so its name is not marked");
            }
            _ => {}
        }
        Ok(())
    }

    /// The people whom a term finds in the directory, with the names under which it knows them.
    async fn find_people(
        &self,
        term: &str,
    ) -> Result<Vec<(OwnedUserId, Option<String>)>, ProvisionError> {
        let mut found = match self.homeserver.find_users(term).await {
            Ok(found) => found,
            Err(error) if error.is_transient() => {
                return Err(cannot("look for people of its name")(error));
            }
            // A homeserver without a directory has nobody to be found.
            Err(_) => Vec::new(),
        };
        found.retain(|(user, _)| !self.config.identity.is_ours(user));
        Ok(found)
    }

    /// The names that people have in the agent's own room.
    async fn names_of_members(&self, record: &AgentRecord) -> Result<Vec<Taken>, ProvisionError> {
        let Some(room) = record.room.as_ref().filter(|_| record.joined) else {
            return Ok(Vec::new());
        };
        let ghost = self.config.identity.ghost(&record.id);
        let members = match self.homeserver.names_in(Actor::Ghost(&ghost), room).await {
            Ok(members) => members,
            Err(error) if error.is_transient() => {
                return Err(cannot("look who is in its room")(error));
            }
            // Who may not look is not seen there either.
            Err(_) => Vec::new(),
        };
        let others = members
            .into_iter()
            .filter(|(user, _)| !self.config.identity.is_ours(user));
        Ok(others
            .filter_map(|(user, name)| Some((Some(user), name?)))
            .collect())
    }

    /// The names of the bot and of the people that `permissions` names.
    async fn names_of_people(&self) -> Result<Vec<Taken>, ProvisionError> {
        let now = Instant::now();
        let forgotten = {
            let known = self.user_names.lock();
            if let Some((since, names)) = &known.names
                && now < *since + PEOPLE_AGE
            {
                return Ok(names.clone());
            }
            known.forgotten
        };
        let identity = &self.config.identity;
        let bot = identity.bot().localpart().to_owned();
        let mut names: Vec<Taken> = [Some(bot), self.config.bot_name.clone()]
            .into_iter()
            .flatten()
            .map(|name| (None, name))
            .collect();
        for (user, _) in self.config.permissions.people().take(PEOPLE_MAX) {
            let own = [
                Some(user.localpart().to_owned()),
                self.display_name(user).await?,
            ];
            names.extend(
                own.into_iter()
                    .flatten()
                    .map(|name| (Some(user.to_owned()), name)),
            );
        }
        let mut known = self.user_names.lock();
        if known.forgotten == forgotten {
            known.names = Some((now, names.clone()));
        }
        Ok(names)
    }

    async fn display_name(&self, user: &ruma::UserId) -> Result<Option<String>, ProvisionError> {
        let asked: Result<_, MatrixError> = self.homeserver.display_name(user).await;
        match asked {
            Ok(name) => Ok(name),
            Err(error) if error.is_transient() => {
                Err(cannot("ask for the name of a person")(error))
            }
            // Who has no account yet has no name.
            Err(_) => Ok(None),
        }
    }
}

impl UserNames {
    /// Somebody may have changed their name.
    pub(super) fn forget(&self) {
        let mut known = self.lock();
        known.names = None;
        known.forgotten += 1;
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
