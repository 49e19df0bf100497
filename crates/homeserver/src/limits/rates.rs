//! How often one user may write: buckets of tokens, each with room for a burst. They are enforced by `http`, and counted for each
//! user apart.

use std::{fmt::Write, time::Duration};

/// What a request counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rate {
    /// Messages, reactions, redactions, state events; kicks, bans and leaving, which are events as well.
    Messages,
    /// Joining and knocking.
    Joins,
    /// Making and upgrading rooms.
    Rooms,
    /// Invitations, those of a new room included.
    Invites,
    /// Uploaded files.
    Uploads,
    /// Changes of a profile: each is an event in every room of the user.
    Profiles,
    /// Receipts, typing, presence.
    Ephemeral,
    /// Keys, key backups and messages to devices.
    Keys,
    /// Searches and previews of links.
    Searches,
    /// Reports, and tokens that prove to third parties who one is.
    Reports,
    /// Everything else that writes: account data, tags, filters, push rules, pushers, devices, aliases.
    Settings,
}

/// How often a user may do something.
#[derive(Clone, Copy, Debug)]
pub struct RateLimit {
    /// What counts.
    pub rate: Rate,
    /// What counts, for people.
    pub about: &'static str,
    /// How many at once, after a rest.
    pub burst: u32,
    /// After how long one more is allowed.
    pub every: Duration,
}

const fn limit(rate: Rate, about: &'static str, burst: u32, every: Duration) -> RateLimit {
    RateLimit {
        rate,
        about,
        burst,
        every,
    }
}

const TEN_A_SECOND: Duration = Duration::from_millis(100);
const TWENTY_A_SECOND: Duration = Duration::from_millis(50);
const FIFTY_A_SECOND: Duration = Duration::from_millis(20);
const ONE_A_SECOND: Duration = Duration::from_secs(1);

/// Every bucket, in the order of [`Rate`].
pub const RATES: [RateLimit; 11] = [
    limit(
        Rate::Messages,
        "messages, reactions, redactions, state events, kicks, bans, leaving",
        200,
        TEN_A_SECOND,
    ),
    limit(Rate::Joins, "joining and knocking", 100, ONE_A_SECOND),
    limit(
        Rate::Rooms,
        "making and upgrading rooms",
        50,
        Duration::from_secs(5),
    ),
    limit(
        Rate::Invites,
        "invitations, each of a new room's as well",
        200,
        ONE_A_SECOND,
    ),
    limit(
        Rate::Uploads,
        "uploaded files",
        200,
        Duration::from_millis(500),
    ),
    limit(
        Rate::Profiles,
        "changes of one's profile",
        30,
        Duration::from_secs(5),
    ),
    limit(
        Rate::Ephemeral,
        "receipts, read markers, typing, presence",
        1_000,
        TWENTY_A_SECOND,
    ),
    limit(
        Rate::Keys,
        "encryption keys, key backups, messages to devices",
        1_000,
        FIFTY_A_SECOND,
    ),
    limit(
        Rate::Searches,
        "searches, previews of links",
        100,
        Duration::from_millis(200),
    ),
    limit(
        Rate::Reports,
        "reports, OpenID tokens",
        30,
        Duration::from_secs(10),
    ),
    limit(
        Rate::Settings,
        "everything else that writes: account data, tags, filters, push rules, pushers, devices, aliases",
        500,
        TEN_A_SECOND,
    ),
];

/// The table of the document.
pub(super) fn markdown() -> String {
    let mut text = "\n### How often one user may write\n\n\
         Each user has a bucket of tokens for each row: the burst can be used at once, and comes back one by one. Beyond it a request \
         is answered with 429 `M_LIMIT_EXCEEDED`; `retry_after_ms` and `Retry-After` say when the next one passes. Admins are exempt, \
         and so are application services whose registration says `rate_limited: false` (and the sender of every application service). \
         `rate_limits = false` switches all of it off.\n\n\
         | What | At once | Then one every | Name in the code |\n| --- | --- | --- | --- |\n"
        .to_owned();
    for limit in RATES {
        // Writing into a text does not fail.
        _ = writeln!(
            text,
            "| {} | {} | {} | `Rate::{:?}` |",
            limit.about,
            super::grouped(limit.burst.into()),
            humantime::format_duration(limit.every),
            limit.rate
        );
    }
    text
}
