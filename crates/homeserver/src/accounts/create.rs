//! Making accounts and ending them: what registration, application services and the admin's commands have in common.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#account-registration-and-management>

use ruma::{OwnedUserId, UserId, api::error::ErrorKind};

use super::{
    Accounts, HashFor, arrival,
    credential::ProvenPassword,
    identity, profile,
    record::{Account, ShortToken, ShortTokenUse},
    registration_tokens,
};
use crate::{
    admin, clock,
    error::{Error, Result},
    rooms::{delayed, membership},
    server::Server,
    store::{Batch, tables},
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

/// What becomes of what a user has sent when the account ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// It stays as it is.
    Kept,
    /// Who could not read it before gets redacted copies; what is no event is deleted.
    Erased,
}

/// Erases what the user left behind, in the batch that ends the account.
fn erase(server: &Server, batch: &mut Batch, user: &UserId) -> Result<()> {
    batch.delete_all::<tables::AccountData>((user,))?;
    batch.delete_all::<tables::AccountDataChanges>((user,))?;
    batch.delete_all::<tables::Filters>((user,))?;
    batch.delete_all::<tables::Notifications>((user,))?;
    batch.delete_all::<tables::SendIds>((user,))?;
    let until = server.stream.visible();
    server.rooms.erased.add(batch, user, until)
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
        let changing = self.changing.lock([new.user_id.clone()]).await;
        if self.exists(&new.user_id)? {
            return Err(in_use());
        }
        let person = !new.guest && new.appservice.is_none();
        // Only one is the first, and a registration token is good for so many: whom that does not concern waits for nobody.
        let maybe_first = person && self.is_first_person(server, &new.user_id)?;
        let scarce = new.registration_token.clone().into_iter();
        let scarce = scarce.chain(maybe_first.then(String::new));
        let registering = self.registering.lock(scarce.collect::<Vec<_>>()).await;
        let first = maybe_first && self.is_first_person(server, &new.user_id)?;
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
        drop((registering, changing));
        tracing::info!(user.id = %new.user_id, guest = new.guest, "account made");
        if person {
            arrival::welcome(server, &new.user_id, first).await;
        }
        Ok(())
    }

    /// Whether nobody but application services has an account yet, and this will not be one of theirs.
    fn is_first_person(&self, server: &Server, user: &UserId) -> Result<bool> {
        if admin::is_of_appservice(server, user)? {
            return Ok(false);
        }
        for other in self.people() {
            if !admin::is_of_appservice(server, &other?)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The accounts of people: not of guests, of application services or the server itself, and not deactivated.
    pub fn list(&self) -> Result<Vec<OwnedUserId>> {
        self.people().collect()
    }

    fn people(&self) -> impl Iterator<Item = Result<OwnedUserId>> {
        let rows = self.store.scan::<tables::Accounts>(());
        rows.filter_map(|row| match row {
            Ok(((user,), account)) => {
                let person = !account.guest && account.appservice.is_none();
                let counts = person && !account.deactivated;
                (counts && user.localpart() != identity::SERVER_USER).then_some(Ok(user))
            }
            Err(error) => Some(Err(error.into())),
        })
    }

    /// Gives an account a new password. Its devices stay logged in; whatever else lets somebody in without the new password ends.
    ///
    /// # Errors
    ///
    /// 404 if there is no such account, or it is deactivated; 400 if the password cannot be one; 429 if too many wait for a hash; 403
    /// if `old`, which was shown for it, was changed meanwhile.
    pub async fn set_password(
        &self,
        user: &UserId,
        new: &str,
        by: &HashFor,
        old: Option<&ProvenPassword>,
    ) -> Result<()> {
        let hash = self.hash(new, by).await?;
        let changing = self.changing.lock([user.to_owned()]).await;
        self.still_proven_by(user, old)?;
        let mut account = self.active(user)?;
        account.password = Some(hash);
        let mut batch = self.store.batch();
        self.put(&mut batch, user, &account)?;
        let logs_in = |token: &ShortToken| token.purpose == ShortTokenUse::Login;
        self.end_short_tokens(&mut batch, user, logs_in)?;
        self.store.commit(batch).await?;
        self.sessions.end_all(user);
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
    /// 404 if there is no such account, or it is deactivated; 403 if the password that was shown for it was changed meanwhile.
    pub async fn deactivate(
        &self,
        server: &Server,
        user: &UserId,
        content: Content,
        password: Option<&ProvenPassword>,
    ) -> Result<()> {
        self.end(server, user, content, password).await?;
        membership::leave_all_rooms(server, user).await
    }

    /// Ends an account for ever: its devices, password and profile go, and what waits to be done for it. The name stays taken, and
    /// in its rooms it stays.
    ///
    /// # Errors
    ///
    /// 404 if there is no such account, or it is deactivated; 403 if the password that was shown for it was changed meanwhile.
    pub async fn end(
        &self,
        server: &Server,
        user: &UserId,
        content: Content,
        password: Option<&ProvenPassword>,
    ) -> Result<()> {
        let locked = server.keys.lock([user]).await;
        let changing = self.changing.lock([user.to_owned()]).await;
        self.still_proven_by(user, password)?;
        let mut account = self.active(user)?;
        account.deactivated = true;
        account.password = None;
        let mut batch = self.store.batch();
        self.put(&mut batch, user, &account)?;
        batch.delete_all::<tables::Profiles>((user,))?;
        batch.delete::<tables::Presence>((user,))?;
        batch.delete_all::<tables::Pushers>((user,))?;
        batch.delete_all::<tables::PusherProgress>((user,))?;
        self.end_short_tokens(&mut batch, user, |_| true)?;
        delayed::forget_user(server, &mut batch, user)?;
        server.media.forget_reservations(&mut batch, user)?;
        crate::keys::forget_user(&self.store, &mut batch, user)?;
        if content == Content::Erased {
            erase(server, &mut batch, user)?;
        }
        self.store.commit(batch).await?;
        self.sessions.end_all(user);
        drop((changing, locked));
        self.delete_other_devices(server, user, None).await?;
        server.presence.forget(user)?;
        tracing::info!(user.id = %user, "account deactivated");
        Ok(())
    }
}
