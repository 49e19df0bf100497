//! Making accounts and ending them: what registration, application services and the admin's commands have in common.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#account-registration-and-management>

use ruma::{OwnedUserId, UserId, api::error::ErrorKind};

use super::{Accounts, HashFor, arrival, identity, profile, record::Account, registration_tokens};
use crate::{
    clock,
    error::{Error, Result},
    rooms::membership,
    server::Server,
    store::tables,
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

/// 400 `M_USER_IN_USE`.
pub fn in_use() -> Error {
    Error::bad_request(ErrorKind::UserInUse, "This user name is taken")
}

impl Accounts {
    /// Makes an account for a person, as an admin does.
    ///
    /// # Errors
    ///
    /// 400 if the name cannot be one or is taken.
    pub async fn create(
        &self,
        server: &Server,
        localpart: &str,
        password: Option<&str>,
    ) -> Result<OwnedUserId> {
        let hash = match password {
            Some(password) => Some(self.hash(password, &HashFor::Admin).await?),
            None => None,
        };
        self.create_with(server, localpart, hash).await
    }

    /// The same with the hash of the password.
    pub(crate) async fn create_with(
        &self,
        server: &Server,
        localpart: &str,
        hash: Option<String>,
    ) -> Result<OwnedUserId> {
        let user_id = identity::new_user_id(server, localpart)?;
        self.add(
            server,
            NewAccount {
                user_id: user_id.clone(),
                hash,
                guest: false,
                appservice: None,
                registration_token: None,
            },
        )
        .await?;
        Ok(user_id)
    }

    /// Makes an account.
    ///
    /// # Errors
    ///
    /// 400 `M_USER_IN_USE` if there was one, 403 if its registration token is used up.
    pub async fn add(&self, server: &Server, new: NewAccount) -> Result<()> {
        let changing = self.changing.lock().await;
        if self.exists(&new.user_id)? {
            return Err(in_use());
        }
        let person = !new.guest && new.appservice.is_none();
        let first = person && self.list()?.is_empty();
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
        self.put(&mut batch, &new.user_id, &account)?;
        if !new.guest {
            let named = profile::get(&self.store, &new.user_id, profile::DISPLAY_NAME)?;
            let name = server
                .config
                .registration
                .first_displayname(new.user_id.localpart());
            if named.is_none() {
                let (user, field) = (&*new.user_id, profile::DISPLAY_NAME);
                profile::set(&self.store, &mut batch, user, field, &name.into())?;
            }
        }
        if let Some(token) = &new.registration_token {
            registration_tokens::spend(server, &mut batch, token)?;
        }
        self.store.commit(batch).await?;
        drop(changing);
        tracing::info!(user.id = %new.user_id, guest = new.guest, "account made");
        if person {
            arrival::welcome(server, &new.user_id, first).await;
        }
        Ok(())
    }

    /// The accounts of people: not of guests, of application services or the server itself, and not deactivated.
    pub fn list(&self) -> Result<Vec<OwnedUserId>> {
        let mut users = Vec::new();
        for row in self.store.scan::<tables::Accounts>(()) {
            let ((user,), account) = row?;
            let person = !account.guest && account.appservice.is_none();
            if person && !account.deactivated && user.localpart() != identity::SERVER_USER {
                users.push(user);
            }
        }
        Ok(users)
    }

    /// Gives an account a new password. Its devices stay logged in.
    ///
    /// # Errors
    ///
    /// 404 if there is no such account, or it is deactivated; 400 if the password cannot be one; 429 if too many wait for a hash.
    pub async fn set_password(&self, user: &UserId, new: &str, by: &HashFor) -> Result<()> {
        let hash = self.hash(new, by).await?;
        let changing = self.changing.lock().await;
        let mut account = self.active(user)?;
        account.password = Some(hash);
        self.store
            .put::<tables::Accounts>((user,), &account)
            .await?;
        drop(changing);
        Ok(())
    }

    /// Gives somebody a display name, and tells their rooms.
    pub async fn set_display_name(&self, server: &Server, user: &UserId, name: &str) -> Result<()> {
        let mut batch = self.store.batch();
        let value = name.into();
        profile::set(&self.store, &mut batch, user, profile::DISPLAY_NAME, &value)?;
        self.store.commit(batch).await?;
        membership::update_profiles(server, user).await
    }

    /// The account of this user, if it is not deactivated. 404 otherwise.
    pub fn active(&self, user: &UserId) -> Result<Account> {
        self.get(user)?
            .filter(|account| !account.deactivated)
            .ok_or_else(|| Error::not_found("There is no such account"))
    }

    /// Ends an account for ever, as [`Self::end`], and leaves its rooms.
    ///
    /// # Errors
    ///
    /// 404 if there is no such account, or it is deactivated.
    pub async fn deactivate(&self, server: &Server, user: &UserId) -> Result<()> {
        self.end(server, user).await?;
        membership::leave_all_rooms(server, user).await
    }

    /// Ends an account for ever: its devices, password and profile go. The name stays taken, and in its rooms it stays.
    ///
    /// # Errors
    ///
    /// 404 if there is no such account, or it is deactivated.
    pub async fn end(&self, server: &Server, user: &UserId) -> Result<()> {
        let changing = self.changing.lock().await;
        let mut account = self.active(user)?;
        account.deactivated = true;
        account.password = None;
        let mut batch = self.store.batch();
        self.put(&mut batch, user, &account)?;
        batch.delete_all::<tables::Profiles>((user,))?;
        batch.delete_all::<tables::Pushers>((user,))?;
        crate::keys::forget_user(&self.store, &mut batch, user)?;
        self.store.commit(batch).await?;
        drop(changing);
        self.delete_other_devices(server, user, None).await?;
        tracing::info!(user.id = %user, "account deactivated");
        Ok(())
    }
}
