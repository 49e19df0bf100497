//! The pool itself: its permits, its wakes, and what becomes of work that nobody waits for.

use std::{sync::mpsc, time::Duration};

use ruma::user_id;
use tokio::sync::oneshot;

use super::*;

/// How many permits the pools of these tests have.
const PERMITS: usize = 32;
/// How long something may take that has to happen, on a machine under load.
const PATIENCE: Duration = Duration::from_mins(1);
/// How many users scan at a time in the test of several.
const SCANNING_USERS: usize = 8;

fn alice() -> Holder {
    Holder::User(user_id!("@alice:letta.test").to_owned())
}

fn bob() -> Holder {
    Holder::User(user_id!("@bob:letta.test").to_owned())
}

#[tokio::test]
async fn one_holder_has_only_its_share_of_the_permits() {
    let pool = BlockingPool::new(PERMITS, PERMITS);
    let share = PERMITS / HOLDER_SHARE;
    let (started, starts) = mpsc::channel();
    let (ends, flood): (Vec<_>, Vec<_>) = (0..PERMITS * 3)
        .map(|_| {
            let (end, ended) = mpsc::channel::<()>();
            let (pool, started) = (pool.clone(), started.clone());
            let work = async move {
                _ = started.send(());
                _ = ended.recv();
            };
            let running = tokio::spawn(async move { pool.run(alice(), work).await });
            (end, running)
        })
        .unzip();
    while starts.try_iter().count() == 0 {
        tokio::task::yield_now().await;
    }
    // As long as all of the flood that can run runs, somebody else gets a thread.
    let threads = pool.run(bob(), async { thread::current().id() }).await;
    assert_ne!(threads, thread::current().id());
    assert!(pool.inner.permits.available_permits() >= PERMITS - share);
    drop(ends);
    for running in flood {
        running.await.unwrap();
    }
    assert_eq!(pool.inner.permits.available_permits(), PERMITS);
    assert!(pool.inner.holders.lock().unwrap().is_empty());
}

#[tokio::test]
async fn scans_of_several_users_leave_threads_for_another() {
    let pool = BlockingPool::default();
    let (started, starts) = mpsc::channel();
    let (ends, scans): (Vec<_>, Vec<_>) = (0..SCANNING_USERS * POLLS_MIN)
        .map(|number| {
            let (end, ended) = mpsc::channel::<()>();
            let (pool, started) = (pool.clone(), started.clone());
            let user = format!("@user{}:letta.test", number % SCANNING_USERS);
            let holder = Holder::User(user.try_into().unwrap());
            let work = async move {
                _ = started.send(());
                _ = ended.recv();
            };
            let running = tokio::spawn(async move { pool.run(holder, work).await });
            (end, running)
        })
        .unzip();
    let mut running = 0;
    while running < SCANNING_USERS {
        running += starts.try_iter().count();
        tokio::task::yield_now().await;
    }
    let other = pool.run(alice(), async { thread::current().id() });
    assert!(tokio::time::timeout(PATIENCE, other).await.is_ok());
    drop(ends);
    for scan in scans {
        scan.await.unwrap();
    }
}

#[tokio::test]
async fn waiting_future_holds_no_permit() {
    let pool = BlockingPool::new(PERMITS, PERMITS);
    let (wakers, waiting): (Vec<_>, Vec<_>) = (0..PERMITS * 3)
        .map(|_| {
            let (wake, woken) = oneshot::channel::<()>();
            let pool = pool.clone();
            let run = async move { pool.run(alice(), async { woken.await.is_ok() }).await };
            (wake, tokio::spawn(run))
        })
        .unzip();
    while pool.inner.holders.lock().unwrap().is_empty() {
        tokio::task::yield_now().await;
    }
    assert!(pool.run(alice(), async { true }).await);
    while pool.inner.permits.available_permits() < PERMITS {
        tokio::task::yield_now().await;
    }
    for wake in wakers {
        wake.send(()).unwrap();
    }
    for waiting in waiting {
        assert!(waiting.await.unwrap());
    }
}

