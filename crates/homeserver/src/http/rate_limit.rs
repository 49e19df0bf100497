//! How often one user may write: a bucket of tokens for each user and kind of request, see [`crate::limits::RATES`].
//!
//! A request is counted before its body is read. Which bucket it is counted against is read off its method and path, once, when the
//! routes are made. Whoever is exempt is not counted: application services as their registration says, their senders, and admins.
//! Buckets that are full again are dropped, so memory does not grow with everybody who ever wrote.
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#rate-limiting>

use std::num::NonZeroU32;

use http::{Method, request::Parts};

use crate::{
    caller::Caller,
    error::{Error, Result},
    limits::Rate,
    rooms::admin_room,
    services::Services,
};

/// Counts `count` of something against what the caller may do.
///
/// # Errors
///
/// 429 `M_LIMIT_EXCEEDED`, with the time after which the request is worth another attempt.
pub fn count(services: &Services, caller: &Caller, rate: Rate, count: usize) -> Result<()> {
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    let Some(count) = NonZeroU32::new(count) else {
        return Ok(());
    };
    if !caller.is_rate_limited() || is_sender(services, caller) {
        return Ok(());
    }
    let Err(wait) = services.rate_limits.take(&caller.user_id, rate, count) else {
        return Ok(());
    };
    // Looked up only where it matters.
    if admin_room::is_admin(&services.rooms, &caller.user_id)? {
        return Ok(());
    }
    Err(Error::limit_exceeded(
        wait,
        "You do this faster than this server allows: wait as long as retry_after_ms says",
    ))
}

/// What requests to an endpoint count as; goes with each request from its route to where its caller is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct CountedRate(pub(super) Option<Rate>);

/// Counts a request, now that it is known who calls.
///
/// # Errors
///
/// As [`count`].
pub(super) fn enforce(services: &Services, parts: &Parts, caller: Option<&Caller>) -> Result<()> {
    let counted = parts.extensions.get::<CountedRate>();
    match (counted, caller) {
        (Some(CountedRate(Some(rate))), Some(caller)) => count(services, caller, *rate, 1),
        _ => Ok(()),
    }
}

/// Whether an application service acts as its own user, whom the specification never limits.
fn is_sender(services: &Services, caller: &Caller) -> bool {
    caller.appservice.as_ref().is_some_and(|appservice| {
        let sender = appservice.sender(&services.config.server_name);
        sender.is_ok_and(|sender| sender == caller.user_id)
    })
}

/// What requests to this endpoint count as; nothing if they are not counted.
pub(super) fn rate_of(method: &Method, path: &str) -> Option<Rate> {
    // `/_matrix/client/v3/…`: what stands behind the version.
    let segments: Vec<&str> = path.split('/').skip(4).collect();
    if *method == Method::GET {
        return (segments.last() == Some(&"preview_url")).then_some(Rate::Searches);
    }
    Some(match segments[..] {
        // Logging out is always possible, reading is not counted, wrong passwords have a limit of their own, and reserving places for
        // files has a pace in the configuration.
        [
            "login" | "logout" | "register" | "refresh" | "account" | "sync",
            ..,
        ]
        | [.., "sync" | "query" | "ping"]
        | ["create"] => return None,
        [
            "rooms",
            _,
            "send" | "redact" | "state" | "leave" | "kick" | "ban" | "unban",
            ..,
        ]
        | ["org.matrix.msc4140", ..] => Rate::Messages,
        ["join" | "knock", _] | ["rooms", _, "join" | "knock"] => Rate::Joins,
        ["createRoom"] | ["rooms", _, "upgrade"] => Rate::Rooms,
        ["rooms", _, "invite"] => Rate::Invites,
        ["upload", ..] => Rate::Uploads,
        ["profile", ..] => Rate::Profiles,
        ["rooms", _, "receipt" | "read_markers" | "typing", ..] | ["presence", ..] => {
            Rate::Ephemeral
        }
        [
            "keys" | "room_keys" | "sendToDevice" | "dehydrated_device" | "org.matrix.msc3814.v1",
            ..,
        ] => Rate::Keys,
        ["search" | "publicRooms", ..] | ["user_directory", "search"] => Rate::Searches,
        ["rooms" | "users", _, "report", ..] | ["user", _, "openid", ..] => Rate::Reports,
        _ => Rate::Settings,
    })
}

#[cfg(test)]
mod tests;
