//! Endpoints that walk over many rooms, members or events.
//!
//! They wait for the answers of their caller to be read before they begin, and, unless they pause between rooms by themselves, run
//! with permits of their own, so that short requests of others never wait for them.

use ruma::api::{Metadata, path_builder::PathBuilder};

/// How an endpoint works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HandlerCost {
    /// It reads little, whoever calls.
    Short,
    /// It walks, and pauses ([`crate::blocking::pause`]).
    Pausing,
    /// It walks at one go.
    Walk,
}

/// The last parts of paths of endpoints that walk and pause.
const PAUSING: &[&str] = &["/v3/sync", "/org.matrix.simplified_msc3575/sync"];
/// Those of endpoints that walk at one go.
const WALKS: &[&str] = &[
    "/v3/search",
    "/rooms/{room_id}/hierarchy",
    "/rooms/{room_id}/state",
    "/rooms/{room_id}/members",
    "/rooms/{room_id}/joined_members",
    "/rooms/{room_id}/threads",
    "/v3/publicRooms",
    "/v3/user_directory/search",
    "/v3/room_keys/keys",
    "/v3/keys/changes",
    "/v3/notifications",
    "/_synapse/admin/v2/users",
    "/_synapse/admin/v1/rooms",
];

impl HandlerCost {
    pub(super) fn of<R: Metadata>() -> Self {
        let is_one_of = |ends: &[&str]| {
            let is_named = |path: &str| ends.iter().any(|end| path.ends_with(end));
            R::PATH_BUILDER.all_paths().any(is_named)
        };
        if R::METHOD != http::Method::GET && R::METHOD != http::Method::POST {
            Self::Short
        } else if is_one_of(PAUSING) {
            Self::Pausing
        } else if is_one_of(WALKS) {
            Self::Walk
        } else {
            Self::Short
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_those_of_routes() {
        let routes = crate::api::routes();
        for end in PAUSING.iter().chain(WALKS) {
            let known = routes.table().iter().any(|route| route.path.ends_with(end));
            assert!(known, "no route {end}");
        }
    }
}
