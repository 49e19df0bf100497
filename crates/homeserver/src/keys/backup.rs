//! Key backups: encrypted copies of the keys that decrypt a user's messages, for the user's next device.
//!
//! A backup has versions, of which only the newest takes keys. A key is only replaced by a better one. Whoever writes holds the
//! user's lock, so that the count and the etag are exact.
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#server-side-key-backups>

use http::StatusCode;
use ruma::{
    OwnedRoomId, RoomId, UInt, UserId,
    api::{
        client::backup::{BackupAlgorithm, KeyBackupData},
        error::{ErrorKind, WrongRoomKeysVersionErrorData},
    },
    serde::{JsonObject, Raw},
};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::Keys;
use super::record::BackupVersion;
use crate::{
    error::{Error, Result},
    limits::{
        BACKUP_KEY_MAX_BYTES, BACKUP_KEYS_MAX, BACKUP_MAX_BYTES, BACKUP_SESSION_ID_MAX_BYTES,
        BACKUP_VERSION_MAX_BYTES, BACKUP_VERSIONS_EVER, BACKUP_VERSIONS_PER_USER,
        BACKUPS_MAX_BYTES,
    },
    store::{Batch, Store, tables},
};

/// A key that goes into a backup.
#[derive(Debug)]
pub struct NewKey {
    /// The room whose messages it decrypts.
    pub room: OwnedRoomId,
    /// The session of these messages.
    pub session: String,
    /// The encrypted key, and how good it is.
    pub data: Raw<KeyBackupData>,
}

/// Which keys of a version are meant.
#[derive(Clone, Copy, Debug)]
pub enum KeySelection<'a> {
    /// All.
    All,
    /// Those of a room.
    Room(&'a RoomId),
    /// One.
    Session(&'a RoomId, &'a str),
}

/// The newest version of a user's backup. 404 if there is none.
pub fn latest(store: &Store, user: &UserId) -> Result<(u64, BackupVersion)> {
    for row in store.scan_back::<tables::BackupVersions>((user,)) {
        let ((_, number), version) = row?;
        if !version.deleted {
            return Ok((number, version));
        }
    }
    Err(Error::not_found("There is no key backup"))
}

/// A version by its number. 404 if there is none, or not any more.
pub fn version(store: &Store, user: &UserId, number: &str) -> Result<(u64, BackupVersion)> {
    let unknown = || Error::not_found("There is no such version of the key backup");
    let number: u64 = number.parse().map_err(|_| unknown())?;
    let version = store.get::<tables::BackupVersions>((user, number))?;
    let version = version.filter(|version| !version.deleted);
    Ok((number, version.ok_or_else(unknown)?))
}

/// Begins a new version.
///
/// # Errors
///
/// 400 if the algorithm and its data are not in their form, 413 beyond the limits.
pub async fn create(state: &Keys, user: &UserId, given: &Raw<BackupAlgorithm>) -> Result<u64> {
    let _alone = state.lock([user]).await;
    parsed(given)?;
    let last = state
        .store
        .scan_back::<tables::BackupVersions>((user,))
        .next();
    let number = last.transpose()?.map_or(0, |((_, number), _)| number) + 1;
    if number > BACKUP_VERSIONS_EVER {
        return Err(Error::too_large(format!(
            "A user can make {BACKUP_VERSIONS_EVER} versions of the key backup"
        )));
    }
    let mut there = 0;
    for row in state.store.scan_back::<tables::BackupVersions>((user,)) {
        there += usize::from(!row?.1.deleted);
    }
    if there >= BACKUP_VERSIONS_PER_USER {
        return Err(Error::too_large(format!(
            "Too many key backup versions (max {BACKUP_VERSIONS_PER_USER} per user): delete some first"
        )));
    }
    let version = BackupVersion {
        algorithm: given.json().to_owned(),
        etag: 0,
        count: 0,
        bytes: 0,
        deleted: false,
    };
    let key = (user, number);
    state
        .store
        .put::<tables::BackupVersions>(key, &version)
        .await?;
    Ok(number)
}

fn parsed(given: &Raw<BackupAlgorithm>) -> Result<BackupAlgorithm> {
    if given.json().get().len() > BACKUP_VERSION_MAX_BYTES {
        return Err(Error::too_large(format!(
            "Key backup version too large (max {BACKUP_VERSION_MAX_BYTES} bytes)"
        )));
    }
    given
        .deserialize()
        .map_err(|error| Error::bad_json(error.to_string()))
}

