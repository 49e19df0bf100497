//! What every agent says, when each word was said, and when it was first to be seen.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::Notify;
use tokio::time::{Interval, MissedTickBehavior, interval};

/// How fast and how long everybody speaks.
#[derive(Clone, Copy)]
pub(crate) struct Pace {
    /// Words in a second.
    pub(crate) rate: u32,
    /// Words in all.
    pub(crate) count: usize,
}

impl Pace {
    /// How long everybody speaks.
    pub(crate) fn lasts(self) -> Duration {
        let word = Duration::from_secs(1) / self.rate;
        word * u32::try_from(self.count).unwrap_or(u32::MAX)
    }

    /// One tick for each word. What comes late is made up for, so that the rate holds.
    pub(crate) fn ticks(self) -> Interval {
        let mut ticks = interval(Duration::from_secs(1) / self.rate);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        ticks
    }
}

/// One room.
#[derive(Clone, Default)]
struct Room {
    said: Vec<Instant>,
    /// How many of them are to be seen.
    seen: usize,
}

#[derive(Default)]
struct Book {
    rooms: Vec<Room>,
    lags: Vec<Duration>,
    shows: usize,
}

/// All rooms. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Words(Arc<(Mutex<Book>, Notify)>);

impl Words {
    pub(crate) fn new(rooms: usize) -> Self {
        let words = Self::default();
        words.lock().rooms = vec![Room::default(); rooms];
        words
    }

    /// The next word of a room, said now.
    pub(crate) fn say(&self, room: usize) -> String {
        let mut book = self.lock();
        let Some(room) = book.rooms.get_mut(room) else {
            return String::new();
        };
        room.said.push(Instant::now());
        format!("w{} ", room.said.len())
    }

    /// A message of this room shows this text, now.
    pub(crate) fn see(&self, room: usize, text: &str) {
        let now = Instant::now();
        let mut book = self.lock();
        book.shows += 1;
        let Some(room) = book.rooms.get_mut(room) else {
            return;
        };
        let last = text.split_whitespace().rev().find_map(number);
        let seen = last.unwrap_or(0).min(room.said.len());
        let new = room.said.get(room.seen..seen).unwrap_or_default();
        let lags: Vec<_> = new.iter().map(|said| now - *said).collect();
        room.seen = room.seen.max(seen);
        book.lags.extend(lags);
        drop(book);
        self.0.1.notify_waiters();
    }

    /// Waits until so many words are to be seen in every room.
    pub(crate) async fn all_seen(&self, count: usize) {
        loop {
            let changed = self.0.1.notified();
            if self.lock().rooms.iter().all(|room| room.seen >= count) {
                return;
            }
            changed.await;
        }
    }

    /// How long each word took until it was to be seen, and how many messages and edits there were.
    pub(crate) fn lags(&self) -> (Vec<Duration>, usize) {
        let book = self.lock();
        (book.lags.clone(), book.shows)
    }

    fn lock(&self) -> MutexGuard<'_, Book> {
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The number of a word.
fn number(word: &str) -> Option<usize> {
    word.strip_prefix('w')?.parse().ok()
}

/// The id of the agent with this number.
pub(crate) fn agent(number: usize) -> String {
    format!("agent-00000000-0000-4000-8000-{number:012}")
}

/// The number of an agent, of its id, its user or its alias.
pub(crate) fn agent_number(name: &str) -> Option<usize> {
    let name = name.split(':').next()?;
    name.rsplit(['-', '_']).next()?.parse().ok()
}
