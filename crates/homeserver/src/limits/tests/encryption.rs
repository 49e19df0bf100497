//! Keys, backups, messages to devices.

use ruma::{OwnedDeviceId, UserId};
use serde_json::{Map, value::RawValue};

use super::*;
use crate::{accounts::record::Device, keys::record::BackupVersion, limits::*, store::tables};

const UPLOAD: &str = "/_matrix/client/v3/keys/upload";

pub(super) async fn probe(table: &mut Table) {
    device_keys(table).await;
    dehydrated(table).await;
    cross_signing(table).await;
    to_device(table).await;
    versions(table).await;
    backup_keys(table).await;
}

fn one_time(ids: impl IntoIterator<Item = String>, key: &Value) -> Value {
    let keys = ids.into_iter().map(|id| (id, key.clone()));
    json!(keys.collect::<Map<String, Value>>())
}

fn device_info(who: &TestUser, bytes: usize) -> Value {
    padded(bytes, |text| {
        json!({
            "user_id": who.user_id, "device_id": who.device_id, "algorithms": [], "keys": {},
            "signatures": {}, "x": text,
        })
    })
}

async fn device_keys(table: &mut Table) {
    let (who, _) = table.somebody("keys").await;
    let upload = |bytes: usize| post(UPLOAD, json!({ "device_keys": device_info(&who, bytes) }));
    table
        .row(
            "DEVICE_KEYS_MAX_BYTES",
            &who,
            upload(DEVICE_KEYS_MAX_BYTES),
            upload(DEVICE_KEYS_MAX_BYTES + 1),
        )
        .await;
    let small = json!({ "key": "Zm9v", "signatures": {} });
    let id = |number: usize| format!("signed_curve25519:{number}");
    let upload = |keys: Value| post(UPLOAD, json!({ "one_time_keys": keys }));
    let sized = |number, bytes| {
        let key = padded(bytes, |text| json!({ "key": text, "signatures": {} }));
        upload(one_time([id(number)], &key))
    };
    table
        .row(
            "ONE_TIME_KEY_MAX_BYTES",
            &who,
            sized(1, ONE_TIME_KEY_MAX_BYTES),
            sized(2, ONE_TIME_KEY_MAX_BYTES + 1),
        )
        .await;
    let named = |bytes: usize| {
        let id = format!("{}{}", "signed_curve25519:", long(bytes - 18));
        upload(one_time([id], &small))
    };
    table
        .row(
            "ONE_TIME_KEY_ID_MAX_BYTES",
            &who,
            named(ONE_TIME_KEY_ID_MAX_BYTES),
            named(ONE_TIME_KEY_ID_MAX_BYTES + 1),
        )
        .await;
    // Two are there.
    table
        .row(
            "ONE_TIME_KEYS_PER_DEVICE",
            &who,
            upload(one_time((3..=ONE_TIME_KEYS_PER_DEVICE).map(id), &small)),
            upload(one_time([id(0)], &small)),
        )
        .await;
    let fallback = |algorithms: std::ops::Range<usize>| {
        let ids = algorithms.map(|number| format!("algorithm{number}:key"));
        post(UPLOAD, json!({ "fallback_keys": one_time(ids, &small) }))
    };
    let max = FALLBACK_ALGORITHMS_PER_DEVICE;
    table
        .row(
            "FALLBACK_ALGORITHMS_PER_DEVICE",
            &who,
            fallback(0..max),
            fallback(max..max + 1),
        )
        .await;
}

async fn dehydrated(table: &mut Table) {
    let (who, _) = table.somebody("dehydrated").await;
    let dehydrated = |bytes: usize, name: &str| {
        let mut keys = device_info(&who, 500);
        keys["device_id"] = json!("DEHYDRATED");
        let data = padded(bytes, |text| json!({ "algorithm": "x", "device": text }));
        let path = "/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device";
        let body = json!({
            "device_id": "DEHYDRATED", "device_data": data, "device_keys": keys,
            "initial_device_display_name": name,
        });
        put(path, body)
    };
    let max = DEHYDRATED_DEVICE_MAX_BYTES;
    let (within, beyond) = (dehydrated(max, ""), dehydrated(max + 1, ""));
    table
        .row("DEHYDRATED_DEVICE_MAX_BYTES", &who, within, beyond)
        .await;
    let max = DEVICE_NAME_MAX_BYTES;
    let within = dehydrated(100, &long(max));
    let beyond = dehydrated(100, &long(max + 1));
    table
        .row("DEVICE_NAME_MAX_BYTES", &who, within, beyond)
        .await;
}

async fn cross_signing(table: &mut Table) {
    let (who, _) = table.somebody("signing").await;
    let upload = |bytes: usize| {
        let key = padded(bytes, |text| {
            json!({
                "user_id": who.user_id, "usage": ["master"], "x": text,
                "keys": { "ed25519:bWFzdGVy": "bWFzdGVy" },
            })
        });
        let path = "/_matrix/client/v3/keys/device_signing/upload";
        post(path, json!({ "master_key": key }))
    };
    table
        .row(
            "CROSS_SIGNING_KEY_MAX_BYTES",
            &who,
            upload(CROSS_SIGNING_KEY_MAX_BYTES),
            upload(CROSS_SIGNING_KEY_MAX_BYTES + 1),
        )
        .await;
}

