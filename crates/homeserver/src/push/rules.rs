//! The push rules of users: account data of the type `m.push_rules`, parsed once and kept in memory.
//!
//! What is in memory is checked against the place where the account data last changed, so nobody has to tell this cache of a
//! change. Whoever never changed a rule has the server's.
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#predefined-rules>

use std::sync::Arc;

use quick_cache::sync::Cache;
use ruma::{OwnedUserId, UserId, push::Ruleset};
use serde::{Deserialize, Serialize};
use serde_json::value::to_raw_value;
use tokio::sync::{Mutex, MutexGuard};

use crate::{
    error::Result,
    store::{Store, tables},
    stream::{Change, Position, Stream, Touch},
    sync::record::AccountDatum,
};

/// The type of the account data.
const PUSH_RULES: &str = "m.push_rules";
/// The room of account data that belongs to none.
const GLOBAL: &str = "";
/// How many parsed rulesets are kept in memory.
const CACHED_RULESETS: usize = 2_000;

/// The content of the account data.
#[derive(Deserialize, Serialize)]
struct Content {
    global: Ruleset,
}

/// The push rules of all users, parsed.
#[derive(Debug)]
pub struct Rulesets {
    parsed: Cache<OwnedUserId, (Option<Position>, Arc<Ruleset>)>,
    editing: Mutex<()>,
}

impl Default for Rulesets {
    fn default() -> Self {
        Self {
            parsed: Cache::new(CACHED_RULESETS),
            editing: Mutex::new(()),
        }
    }
}

impl Rulesets {
    /// The push rules of a user.
    pub fn get(&self, store: &Store, user: &UserId) -> Result<Arc<Ruleset>> {
        let stored = store.get::<tables::AccountData>((user, GLOBAL, PUSH_RULES))?;
        let at = stored.as_ref().map(|datum| datum.position);
        if let Some((known_at, rules)) = self.parsed.get(user)
            && known_at == at
        {
            return Ok(rules);
        }
        let rules = Arc::new(parse(user, stored));
        self.parsed
            .insert(user.to_owned(), (at, Arc::clone(&rules)));
        Ok(rules)
    }

    /// Whoever holds this is the only one who edits rules: an edit reads all rules and writes all rules.
    pub async fn editing(&self) -> MutexGuard<'_, ()> {
        self.editing.lock().await
    }
}

/// The push rules of a user, read anew.
pub fn load(store: &Store, user: &UserId) -> Result<Ruleset> {
    let stored = store.get::<tables::AccountData>((user, GLOBAL, PUSH_RULES))?;
    Ok(parse(user, stored))
}

/// What was stored, with the server's rules as this version knows them.
fn parse(user: &UserId, stored: Option<AccountDatum>) -> Ruleset {
    let server_default = Ruleset::server_default(user);
    let content =
        stored.and_then(|datum| serde_json::from_str::<Content>(datum.content.get()).ok());
    let Some(Content { mut global }) = content else {
        return server_default;
    };
    global.update_with_server_default(server_default);
    global
}

/// Writes the push rules of a user; sync shows them as the account data they are.
pub async fn save(store: &Store, stream: &Stream, user: &UserId, rules: Ruleset) -> Result<()> {
    let content = to_raw_value(&Content { global: rules })?;
    let mut place = stream.place();
    let position = place.take()?;
    let mut batch = store.batch();
    let before = store.get::<tables::AccountData>((user, GLOBAL, PUSH_RULES))?;
    if let Some(before) = before {
        batch.delete::<tables::AccountDataChanges>((user, before.position))?;
    }
    batch.put::<tables::AccountData>(
        (user, GLOBAL, PUSH_RULES),
        &AccountDatum { position, content },
    )?;
    let what = (GLOBAL.to_owned(), PUSH_RULES.to_owned());
    batch.put::<tables::AccountDataChanges>((user, position), &what)?;
    batch.put::<tables::Changes>((position,), &Change::AccountData(user.to_owned()))?;
    stream
        .commit(place, batch, vec![Touch::User(user.to_owned())])
        .await?;
    Ok(())
}
