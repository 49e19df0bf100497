//! Making an account: the account itself, its name, the registration token that it is made with, and the rooms it begins in.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#account-registration-and-management>

use ruma::{OwnedUserId, UserId};

use super::Operations;
use crate::{
    accounts::{
        HashRequester, existing::user_in_use_error, identity, profile, record::Account,
        registration_tokens,
    },
    clock,
    error::Result,
    rooms::admin_room,
};

/// An account that is to be made.
#[derive(Clone, Debug)]
pub struct NewAccount {
    /// Its user id, which was checked.
    pub user_id: OwnedUserId,
    /// The hash of its password, if it has one.
    pub hash: Option<String>,
    /// Whether it is a guest's.
    pub guest: bool,
    /// The application service that makes it.
    pub appservice: Option<String>,
    /// The registration token that is used for it.
    pub registration_token: Option<String>,
}

impl Operations {
    /// Makes an account for a person, as an admin does.
    ///
    /// # Errors
    ///
    /// 400 if the name cannot be one or is taken.
    pub async fn create_account(
        &self,
        localpart: &str,
        password: Option<&str>,
    ) -> Result<OwnedUserId> {
        let hash = match password {
            Some(password) => Some(self.accounts.hash(password, &HashRequester::Admin).await?),
            None => None,
        };
        self.create_account_with(localpart, hash).await
    }

    /// The same with the hash of the password.
    pub(crate) async fn create_account_with(
        &self,
        localpart: &str,
        hash: Option<String>,
    ) -> Result<OwnedUserId> {
        let user_id = identity::new_user_id(&self.accounts, localpart)?;
        self.register(NewAccount {
            user_id: user_id.clone(),
            hash,
            guest: false,
            appservice: None,
            registration_token: None,
        })
        .await?;
        Ok(user_id)
    }

    /// Makes an account.
    ///
    /// # Errors
    ///
    /// 400 `M_USER_IN_USE` if there was one, 403 if its registration token is used up or for somebody else.
    pub async fn register(&self, new: NewAccount) -> Result<()> {
        let changing = self.accounts.changing.lock([new.user_id.clone()]).await;
        if self.accounts.exists(&new.user_id)? {
            return Err(user_in_use_error());
        }
        let person = !new.guest && new.appservice.is_none();
        // Only one is the first, and a registration token is good for so many: whom that does not concern waits for nobody.
        let maybe_first = person && self.is_first_user(&new.user_id)?;
        let scarce = new.registration_token.clone().into_iter();
        let scarce = scarce.chain(maybe_first.then(String::new));
        let registering = self
            .accounts
            .registering
            .lock(scarce.collect::<Vec<_>>())
            .await;
        let first = maybe_first && self.is_first_user(&new.user_id)?;
        let account = Account {
            password: new.hash,
            created: clock::now(),
            deactivated: false,
            guest: new.guest,
            appservice: new.appservice,
            locked: false,
            suspended: false,
        };
        let mut batch = self.store.batch();
        self.accounts.put(&mut batch, &new.user_id, &account)?;
        if !new.guest {
            let named = profile::get(&self.store, &new.user_id, profile::DISPLAY_NAME)?;
            let name = self.registration.first_displayname(new.user_id.localpart());
            if named.is_none() {
                let (user, field) = (&*new.user_id, profile::DISPLAY_NAME);
                profile::set(&self.store, &mut batch, user, field, &name.into())?;
            }
        }
        if let Some(token) = &new.registration_token {
            registration_tokens::spend(&self.accounts, &mut batch, token, &new.user_id)?;
        }
        self.store.commit(batch).await?;
        drop((registering, changing));
        tracing::info!(user.id = %new.user_id, guest = new.guest, "account made");
        if person {
            self.join_initial_rooms(&new.user_id, first).await;
        }
        Ok(())
    }

    /// Whether nobody but application services has an account yet, and this will not be one of theirs.
    fn is_first_user(&self, user: &UserId) -> Result<bool> {
        if admin_room::is_of_appservice(&self.rooms, user)? {
            return Ok(false);
        }
        for other in self.accounts.regular_users() {
            if !admin_room::is_of_appservice(&self.rooms, &other?)? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
