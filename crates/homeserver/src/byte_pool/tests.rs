//! Who holds how many bytes, who waits, and who gives way.

use futures_util::FutureExt;
use tokio::task::unconstrained;

use crate::permits::HolderLimits;

use super::*;

const GRACE: Duration = Duration::from_secs(2);

fn pool() -> BytePool {
    BytePool::new(PoolLimits {
        total: 1_000,
        share: HolderLimits {
            user: 200,
            appservice: 500,
        },
        growing: Waiters {
            per_holder: 2,
            total: 5,
        },
        beginning: Waiters {
            per_holder: 3,
            total: 5,
        },
        wait: Duration::from_secs(10),
        grace: GRACE,
    })
}

fn user(number: usize) -> Holder {
    Holder::User(format!("@u{number}:b.c").try_into().unwrap())
}

fn transfer(pool: &BytePool, number: usize) -> Transfer {
    pool.transfer(&user(number), CancellationToken::new())
}

/// Whether it grows without waiting.
fn grows(transfer: &Transfer, bytes: usize) -> bool {
    let grown = unconstrained(transfer.grow(bytes)).now_or_never();
    grown.is_some_and(|grown| grown.is_ok())
}

#[tokio::test]
async fn share_is_per_holder_and_alone_one_may_exceed_it() {
    let pool = pool();
    let (large, second) = (transfer(&pool, 1), transfer(&pool, 1));
    assert!(grows(&large, 300), "it is alone");
    assert!(!grows(&second, 1));
    assert!(grows(&transfer(&pool, 2), 200), "others have their own");
    assert_eq!(pool.held(), 300);
    drop(large);
    assert!(grows(&second, 150));
    assert_eq!(pool.held(), 150);
    drop(second);
    assert_eq!(pool.held(), 0);
    assert!(pool.lock().holders.is_empty());
}

#[tokio::test(start_paused = true)]
async fn oldest_of_the_holder_with_the_most_gives_way_to_somebody_who_waits() {
    let pool = pool();
    let mut held = Vec::new();
    for number in 0..5 {
        let one = transfer(&pool, number);
        assert!(grows(&one, 50));
        tokio::time::advance(Duration::from_millis(10)).await;
        let two = transfer(&pool, number);
        assert!(grows(&two, 100 + 10 * number));
        held.push((one, two));
    }
    let filler = transfer(&pool, 5);
    assert!(grows(&filler, 1_000 - pool.held()));
    tokio::time::advance(GRACE).await;
    let waits = transfer(&pool, 6);
    let growing = waits.grow(60);
    tokio::pin!(growing);
    let first = &held[4].0;
    tokio::select! {
        () = first.gave_way() => {}
        grown = &mut growing => panic!("{grown:?}"),
    }
    let told = held.iter().flat_map(|(one, two)| [one, two]);
    let told = told.filter(|transfer| transfer.has_to_give_way()).count();
    assert_eq!(told, 1, "no more than needed");
    drop(held.pop());
    growing.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn transfer_has_some_time_before_it_gives_way() {
    let pool = pool();
    let first = transfer(&pool, 1);
    assert!(grows(&first, 1_000));
    let waits = transfer(&pool, 2);
    let growing = waits.grow(60);
    tokio::pin!(growing);
    assert!(unconstrained(&mut growing).now_or_never().is_none());
    assert!(!first.has_to_give_way());
    tokio::time::advance(GRACE.saturating_sub(Duration::from_millis(1))).await;
    assert!(unconstrained(&mut growing).now_or_never().is_none());
    assert!(!first.has_to_give_way());
    tokio::select! {
        () = first.gave_way() => drop(first),
        grown = &mut growing => panic!("{grown:?}"),
    }
    growing.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn complete_transfer_does_not_give_way_and_whoever_waits_is_refused() {
    let pool = pool();
    let held: Vec<_> = (0..5).map(|number| transfer(&pool, number)).collect();
    for transfer in &held {
        assert!(grows(transfer, 200));
        transfer.complete();
    }
    let waits = transfer(&pool, 9);
    assert_eq!(waits.grow(1).await, Err(PoolFull::Total));
    assert!(held.iter().all(|transfer| !transfer.has_to_give_way()));
    assert_eq!(held[0].grow(1).await, Err(PoolFull::Total));
}

#[tokio::test(start_paused = true)]
async fn fast_transfer_does_not_give_way_to_its_own_holder() {
    let pool = pool();
    let (fast, slow) = (transfer(&pool, 1), transfer(&pool, 1));
    assert!(grows(&fast, 100) && grows(&slow, 100));
    fast.record_transferred(100 << 20);
    let next = transfer(&pool, 1);
    let growing = next.grow(50);
    tokio::pin!(growing);
    tokio::select! {
        () = slow.gave_way() => {}
        grown = &mut growing => panic!("{grown:?}"),
    }
    assert!(!fast.has_to_give_way());
    drop(slow);
    growing.await.unwrap();
}

#[tokio::test]
async fn few_wait_and_the_next_is_refused_at_once() {
    let pool = pool();
    let held = transfer(&pool, 1);
    assert!(grows(&held, 200));
    let waiting: Vec<_> = (0..4).map(|_| transfer(&pool, 1)).collect();
    let mut growing: Vec<_> = waiting.iter().map(|one| Box::pin(one.grow(1))).collect();
    let outcomes: Vec<_> = growing
        .iter_mut()
        .map(|one| unconstrained(one).now_or_never())
        .collect();
    let refused = Some(Err(PoolFull::Share));
    assert_eq!(outcomes, [None, None, refused, refused]);
    drop(growing);
    assert_eq!(pool.lock().waiting, [0; 2]);
}
