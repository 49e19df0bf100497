//! Who calls: what each authentication scheme of ruma's metadata gives a handler.
//!
//! A handler of an endpoint that needs a token gets a [`Caller`]; one that does not need it gets an `Option<Caller>` or `()`.
//! There is nothing to unwrap. Spec: <https://spec.matrix.org/v1.19/client-server-api/#using-access-tokens>,
//! <https://spec.matrix.org/v1.19/application-service-api/#identity-assertion>

use std::sync::Arc;

use http::StatusCode;
use ruma::{
    OwnedDeviceId, OwnedUserId, UserId,
    api::{
        auth_scheme::{
            AccessToken, AccessTokenOptional, AppserviceToken, AppserviceTokenOptional,
            NoAccessToken, NoAuthentication,
        },
        error::ErrorKind,
    },
};

use crate::{
    accounts::Accounts,
    appservices::{Appservice, Appservices},
    caller::{Caller, RequestMetadata, missing_token},
    error::{Error, Result},
    holder::Holder,
};

/// What an authentication scheme identifies.
pub trait IdentifyCaller {
    /// What the handler gets.
    type By: std::fmt::Debug + Send + 'static;

    /// Whether a token makes a difference.
    const TAKES_TOKEN: bool;

    /// The user who calls, if one is known.
    fn user(by: &Self::By) -> Option<&UserId>;

    /// Finds out who calls.
    fn identify(
        accounts: &Accounts,
        appservices: &Appservices,
        facts: &RequestMetadata,
    ) -> impl Future<Output = Result<Self::By>> + Send;

    /// The user as whom the request acts, where there is one.
    fn caller(_: &Self::By) -> Option<&Caller> {
        None
    }

    /// Who holds what is given to the caller: its address if it is not known.
    fn holder(by: &Self::By, facts: &RequestMetadata) -> Holder;
}

impl IdentifyCaller for NoAuthentication {
    type By = ();
    const TAKES_TOKEN: bool = false;

    fn user((): &()) -> Option<&UserId> {
        None
    }

    async fn identify(_: &Accounts, _: &Appservices, _: &RequestMetadata) -> Result<()> {
        Ok(())
    }

    fn holder((): &(), facts: &RequestMetadata) -> Holder {
        facts.anonymous_holder()
    }
}

impl IdentifyCaller for NoAccessToken {
    type By = ();
    const TAKES_TOKEN: bool = false;

    fn user((): &()) -> Option<&UserId> {
        None
    }

    async fn identify(_: &Accounts, _: &Appservices, _: &RequestMetadata) -> Result<()> {
        Ok(())
    }

    fn holder((): &(), facts: &RequestMetadata) -> Holder {
        facts.anonymous_holder()
    }
}

impl IdentifyCaller for AccessToken {
    type By = Caller;
    const TAKES_TOKEN: bool = true;

    fn user(caller: &Caller) -> Option<&UserId> {
        Some(&caller.user_id)
    }

    async fn identify(
        accounts: &Accounts,
        appservices: &Appservices,
        facts: &RequestMetadata,
    ) -> Result<Caller> {
        let token = facts.token.as_deref().ok_or_else(missing_token)?;
        if let Some(appservice) = appservices.by_token(token) {
            return as_appservice(accounts, appservice, facts);
        }
        accounts.caller(appservices, token, facts).await
    }

    fn caller(by: &Caller) -> Option<&Caller> {
        Some(by)
    }

    fn holder(by: &Caller, _: &RequestMetadata) -> Holder {
        by.holder()
    }
}

impl IdentifyCaller for AccessTokenOptional {
    type By = Option<Caller>;
    const TAKES_TOKEN: bool = true;

    fn user(caller: &Option<Caller>) -> Option<&UserId> {
        caller.as_ref().map(|caller| &*caller.user_id)
    }

    async fn identify(
        accounts: &Accounts,
        appservices: &Appservices,
        facts: &RequestMetadata,
    ) -> Result<Option<Caller>> {
        match facts.token {
            Some(_) => AccessToken::identify(accounts, appservices, facts)
                .await
                .map(Some),
            None => Ok(None),
        }
    }

    fn caller(by: &Option<Caller>) -> Option<&Caller> {
        by.as_ref()
    }

    fn holder(by: &Option<Caller>, facts: &RequestMetadata) -> Holder {
        by.as_ref()
            .map_or_else(|| facts.anonymous_holder(), Caller::holder)
    }
}

impl IdentifyCaller for AppserviceToken {
    type By = Arc<Appservice>;
    const TAKES_TOKEN: bool = true;

    fn user(_: &Arc<Appservice>) -> Option<&UserId> {
        None
    }

    async fn identify(
        _: &Accounts,
        appservices: &Appservices,
        facts: &RequestMetadata,
    ) -> Result<Arc<Appservice>> {
        let token = facts.token.as_deref().ok_or_else(missing_token)?;
        appservices.by_token(token).ok_or_else(|| {
            Error::refused(
                StatusCode::UNAUTHORIZED,
                ErrorKind::Unauthorized,
                "Only application services may do this",
            )
        })
    }

    fn holder(by: &Arc<Appservice>, _: &RequestMetadata) -> Holder {
        Holder::Appservice(by.id().to_owned())
    }
}

impl IdentifyCaller for AppserviceTokenOptional {
    type By = Option<Arc<Appservice>>;
    const TAKES_TOKEN: bool = true;

    fn user(_: &Option<Arc<Appservice>>) -> Option<&UserId> {
        None
    }

    async fn identify(
        _: &Accounts,
        appservices: &Appservices,
        facts: &RequestMetadata,
    ) -> Result<Option<Arc<Appservice>>> {
        Ok(facts
            .token
            .as_deref()
            .and_then(|token| appservices.by_token(token)))
    }

    fn holder(by: &Option<Arc<Appservice>>, facts: &RequestMetadata) -> Holder {
        match by {
            Some(appservice) => Holder::Appservice(appservice.id().to_owned()),
            None => facts.anonymous_holder(),
        }
    }
}

/// An application service acts as the user that it names, or as its own.
fn as_appservice(
    accounts: &Accounts,
    appservice: Arc<Appservice>,
    facts: &RequestMetadata,
) -> Result<Caller> {
    let user_id = match facts.query_value("user_id") {
        None => appservice.sender(&accounts.server_name)?,
        Some(name) => {
            let user = OwnedUserId::try_from(name).map_err(|_| {
                Error::bad_request(ErrorKind::InvalidUsername, "user_id is not a user id")
            })?;
            let own = appservice.sender(&accounts.server_name)? == user;
            if !own && !appservice.may_act_as(&user, &accounts.server_name) {
                // As the specification and Synapse have it. Tuwunel says the same words with 400 `M_EXCLUSIVE`.
                return Err(Error::forbidden("User is not in namespace."));
            }
            user
        }
    };
    let named = facts
        .query_value("device_id")
        .or_else(|| facts.query_value("org.matrix.msc3202.device_id"));
    let device_id = named.map(OwnedDeviceId::from);
    if let Some(device) = &device_id
        && !accounts.has_device(&user_id, device)?
    {
        return Err(Error::bad_request(
            ErrorKind::UnknownDevice,
            "Unknown device for user.",
        ));
    }
    Ok(Caller {
        user_id,
        device_id,
        appservice: Some(appservice),
        guest: false,
    })
}