async fn to_device(table: &mut Table) {
    let (who, _) = table.somebody("sender").await;
    let send = |kind: usize, txn: &str, messages: Value| {
        let path = format!("/_matrix/client/v3/sendToDevice/{}/{txn}", long(kind));
        put(path, json!({ "messages": messages }))
    };
    let me = |content: Value| json!({ (who.user_id.as_str()): { "*": content } });
    let content = |bytes: usize| me(padded(bytes, |text| json!({ "x": text })));
    let max = TO_DEVICE_CONTENT_MAX_BYTES;
    let (within, beyond) = (send(1, "a", content(max)), send(1, "b", content(max + 1)));
    table
        .row("TO_DEVICE_CONTENT_MAX_BYTES", &who, within, beyond)
        .await;
    let max = TO_DEVICE_NAME_MAX_BYTES;
    let (within, beyond) = (
        send(max, "c", me(json!({}))),
        send(max + 1, "d", me(json!({}))),
    );
    table
        .row("TO_DEVICE_NAME_MAX_BYTES", &who, within, beyond)
        .await;
    let (within, beyond) = (
        send(1, &long(max), me(json!({}))),
        send(1, &long(max + 1), me(json!({}))),
    );
    table
        .row("TO_DEVICE_NAME_MAX_BYTES", &who, within, beyond)
        .await;

    let mut batch = table.test.server.store.batch();
    let mut all = Map::new();
    for name in 0..10 {
        let user = UserId::parse(format!("@many{name}:letta.test")).unwrap();
        for number in 0..TO_DEVICE_RECIPIENTS_MAX / 10 {
            let device = OwnedDeviceId::from(format!("D{number}"));
            batch
                .put::<tables::Devices>((&*user, &*device), &Device::default())
                .unwrap();
        }
        all.insert(user.to_string(), json!({ "*": {} }));
    }
    table.test.server.store.commit(batch).await.unwrap();
    let within = send(1, "e", json!(all));
    all.insert(who.user_id.to_string(), json!({ "*": {} }));
    let beyond = send(1, "f", json!(all));
    table
        .row("TO_DEVICE_RECIPIENTS_MAX", &who, within, beyond)
        .await;
}

fn stored(count: u64, bytes: u64, deleted: bool) -> BackupVersion {
    let algorithm = json!({
        "algorithm": "m.megolm_backup.v1.curve25519-aes-sha2",
        "auth_data": { "public_key": "abc", "signatures": {} },
    });
    BackupVersion {
        algorithm: RawValue::from_string(algorithm.to_string()).unwrap(),
        etag: 0,
        count,
        bytes,
        deleted,
    }
}

async fn store(table: &Table, who: &TestUser, rows: Vec<(u64, BackupVersion)>) {
    let mut batch = table.test.server.store.batch();
    for (number, version) in rows {
        let key = (&who.user_id, number);
        batch.put::<tables::BackupVersions>(key, &version).unwrap();
    }
    table.test.server.store.commit(batch).await.unwrap();
}

async fn versions(table: &mut Table) {
    let (who, _) = table.somebody("backup").await;
    let version = |bytes: usize| {
        let version = padded(bytes, |text| {
            json!({
                "algorithm": "m.megolm_backup.v1.curve25519-aes-sha2",
                "auth_data": { "public_key": "abc", "signatures": {}, "x": text },
            })
        });
        post("/_matrix/client/v3/room_keys/version", version)
    };
    table
        .row(
            "BACKUP_VERSION_MAX_BYTES",
            &who,
            version(BACKUP_VERSION_MAX_BYTES),
            version(BACKUP_VERSION_MAX_BYTES + 1),
        )
        .await;
    let there = 2..u64::try_from(BACKUP_VERSIONS_PER_USER).unwrap();
    let rows = there.map(|number| (number, stored(0, 0, false)));
    store(table, &who, rows.collect()).await;
    table
        .row("BACKUP_VERSIONS_PER_USER", &who, version(200), version(200))
        .await;
    let (who, _) = table.somebody("often").await;
    let last = (BACKUP_VERSIONS_EVER - 1, stored(0, 0, true));
    store(table, &who, vec![last]).await;
    table
        .row("BACKUP_VERSIONS_EVER", &who, version(200), version(200))
        .await;
}

async fn backup_keys(table: &mut Table) {
    let (who, room) = table.somebody("sessions").await;
    let key = |session: usize, bytes: usize| {
        let path = format!(
            "/_matrix/client/v3/room_keys/keys/{room}/{}?version=1",
            long(session)
        );
        let key = padded(bytes, |text| {
            json!({
                "first_message_index": 0, "forwarded_count": 0, "is_verified": false,
                "session_data": { "ciphertext": text, "ephemeral": "", "mac": "" },
            })
        });
        put(path, key)
    };
    store(table, &who, vec![(1, stored(0, 0, false))]).await;
    table
        .row(
            "BACKUP_KEY_MAX_BYTES",
            &who,
            key(1, BACKUP_KEY_MAX_BYTES),
            key(2, BACKUP_KEY_MAX_BYTES + 1),
        )
        .await;
    let max = BACKUP_SESSION_ID_MAX_BYTES;
    let (within, beyond) = (key(max, 200), key(max + 1, 200));
    table
        .row("BACKUP_SESSION_ID_MAX_BYTES", &who, within, beyond)
        .await;
    for (name, count, bytes) in [
        ("BACKUP_KEYS_MAX", BACKUP_KEYS_MAX - 1, 0),
        ("BACKUP_MAX_BYTES", 0, BACKUP_MAX_BYTES - 200),
    ] {
        store(table, &who, vec![(1, stored(count, bytes, false))]).await;
        let session = if count > 0 { 10 } else { 20 };
        let (within, beyond) = (key(session, 200), key(session + 1, 200));
        table.row(name, &who, within, beyond).await;
    }
}
