//! Whom a user does not want to hear of.
//!
//! Both syncs, the history of rooms and notifications leave out what such people say; all of them ask here.
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#ignoring-users>

use std::collections::BTreeSet;

use ruma::{
    OwnedUserId, UserId,
    events::{GlobalAccountDataEventType, ignored_user_list::IgnoredUserListEventContent},
};

use crate::{
    error::Result,
    store::{Store, records::sync::AccountDatum, tables},
};

/// Whom `user` ignores.
pub fn ignored_by(store: &Store, user: &UserId) -> Result<BTreeSet<OwnedUserId>> {
    Ok(parse(stored(store, user)?.as_ref()))
}

/// The list as the user's client stored it.
pub(crate) fn stored(store: &Store, user: &UserId) -> Result<Option<AccountDatum>> {
    let kind = GlobalAccountDataEventType::IgnoredUserList.to_string();
    Ok(store.get::<tables::AccountData>((user, "", &*kind))?)
}

/// Whom a stored list ignores. One that a client wrote in no form that can be read ignores nobody.
pub(crate) fn parse(stored: Option<&AccountDatum>) -> BTreeSet<OwnedUserId> {
    let content = stored.and_then(|datum| {
        serde_json::from_str::<IgnoredUserListEventContent>(datum.content.get()).ok()
    });
    content.map_or_else(BTreeSet::new, |content| {
        content.ignored_users.into_keys().collect()
    })
}
