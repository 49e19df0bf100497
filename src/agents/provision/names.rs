//! Whether an agent is called like somebody else: the people that `permissions` names, whom the homeserver's directory finds, and
//! the bot.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;
use tracing::info;

use super::{ProvisionError, Provisioner, cannot};
use crate::{
    agents::names::{is_lookalike, plainly},
    journal::AgentRecord,
    matrix::MatrixError,
};

/// How long the names of the people in `permissions` are remembered: all agents of a start are compared with the same.
const PEOPLE_AGE: Duration = Duration::from_mins(1);
/// The most people in `permissions` whose display names are asked for.
const PEOPLE_MAX: usize = 100;

/// Names of people, and since when they are known.
#[derive(Debug, Default)]
pub(super) struct PeopleNames {
    known: Mutex<Option<(Instant, Vec<String>)>>,
}

impl Provisioner {
    /// Compares the name of an agent with those of others, once for each name.
    pub(super) async fn compare_name(
        &self,
        record: &mut AgentRecord,
    ) -> Result<(), ProvisionError> {
        let mut taken = self.names_of_people().await?;
        let mut terms = vec![record.name.clone(), plainly(&record.name)];
        terms.dedup();
        for term in terms {
            taken.extend(self.find_people(&term).await?);
        }
        let before = record.is_lookalike;
        record.is_lookalike = is_lookalike(&record.name, taken.iter().map(String::as_str));
        record.compared_name = Some(record.name.clone());
        if record.is_lookalike && !before {
            info!(agent.id = %record.id, "an agent is called like somebody else, so its name is marked");
        }
        Ok(())
    }

    /// The names under which the directory knows whoever a term finds.
    async fn find_people(&self, term: &str) -> Result<Vec<String>, ProvisionError> {
        let found = match self.homeserver.find_users(term).await {
            Ok(found) => found,
            Err(error) if error.is_transient() => {
                return Err(cannot("look for people of its name")(error));
            }
            // A homeserver without a directory has nobody to be found.
            Err(_) => Vec::new(),
        };
        let names = found
            .into_iter()
            .filter(|(user, _)| !self.taste.identity.is_ours(user))
            .flat_map(|(user, name)| [Some(user.localpart().to_owned()), name]);
        Ok(names.flatten().collect())
    }

    /// The names of the bot and of the people that `permissions` names.
    async fn names_of_people(&self) -> Result<Vec<String>, ProvisionError> {
        let now = Instant::now();
        if let Some((since, names)) = &*self.people_names.lock()
            && now < *since + PEOPLE_AGE
        {
            return Ok(names.clone());
        }
        let identity = &self.taste.identity;
        let mut names = vec![identity.bot().localpart().to_owned()];
        names.extend(self.taste.bot_name.clone());
        for (user, _) in self.taste.permissions.people().take(PEOPLE_MAX) {
            names.push(user.localpart().to_owned());
            names.extend(self.display_name(user).await?);
        }
        *self.people_names.lock() = Some((now, names.clone()));
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

impl PeopleNames {
    fn lock(&self) -> std::sync::MutexGuard<'_, Option<(Instant, Vec<String>)>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
