//! Nothing is visible before everything below it is; no wake-up is lost; no position comes twice.

use std::{collections::BTreeSet, time::Duration};

use ruma::{server_name, user_id};
use tempfile::TempDir;

use super::{Position, Stream, Touch};
use crate::store::Store;

fn stream() -> (Store, Stream, TempDir) {
    let directory = TempDir::new().unwrap();
    let store = Store::open(
        &directory.path().join("database"),
        server_name!("letta.test"),
    )
    .unwrap();
    let stream = Stream::open(store.clone()).unwrap();
    (store, stream, directory)
}

#[tokio::test]
async fn an_open_place_holds_back_what_is_behind_it() {
    let (store, stream, _directory) = stream();
    let mut slow = stream.place();
    let first = slow.take().unwrap();
    let mut quick = stream.place();
    let second = quick.take().unwrap();
    let writing = tokio::spawn({
        let (stream, batch) = (stream.clone(), store.batch());
        async move { stream.commit(quick, batch, Vec::new()).await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(
        stream.visible() < first,
        "the later change is not visible before the earlier one"
    );
    assert!(!writing.is_finished(), "what is acknowledged can be read");
    stream
        .commit(slow, store.batch(), Vec::new())
        .await
        .unwrap();
    assert_eq!(writing.await.unwrap().unwrap(), second);
    assert_eq!(stream.visible(), second);
}

#[tokio::test]
async fn a_place_that_is_dropped_holds_nobody_back() {
    let (store, stream, _directory) = stream();
    let mut dropped = stream.place();
    dropped.take().unwrap();
    let mut kept = stream.place();
    let position = kept.take().unwrap();
    drop(dropped);
    stream
        .commit(kept, store.batch(), Vec::new())
        .await
        .unwrap();
    assert_eq!(stream.visible(), position);
}

#[tokio::test]
async fn whoever_registers_before_reading_misses_nothing() {
    let (_store, stream, _directory) = stream();
    let (alice, bob) = (user_id!("@alice:letta.test"), user_id!("@bob:letta.test"));
    let mut watcher = stream.watch(alice);
    stream.announce(vec![Touch::User(bob.to_owned())]).unwrap();
    assert!(
        !watcher.wait(Duration::from_millis(20)).await,
        "what concerns others wakes nobody"
    );
    // Between registering and waiting.
    stream
        .announce(vec![Touch::User(alice.to_owned())])
        .unwrap();
    assert!(watcher.wait(Duration::from_secs(5)).await);
    assert!(
        !watcher.wait(Duration::from_millis(20)).await,
        "one change wakes once"
    );
}

#[tokio::test]
async fn no_position_is_handed_out_twice_not_even_after_a_restart() {
    let (store, stream, _directory) = stream();
    let mut seen = BTreeSet::new();
    for _ in 0..5 {
        let position = stream.announce(vec![Touch::Everyone]).unwrap();
        assert!(seen.insert(position), "{position} came twice");
    }
    // A process that dies writes nothing at its end.
    let again = Stream::open(store).unwrap();
    assert!(
        again.visible() >= *seen.last().unwrap(),
        "old tokens stay in the past"
    );
    let next = again.announce(Vec::new()).unwrap();
    assert!(next > *seen.last().unwrap() && next > Position(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_writers_leave_no_hole() {
    let (store, stream, _directory) = stream();
    let before = stream.visible();
    let writers: Vec<_> = (0..50)
        .map(|_| {
            let (stream, store) = (stream.clone(), store.clone());
            tokio::spawn(async move {
                let mut place = stream.place();
                let position = place.take().unwrap();
                let committed = stream
                    .commit(place, store.batch(), Vec::new())
                    .await
                    .unwrap();
                assert_eq!(committed, position);
                assert!(stream.visible() >= position);
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(stream.visible().0, before.0 + 50);
}
