//! How long the body of a request can be: a property of every endpoint, which follows from how it authenticates.
//!
//! A JSON body can have 64 KiB without an access token and 1 MiB with one. Whoever needs more is named here, with the reason, and
//! nowhere else; an endpoint that is added to the routes has a limit without anybody thinking of it. Files have a limit of their
//! own, `max_request_size`, which also caps all others.

use http::Method;
use ruma::api::{Metadata, path_builder::PathBuilder};

use super::auth::IdentifyCaller;
use crate::limits::{
    DEVICE_KEYS_BODY_MAX_BYTES, JSON_MAX_BYTES, JSON_MAX_BYTES_WITHOUT_TOKEN,
    KEY_BACKUP_BODY_MAX_BYTES, TO_DEVICE_BODY_MAX_BYTES,
};

/// Endpoints with a limit of their own for callers with an access token: method, any one of the paths, bytes.
const EXCEPTIONS: &[(Method, &str, usize)] = &[
    (
        Method::POST,
        "/_matrix/client/v3/keys/upload",
        DEVICE_KEYS_BODY_MAX_BYTES,
    ),
    (
        Method::PUT,
        "/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device",
        DEVICE_KEYS_BODY_MAX_BYTES,
    ),
    (
        Method::PUT,
        "/_matrix/client/v3/room_keys/keys",
        KEY_BACKUP_BODY_MAX_BYTES,
    ),
    (
        Method::PUT,
        "/_matrix/client/v3/room_keys/keys/{room_id}",
        KEY_BACKUP_BODY_MAX_BYTES,
    ),
    (
        Method::PUT,
        "/_matrix/client/v3/sendToDevice/{event_type}/{txn_id}",
        TO_DEVICE_BODY_MAX_BYTES,
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
        R::Authentication: IdentifyCaller,
    {
        let exception = EXCEPTIONS.iter().find(|(method, path, _)| {
            *method == R::METHOD && R::PATH_BUILDER.all_paths().any(|known| known == *path)
        });
        let without_token = JSON_MAX_BYTES_WITHOUT_TOKEN;
        let with_token = if <R::Authentication as IdentifyCaller>::TAKES_TOKEN {
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
