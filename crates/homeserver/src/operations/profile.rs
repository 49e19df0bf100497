//! Changing a profile: the account has it, and the member events of its rooms say it.

use ruma::UserId;

use super::Operations;
use crate::{accounts::profile, error::Result, rooms::membership};

impl Operations {
    /// Gives somebody a display name, and tells their rooms.
    pub async fn set_display_name(&self, user: &UserId, name: &str) -> Result<()> {
        let mut batch = self.store.batch();
        let value = name.into();
        profile::set(&self.store, &mut batch, user, profile::DISPLAY_NAME, &value)?;
        self.store.commit(batch).await?;
        membership::update_profiles(&self.rooms, user).await
    }

    /// Tells the rooms of somebody that this field of the profile has changed, if member events have it.
    ///
    /// # Errors
    ///
    /// If the database fails.
    pub async fn profile_changed(&self, user: &UserId, field: &str) -> Result<()> {
        if field == profile::DISPLAY_NAME || field == profile::AVATAR_URL {
            membership::update_profiles(&self.rooms, user).await?;
        }
        Ok(())
    }
}
