//! What the bridge does to its own users: the bot and the ghosts.

use ruma::{
    OwnedUserId, UserId,
    api::{
        client::{
            account::register::{self, LoginType},
            presence::set_presence,
            profile::{get_profile_field, set_profile_field},
            user_directory::search_users,
        },
        error::ErrorKind,
    },
    presence::PresenceState,
    profile::{ProfileFieldName, ProfileFieldValue},
    uint,
};

use super::client::{Actor, Homeserver, MatrixError};

impl Homeserver {
    /// Makes sure that a user of ours exists ([registering as an application service]).
    ///
    /// Synapse refuses to act as a user that is not registered.
    ///
    /// [registering as an application service]: https://spec.matrix.org/v1.16/application-service-api/#server-admin-style-permissions
    pub async fn register(&self, user: &UserId) -> Result<(), MatrixError> {
        let mut request = register::v3::Request::new();
        request.username = Some(user.localpart().to_owned());
        request.login_type = Some(LoginType::ApplicationService);
        request.inhibit_login = true;
        match self.call(Actor::Bot, request).await {
            Ok(_) => Ok(()),
            Err(error) if matches!(error.kind(), Some(ErrorKind::UserInUse)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Gives a user of ours its display name.
    pub async fn set_display_name(
        &self,
        actor: Actor<'_>,
        user: &UserId,
        name: &str,
    ) -> Result<(), MatrixError> {
        let value = ProfileFieldValue::DisplayName(name.to_owned());
        self.call(
            actor,
            set_profile_field::v3::Request::new(user.to_owned(), value),
        )
        .await?;
        Ok(())
    }

    /// The display name of a user; `None` if there is none.
    pub async fn display_name(&self, user: &UserId) -> Result<Option<String>, MatrixError> {
        let field = ProfileFieldName::DisplayName;
        let request = get_profile_field::v3::Request::new(user.to_owned(), field);
        match self.call(Actor::Bot, request).await {
            Ok(answer) => Ok(answer.value.and_then(|value| match value {
                ProfileFieldValue::DisplayName(name) => Some(name),
                _ => None,
            })),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Users that the homeserver's directory finds for the bot, with their display names.
    pub async fn find_users(
        &self,
        term: &str,
    ) -> Result<Vec<(OwnedUserId, Option<String>)>, MatrixError> {
        let mut request = search_users::v3::Request::new(term.to_owned());
        request.limit = uint!(50);
        let answer = self.call(Actor::Bot, request).await?;
        let found = answer.results.into_iter();
        Ok(found
            .map(|user| (user.user_id, user.display_name))
            .collect())
    }

    /// Shows a ghost as online. Tried once: nothing depends on it.
    pub async fn set_online(&self, ghost: &UserId) -> Result<(), MatrixError> {
        let request = set_presence::v3::Request::new(ghost.to_owned(), PresenceState::Online);
        self.call_once(Actor::Ghost(ghost), request).await?;
        Ok(())
    }
}
