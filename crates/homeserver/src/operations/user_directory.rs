//! Whom somebody can look up: people in the rooms they share, people in public rooms, and whoever they can name exactly.
//!
//! Users of application services are found by those who share a room with them only.
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#user-directory>

use std::collections::BTreeSet;

use ruma::{OwnedMxcUri, OwnedUserId, UserId};

use crate::{
    accounts::{identity, profile},
    error::Result,
    limits::USER_SEARCH_LOOKS_MAX,
    rooms::Rooms,
    store::tables,
};

/// Somebody who was found.
#[derive(Clone, Debug)]
pub struct UserDirectoryEntry {
    /// Who it is.
    pub user_id: OwnedUserId,
    /// Their display name.
    pub display_name: Option<String>,
    /// Their avatar.
    pub avatar_url: Option<OwnedMxcUri>,
}

/// Those whose user id or display name holds `term`, at most `limit` of them, and whether there are more.
pub fn search(
    rooms: &Rooms,
    asker: &UserId,
    term: &str,
    limit: usize,
) -> Result<(Vec<UserDirectoryEntry>, bool)> {
    let term = term.trim().to_lowercase();
    let mut found = Vec::new();
    for user_id in candidates(rooms, asker, &term)? {
        let display_name = profile::display_name(&rooms.store, &user_id)?;
        let in_name = display_name
            .as_ref()
            .is_some_and(|name| name.to_lowercase().contains(&term));
        // "@al" finds "@alice:…", "letta.test" does not find everybody here.
        let in_id = user_id.localpart().to_lowercase().contains(&term)
            || user_id.as_str().to_lowercase().starts_with(&term);
        if !in_name && !in_id {
            continue;
        }
        if found.len() >= limit {
            return Ok((found, true));
        }
        found.push(UserDirectoryEntry {
            avatar_url: profile::avatar_url(&rooms.store, &user_id)?,
            user_id,
            display_name,
        });
    }
    Ok((found, false))
}

fn candidates(rooms: &Rooms, asker: &UserId, term: &str) -> Result<BTreeSet<OwnedUserId>> {
    let mut users = BTreeSet::new();
    if let Ok(named) = identity::parse_local_user(&rooms.accounts, term)
        && rooms.accounts.active_account(&named).is_ok()
    {
        users.insert(named);
    }
    for room in rooms.joined_rooms(asker)? {
        users.extend(rooms.joined_members(&room)?);
        if users.len() >= USER_SEARCH_LOOKS_MAX {
            return Ok(users);
        }
    }
    for key in rooms.store.scan::<tables::PublicRooms>(()).keys() {
        let (_, room) = key?;
        for user in rooms.joined_members(&room)? {
            let account = rooms.accounts.get(&user)?;
            if account.is_some_and(|account| account.appservice.is_none()) {
                users.insert(user);
            }
        }
        if users.len() >= USER_SEARCH_LOOKS_MAX {
            break;
        }
    }
    users.remove(asker);
    Ok(users)
}
