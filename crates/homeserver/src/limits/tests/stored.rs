//! Every kind of stored row has an end for one account: a table that is added has to say what bounds it.

use super::*;
use crate::{
    keys::record::BackupVersion,
    limits::{BACKUP_MAX_BYTES, BACKUPS_MAX_BYTES, RATES, ROOM_ACCOUNT_DATA_MAX_BYTES},
    store::tables,
};

/// What bounds the rows of one account in a table.
enum End {
    /// Limits of the table of limits, all together.
    Limits(&'static [&'static str]),
    /// A key of the configuration.
    Key(&'static str),
    /// So many in a time: what people say in rooms is kept, and has no other end.
    Rate(&'static str),
    /// Something else.
    Because(&'static str),
}

use End::{Because, Key, Limits, Rate};

const ENDS: &[(&str, End)] = &[
    ("meta", Because("the server's own")),
    ("changes", Because("one for each row of the others")),
    ("accounts", Because("one")),
    ("erased_users", Because("one")),
    ("profiles", Limits(&["PROFILE_MAX_BYTES"])),
    (
        "devices",
        Limits(&[
            "DEVICES_PER_USER",
            "DEVICE_NAME_MAX_BYTES",
            "DEVICE_ID_MAX_BYTES",
        ]),
    ),
    ("tokens", Limits(&["DEVICES_PER_USER"])),
    ("device_tokens", Limits(&["DEVICES_PER_USER"])),
    ("refresh_tokens", Limits(&["DEVICES_PER_USER"])),
    ("short_tokens", Limits(&["SHORT_TOKENS_PER_USER"])),
    ("registration_tokens", Because("an admin's")),
    (
        "account_data",
        Limits(&[
            "ACCOUNT_DATA_TYPES_MAX",
            "ACCOUNT_DATA_MAX_BYTES",
            "ROOM_ACCOUNT_DATA_MAX_BYTES",
            "RULES_MAX_BYTES",
            "TAGS_PER_ROOM",
            "ROOMS_PER_USER",
        ]),
    ),
    (
        "account_data_changes",
        Limits(&["ACCOUNT_DATA_TYPES_MAX", "ROOMS_PER_USER"]),
    ),
    ("filters", Limits(&["FILTERS_PER_USER", "FILTER_MAX_BYTES"])),
    ("rooms", Rate("Rooms")),
    ("timeline", Rate("Messages")),
    ("events", Rate("Messages")),
    ("state", Rate("Messages")),
    ("current_state", Rate("Messages")),
    ("members", Rate("Invites")),
    ("memberships", Limits(&["ROOMS_PER_USER"])),
    ("forgotten_rooms", Rate("Invites")),
    ("send_ids", Because("they end by themselves")),
    ("relations", Rate("Messages")),
    ("aggregates", Rate("Messages")),
    ("threads", Rate("Messages")),
    ("thread_order", Rate("Messages")),
    ("words", Limits(&["SEARCH_WORDS_PER_EVENT"])),
    ("aliases", Limits(&["ALIASES_PER_ROOM", "ALIAS_MAX_BYTES"])),
    (
        "room_aliases",
        Limits(&["ALIASES_PER_ROOM", "ALIAS_MAX_BYTES"]),
    ),
    ("public_rooms", Because("one for each room")),
    ("delayed_events", Limits(&["DELAYED_EVENTS_PER_USER"])),
    (
        "reports",
        Limits(&["REPORTS_PER_USER", "REPORT_REASON_MAX_BYTES"]),
    ),
    ("reports_by", Limits(&["REPORTS_PER_USER"])),
    (
        "receipts",
        Limits(&["RECEIPT_THREADS_PER_ROOM", "ROOMS_PER_USER"]),
    ),
    (
        "receipt_places",
        Limits(&["RECEIPT_THREADS_PER_ROOM", "ROOMS_PER_USER"]),
    ),
    (
        "presence",
        Because("one, of a status message that has a limit"),
    ),
    (
        "to_device",
        Limits(&[
            "TO_DEVICE_WAITING_MAX",
            "TO_DEVICE_WAITING_MAX_BYTES",
            "DEVICES_PER_USER",
        ]),
    ),
    (
        "device_keys",
        Limits(&["DEVICE_KEYS_MAX_BYTES", "DEVICES_PER_USER"]),
    ),
    (
        "one_time_keys",
        Limits(&[
            "ONE_TIME_KEYS_PER_DEVICE",
            "ONE_TIME_KEY_MAX_BYTES",
            "DEVICES_PER_USER",
        ]),
    ),
    (
        "fallback_keys",
        Limits(&[
            "FALLBACK_ALGORITHMS_PER_DEVICE",
            "ONE_TIME_KEY_MAX_BYTES",
            "DEVICES_PER_USER",
        ]),
    ),
    (
        "cross_signing_keys",
        Limits(&["CROSS_SIGNING_KEY_MAX_BYTES"]),
    ),
    (
        "key_signatures",
        Limits(&["SIGNATURES_PER_KEY", "SIGNED_NAME_MAX_BYTES"]),
    ),
    ("device_list_changes", Rate("Keys")),
    (
        "backup_versions",
        Limits(&[
            "BACKUP_VERSIONS_EVER",
            "BACKUP_VERSIONS_PER_USER",
            "BACKUP_VERSION_MAX_BYTES",
        ]),
    ),
    (
        "backup_keys",
        Limits(&["BACKUPS_MAX_BYTES", "BACKUP_MAX_BYTES", "BACKUP_KEYS_MAX"]),
    ),
    (
        "dehydrated_devices",
        Limits(&["DEHYDRATED_DEVICE_MAX_BYTES"]),
    ),
    (
        "notifications",
        Limits(&["NOTIFICATIONS_PER_ROOM", "ROOMS_PER_USER"]),
    ),
    ("pushers", Limits(&["PUSHERS_PER_USER", "PUSHER_MAX_BYTES"])),
    ("pusher_progress", Limits(&["PUSHERS_PER_USER"])),
    (
        "media",
        Limits(&[
            "FILES_PER_USER",
            "FILE_NAME_MAX_BYTES",
            "CONTENT_TYPE_MAX_BYTES",
        ]),
    ),
    ("pending_media", Key("max_pending_media_uploads")),
    ("thumbnails", Because("a few sizes of each file")),
    ("appservices", Because("an admin's")),
    ("appservice_progress", Because("an admin's")),
];

#[test]
fn every_kind_of_stored_row_has_an_end() {
    let tables: BTreeSet<&str> = tables::ALL.iter().map(|(name, _)| *name).collect();
    let known: BTreeSet<&str> = ENDS.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        known, tables,
        "a table has to say what bounds the rows of one account"
    );
    assert_eq!(known.len(), ENDS.len(), "a table is there twice");
    let limits: BTreeSet<&str> = all().iter().map(|limit| limit.name).collect();
    let document = crate::limits::markdown();
    for (table, end) in ENDS {
        match end {
            Limits(names) => {
                assert!(!names.is_empty(), "{table}");
                for name in *names {
                    assert!(limits.contains(name), "{table}: there is no limit {name}");
                }
            }
            Key(key) => assert!(document.contains(&format!("`{key}`")), "{table}: {key}"),
            Rate(rate) => {
                let known = RATES
                    .iter()
                    .any(|limit| format!("{:?}", limit.rate) == *rate);
                assert!(known, "{table}: there is no rate {rate}");
            }
            Because(why) => assert!(!why.is_empty(), "{table}"),
        }
    }
}

#[tokio::test]
async fn room_account_data_of_one_room_has_an_end() {
    let table = Table::new().await;
    let (alice, room) = table.somebody("alice").await;
    let path = |kind: &str| {
        let user = &alice.user_id;
        format!("/_matrix/client/v3/user/{user}/rooms/{room}/account_data/org.example.{kind}")
    };
    let half = json!({ "text": "x".repeat(ROOM_ACCOUNT_DATA_MAX_BYTES / 2) });
    alice.put(&path("a"), half.clone()).await;
    let before = table.test.server.store.fingerprint();
    let (status, answer) = alice.call(Method::PUT, &path("b"), half).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{answer}");
    assert_eq!(answer["errcode"], "M_TOO_LARGE");
    assert_eq!(table.test.server.store.fingerprint(), before);
    alice.put(&path("a"), json!({ "text": "less" })).await;
}

#[tokio::test]
async fn backups_of_one_user_have_an_end_together() {
    let table = Table::new().await;
    let (alice, _) = table.somebody("alice").await;
    let version = json!({ "algorithm": "m.megolm_backup.v1.curve25519-aes-sha2",
        "auth_data": { "public_key": "abc", "signatures": {} } });
    let old = |bytes: u64| BackupVersion {
        algorithm: serde_json::value::to_raw_value(&version).unwrap(),
        etag: 0,
        count: 0,
        bytes,
        deleted: false,
    };
    let store = &table.test.server.store;
    let full = BACKUPS_MAX_BYTES / BACKUP_MAX_BYTES;
    for number in 1..=full {
        let key = (&*alice.user_id, number);
        store
            .put::<tables::BackupVersions>(key, &old(BACKUP_MAX_BYTES))
            .await
            .unwrap();
    }
    let key = (&*alice.user_id, full + 1);
    store
        .put::<tables::BackupVersions>(key, &old(0))
        .await
        .unwrap();
    let path = format!(
        "/_matrix/client/v3/room_keys/keys/!room:letta.test/some?version={}",
        full + 1
    );
    let body = json!({ "first_message_index": 0, "forwarded_count": 0, "is_verified": false, "session_data": { "ephemeral": "YQ", "ciphertext": "Yg", "mac": "Yw" } });
    let (status, answer) = alice.call(Method::PUT, &path, body.clone()).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{answer}");
    let old = "/_matrix/client/v3/room_keys/version/1";
    alice.ok(Method::DELETE, old, json!({})).await;
    alice.put(&path, body).await;
}
