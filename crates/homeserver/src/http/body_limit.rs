//! How long the body of a request can be: a property of every endpoint, which follows from how it authenticates.
//!
//! A JSON body can have 64 KiB without an access token and 1 MiB with one. Whoever needs more is named here, with the reason, and
//! nowhere else; an endpoint that is added to the routes has a limit without anybody thinking of it. Files have a limit of their
//! own, `max_request_size`, which also caps all others.

use http::Method;
use ruma::api::{Metadata, path_builder::PathBuilder};

use super::auth::Identified;

/// The longest JSON body of a request without an access token, in bytes. The longest ones are registrations and logins: some
/// hundred bytes.
pub(crate) const JSON_MAX_BYTES_WITHOUT_TOKEN: usize = 64 << 10;
/// The longest JSON body of a request with an access token, in bytes. An event has 64 KiB at most; account data is the longest.
///
/// This is enough for creating a room, too (100 invites and some hundred initial events), for push rules, which clients write one
/// by one, and for filters.
pub(crate) const JSON_MAX_BYTES: usize = 1 << 20;
/// The longest body with device keys, in bytes: 1,000 one-time keys, each with its signatures, and a dehydrated device of 1 MB.
/// Clients upload 50 or 100 of 250 bytes.
const DEVICE_KEYS_MAX_BYTES: usize = 2 << 20;
/// The longest body with keys for the backup, in bytes: 5,000 keys of 1.5 KB. Clients upload 100 or 200 at a time.
const KEY_BACKUP_MAX_BYTES: usize = 8 << 20;
/// The longest body with messages to devices, in bytes: 1,000 encrypted room keys of 4 KB. Clients send to 20 or 250 devices at a
/// time.
const TO_DEVICE_MAX_BYTES: usize = 4 << 20;

/// Endpoints with a limit of their own for callers with an access token: method, any one of the paths, bytes.
const EXCEPTIONS: &[(Method, &str, usize)] = &[
    (
        Method::POST,
        "/_matrix/client/v3/keys/upload",
        DEVICE_KEYS_MAX_BYTES,
    ),
    (
        Method::PUT,
        "/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device",
        DEVICE_KEYS_MAX_BYTES,
    ),
    (
        Method::PUT,
        "/_matrix/client/v3/room_keys/keys",
        KEY_BACKUP_MAX_BYTES,
    ),
    (
        Method::PUT,
        "/_matrix/client/v3/room_keys/keys/{room_id}",
        KEY_BACKUP_MAX_BYTES,
    ),
    (
        Method::PUT,
        "/_matrix/client/v3/sendToDevice/{event_type}/{txn_id}",
        TO_DEVICE_MAX_BYTES,
    ),
];

/// How long the body of a request to one endpoint can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyLimit {
    /// JSON, which is read whole before the handler runs.
    Json {
        /// For callers without an access token, in bytes.
        without_token: usize,
        /// For callers with one, in bytes.
        with_token: usize,
    },
    /// A file, which the handler takes piece by piece. It can have `max_request_size`.
    File,
}

impl BodyLimit {
    /// The limit of an endpoint that takes JSON.
    pub(super) fn of<R>() -> Self
    where
        R: Metadata,
        R::Authentication: Identified,
    {
        let exception = EXCEPTIONS.iter().find(|(method, path, _)| {
            *method == R::METHOD && R::PATH_BUILDER.all_paths().any(|known| known == *path)
        });
        let without_token = JSON_MAX_BYTES_WITHOUT_TOKEN;
        let with_token = if <R::Authentication as Identified>::TAKES_TOKEN {
            exception.map_or(JSON_MAX_BYTES, |(_, _, bytes)| *bytes)
        } else {
            without_token
        };
        Self::Json {
            without_token,
            with_token,
        }
    }

    /// How many bytes a body can have, if the whole server takes no more than `max_request_size`.
    pub fn bytes(self, has_token: bool, max_request_size: usize) -> usize {
        let bytes = match self {
            Self::Json { with_token, .. } if has_token => with_token,
            Self::Json { without_token, .. } => without_token,
            Self::File => usize::MAX,
        };
        bytes.min(max_request_size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exceptions_name_routes_that_exist() {
        let routes = crate::api::routes();
        for (method, path, bytes) in EXCEPTIONS {
            let route = routes
                .table()
                .iter()
                .find(|route| route.method == *method && route.path == *path);
            let route = route.unwrap_or_else(|| panic!("no route {method} {path}"));
            assert_eq!(route.body.bytes(true, usize::MAX), *bytes, "{path}");
            assert_eq!(
                route.body.bytes(false, usize::MAX),
                JSON_MAX_BYTES_WITHOUT_TOKEN
            );
        }
    }
}
