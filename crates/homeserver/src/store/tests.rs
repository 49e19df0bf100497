//! Keys keep their order, prefixes are whole parts, foreign databases are refused.

use proptest::prelude::*;
use ruma::{MilliSecondsSinceUnixEpoch, UInt, owned_room_id, room_id, server_name, user_id};
use tempfile::TempDir;

use super::{
    Exists, Store, StoreError,
    key::{Key, KeyFor, PrefixOf},
    tables,
};
use crate::{clock, rooms::record::SendResult, stream::Position};

fn store() -> (Store, TempDir) {
    let directory = TempDir::new().unwrap();
    (
        Store::open(
            &directory.path().join("database"),
            server_name!("letta.test"),
        )
        .unwrap(),
        directory,
    )
}

#[tokio::test]
async fn a_scan_finds_what_begins_with_whole_parts_in_order() {
    let (store, _directory) = store();
    let (one, longer) = (room_id!("!a:x"), room_id!("!a:xy"));
    let mut batch = store.batch();
    for position in [300_u64, 2, 1] {
        batch
            .put::<tables::Words>((one, "word", Position(position)), &Exists {})
            .unwrap();
    }
    batch
        .put::<tables::Words>((one, "words", Position(7)), &Exists {})
        .unwrap();
    batch
        .put::<tables::Words>((longer, "word", Position(9)), &Exists {})
        .unwrap();
    store.commit(batch).await.unwrap();

    let positions = |scan: super::Scan<'_, tables::Words>| -> Vec<u64> {
        scan.map(|row| row.unwrap().0.2.0).collect()
    };
    assert_eq!(
        positions(store.scan::<tables::Words>((one, "word"))),
        [1, 2, 300]
    );
    assert_eq!(
        positions(store.scan_back::<tables::Words>((one, "word"))),
        [300, 2, 1]
    );
    assert_eq!(
        positions(store.scan_from::<tables::Words>((one, "word"), (one, "word", Position(2)))),
        [2, 300]
    );
    assert_eq!(
        positions(
            store.scan_back_from::<tables::Words>((one, "word"), (one, "word", Position(299)))
        ),
        [2, 1]
    );
    assert_eq!(store.scan::<tables::Words>((one,)).count(), 4);
    assert_eq!(store.scan::<tables::Words>(()).count(), 5);

    let mut batch = store.batch();
    batch.delete_all::<tables::Words>((one, "word")).unwrap();
    store.commit(batch).await.unwrap();
    assert_eq!(store.scan::<tables::Words>(()).count(), 2);
}

#[test]
fn a_database_belongs_to_one_server_name() {
    let directory = TempDir::new().unwrap();
    drop(Store::open(directory.path(), server_name!("letta.test")).unwrap());
    drop(Store::open(directory.path(), server_name!("letta.test")).unwrap());
    let refused = Store::open(directory.path(), server_name!("other.test")).unwrap_err();
    assert!(
        matches!(&refused, StoreError::Foreign(why) if why.contains("letta.test")),
        "{refused}"
    );
}

#[test]
fn the_database_of_another_program_is_not_touched() {
    let directory = TempDir::new().unwrap();
    let mut options = rocksdb::Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    drop(rocksdb::DB::open_cf(&options, directory.path(), ["pduid_pdu", "global"]).unwrap());
    let refused = Store::open(directory.path(), server_name!("letta.test")).unwrap_err();
    assert!(refused.to_string().contains("Tuwunel"), "{refused}");
    let tables = rocksdb::DB::list_cf(&options, directory.path()).unwrap();
    assert_eq!(tables.len(), 3, "{tables:?}");
}

