//! From what a client types to a user id of this server.
//!
//! Spec: <https://spec.matrix.org/v1.19/appendices/#user-identifiers>

use ruma::{
    OwnedUserId, UserId,
    api::{client::uiaa::UserIdentifier, error::ErrorKind},
};

use super::Accounts;
use crate::{
    error::{Error, Result},
    limits::USER_ID_MAX_BYTES,
};

/// The localpart of the server's own user, as Tuwunel calls it. Nobody can register it.
pub const SERVER_USER: &str = "conduit";

/// The user of this server with this name or user id, in small letters.
///
/// # Errors
///
/// 403 if it is a user of another server, 400 if it is none.
pub fn parse_local_user(accounts: &Accounts, name: &str) -> Result<OwnedUserId> {
    let own = &accounts.server_name;
    let name = name.trim();
    let id = if name.starts_with('@') {
        name.to_owned()
    } else {
        format!("@{name}:{own}")
    };
    let user = UserId::parse(id)
        .map_err(|_| Error::bad_request(ErrorKind::InvalidUsername, "This is no user id"))?;
    if user.server_name() != own {
        return Err(Error::forbidden("This user is not of this server"));
    }
    if accounts.exists(&user)? {
        // Application services may have made names in capital letters.
        return Ok(user);
    }
    UserId::parse(format!("@{}:{own}", user.localpart().to_lowercase()))
        .map_err(|_| Error::bad_request(ErrorKind::InvalidUsername, "This is no user id"))
}

/// The user whom an identifier names.
///
/// # Errors
///
/// 403 for mail addresses and telephone numbers: this server knows none.
pub fn named_by(accounts: &Accounts, identifier: &UserIdentifier) -> Result<OwnedUserId> {
    match identifier {
        UserIdentifier::Matrix(identifier) => parse_local_user(accounts, &identifier.user),
        _ => Err(Error::forbidden(
            "This server knows people by their user ids only",
        )),
    }
}

/// The user id of a new account with this localpart, which is lowered.
///
/// # Errors
///
/// 400 `M_INVALID_USERNAME` if it has letters that it cannot have, or is too long.
pub fn new_user_id(accounts: &Accounts, localpart: &str) -> Result<OwnedUserId> {
    let own = &accounts.server_name;
    let invalid = || {
        Error::bad_request(
            ErrorKind::InvalidUsername,
            "A user name has letters from a to z, digits, and . _ = - / +",
        )
    };
    let lowered = localpart.to_lowercase();
    // Somebody who gives the whole user id means the name in it.
    let name = lowered
        .strip_prefix('@')
        .and_then(|id| id.strip_suffix(own.as_str()))
        .and_then(|id| id.strip_suffix(':'))
        .unwrap_or(&lowered);
    let fine =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._=-/+".contains(&byte);
    if name.is_empty() || !name.bytes().all(fine) {
        return Err(invalid());
    }
    let id = format!("@{name}:{own}");
    if id.len() > USER_ID_MAX_BYTES {
        return Err(invalid());
    }
    UserId::parse(id).map_err(|_| invalid())
}
