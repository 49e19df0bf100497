//! What people say of themselves: display name, avatar and further fields.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#profiles>

use std::collections::BTreeMap;

use ruma::{OwnedMxcUri, UserId, api::error::ErrorKind};
use serde_json::Value;

use crate::{
    error::{Error, Result},
    limits::{
        AVATAR_URL_MAX_BYTES, DISPLAY_NAME_MAX_CHARS, PROFILE_FIELD_NAME_MAX_BYTES,
        PROFILE_MAX_BYTES,
    },
    store::{Batch, Store, tables},
};

/// The field of the display name.
pub const DISPLAY_NAME: &str = "displayname";
/// The field of the avatar.
pub const AVATAR_URL: &str = "avatar_url";

/// A field of a profile; nothing if the user did not set it.
pub fn get(store: &Store, user: &UserId, field: &str) -> Result<Option<Value>> {
    Ok(store.get::<tables::Profiles>((user, field))?)
}

/// All fields of a profile.
pub fn all(store: &Store, user: &UserId) -> Result<BTreeMap<String, Value>> {
    let rows = store.scan::<tables::Profiles>((user,));
    rows.map(|row| {
        row.map(|((_, field), value)| (field, value))
            .map_err(Error::from)
    })
    .collect()
}

/// The display name.
pub fn display_name(store: &Store, user: &UserId) -> Result<Option<String>> {
    Ok(text(get(store, user, DISPLAY_NAME)?))
}

/// The avatar.
pub fn avatar_url(store: &Store, user: &UserId) -> Result<Option<OwnedMxcUri>> {
    Ok(text(get(store, user, AVATAR_URL)?).map(OwnedMxcUri::from))
}

fn text(value: Option<Value>) -> Option<String> {
    match value {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

/// Writes a field into the batch. An empty avatar is none.
///
/// # Errors
///
/// 400 `M_KEY_TOO_LARGE` or `M_PROFILE_TOO_LARGE`, and `M_INVALID_PARAM` for a display name or avatar that is too long.
pub fn set(
    store: &Store,
    batch: &mut Batch,
    user: &UserId,
    field: &str,
    value: &Value,
) -> Result<()> {
    if field == AVATAR_URL && value.as_str() == Some("") {
        return delete(batch, user, field);
    }
    check(field, value)?;
    let mut profile = all(store, user)?;
    profile.insert(field.to_owned(), value.clone());
    if serde_json::to_vec(&profile)?.len() > PROFILE_MAX_BYTES {
        return Err(Error::bad_request(
            ErrorKind::ProfileTooLarge,
            format!("Profile too large (max {PROFILE_MAX_BYTES} bytes)"),
        ));
    }
    Ok(batch.put::<tables::Profiles>((user, field), value)?)
}

/// Removes a field.
pub fn delete(batch: &mut Batch, user: &UserId, field: &str) -> Result<()> {
    Ok(batch.delete::<tables::Profiles>((user, field))?)
}

fn check(field: &str, value: &Value) -> Result<()> {
    if field.len() > PROFILE_FIELD_NAME_MAX_BYTES {
        return Err(Error::bad_request(
            ErrorKind::KeyTooLarge,
            format!("Profile field name too long (max {PROFILE_FIELD_NAME_MAX_BYTES} bytes)"),
        ));
    }
    match (field, value.as_str()) {
        (DISPLAY_NAME, Some(name)) if name.chars().count() > DISPLAY_NAME_MAX_CHARS => {
            Err(Error::invalid(format!(
                "Display name too long (max {DISPLAY_NAME_MAX_CHARS} characters)"
            )))
        }
        (AVATAR_URL, Some(url)) if url.len() > AVATAR_URL_MAX_BYTES => Err(Error::invalid(
            format!("Avatar URL too long (max {AVATAR_URL_MAX_BYTES} bytes)"),
        )),
        _ => Ok(()),
    }
}
