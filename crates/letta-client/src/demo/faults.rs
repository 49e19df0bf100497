//! What a test (or a curious person) can make the demo do wrong, and what it has counted.

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use serde::{Deserialize, Serialize};

/// The most sends that [`Records`] remembers; the oldest are forgotten.
pub const RECORDS_MAX: usize = 100_000;

/// What goes wrong. The default is nothing.
///
/// Over HTTP this is the body of `PATCH /_demo/faults`; a key left out keeps its value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch of its own")]
pub struct Faults {
    /// Listing agents answers this status.
    pub listing_status: Option<u16>,
    /// Only pages of the list after the first answer [`Faults::listing_status`].
    pub listing_fails_later: bool,
    /// Listing agents takes this long, in milliseconds.
    pub listing_delay_ms: u64,
    /// Every page of the list is the first one.
    pub repeat_pages: bool,
    /// Sending answers this status.
    pub send_status: Option<u16>,
    /// A send is accepted, and then nothing comes, not even a ping.
    pub stall: bool,
    /// This many sends answer 409, as if another client's run were in progress.
    pub busy: u32,
    /// Each number breaks one stream after so many frames, the first the next one.
    pub drop_after: VecDeque<usize>,
    /// As a V1 server without Redis: no background mode, no lock, no deduplication.
    pub no_redis: bool,
    /// Of several calls that wait for a person, the stream shows all and the server keeps the first: V1 with
    /// `parallel_tool_calls: false`, its default.
    pub keeps_first_call: bool,
    /// Its model takes no pictures: a turn with one fails.
    pub no_pictures: bool,
    /// As a V1 server from before conversations.
    pub no_conversations: bool,
}

impl Faults {
    /// How long listing takes.
    pub(super) fn listing_delay(&self) -> Duration {
        Duration::from_millis(self.listing_delay_ms)
    }
}

/// What the demo has counted since it started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Records {
    /// Requests by method and route, such as `GET /v1/agents/{agent}`.
    pub requests: BTreeMap<String, u64>,
    /// Accepted sends, oldest first: one entry for each prompt.
    pub sends: VecDeque<Accepted>,
}

/// A prompt that the demo has accepted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Accepted {
    /// Its key.
    pub otid: String,
    /// The run that answers it. Two sends of one key with one run are one answer.
    pub run: String,
}

impl Records {
    pub(super) fn request(&mut self, route: String) {
        *self.requests.entry(route).or_default() += 1;
    }

    pub(super) fn record_accepted(&mut self, otid: &str, run: &str) {
        if self.sends.len() >= RECORDS_MAX {
            self.sends.pop_front();
        }
        self.sends.push_back(Accepted {
            otid: otid.to_owned(),
            run: run.to_owned(),
        });
    }
}
