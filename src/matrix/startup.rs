//! The checks before the bridge begins: does the homeserver know us, and can it reach us?
//!
//! Each failure is worded as bridges word it, because that is what people search for, and says
//! what to fix.

use std::time::Duration;

use ruma::{
    OwnedTransactionId, OwnedUserId, UserId,
    api::{
        client::{account::whoami, appservice::request_ping, discovery::get_supported_versions},
        error::ErrorKind,
    },
};

use super::client::{Actor, Homeserver, MatrixError};

/// Why the bridge cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum StartupError {
    /// There is no homeserver at the address, or it is not a homeserver.
    #[error(
        "the homeserver does not answer at {address}/_matrix/client/versions. \
         Is `homeserver.address` right, and is the homeserver running?"
    )]
    NoHomeserver {
        /// Where it was looked for.
        address: String,
        /// What came instead.
        #[source]
        source: MatrixError,
    },
    /// `M_UNKNOWN_TOKEN`.
    #[error(
        "The as_token was not accepted. Is the registration file installed in your homeserver \
         correctly? Restart the homeserver after installing it."
    )]
    TokenRefused,
    /// `M_EXCLUSIVE`.
    #[error(
        "The as_token was accepted, but the /register request was not. Are the homeserver domain, \
         bot username and username template in the config matching with the registration?"
    )]
    RegistrationDiffers,
    /// The homeserver thinks that we are somebody else.
    #[error(
        "The as_token belongs to {found}, but the config says {expected}. Are the homeserver \
         domain and the bot username in the config matching with the registration?"
    )]
    WrongUser {
        /// Whom the homeserver takes us for.
        found: OwnedUserId,
        /// Whom the config names.
        expected: OwnedUserId,
    },
    /// The homeserver cannot reach the bridge.
    #[error(
        "The homeserver -> bridge connection is not working ({code}). Is `url` in the registration file \
         (`appservice.address` in the config) where the homeserver can connect to, and do both \
         have the same hs_token?"
    )]
    NotReachable {
        /// What the homeserver says of it.
        code: String,
    },
    /// The homeserver has the token in the registration of another application service.
    #[error(
        "The as_token was accepted, but not for the application service `{id}`. Is \
         `appservice.id` in the config the `id` in the registration file?"
    )]
    OtherService {
        /// The id in the config.
        id: String,
    },
    /// Anything else that the homeserver refused.
    #[error("the homeserver did not do {what}")]
    Other {
        /// What was asked.
        what: &'static str,
        /// Its answer.
        #[source]
        source: MatrixError,
    },
}

impl StartupError {
    /// Whether trying again later may help: the homeserver is not there yet.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::NoHomeserver { source, .. } | Self::Other { source, .. } => source.is_transient(),
            _ => false,
        }
    }
}

impl Homeserver {
    /// Asks what the homeserver supports, and remembers it.
    pub async fn check_versions(&self) -> Result<(), StartupError> {
        let request = get_supported_versions::Request::new();
        match self.call_unversioned(request).await {
            Ok(versions) => {
                self.set_supported(versions.as_supported_versions());
                Ok(())
            }
            Err(source) => Err(StartupError::NoHomeserver {
                address: self.address().to_owned(),
                source,
            }),
        }
    }

    /// Makes sure that the bot exists and that the homeserver takes us for it.
    pub async fn ensure_bot_registered(&self, bot: &UserId) -> Result<(), StartupError> {
        match self.register(bot).await {
            Ok(()) => {}
            Err(error) => match error.kind() {
                Some(ErrorKind::UnknownToken(_) | ErrorKind::MissingToken) => {
                    return Err(StartupError::TokenRefused);
                }
                Some(ErrorKind::Exclusive) => return Err(StartupError::RegistrationDiffers),
                _ => {
                    return Err(StartupError::Other {
                        what: "register the bot",
                        source: error,
                    });
                }
            },
        }
        let who = self
            .call(Actor::Bot, whoami::v3::Request::new())
            .await
            .map_err(|source| StartupError::Other {
                what: "say who we are",
                source,
            })?;
        if who.user_id == bot {
            Ok(())
        } else {
            Err(StartupError::WrongUser {
                found: who.user_id,
                expected: bot.to_owned(),
            })
        }
    }

    /// Asks the homeserver to call us. Answers how long that took, or `None` if this homeserver
    /// cannot ping ([Matrix 1.7](https://spec.matrix.org/v1.16/application-service-api/#pinging)).
    ///
    /// It also wakes a homeserver that waits before it tries our transactions again.
    pub async fn check_ping(
        &self,
        appservice_id: &str,
        transaction: &str,
    ) -> Result<Option<Duration>, StartupError> {
        let mut request = request_ping::v1::Request::new(appservice_id.to_owned());
        request.transaction_id = Some(OwnedTransactionId::from(transaction));
        match self.call_once(Actor::Bot, request).await {
            Ok(answer) => Ok(Some(answer.duration)),
            Err(MatrixError::Request(_)) => Ok(None),
            Err(error) => match error.kind() {
                Some(ErrorKind::Unrecognized) => Ok(None),
                Some(ErrorKind::UnknownToken(_) | ErrorKind::MissingToken) => {
                    Err(StartupError::TokenRefused)
                }
                Some(ErrorKind::Forbidden) => Err(StartupError::OtherService {
                    id: appservice_id.to_owned(),
                }),
                Some(kind) => Err(StartupError::NotReachable {
                    code: kind.errcode().to_string(),
                }),
                None => Err(StartupError::Other {
                    what: "ping the bridge",
                    source: error,
                }),
            },
        }
    }
}
