//! Requests of sliding sync: from the bytes of a body to what each list shows.
//!
//! Invariants: every body is taken or refused with a status of the specification; what is taken is within every limit; a list shows
//! each room once, in order, and none that its filters leave out; required state asks for all that was asked and for nothing beyond
//! itself.

use homeserver_model::{
    Position, Viewer, json,
    limits::{
        LIST_RANGES_MAX, LISTS_MAX, REQUIRED_STATE_MAX, SLIDING_TIMELINE_MAX, SUBSCRIPTIONS_MAX,
    },
    sliding::{
        filter::Candidate,
        list::{self, List, RoomRequest},
        required::StateLookup,
        sync_request::{self, SyncRequest},
    },
};
use ruma::{
    OwnedRoomId,
    api::{IncomingRequestExt as _, client::sync::sync_events::v5, error::ErrorKind},
    owned_user_id,
};

use crate::Target;

/// See the module.
pub const TARGET: Target = Target {
    name: "sliding_sync",
    check,
    wrap,
    words: &[
        r#""lists":{"a":{}}"#,
        r#""ranges":[[0,9],[5,99]]"#,
        r#""timeline_limit":1"#,
        r#""required_state":[["m.room.member","$LAZY"],["*","*"]]"#,
        r#"["m.room.member","$ME"]"#,
        r#""room_subscriptions":{"!1:example.org":{}}"#,
        r#""filters":{"is_dm":true}"#,
        r#""room_name_like":"a""#,
        r#""tags":["m.favourite"]"#,
        r#""not_tags":["m.favourite"]"#,
        r#""spaces":["!1:example.org"]"#,
        r#""room_types":[null,"m.space"]"#,
        r#""extensions":{"to_device":{"enabled":true}}"#,
        r#""conn_id":"a""#,
        r#""txn_id":"a""#,
    ],
};

/// How many rooms there are to look at.
const ROOMS: u64 = 24;

/// Panics if an invariant of the module does not hold.
pub fn check(data: &[u8]) {
    if let Err(refusal) = json::check(data) {
        assert!(
            matches!(refusal.kind, ErrorKind::NotJson | ErrorKind::BadJson),
            "{refusal}"
        );
        return;
    }
    let request =
        http::Request::post("/_matrix/client/unstable/org.matrix.simplified_msc3575/sync")
            .body(data)
            .expect("a request");
    let Ok(request) = v5::Request::try_from_http_request(request, &[] as &[&str]) else {
        return;
    };
    let name = sync_request::connection_name(&request);
    let viewer = Viewer {
        user_id: owned_user_id!("@alice:example.org"),
        device_id: None,
    };
    let read = SyncRequest::new(viewer, request, data);
    for refusal in [name.err(), read.as_ref().err().cloned()]
        .into_iter()
        .flatten()
    {
        assert_eq!(refusal.status, http::StatusCode::BAD_REQUEST);
        assert!(
            matches!(refusal.kind, ErrorKind::InvalidParam | ErrorKind::BadJson),
            "{refusal}"
        );
    }
    let Ok(read) = read else { return };
    assert!(read.lists.len() <= LISTS_MAX, "too many lists");
    assert!(read.subscriptions.len() <= SUBSCRIPTIONS_MAX);
    let rooms = rooms();
    for list in read.lists.values() {
        check_list(list, &rooms);
    }
    for subscription in read.subscriptions.values() {
        wanted(subscription);
    }
}

fn check_list(list: &List, rooms: &[Candidate]) {
    assert!(list.ranges.len() <= LIST_RANGES_MAX, "too many windows");
    wanted(&list.wanted);
    let listed = list.select_rooms(rooms);
    assert!(listed.visible.len() <= listed.count && listed.count <= rooms.len());
    // Each room that is seen comes behind the one before it, so none comes twice.
    let mut order = rooms.iter();
    for seen in &listed.visible {
        let room = order.find(|room| room.room_id == *seen);
        let room = room.expect("rooms are seen in order, and once");
        assert!(list.filters.admit(room), "{seen} is left out by a filter");
    }
}

fn wanted(wanted: &RoomRequest) {
    assert!(
        wanted.timeline_limit <= SLIDING_TIMELINE_MAX,
        "too many events"
    );
    let required = &wanted.required;
    assert!(required.difference(required).is_empty(), "more than itself");
    let looks = required.state_lookups();
    assert_eq!(
        looks.is_empty(),
        required.is_empty() || is_lazy_only(wanted)
    );
    assert!(looks.len() <= REQUIRED_STATE_MAX, "too many looks");
    for look in looks {
        if let StateLookup::One(kind, key) = look {
            assert!(required.wants(&kind.to_string(), &key), "{kind} {key}");
        }
    }
    let mut both = wanted.clone();
    both.add(wanted);
    assert_eq!(both, *wanted, "adding the same changes something");
}

/// Whether nothing but needed members is required, which nobody looks up.
fn is_lazy_only(wanted: &RoomRequest) -> bool {
    wanted.required.is_lazy() && wanted.required.state_lookups().is_empty()
}

/// Rooms of all kinds, in order.
fn rooms() -> Vec<Candidate> {
    let room = |number: u64| Candidate {
        room_id: id(number),
        bump: Position(number / 2),
        invited: number.is_multiple_of(5),
        direct: number.is_multiple_of(2),
        encrypted: number.is_multiple_of(3),
        room_type: (number.is_multiple_of(7)).then(|| "m.space".to_owned()),
        name: (!number.is_multiple_of(4)).then(|| format!("Room {number} \u{130}\u{3a3}")),
        tags: (number.is_multiple_of(6))
            .then(|| "m.favourite".to_owned())
            .into_iter()
            .collect(),
        spaces: (number.is_multiple_of(8))
            .then(|| id(1))
            .into_iter()
            .collect(),
    };
    let mut rooms: Vec<_> = (0..ROOMS).map(room).collect();
    list::sort(&mut rooms);
    rooms
}

fn id(number: u64) -> OwnedRoomId {
    let id = format!("!{number}:example.org");
    id.try_into().expect("a room id")
}

fn wrap(text: &str) -> Vec<u8> {
    let details = serde_json::json!({
        "timeline_limit": 1, "ranges": [[0, 9]], "required_state": [[text, text], ["m.room.member", "$LAZY"]],
        "filters": { "room_name_like": text, "tags": [text], "room_types": [text] },
    });
    let input = serde_json::json!({
        "conn_id": text, "txn_id": text, "lists": { text: details, "a": details },
        "room_subscriptions": { "!1:example.org": { "timeline_limit": 9, "required_state": [["*", text]] } },
    });
    input.to_string().into_bytes()
}