/// Replaces the data of a version's algorithm.
///
/// # Errors
///
/// 400 if it names another algorithm or another version.
pub async fn update(
    state: &Keys,
    user: &UserId,
    number: &str,
    given: &Raw<BackupAlgorithm>,
) -> Result<()> {
    let _alone = state.lock([user]).await;
    let (place, mut stored) = version(&state.store, user, number)?;
    let before: BackupAlgorithm = serde_json::from_str(stored.algorithm.get())?;
    if parsed(given)?.algorithm() != before.algorithm() {
        return Err(Error::invalid("The algorithm of a version never changes"));
    }
    let named: Option<String> = given.get_field("version").ok().flatten();
    if named.is_some_and(|named| named != number) {
        return Err(Error::invalid("The body names another version"));
    }
    given.json().clone_into(&mut stored.algorithm);
    let key = (user, place);
    state
        .store
        .put::<tables::BackupVersions>(key, &stored)
        .await?;
    Ok(())
}

/// Removes a version with all its keys. Its number is never used again.
pub async fn delete(state: &Keys, user: &UserId, number: &str) -> Result<()> {
    let _alone = state.lock([user]).await;
    let (number, mut stored) = version(&state.store, user, number)?;
    let mut batch = state.store.batch();
    batch.delete_all::<tables::BackupKeys>((user, number))?;
    stored = BackupVersion {
        // Nobody asks for it any more.
        algorithm: RawValue::NULL.to_owned(),
        etag: stored.etag,
        count: 0,
        bytes: 0,
        deleted: true,
    };
    batch.put::<tables::BackupVersions>((user, number), &stored)?;
    state.store.commit(batch).await?;
    Ok(())
}

/// Puts keys into the newest version, as far as they are better than those that are there. Gives the version as it is then.
///
/// # Errors
///
/// 403 `M_WRONG_ROOM_KEYS_VERSION` if there is a newer version, 413 beyond the limits.
pub async fn add(
    state: &Keys,
    user: &UserId,
    number: &str,
    keys: Vec<NewKey>,
) -> Result<BackupVersion> {
    let _alone = state.lock([user]).await;
    let (number, mut stored) = newest(&state.store, user, number)?;
    let before = stored.bytes;
    let mut batch = state.store.batch();
    for key in &keys {
        put(&state.store, &mut batch, user, number, key, &mut stored)?;
    }
    if stored.count > BACKUP_KEYS_MAX {
        return Err(Error::too_large(format!(
            "Too many keys in the backup (max {BACKUP_KEYS_MAX})"
        )));
    }
    if stored.bytes > BACKUP_MAX_BYTES.max(before) {
        return Err(Error::too_large(format!(
            "Key backup too large (max {BACKUP_MAX_BYTES} bytes in total)"
        )));
    }
    let others = bytes_of_others(&state.store, user, number)?;
    if stored.bytes > before && others.saturating_add(stored.bytes) > BACKUPS_MAX_BYTES {
        return Err(Error::too_large(format!(
            "All key backups together can have {BACKUPS_MAX_BYTES} bytes: delete old versions first"
        )));
    }
    if batch.is_empty() {
        return Ok(stored);
    }
    changed(state, batch, user, number, stored).await
}

/// The bytes of all keys in the user's other versions.
fn bytes_of_others(store: &Store, user: &UserId, number: u64) -> Result<u64> {
    let mut bytes = 0_u64;
    for row in store.scan::<tables::BackupVersions>((user,)) {
        let ((_, other), version) = row?;
        if other != number && !version.deleted {
            bytes = bytes.saturating_add(version.bytes);
        }
    }
    Ok(bytes)
}

fn newest(store: &Store, user: &UserId, number: &str) -> Result<(u64, BackupVersion)> {
    let (current, stored) = latest(store, user)?;
    if current.to_string() == number {
        return Ok((current, stored));
    }
    version(store, user, number)?;
    let current = WrongRoomKeysVersionErrorData::new(current.to_string());
    Err(Error::refused(
        StatusCode::FORBIDDEN,
        ErrorKind::WrongRoomKeysVersion(current),
        "There is a newer version of the key backup",
    ))
}

