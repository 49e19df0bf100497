//! Nothing is visible before everything below it is; no wake-up is lost; no position comes twice.

use std::{collections::BTreeSet, time::Duration};

use futures_util::FutureExt;
use ruma::{server_name, user_id};
use tempfile::TempDir;

use super::{Position, Stream, WakeTarget, Write};
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

/// A write with so many positions and no rows.
fn empty(stream: &Stream, positions: usize) -> Write {
    let mut write = stream.begin_write();
    for _ in 0..positions {
        write.reserve_position();
    }
    write
}

#[tokio::test]
async fn open_write_holds_back_what_is_behind_it() {
    let (_store, stream, _directory) = stream();
    let (opened, opens) = std::sync::mpsc::channel();
    let (go_on, waits) = std::sync::mpsc::channel::<()>();
    let mut slow = empty(&stream, 3);
    slow.add_row(move |_, _| {
        opened.send(()).unwrap();
        waits.recv().unwrap();
        Ok(())
    });
    let before = stream.visible();
    let slow = tokio::spawn({
        let stream = stream.clone();
        async move { stream.commit(slow).await }
    });
    let opens = tokio::task::spawn_blocking(move || opens.recv());
    opens.await.unwrap().unwrap();
    let quick = empty(&stream, 1);
    let second = tokio::task::spawn_blocking({
        let stream = stream.clone();
        move || stream.commit_blocking(quick).unwrap()
    });
    let second = second.await.unwrap();
    assert_eq!(
        stream.visible(),
        before,
        "the later change is not visible before the earlier one"
    );
    assert!(
        stream.wait_until_visible(second).now_or_never().is_none(),
        "what is acknowledged can be read"
    );
    go_on.send(()).unwrap();
    stream.wait_until_visible(second).await.unwrap();
    assert!(slow.await.unwrap().unwrap() < second);
    assert_eq!((stream.visible(), stream.open_places()), (second, 0));
}

/// A small write waits for the large one that has positions, and not for those that are ready besides.
#[test]
fn small_write_waits_for_one_large_write_at_most() {
    let large = usize::try_from(super::LARGE_WRITE_POSITIONS).unwrap();
    let (_store, stream, _directory) = stream();
    let (opened, opens) = std::sync::mpsc::channel();
    let (go_on, waits) = std::sync::mpsc::channel::<()>();
    let mut first = empty(&stream, large);
    first.add_row(move |_, _| {
        opened.send(()).unwrap();
        waits.recv().unwrap();
        Ok(())
    });
    std::thread::scope(|scope| {
        let first = scope.spawn(|| stream.commit_blocking(first).unwrap());
        opens.recv().unwrap();
        let (started, starts) = std::sync::mpsc::channel();
        let others: Vec<_> = (0..8)
            .map(|_| {
                let (started, stream) = (started.clone(), &stream);
                scope.spawn(move || {
                    let write = empty(stream, large);
                    started.send(()).unwrap();
                    stream.commit_blocking(write).unwrap()
                })
            })
            .collect();
        assert_eq!(starts.iter().take(8).count(), 8);
        let small = stream.commit_blocking(empty(&stream, 1)).unwrap();
        go_on.send(()).unwrap();
        let first = first.join().unwrap();
        assert_eq!(small, Position(first.0 + 1));
        let behind = others.into_iter().map(|other| other.join().unwrap());
        assert!(behind.into_iter().all(|other| other > small));
    });
}

#[tokio::test]
async fn write_that_fails_or_is_dropped_holds_nobody_back() {
    let (_store, stream, _directory) = stream();
    drop(empty(&stream, 5));
    let mut broken = empty(&stream, 2);
    broken.add_row(|_, _| Err(crate::store::StoreError::Lost));
    assert!(stream.commit(broken).await.is_err());
    let position = stream.commit(empty(&stream, 1)).await.unwrap();
    assert_eq!((stream.visible(), stream.open_places()), (position, 0));
}

#[tokio::test]
async fn write_larger_than_a_block_gets_positions_in_a_row() {
    let (store, stream, _directory) = stream();
    let count = usize::try_from(super::BLOCK).unwrap() * 2 + 1;
    let before = stream.visible();
    let last = stream.commit(empty(&stream, count)).await.unwrap();
    assert_eq!(last.0 - before.0, count as u64);
    assert!(Stream::open(store).unwrap().visible() >= last);
}

#[tokio::test]
async fn whoever_registers_before_reading_misses_nothing() {
    let (_store, stream, _directory) = stream();
    let (alice, bob) = (user_id!("@alice:letta.test"), user_id!("@bob:letta.test"));
    let mut watcher = stream.watch(alice);
    let touches = [WakeTarget::User(bob.to_owned())];
    stream.announce(&touches, |_| ()).unwrap();
    assert!(
        !watcher.wait(Duration::from_millis(20)).await,
        "what concerns others wakes nobody"
    );
    // Between registering and waiting.
    let touches = [WakeTarget::User(alice.to_owned())];
    stream.announce(&touches, |_| ()).unwrap();
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
        let position = stream.announce(&[WakeTarget::Everyone], |_| ()).unwrap();
        assert!(seen.insert(position), "{position} came twice");
    }
    // A process that dies writes nothing at its end.
    let again = Stream::open(store).unwrap();
    assert!(
        again.visible() >= *seen.last().unwrap(),
        "old tokens stay in the past"
    );
    let next = again.announce(&[], |_| ()).unwrap();
    assert!(next > *seen.last().unwrap() && next > Position(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_writers_leave_no_hole() {
    let (_store, stream, _directory) = stream();
    let before = stream.visible();
    let writers: Vec<_> = (0..50)
        .map(|_| {
            let stream = stream.clone();
            tokio::spawn(async move {
                let position = stream.commit(empty(&stream, 1)).await.unwrap();
                assert!(stream.visible() >= position);
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(stream.visible().0, before.0 + 50);
}
