//! Users of application services that have no account yet: the application service may make one when it is asked.

use futures_util::future::join_all;
use ruma::OwnedUserId;

use super::Accounts;
use crate::{
    appservices::{Appservice, Appservices},
    error::Result,
};

/// Lets the application service whose users these would be make those who have no account yet: they are about to be invited, or
/// looked at. What it answers decides nothing, because it hears of the invite anyway. `caller` knows its own users.
///
/// # Errors
///
/// If the database fails.
pub(crate) async fn query_missing_users(
    accounts: &Accounts,
    appservices: &Appservices,
    caller: Option<&Appservice>,
    users: &[OwnedUserId],
) -> Result<()> {
    let mut unknown = Vec::new();
    for user in users {
        if !accounts.exists(user)? {
            unknown.push(appservices.query_user(user, caller));
        }
    }
    join_all(unknown).await;
    Ok(())
}
