//! Every limit of the server that has a number: what it bounds, its value and unit, and what a client sees when it is reached.
//!
//! The constants of its catalogue, which is [`homeserver_model::limits`], are what the code enforces, so the table cannot fall behind the code. `docs/limits.md` is
//! generated from it ([`markdown`]), and a test sends for each row that refuses a request one that is just within it and one just
//! beyond it. This module imports nothing of the server but the defaults of the configuration.
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#rate-limiting>,
//! <https://spec.matrix.org/v1.19/client-server-api/#size-limits>

use std::{fmt::Write, time::Duration};

use crate::config::Config;

mod buckets;
mod rates;
#[cfg(test)]
mod tests;

pub use buckets::RateLimits;
#[cfg(test)]
pub(crate) use buckets::SWEEP_EVERY;
pub use homeserver_model::limits::*;
pub use rates::{RATES, Rate, RateLimit};

/// The limits of the server as chapters of a document, one table for each section.
pub fn markdown() -> String {
    let mut text = String::new();
    let mut section = "";
    for limit in all() {
        if limit.section != section {
            section = limit.section;
            // Writing into a text does not fail.
            _ = write!(
                text,
                "\n### {section}\n\n| Limit | Value | When it is reached | Name in the code |\n| --- | --- | --- | --- |\n"
            );
        }
        _ = writeln!(
            text,
            "| {} | {} | {} | `{}` |",
            limit.about,
            limit.value(),
            limit.reached.words(),
            limit.name
        );
    }
    text.push_str(&configured());
    text.push_str(&rates::markdown());
    text
}

/// The limits that an admin sets, with their defaults.
fn configured() -> String {
    let config = Config::new(ruma::server_name!("example.org").to_owned());
    let (media, sync) = (&config.media, &config.sync);
    let time = |time: Duration| humantime::format_duration(time).to_string();
    let count = |count: usize| count.to_string();
    let too_many = "429 `M_LIMIT_EXCEEDED`";
    let rows = [
        (
            "the body of one request, and the largest file",
            "max_request_size",
            format_bytes(config.listen.max_request_size.0),
            "413 `M_TOO_LARGE`",
        ),
        (
            "the files of one user; 0 for no limit",
            "media_quota_per_user",
            format_bytes(media.media_quota_per_user.0),
            "403 `M_FORBIDDEN`; deleting files makes room",
        ),
        (
            "the files of all users together; 0 for no limit",
            "media_quota_total",
            format_bytes(media.media_quota_total.0),
            "403 `M_FORBIDDEN`; deleting files makes room",
        ),
        (
            "places that one user has reserved for files",
            "max_pending_media_uploads",
            count(media.max_pending_media_uploads),
            too_many,
        ),
        (
            "places that one user reserves in a second",
            "media_rc_create_per_second",
            media.media_rc_create_per_second.to_string(),
            too_many,
        ),
        (
            "places that one user reserves at once",
            "media_rc_create_burst_count",
            media.media_rc_create_burst_count.to_string(),
            too_many,
        ),
        (
            "how long a reserved place waits for its file",
            "media_create_unused_expiration_time",
            time(media.media_create_unused_expiration_time),
            "404 `M_NOT_FOUND`",
        ),
        (
            "the picture that a thumbnail is made of, in pixels",
            "media_thumbnail_max_pixels",
            grouped(media.media_thumbnail_max_pixels),
            "413 `M_TOO_LARGE`",
        ),
        (
            "how long a sync waits",
            "client_sync_timeout_max",
            time(sync.client_sync_timeout_max),
            "the sync answers",
        ),
    ];
    let mut text = "\n### Set in the configuration\n\n| Limit | Key | Default | When it is reached |\n| --- | --- | --- | --- |\n".to_owned();
    for (about, key, default, reached) in rows {
        // Writing into a text does not fail.
        _ = writeln!(text, "| {about} | `{key}` | {default} | {reached} |");
    }
    text
}
