//! The keys in a key backup: all, those of a room, or one; three ways to write, to read and to remove them.
//!
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#server-side-key-backups>

use std::collections::BTreeMap;

use ruma::{
    OwnedRoomId, UInt,
    api::client::backup::{
        KeyBackupData, RoomKeyBackup, add_backup_keys, add_backup_keys_for_room,
        add_backup_keys_for_session, delete_backup_keys, delete_backup_keys_for_room,
        delete_backup_keys_for_session, get_backup_keys, get_backup_keys_for_room,
        get_backup_keys_for_session,
    },
    serde::Raw,
};

use crate::{
    caller::Caller,
    error::{Error, Result},
    http::{Call, Routes},
    keys::{
        backup::{self, KeySelection, NewKey},
        record::BackupVersion,
    },
    services::{AppState, Services},
};

pub(super) fn routes(routes: Routes) -> Routes {
    routes
        .add(add_all)
        .add(add_room)
        .add(add_session)
        .add(get_all)
        .add(get_room)
        .add(get_session)
        .add(delete_all)
        .add(delete_room)
        .add(delete_session)
}

/// What every change answers: the new etag and the number of keys.
fn outcome(version: &BackupVersion) -> (String, UInt) {
    (
        version.etag.to_string(),
        UInt::new_saturating(version.count),
    )
}

async fn add_all(
    services: AppState,
    call: Call<add_backup_keys::v3::Request>,
) -> Result<add_backup_keys::v3::Response> {
    let rooms = call.body.rooms.into_iter();
    let keys = rooms.flat_map(|(room, backup)| in_room(&room, backup.sessions));
    let user = &call.caller.user_id;
    let version = backup::add(&services.keys, user, &call.body.version, keys.collect()).await?;
    let (etag, count) = outcome(&version);
    Ok(add_backup_keys::v3::Response::new(etag, count))
}

fn in_room(room: &OwnedRoomId, sessions: BTreeMap<String, Raw<KeyBackupData>>) -> Vec<NewKey> {
    let keys = sessions.into_iter().map(|(session, data)| NewKey {
        room: room.clone(),
        session,
        data,
    });
    keys.collect()
}

async fn add_room(
    services: AppState,
    call: Call<add_backup_keys_for_room::v3::Request>,
) -> Result<add_backup_keys_for_room::v3::Response> {
    let (user, body) = (&call.caller.user_id, call.body);
    let keys = in_room(&body.room_id, body.sessions);
    let version = backup::add(&services.keys, user, &body.version, keys).await?;
    let (etag, count) = outcome(&version);
    Ok(add_backup_keys_for_room::v3::Response::new(etag, count))
}

async fn add_session(
    services: AppState,
    call: Call<add_backup_keys_for_session::v3::Request>,
) -> Result<add_backup_keys_for_session::v3::Response> {
    let (user, body) = (&call.caller.user_id, call.body);
    let key = NewKey {
        room: body.room_id,
        session: body.session_id,
        data: body.session_data,
    };
    let version = backup::add(&services.keys, user, &body.version, vec![key]).await?;
    let (etag, count) = outcome(&version);
    Ok(add_backup_keys_for_session::v3::Response::new(etag, count))
}

fn read(
    services: &Services,
    caller: &Caller,
    version: &str,
    part: KeySelection<'_>,
) -> Result<Vec<NewKey>> {
    let (number, _) = backup::version(&services.store, &caller.user_id, version)?;
    backup::keys(&services.store, &caller.user_id, number, part)
}

async fn get_all(
    services: AppState,
    call: Call<get_backup_keys::v3::Request>,
) -> Result<get_backup_keys::v3::Response> {
    let keys = read(
        &services,
        &call.caller,
        &call.body.version,
        KeySelection::All,
    )?;
    let mut rooms: BTreeMap<OwnedRoomId, RoomKeyBackup> = BTreeMap::new();
    for key in keys {
        let room = rooms
            .entry(key.room)
            .or_insert_with(|| RoomKeyBackup::new(BTreeMap::new()));
        room.sessions.insert(key.session, key.data);
    }
    Ok(get_backup_keys::v3::Response::new(rooms))
}

async fn get_room(
    services: AppState,
    call: Call<get_backup_keys_for_room::v3::Request>,
) -> Result<get_backup_keys_for_room::v3::Response> {
    let part = KeySelection::Room(&call.body.room_id);
    let keys = read(&services, &call.caller, &call.body.version, part)?;
    let sessions = keys.into_iter().map(|key| (key.session, key.data));
    Ok(get_backup_keys_for_room::v3::Response::new(
        sessions.collect(),
    ))
}

async fn get_session(
    services: AppState,
    call: Call<get_backup_keys_for_session::v3::Request>,
) -> Result<get_backup_keys_for_session::v3::Response> {
    let part = KeySelection::Session(&call.body.room_id, &call.body.session_id);
    let mut keys = read(&services, &call.caller, &call.body.version, part)?;
    let key = keys
        .pop()
        .ok_or_else(|| Error::not_found("There is no such key in the backup"))?;
    Ok(get_backup_keys_for_session::v3::Response::new(key.data))
}

async fn delete_all(
    services: AppState,
    call: Call<delete_backup_keys::v3::Request>,
) -> Result<delete_backup_keys::v3::Response> {
    let (user, version) = (&call.caller.user_id, &call.body.version);
    let (etag, count) =
        outcome(&backup::remove(&services.keys, user, version, KeySelection::All).await?);
    Ok(delete_backup_keys::v3::Response::new(etag, count))
}

async fn delete_room(
    services: AppState,
    call: Call<delete_backup_keys_for_room::v3::Request>,
) -> Result<delete_backup_keys_for_room::v3::Response> {
    let (user, version) = (&call.caller.user_id, &call.body.version);
    let part = KeySelection::Room(&call.body.room_id);
    let (etag, count) = outcome(&backup::remove(&services.keys, user, version, part).await?);
    Ok(delete_backup_keys_for_room::v3::Response::new(etag, count))
}

async fn delete_session(
    services: AppState,
    call: Call<delete_backup_keys_for_session::v3::Request>,
) -> Result<delete_backup_keys_for_session::v3::Response> {
    let (user, version) = (&call.caller.user_id, &call.body.version);
    let part = KeySelection::Session(&call.body.room_id, &call.body.session_id);
    let (etag, count) = outcome(&backup::remove(&services.keys, user, version, part).await?);
    Ok(delete_backup_keys_for_session::v3::Response::new(
        etag, count,
    ))
}
