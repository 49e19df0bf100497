//! Which endpoints guests may call: a list, and everything that is not on it is refused, whatever it is.
//!
//! It is read off method and path once, when the routes are made, so no endpoint can be added that guests may call by mistake.
//! Spec: <https://spec.matrix.org/v1.19/client-server-api/#guest-access>

use http::{Method, StatusCode, request::Parts};
use ruma::api::error::ErrorKind;

use crate::{
    caller::Caller,
    error::{Error, Result},
};

/// Whether guests may call an endpoint; goes with each request from its route to where its caller is known.
#[derive(Clone, Copy, Debug)]
pub(super) struct GuestsAllowed(pub(super) bool);

/// Refuses guests where they may not be.
///
/// # Errors
///
/// 403 `M_GUEST_ACCESS_FORBIDDEN`.
pub(super) fn enforce(parts: &Parts, caller: Option<&Caller>) -> Result<()> {
    let is_open = matches!(
        parts.extensions.get::<GuestsAllowed>(),
        Some(GuestsAllowed(true))
    );
    if is_open || !caller.is_some_and(|caller| caller.guest) {
        return Ok(());
    }
    Err(Error::refused(
        StatusCode::FORBIDDEN,
        ErrorKind::GuestAccessForbidden,
        "Guests may not do this: register an account",
    ))
}

/// Whether guests may call this endpoint.
#[allow(clippy::match_same_arms, reason = "a list, read line by line")]
pub(super) fn may_call(method: &Method, path: &str) -> bool {
    // `/_matrix/client/v3/…`: what stands behind the version.
    let segments: Vec<&str> = path.split('/').skip(4).collect();
    if *method == Method::GET {
        return reads(&segments);
    }
    match segments[..] {
        // Events.
        ["rooms", _, "join" | "leave"] | ["join", _] => true,
        ["rooms", _, "send" | "state", ..] | ["sendToDevice", ..] => *method == Method::PUT,
        // Their own account, and its end.
        ["profile", _, ..] => *method == Method::PUT,
        ["devices", _] => *method == Method::PUT,
        ["logout", ..] | ["refresh"] => true,
        // Encryption.
        ["keys", "upload" | "query" | "claim", ..] => true,
        // How a client syncs: filters of its own, and the other kind of sync.
        ["user", _, "filter"] | [.., "sync"] => true,
        // What needs no token needs none of a guest either.
        ["login" | "register", ..] | ["publicRooms"] => true,
        _ => false,
    }
}

/// Which of the endpoints that only read something.
#[allow(
    clippy::match_same_arms,
    clippy::unnested_or_patterns,
    reason = "a list, read line by line"
)]
fn reads(segments: &[&str]) -> bool {
    match segments {
        [
            "rooms",
            _,
            "state" | "context" | "event" | "messages" | "members" | "joined_members"
            | "initialSync" | "timestamp_to_event" | "relations" | "threads" | "hierarchy"
            | "aliases",
            ..,
        ] => true,
        ["sync" | "events" | "devices", ..] | ["user", _, "filter", _] => true,
        // What a client asks for before it does anything: who it is, what the server can, which rules there are.
        ["account", "whoami"] | ["capabilities"] | ["pushrules", ..] => true,
        // Calls have a key in the configuration.
        ["voip", "turnServer"] => true,
        // What everybody may see: rooms, names, files.
        ["directory", ..]
        | ["publicRooms"]
        | ["profile", ..]
        | ["login", ..]
        | ["register", ..] => true,
        ["room_summary" | "summary", ..] | [.., "summary", _] | [.., "summary"] => true,
        ["media", "preview_url"] | ["preview_url"] => false,
        ["media", ..] | ["download" | "thumbnail" | "config", ..] => true,
        _ => false,
    }
}
