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
    store::{Store, tables},
};

/// Whom `user` ignores. A list that a client wrote in no form that can be read ignores nobody.
pub fn ignored_by(store: &Store, user: &UserId) -> Result<BTreeSet<OwnedUserId>> {
    let kind = GlobalAccountDataEventType::IgnoredUserList.to_string();
    let datum = store.get::<tables::AccountData>((user, "", &*kind))?;
    let content = datum.and_then(|datum| {
        serde_json::from_str::<IgnoredUserListEventContent>(datum.content.get()).ok()
    });
    Ok(content.map_or_else(BTreeSet::new, |content| {
        content.ignored_users.into_keys().collect()
    }))
}
