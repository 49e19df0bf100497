//! The push rules of users: account data of the type `m.push_rules`, parsed once and kept in memory.
//!
//! What is in memory is checked against the place where the account data last changed, so nobody has to tell this cache of a
//! change. Whoever never changed a rule has the server's.
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#predefined-rules>

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::AtomicU64},
};

use homeserver_model::push::{compiled::Rules, stored};
use quick_cache::{Weighter, sync::Cache};
use ruma::{OwnedUserId, UserId, push::Ruleset};

use crate::{
    accounts::{account_data, ignored},
    error::Result,
    locks::{KeyedGuard, KeyedLocks},
    store::{Store, records::sync::AccountDatum, tables},
    stream::{Position, Stream},
};

/// The type of the account data.
const PUSH_RULES: &str = "m.push_rules";
/// The room of account data that belongs to none.
const GLOBAL: &str = "";
/// For how many users account data is kept parsed, if none has much.
const CACHED_USERS: usize = 2_000;
/// How large what is kept parsed can be, in bytes of its JSON, and what each user counts at least.
const CACHED_MAX_BYTES: u64 = 16 << 20;
const CACHED_MIN_BYTES: u64 = 4 << 10;

/// What of everybody's account data is asked for with each event, parsed.
#[derive(Debug, Default)]
pub struct Rulesets {
    rules: Parsed<Rules>,
    ignored: Parsed<BTreeSet<OwnedUserId>>,
    /// How many steps all events together took.
    pub(super) steps: AtomicU64,
    /// How many bytes of rules were parsed for all events together.
    pub(super) parsed: AtomicU64,
    editing: KeyedLocks<OwnedUserId>,
}

/// Pieces of account data of one type, parsed, and where each last changed.
#[derive(Debug)]
struct Parsed<T> {
    known: Cache<OwnedUserId, Known<T>, Bytes>,
}

#[derive(Debug)]
struct Known<T> {
    at: Option<Position>,
    bytes: u64,
    parsed: Arc<T>,
}

impl<T> Clone for Known<T> {
    fn clone(&self) -> Self {
        Self {
            parsed: Arc::clone(&self.parsed),
            ..*self
        }
    }
}

#[derive(Clone, Debug)]
struct Bytes;

impl<T> Weighter<OwnedUserId, Known<T>> for Bytes {
    fn weight(&self, _: &OwnedUserId, known: &Known<T>) -> u64 {
        known.bytes.max(CACHED_MIN_BYTES)
    }
}

impl<T> Default for Parsed<T> {
    fn default() -> Self {
        Self {
            known: Cache::with_weighter(CACHED_USERS, CACHED_MAX_BYTES, Bytes),
        }
    }
}

fn size(stored: &AccountDatum) -> u64 {
    stored.content.get().len() as u64
}

impl<T> Parsed<T> {
    fn known(&self, user: &UserId, stored: Option<&AccountDatum>) -> Option<Arc<T>> {
        let at = stored.map(|datum| datum.position);
        let known = self.known.get(user).filter(|known| known.at == at)?;
        Some(known.parsed)
    }

    fn get(
        &self,
        user: &UserId,
        stored: Option<&AccountDatum>,
        parse: impl FnOnce() -> T,
    ) -> Arc<T> {
        if let Some(known) = self.known(user, stored) {
            return known;
        }
        let at = stored.map(|datum| datum.position);
        let parsed = Arc::new(parse());
        let bytes = stored.map_or(0, size);
        let known = Known {
            at,
            bytes,
            parsed: Arc::clone(&parsed),
        };
        self.known.insert(user.to_owned(), known);
        parsed
    }
}

impl Rulesets {
    /// The push rules of a user, as events meet them, and how many bytes were parsed for them. Whoever has rules that are not in memory
    /// and larger than `parsed_max_bytes` has the server's rules this time.
    pub fn get(
        &self,
        store: &Store,
        user: &UserId,
        parsed_max_bytes: u64,
    ) -> Result<(Arc<Rules>, u64)> {
        let stored = store.get::<tables::AccountData>((user, GLOBAL, PUSH_RULES))?;
        if let Some(known) = self.rules.known(user, stored.as_ref()) {
            return Ok((known, 0));
        }
        let bytes = stored.as_ref().map_or(0, size);
        if bytes > parsed_max_bytes {
            return Ok((Arc::new(Rules::new(&Ruleset::server_default(user))), 0));
        }
        let rules = || Rules::new(&parse(user, stored.as_ref()));
        Ok((self.rules.get(user, stored.as_ref(), rules), bytes))
    }

    /// Whom a user ignores.
    pub(super) fn ignored_by(
        &self,
        store: &Store,
        user: &UserId,
    ) -> Result<Arc<BTreeSet<OwnedUserId>>> {
        let stored = ignored::stored(store, user)?;
        let list = || ignored::parse(stored.as_ref());
        Ok(self.ignored.get(user, stored.as_ref(), list))
    }

    /// Whoever holds this is the only one who edits the rules of the user: an edit reads all rules and writes all rules.
    pub async fn editing(&self, user: &UserId) -> KeyedGuard<OwnedUserId> {
        self.editing.lock([user.to_owned()]).await
    }
}

/// The push rules of a user, read anew.
pub fn load(store: &Store, user: &UserId) -> Result<Ruleset> {
    let stored = store.get::<tables::AccountData>((user, GLOBAL, PUSH_RULES))?;
    Ok(parse(user, stored.as_ref()))
}

fn parse(user: &UserId, stored: Option<&AccountDatum>) -> Ruleset {
    stored::read(user, stored.map(|datum| &*datum.content))
}

/// Writes the push rules of a user; sync shows them as the account data they are.
pub async fn save(store: &Store, stream: &Stream, user: &UserId, rules: Ruleset) -> Result<()> {
    let content = stored::write(rules)?;
    account_data::set(store, stream, user, None, PUSH_RULES, content).await?;
    Ok(())
}