#[tokio::test]
async fn what_a_request_made_is_forgotten_after_a_month() {
    let (store, _directory) = store();
    let key = |id: &'static str| (user_id!("@a:letta.test"), "DEVICE", "send", id);
    let mut batch = store.batch();
    let days_ago = |days: u64| SendResult {
        id: Some("$event".to_owned()),
        time: MilliSecondsSinceUnixEpoch(
            clock::now().get() - UInt::new(days * 24 * 60 * 60 * 1000).unwrap(),
        ),
    };
    for (id, days) in [("old", 31), ("young", 29)] {
        batch
            .put::<tables::SendIds>(key(id), &days_ago(days))
            .unwrap();
    }
    store.commit(batch).await.unwrap();
    store.flush().await.unwrap();
    let family = store.family::<tables::SendIds>().unwrap();
    store
        .engine()
        .compact_range_cf(family, None::<&[u8]>, None::<&[u8]>);
    assert!(!store.contains::<tables::SendIds>(key("old")).unwrap());
    assert!(store.contains::<tables::SendIds>(key("young")).unwrap());
}

#[test]
fn a_newer_format_is_refused() {
    let (store, directory) = store();
    let mut batch = store.batch();
    batch
        .put::<tables::Meta>(("format version",), &99.into())
        .unwrap();
    store.commit_blocking(batch).unwrap();
    drop(store);
    let refused = Store::open(
        &directory.path().join("database"),
        server_name!("letta.test"),
    )
    .unwrap_err();
    assert!(refused.to_string().contains("format 99"), "{refused}");
}

proptest! {
    #[test]
    fn keys_are_read_as_they_were_written(text in ".{0,40}", other in ".{0,40}", number: u64) {
        let user = user_id!("@a:b");
        let key = KeyFor::<(ruma::OwnedUserId, String, String, Position)>::encode(
            &(user, text.as_str(), other.as_str(), Position(number)),
        );
        let read = <(ruma::OwnedUserId, String, String, Position)>::decode(&key).unwrap();
        prop_assert_eq!(&read, &(user.to_owned(), text.clone(), other.clone(), Position(number)));
        let prefix = PrefixOf::<(ruma::OwnedUserId, String, String, Position)>::encode(&(user, text.as_str()));
        prop_assert!(key.starts_with(&prefix));
        // Another text is never mistaken for the beginning of this one.
        let longer = format!("{text}x");
        let wrong = PrefixOf::<(ruma::OwnedUserId, String, String, Position)>::encode(&(user, longer.as_str()));
        prop_assert!(!key.starts_with(&wrong));
    }

    #[test]
    fn numbers_keep_their_order(one: u64, other: u64) {
        let room = owned_room_id!("!r:x");
        let key = |number| KeyFor::<(ruma::OwnedRoomId, Position)>::encode(&(&room, Position(number)));
        prop_assert_eq!(key(one).cmp(&key(other)), one.cmp(&other));
    }

    #[test]
    fn bytes_that_are_no_key_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        if let Some(key) = <(ruma::OwnedRoomId, Position)>::decode(&bytes) {
            prop_assert_eq!(KeyFor::<(ruma::OwnedRoomId, Position)>::encode(&(&key.0, key.1)), bytes);
        }
    }
}

/// What a store did, for tests that count work instead of taking its time.
#[derive(Debug, Default)]
pub(super) struct Counted {
    /// Lookups and scans.
    pub(super) reads: crate::testing::WorkCounter,
    /// Bytes of all batches.
    pub(super) written: crate::testing::WorkCounter,
}

impl Store {
    /// How many lookups and scans there were.
    pub(crate) fn reads(&self) -> u64 {
        self.counted.reads.get()
    }

    /// How many bytes were written, safe on disk.
    pub(crate) fn written(&self) -> u64 {
        self.counted.written.get()
    }

    /// A digest of all rows, but for the positions that are reserved and for when devices were seen: the same as long as nothing is
    /// stored.
    pub(crate) fn fingerprint(&self) -> u64 {
        use std::hash::{DefaultHasher, Hash, Hasher};

        let mut hasher = DefaultHasher::new();
        for (name, _) in tables::ALL {
            if ["meta", "devices"].contains(name) {
                continue;
            }
            let family = self.db.cf_handle(name).unwrap();
            for row in self.db.iterator_cf(family, rocksdb::IteratorMode::Start) {
                (name, row.unwrap()).hash(&mut hasher);
            }
        }
        for row in self.scan::<tables::Devices>(()) {
            let (key, device) = row.unwrap();
            (key, device.display_name).hash(&mut hasher);
        }
        hasher.finish()
    }
}
