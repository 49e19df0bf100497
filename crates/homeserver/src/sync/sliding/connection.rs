//! What a client was told over a connection, kept between its requests.
//!
//! A connection keeps two snapshots: the one after its last answer, and the one that this answer was built on. A client that got
//! the answer goes on from the first; one that did not asks again with the second, and gets everything again. Anything older is
//! unknown. Connections live in memory only, bounded per device and in all; who was idle longest goes first.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
};

use ruma::{DeviceId, OwnedRoomId, OwnedUserId, UserId};

use super::required::RequiredState;
use crate::{
    limits::{CONNECTIONS_MAX, CONNECTIONS_PER_DEVICE, CONNECTIONS_PER_USER},
    stream::Position,
};

/// Whose connection it is: the user, the device (or application service), and the name that the client gave it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ConnectionKey {
    user: OwnedUserId,
    device: String,
    name: String,
}

impl ConnectionKey {
    pub(super) fn new(user: &UserId, device: &str, name: &str) -> Self {
        Self {
            user: user.to_owned(),
            device: device.to_owned(),
            name: name.to_owned(),
        }
    }

    fn same_device(&self, other: &Self) -> bool {
        self.user == other.user && self.device == other.device
    }
}

/// As what a room was shown to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RoomMembership {
    /// The user is in it.
    Joined,
    /// The user is invited to it, or knocks at it.
    InvitedOrKnocking,
    /// The user is not in it any more.
    Gone,
}

/// What the client was told of a room.
#[derive(Clone, Debug)]
pub(super) struct SentRoom {
    /// As what.
    pub(super) room_membership: RoomMembership,
    /// Everything up to here.
    pub(super) up_to: Position,
    /// How much of the timeline it has asked for and got.
    pub(super) timeline_limit: usize,
    /// Which state it keeps up with.
    pub(super) required: RequiredState,
    /// Whose member events it has, where it loads them as it needs them.
    pub(super) members: HashSet<OwnedUserId>,
    /// Unread notifications and mentions.
    pub(super) unread: (u64, u64),
}

/// Up to where the client was told what rooms have besides events.
#[derive(Clone, Debug, Default)]
pub(super) struct SentExtensions {
    /// Account data of rooms.
    pub(super) account_data: HashMap<OwnedRoomId, Position>,
    /// Receipts.
    pub(super) receipts: HashMap<OwnedRoomId, Position>,
    /// Who types.
    pub(super) typing: HashMap<OwnedRoomId, Position>,
}

/// Everything that a client was told up to one answer.
#[derive(Clone, Debug, Default)]
pub(super) struct Snapshot {
    /// Tells this snapshot from the others; zero for the one before all answers.
    number: u64,
    /// Up to where the stream was read.
    pub(super) position: Position,
    /// Rooms.
    pub(super) rooms: HashMap<OwnedRoomId, Arc<SentRoom>>,
    /// How many rooms each list had.
    pub(super) counts: BTreeMap<String, usize>,
    /// What the client knows of the one-time keys that are left: a digest of the answer, as it is compared only.
    pub(super) keys: Option<String>,
    /// The rest of the rooms.
    pub(super) besides: SentExtensions,
}

impl Snapshot {
    /// Whether nothing was told yet.
    pub(super) fn is_first(&self) -> bool {
        self.number == 0
    }

    /// What the client sends back to go on from here.
    fn token(&self) -> String {
        format!("{}-{}", self.number, self.position)
    }
}

#[derive(Debug)]
struct Connection {
    used: u64,
    built_on: Option<Arc<Snapshot>>,
    latest: Arc<Snapshot>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Counts uses and snapshots alike.
    clock: u64,
    open: HashMap<ConnectionKey, Connection>,
}

/// All connections.
#[derive(Debug, Default)]
pub(super) struct Connections {
    inner: Mutex<Inner>,
}

impl Connections {
    /// The snapshot that a request builds on: a fresh one without a position, nothing if the position is not known.
    pub(super) fn base(&self, key: &ConnectionKey, pos: Option<&str>) -> Option<Arc<Snapshot>> {
        let Some(pos) = pos else {
            return Some(Arc::default());
        };
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.clock += 1;
        let now = inner.clock;
        let connection = inner.open.get_mut(key)?;
        connection.used = now;
        [Some(&connection.latest), connection.built_on.as_ref()]
            .into_iter()
            .flatten()
            .find(|snapshot| snapshot.token() == pos)
            .cloned()
    }

