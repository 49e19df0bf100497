//! A brake for every sender: how many turns one person sets going in one room within a minute. Pure; told the time.
//!
//! A program that answers every answer would talk with an agent for ever, and each turn costs money. Beyond the limit its messages
//! wait; nothing is lost, and what piles up is answered together.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use ruma::{OwnedRoomId, OwnedUserId};
use tokio::time::Instant;

/// The span in which turns are counted.
pub(super) const BRAKE_SPAN: Duration = Duration::from_mins(1);
/// The most people and rooms remembered; those that are idle go first, and if none is, all.
const SENDERS_MAX: usize = 10_000;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct SenderRateLimit {
    senders: HashMap<(OwnedRoomId, OwnedUserId), Sender>,
}

#[derive(Debug, Default)]
struct Sender {
    /// When the turns of the last [`BRAKE_SPAN`] began, oldest first.
    began: VecDeque<Instant>,
    /// Whether the room was told since the sender was last below the limit.
    told: bool,
}

/// What became of a wish to begin a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RateLimited {
    /// It may begin, and is counted.
    No,
    /// Not before then. `news`: the room was not told yet.
    Until {
        /// When to ask again.
        then: Instant,
        /// Whether the room was not told yet.
        news: bool,
    },
}

impl SenderRateLimit {
    /// Counts a turn of `sender` in `room` if fewer than `max` of them began within the span.
    pub(super) fn begin(
        &mut self,
        room: &OwnedRoomId,
        sender: &OwnedUserId,
        max: usize,
        now: Instant,
    ) -> RateLimited {
        if self.senders.len() >= SENDERS_MAX {
            self.senders.retain(|_, sender| {
                sender
                    .began
                    .back()
                    .is_some_and(|last| now.duration_since(*last) < BRAKE_SPAN)
            });
            if self.senders.len() >= SENDERS_MAX {
                self.senders.clear();
            }
        }
        let entry = self
            .senders
            .entry((room.clone(), sender.clone()))
            .or_default();
        while entry
            .began
            .front()
            .is_some_and(|first| now.duration_since(*first) >= BRAKE_SPAN)
        {
            entry.began.pop_front();
        }
        // A limit of none at all would silence everybody.
        if entry.began.len() < max.max(1) {
            // Who keeps to half of it has slowed down; an episode is over.
            if entry.began.len() <= max / 2 {
                entry.told = false;
            }
            entry.began.push_back(now);
            return RateLimited::No;
        }
        let first = entry.began.front().copied().unwrap_or(now);
        RateLimited::Until {
            then: first + BRAKE_SPAN,
            news: !std::mem::replace(&mut entry.told, true),
        }
    }
}

#[cfg(test)]
mod tests {
    use ruma::{owned_room_id, owned_user_id};

    use super::*;

    #[test]
    fn a_sender_beyond_the_limit_waits_and_the_room_hears_it_once_an_episode() {
        let (room, other) = (owned_room_id!("!r:x"), owned_room_id!("!other:x"));
        let (bot, ann) = (owned_user_id!("@bot:x"), owned_user_id!("@ann:x"));
        let mut rate_limit = SenderRateLimit::default();
        let start = Instant::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        for turn in 0..20 {
            assert_eq!(
                rate_limit.begin(&room, &bot, 20, at(turn * 100)),
                RateLimited::No
            );
        }
        let until = |news| RateLimited::Until {
            then: at(60_000),
            news,
        };
        assert_eq!(rate_limit.begin(&room, &bot, 20, at(2_000)), until(true));
        assert_eq!(rate_limit.begin(&room, &bot, 20, at(2_100)), until(false));
        // Others, and the same one elsewhere, are not meant.
        assert_eq!(
            rate_limit.begin(&room, &ann, 20, at(2_200)),
            RateLimited::No
        );
        assert_eq!(
            rate_limit.begin(&other, &bot, 20, at(2_200)),
            RateLimited::No
        );
        assert_eq!(
            rate_limit.begin(&room, &bot, 20, at(60_000)),
            RateLimited::No
        );
        let still = rate_limit.begin(&room, &bot, 20, at(60_050));
        assert_eq!(
            still,
            RateLimited::Until {
                then: at(60_100),
                news: false
            },
            "one episode"
        );
        // A minute of silence ends it.
        for turn in 0..20 {
            assert_eq!(
                rate_limit.begin(&room, &bot, 20, at(200_000 + turn)),
                RateLimited::No
            );
        }
        assert!(matches!(
            rate_limit.begin(&room, &bot, 20, at(200_100)),
            RateLimited::Until { news: true, .. }
        ));
    }

    #[test]
    fn what_is_remembered_of_senders_is_bounded() {
        let mut rate_limit = SenderRateLimit::default();
        let room = owned_room_id!("!r:x");
        let now = Instant::now();
        for number in 0..SENDERS_MAX + 10 {
            let sender = OwnedUserId::try_from(format!("@u{number}:x")).unwrap();
            assert_eq!(rate_limit.begin(&room, &sender, 20, now), RateLimited::No);
            assert!(rate_limit.senders.len() <= SENDERS_MAX);
        }
    }
}