fn put(
    store: &Store,
    batch: &mut Batch,
    user: &UserId,
    number: u64,
    key: &NewKey,
    stored: &mut BackupVersion,
) -> Result<()> {
    if key.session.len() > BACKUP_SESSION_ID_MAX_BYTES
        || key.data.json().get().len() > BACKUP_KEY_MAX_BYTES
    {
        return Err(Error::too_large(format!(
            "Backup key or session id too long (max {BACKUP_KEY_MAX_BYTES} and {BACKUP_SESSION_ID_MAX_BYTES} bytes)"
        )));
    }
    let new: KeyQuality = key
        .data
        .deserialize_as_unchecked()
        .map_err(|error| Error::bad_json(error.to_string()))?;
    let place = (user, number, &*key.room, key.session.as_str());
    match store.get::<tables::BackupKeys>(place)? {
        Some(json) => {
            let old: KeyQuality = serde_json::from_str(json.get())?;
            if !is_better(&new, &old) {
                return Ok(());
            }
            stored.bytes = stored.bytes.saturating_sub(size_of_json(&json));
        }
        None => stored.count += 1,
    }
    stored.bytes += size_of_json(key.data.json());
    Ok(batch.put::<tables::BackupKeys>(place, &key.data.json().to_owned())?)
}

/// The size of a stored key, in bytes.
fn size_of_json(json: &RawValue) -> u64 {
    u64::try_from(json.get().len()).unwrap_or(u64::MAX)
}

/// What says how good a key is. What `session_data` has depends on the algorithm of the backup.
#[derive(Deserialize)]
struct KeyQuality {
    first_message_index: UInt,
    forwarded_count: UInt,
    is_verified: bool,
    #[serde(rename = "session_data")]
    _session_data: JsonObject,
}

/// Whether a key replaces another: a verified one does, then one that decrypts more, then one that came a shorter way.
fn is_better(new: &KeyQuality, old: &KeyQuality) -> bool {
    let rank = |key: &KeyQuality| {
        (
            !key.is_verified,
            key.first_message_index,
            key.forwarded_count,
        )
    };
    rank(new) < rank(old)
}

async fn changed(
    state: &Keys,
    mut batch: Batch,
    user: &UserId,
    number: u64,
    mut stored: BackupVersion,
) -> Result<BackupVersion> {
    stored.etag += 1;
    batch.put::<tables::BackupVersions>((user, number), &stored)?;
    state.store.commit(batch).await?;
    Ok(stored)
}

/// The keys of a version.
pub fn keys(
    store: &Store,
    user: &UserId,
    number: u64,
    part: KeySelection<'_>,
) -> Result<Vec<NewKey>> {
    let rows = match part {
        KeySelection::All => store.scan::<tables::BackupKeys>((user, number)),
        KeySelection::Room(room) => store.scan::<tables::BackupKeys>((user, number, room)),
        KeySelection::Session(room, session) => {
            let key = store.get::<tables::BackupKeys>((user, number, room, session))?;
            let key = key.map(|json| NewKey {
                room: room.to_owned(),
                session: session.to_owned(),
                data: Raw::from_json(json),
            });
            return Ok(key.into_iter().collect());
        }
    };
    rows.map(|row| {
        let ((_, _, room, session), json) = row?;
        Ok(NewKey {
            room,
            session,
            data: Raw::from_json(json),
        })
    })
    .collect()
}

/// Removes keys from a version, and gives it as it is then.
pub async fn remove(
    state: &Keys,
    user: &UserId,
    number: &str,
    part: KeySelection<'_>,
) -> Result<BackupVersion> {
    let _alone = state.lock([user]).await;
    let (number, mut stored) = version(&state.store, user, number)?;
    let gone = keys(&state.store, user, number, part)?;
    if gone.is_empty() {
        return Ok(stored);
    }
    let mut batch = state.store.batch();
    for key in &gone {
        batch.delete::<tables::BackupKeys>((user, number, &*key.room, key.session.as_str()))?;
        stored.count = stored.count.saturating_sub(1);
        stored.bytes = stored.bytes.saturating_sub(size_of_json(key.data.json()));
    }
    changed(state, batch, user, number, stored).await
}