    /// Ends all connections of a device.
    pub(super) fn end_device(&self, user: &UserId, device: &DeviceId) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let gone = ConnectionKey::new(user, device.as_str(), "");
        inner.open.retain(|key, _| !key.same_device(&gone));
    }

    /// Keeps what an answer told, and gives the position that stands for it.
    pub(super) fn store_response(
        &self,
        key: &ConnectionKey,
        base: &Arc<Snapshot>,
        mut next: Snapshot,
    ) -> String {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.clock += 1;
        next.number = inner.clock;
        let token = next.token();
        if !inner.open.contains_key(key) {
            inner.make_room(key);
        }
        let connection = Connection {
            used: next.number,
            built_on: (!base.is_first()).then(|| base.clone()),
            latest: Arc::new(next),
        };
        inner.open.insert(key.clone(), connection);
        token
    }
}

impl Inner {
    /// Ends what was idle longest, where there are too many.
    fn make_room(&mut self, key: &ConnectionKey) {
        let of_device = |other: &ConnectionKey| other.same_device(key);
        if self.open.keys().filter(|other| of_device(other)).count() >= CONNECTIONS_PER_DEVICE {
            self.end_idlest(of_device);
        }
        let of_user = |other: &ConnectionKey| other.user == key.user;
        if self.open.keys().filter(|other| of_user(other)).count() >= CONNECTIONS_PER_USER {
            self.end_idlest(of_user);
        }
        if self.open.len() >= CONNECTIONS_MAX {
            self.end_idlest(|_| true);
        }
    }

    fn end_idlest(&mut self, among: impl Fn(&ConnectionKey) -> bool) {
        let open = self.open.iter().filter(|(key, _)| among(key));
        let idlest = open
            .min_by_key(|(_, connection)| connection.used)
            .map(|(key, _)| key.clone());
        if let Some(key) = idlest {
            self.open.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use ruma::user_id;

    use super::*;

    fn key(device: &str, name: &str) -> ConnectionKey {
        ConnectionKey::new(user_id!("@alice:letta.test"), device, name)
    }

    #[test]
    fn an_answer_that_got_lost_can_be_asked_for_again_and_older_ones_cannot() {
        let connections = Connections::default();
        let key = key("D", "rooms");
        let fresh = connections.base(&key, None).unwrap();
        let first = connections.store_response(&key, &fresh, Snapshot::default());
        let base = connections.base(&key, Some(&first)).unwrap();
        let lost = connections.store_response(&key, &base, Snapshot::default());
        let again = connections.base(&key, Some(&first)).unwrap();
        let second = connections.store_response(&key, &again, Snapshot::default());
        assert!(
            connections.base(&key, Some(&lost)).is_none(),
            "it was made again"
        );
        let base = connections.base(&key, Some(&second)).unwrap();
        connections.store_response(&key, &base, Snapshot::default());
        assert!(
            connections.base(&key, Some(&first)).is_none(),
            "the client went on from there"
        );
        assert!(
            connections.base(&key, Some(&second)).is_some(),
            "the last answer may be lost"
        );
        assert!(
            Connections::default().base(&key, Some(&second)).is_none(),
            "a restart forgets"
        );
    }

    #[test]
    fn a_device_has_so_many_connections_and_others_keep_theirs() {
        let connections = Connections::default();
        let fresh = Arc::new(Snapshot::default());
        let other = connections.store_response(&key("OTHER", "rooms"), &fresh, Snapshot::default());
        let first = connections.store_response(&key("D", "0"), &fresh, Snapshot::default());
        let second = connections.store_response(&key("D", "1"), &fresh, Snapshot::default());
        for name in 2..=CONNECTIONS_PER_DEVICE {
            connections.base(&key("D", "0"), Some(&first)).unwrap();
            connections.store_response(&key("D", &name.to_string()), &fresh, Snapshot::default());
        }
        assert!(connections.base(&key("D", "0"), Some(&first)).is_some());
        assert!(connections.base(&key("D", "1"), Some(&second)).is_none());
        assert!(
            connections
                .base(&key("OTHER", "rooms"), Some(&other))
                .is_some()
        );
    }
}
