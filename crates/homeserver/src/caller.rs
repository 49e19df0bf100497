//! Who calls, and the few facts of a request that the parts below HTTP ask for.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#using-access-tokens>

use std::{net::IpAddr, sync::Arc};

use bytes::Bytes;
use http::StatusCode;
use ruma::{
    MilliSecondsSinceUnixEpoch, OwnedDeviceId, OwnedUserId, UInt,
    api::error::{ErrorKind, UnknownTokenErrorData},
};
use system::connections::Connection;
use tokio_util::sync::CancellationToken;

use crate::{
    appservices::Appservice,
    error::{Error, Result},
    holder::Holder,
};

/// Who calls.
#[derive(Clone, Debug)]
pub struct Caller {
    /// The user as whom the request acts.
    pub user_id: OwnedUserId,
    /// The device, if one is known: application services act without any.
    pub device_id: Option<OwnedDeviceId>,
    /// The application service that acts.
    pub appservice: Option<Arc<Appservice>>,
    /// Whether it is a guest.
    pub guest: bool,
}

impl Caller {
    /// The device. 403 for application services that act without one.
    pub fn device(&self) -> Result<&OwnedDeviceId> {
        self.device_id.as_ref().ok_or_else(|| {
            Error::forbidden(
                "This needs a device: an application service names one with device_id=",
            )
        })
    }

    /// Whether the caller has to keep to the pace of people. Application services say in their registration whether they do.
    pub fn is_rate_limited(&self) -> bool {
        let appservice = self.appservice.as_ref();
        appservice.is_none_or(|appservice| appservice.registration().is_rate_limited())
    }

    /// Who holds what is given to this caller.
    pub fn holder(&self) -> Holder {
        match &self.appservice {
            Some(appservice) => Holder::Appservice(appservice.id().to_owned()),
            None => Holder::User(self.user_id.clone()),
        }
    }

    /// By what a transaction id of this caller is told from that of another: the device, or the application service.
    pub fn sender_key(&self) -> String {
        match (&self.device_id, &self.appservice) {
            (Some(device), _) => device.to_string(),
            (None, Some(appservice)) => format!("appservice {}", appservice.id()),
            (None, None) => String::new(),
        }
    }
}

/// What is known of a request besides its typed content.
#[derive(Debug)]
pub struct RequestMetadata {
    /// The access token, from the header or the query.
    pub token: Option<String>,
    /// The address of the client, if it is known: behind a trusted proxy the one that the proxy names.
    pub ip: Option<IpAddr>,
    /// The connection, if the request has come over one.
    pub connection: Option<Connection>,
    /// Cancelled when the client disconnects.
    pub disconnected: CancellationToken,
    /// The path as it was asked, without the query.
    pub path: String,
    /// The query as it was asked.
    pub query: String,
    /// The headers.
    pub headers: http::HeaderMap,
    /// The body as it came.
    pub bytes: Bytes,
}

impl RequestMetadata {
    /// Who holds what is given to somebody who is not known.
    pub fn anonymous_holder(&self) -> Holder {
        Holder::anonymous(self.ip)
    }

    /// The first value of this name in the query, decoded.
    pub fn query_value(&self, name: &str) -> Option<String> {
        form_urlencoded::parse(self.query.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    }

    /// Whether the request only logs out, which people who are locked out may do, too.
    pub fn is_logout(&self) -> bool {
        self.path.ends_with("/logout") || self.path.ends_with("/logout/all")
    }

    /// The time that an application service gives an event with `ts=`.
    ///
    /// # Errors
    ///
    /// 400 if it is no time.
    pub fn massaged_time(&self, caller: &Caller) -> Result<Option<MilliSecondsSinceUnixEpoch>> {
        if caller.appservice.is_none() {
            return Ok(None);
        }
        let Some(text) = self.query_value("ts") else {
            return Ok(None);
        };
        let time: UInt = text
            .parse()
            .map_err(|_| Error::bad_json("ts is a number of milliseconds since 1970"))?;
        Ok(Some(MilliSecondsSinceUnixEpoch(time)))
    }
}

/// 401 `M_MISSING_TOKEN`.
pub fn missing_token() -> Error {
    Error::refused(
        StatusCode::UNAUTHORIZED,
        ErrorKind::MissingToken,
        "This needs an access token",
    )
}

/// 401 `M_UNKNOWN_TOKEN`. With `soft_logout` the client keeps what it has and asks for the password again.
pub fn unknown_token(soft_logout: bool) -> Error {
    let mut data = UnknownTokenErrorData::new();
    data.soft_logout = soft_logout;
    Error::refused(
        StatusCode::UNAUTHORIZED,
        ErrorKind::UnknownToken(data),
        "This access token is not valid",
    )
}
