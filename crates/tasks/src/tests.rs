//! What supervision promises: one item is lost at most, and never silently.

use std::{
    collections::VecDeque,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::sync::Semaphore;

use super::*;

#[derive(Debug, thiserror::Error)]
#[error("no")]
struct No;

/// What a scripted worker does with its first item.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Item {
    Fine,
    FailsOnce,
    PanicsOnce,
    PanicsAlways,
}

/// A queue of items; what was done and what was set aside.
#[derive(Clone, Default)]
struct Queue(Arc<QueueState>);

#[derive(Default)]
struct QueueState {
    items: Mutex<VecDeque<Item>>,
    done: Mutex<Vec<Item>>,
    aside: Mutex<Vec<Item>>,
    runs: AtomicUsize,
}

impl Queue {
    fn of(items: &[Item]) -> Self {
        let queue = Self::default();
        queue.0.items.lock().unwrap().extend(items);
        queue
    }

    fn first(&self) -> Option<Item> {
        self.0.items.lock().unwrap().front().copied()
    }

    fn replace_first(&self, item: Item) {
        self.0.items.lock().unwrap()[0] = item;
    }

    fn remove_first(&self) -> Item {
        self.0.items.lock().unwrap().pop_front().unwrap()
    }
}

impl Work<&'static str> for Queue {
    type Error = No;

    async fn run(&self, _: &&'static str) -> Result<(), No> {
        self.0.runs.fetch_add(1, Ordering::SeqCst);
        while let Some(item) = self.first() {
            match item {
                Item::FailsOnce => {
                    self.replace_first(Item::Fine);
                    return Err(No);
                }
                Item::PanicsOnce => {
                    self.replace_first(Item::Fine);
                    panic!("once");
                }
                Item::PanicsAlways => panic!("always"),
                Item::Fine => {}
            }
            let item = self.remove_first();
            self.0.done.lock().unwrap().push(item);
        }
        Ok(())
    }

    async fn set_aside(&self, _: &&'static str, _: &Panic) -> Result<(), No> {
        let item = self.remove_first();
        self.0.aside.lock().unwrap().push(item);
        Ok(())
    }
}

async fn run_to_the_end(items: &[Item]) -> Queue {
    let tasks = Tasks::default();
    let workers = Workers::new(tasks.clone());
    let queue = Queue::of(items);
    workers.wake("room", queue.clone());
    tasks.ended().await;
    assert_eq!(workers.active_count(), 0);
    queue
}

#[tokio::test(start_paused = true)]
async fn worker_error_is_retried_until_the_work_is_done() {
    let queue = run_to_the_end(&[Item::FailsOnce, Item::FailsOnce, Item::Fine]).await;
    assert_eq!(*queue.0.done.lock().unwrap(), [Item::Fine; 3]);
    assert!(queue.0.aside.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn worker_panic_sets_aside_one_item_and_the_next_goes_on() {
    use Item::{Fine, PanicsAlways, PanicsOnce};
    let queue = run_to_the_end(&[Fine, PanicsAlways, PanicsOnce, PanicsAlways, Fine]).await;
    assert_eq!(*queue.0.done.lock().unwrap(), [Fine; 3]);
    assert_eq!(*queue.0.aside.lock().unwrap(), [PanicsAlways; 2]);
}

#[tokio::test(start_paused = true)]
async fn worker_with_failing_journal_stops_with_the_process() {
    #[derive(Clone)]
    struct Failing;
    impl Work<u8> for Failing {
        type Error = No;
        async fn run(&self, _: &u8) -> Result<(), No> {
            Err(No)
        }
        async fn set_aside(&self, _: &u8, _: &Panic) -> Result<(), No> {
            Err(No)
        }
    }
    let tasks = Tasks::default();
    let workers = Workers::new(tasks.clone());
    workers.wake(1, Failing);
    tokio::time::sleep(Duration::from_mins(10)).await;
    assert_eq!(workers.active_count(), 1);
    tasks.stop();
    tasks.ended().await;
    assert_eq!(workers.active_count(), 0);
}

#[tokio::test]
async fn wake_during_work_makes_the_worker_look_once_more() {
    #[derive(Clone)]
    struct Gated(Arc<Semaphore>, Arc<AtomicUsize>);
    impl Work<u8> for Gated {
        type Error = No;
        async fn run(&self, _: &u8) -> Result<(), No> {
            self.0.acquire().await.unwrap().forget();
            self.1.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }
        async fn set_aside(&self, _: &u8, _: &Panic) -> Result<(), No> {
            Ok(())
        }
    }
    let tasks = Tasks::default();
    let workers = Workers::new(tasks.clone());
    let work = Gated(Arc::new(Semaphore::new(0)), Arc::default());
    for _ in 0..3 {
        workers.wake(1, work.clone());
    }
    work.0.add_permits(5);
    tasks.ended().await;
    assert_eq!(work.1.load(Ordering::SeqCst), 2);
    assert_eq!(workers.active_count(), 0);
}

#[tokio::test]
async fn panic_in_a_spawned_task_is_counted_as_its_end() {
    let tasks = Tasks::default();
    tasks.spawn(async { panic!("a receipt") });
    tasks.ended().await;
    assert_eq!(tasks.failed_task(), None);
}

#[tokio::test]
async fn singleton_that_ends_early_is_named() {
    for panics in [true, false] {
        let tasks = Tasks::default();
        tasks.spawn_essential("inbox", async move { assert!(!panics, "singleton panic") });
        assert_eq!(tasks.failed().await, "inbox");
    }
}

#[tokio::test]
async fn singleton_that_ends_with_the_process_is_no_failure() {
    let tasks = Tasks::default();
    let closing = tasks.clone();
    tasks.spawn_essential("inbox", async move { closing.closing().await });
    tasks.stop();
    tasks.ended().await;
    assert_eq!(tasks.failed_task(), None);
}
