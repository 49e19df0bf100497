//! Commands about a profile and about invitations.

use ruma::{UserId, events::room::member::MembershipState};
use serde_json::Value;

use crate::{
    accounts::profile,
    admin::answer::error_text,
    error::Result as ServerResult,
    rooms::membership::{MembershipUpdate, set_membership},
    services::Services,
};

/// Sets a field: JSON as JSON, anything else as a text.
pub(super) async fn set(
    services: &Services,
    user: &UserId,
    key: &str,
    value: &[String],
) -> Result<String, String> {
    let text = value.join(" ");
    let value = serde_json::from_str(&text).unwrap_or(Value::String(text));
    change(services, user, key, Some(&value))
        .await
        .map_err(error_text)?;
    Ok(format!("Set profile key {key:?} for {user}"))
}

/// Removes a field.
pub(super) async fn clear(services: &Services, user: &UserId, key: &str) -> Result<String, String> {
    change(services, user, key, None)
        .await
        .map_err(error_text)?;
    Ok(format!("Cleared profile key {key:?} for {user}"))
}

async fn change(
    services: &Services,
    user: &UserId,
    key: &str,
    value: Option<&Value>,
) -> ServerResult<()> {
    services.accounts.active_account(user)?;
    {
        let _turn = services.accounts.user_locks.lock(user).await;
        let mut batch = services.store.batch();
        match value {
            Some(value) => profile::set(&services.store, &mut batch, user, key, value)?,
            None => profile::delete(&mut batch, user, key)?,
        }
        services.store.commit(batch).await?;
    }
    services.operations.profile_changed(user, key).await
}

/// Declines every invitation. One that cannot be declined is named, and the others are.
pub(super) async fn reject_invites(
    services: &Services,
    user: &UserId,
    reason: Option<String>,
) -> Result<String, String> {
    let (mut count, mut failed) = (0, Vec::new());
    for (room, member) in services.rooms.memberships(user).map_err(error_text)? {
        if member.membership != MembershipState::Invite {
            continue;
        }
        let leave = MembershipUpdate::new(&services.rooms, user, MembershipState::Leave);
        let mut leave = leave.map_err(error_text)?;
        leave.reason.clone_from(&reason);
        match set_membership(&services.rooms, user, &room, leave).await {
            Ok(()) => count += 1,
            Err(error) => failed.push(format!("\n- {room}: {error}")),
        }
    }
    Ok(format!(
        "Rejected {count} invites of {user}.{}",
        failed.concat()
    ))
}