#[tokio::test]
async fn abandoned_work_learns_that_its_caller_has_gone() {
    let pool = BlockingPool::new(PERMITS, PERMITS);
    let (started, start) = oneshot::channel();
    let (found, finds) = oneshot::channel();
    let walk = async move {
        _ = started.send(());
        while !is_abandoned() {
            thread::yield_now();
        }
        _ = found.send(());
    };
    let caller = tokio::spawn({
        let pool = pool.clone();
        async move { pool.run(alice(), walk).await }
    });
    start.await.unwrap();
    caller.abort();
    finds.await.unwrap();
}

#[tokio::test]
async fn panic_of_a_future_reaches_its_caller_and_frees_its_permits() {
    let pool = BlockingPool::new(PERMITS, PERMITS);
    let panicking = tokio::spawn({
        let pool = pool.clone();
        async move { pool.run(alice(), async { panic!("on purpose") }).await }
    });
    assert!(panicking.await.unwrap_err().is_panic());
    assert_eq!(pool.inner.permits.available_permits(), PERMITS);
}

#[tokio::test]
async fn scans_are_counted_on_async_workers_only() {
    let pool = BlockingPool::new(PERMITS, PERMITS);
    take_async_scans();
    check_not_on_async_worker("body of a test");
    pool.run(alice(), async { check_not_on_async_worker("pool") })
        .await;
    run(|| check_not_on_async_worker("closure")).await.unwrap();
    assert_eq!(take_async_scans(), [""; 0]);
    watched(async { check_not_on_async_worker("request") }).await;
    tokio::spawn(async { check_not_on_async_worker("task") })
        .await
        .unwrap();
    assert_eq!(take_async_scans(), ["request", "task"]);
}

#[tokio::test]
async fn walks_of_many_leave_all_other_permits() {
    let pool = BlockingPool::new(PERMITS, PERMITS);
    let (started, starts) = mpsc::channel();
    let (ends, walks): (Vec<_>, Vec<_>) = (0..PERMITS * 2)
        .map(|number| {
            let (end, ended) = mpsc::channel::<()>();
            let (pool, started) = (pool.clone(), started.clone());
            let holder = Holder::User(format!("@u{number}:letta.test").try_into().unwrap());
            let work = async move {
                _ = started.send(());
                _ = ended.recv();
            };
            (
                end,
                tokio::spawn(async move { pool.walk(holder, work).await }),
            )
        })
        .unzip();
    let mut running = 0;
    while running < PERMITS {
        running += starts.try_iter().count();
        tokio::task::yield_now().await;
    }
    assert_eq!(pool.walks.permits.available_permits(), 0);
    assert_eq!(pool.inner.permits.available_permits(), PERMITS);
    assert!(pool.run(alice(), async { true }).await);
    drop(ends);
    for walk in walks {
        walk.await.unwrap();
    }
}

#[tokio::test]
async fn long_walks_take_turns_and_become_walks_by_pausing() {
    const ROOMS: usize = 10 * STEPS_PER_SLICE as usize;
    // One walk at a time: without pauses one is done before the other begins.
    let pool = BlockingPool::new(PERMITS, 1);
    let told = Arc::new(Mutex::new(Vec::new()));
    let walk = |name: &'static str| {
        let (told, pool) = (told.clone(), pool.clone());
        let holder = Holder::User(format!("@{name}:letta.test").try_into().unwrap());
        let permits = pool.inner.permits.clone();
        let work = async move {
            let mut as_walk = 0;
            for _ in 0..ROOMS {
                told.lock().unwrap().push(name);
                pause().await;
                as_walk += usize::from(permits.available_permits() == PERMITS);
            }
            as_walk
        };
        async move { pool.run(holder, work).await }
    };
    let as_walks = tokio::join!(walk("a"), walk("b"), walk("c"));
    for as_walk in <[usize; 3]>::from(as_walks) {
        assert!(as_walk > 0, "it has given its permit back");
    }
    let told = told.lock().unwrap();
    let turns = told.chunk_by(|one, next| one == next).count();
    assert!(turns >= 20, "{turns} turns");
}
