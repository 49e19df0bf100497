//! How keys are written: injective, and in the order in which they are read.
//!
//! A key is a tuple of parts. Numbers are big-endian, so that `RocksDB`'s byte order is theirs; texts carry their length in front,
//! so that no text is a prefix of another and a whole part is always a clean prefix of what follows it. A lookup takes borrowed
//! parts ([`KeyFor`]), a scan takes the first parts of a key ([`PrefixOf`]); both are checked against the table at compile time.

use ruma::{
    DeviceId, EventId, MxcUri, OwnedDeviceId, OwnedEventId, OwnedMxcUri, OwnedRoomAliasId,
    OwnedRoomId, OwnedUserId, RoomAliasId, RoomId, UserId, events::StateEventType,
};

use homeserver_model::Position;

/// The longest text that fits into a part of a key, in bytes: its length is written as two bytes.
pub const PART_MAX_BYTES: usize = u16::MAX as usize;

/// One owned part of a key, as a scan gives it back.
pub trait Part: Sized {
    /// Takes the part from the front of `bytes`; nothing if they do not hold one.
    fn take(bytes: &mut &[u8]) -> Option<Self>;
}

/// Something that can stand for the part `P` in a lookup, usually its borrowed form.
pub trait PartOf<P> {
    /// Appends the part to `key`.
    fn put(&self, key: &mut Vec<u8>);
}

/// A whole key of a table.
pub trait Key: Sized {
    /// Reads the key back; nothing if the bytes are not such a key.
    fn decode(bytes: &[u8]) -> Option<Self>;
}

/// Something that names exactly one row of a table with the key `K`.
pub trait KeyFor<K> {
    /// The key as it is stored.
    fn encode(&self) -> Vec<u8>;
}

/// The first parts of a key `K`: all rows that begin with them.
pub trait PrefixOf<K> {
    /// The prefix as it is stored.
    fn encode(&self) -> Vec<u8>;
}

fn put_text(text: &str, key: &mut Vec<u8>) {
    // A longer text is cut: the caller's limits are far below, and a cut key only finds less. It stays text, or its row could
    // not be read back.
    let bytes = &text.as_bytes()[..text.floor_char_boundary(PART_MAX_BYTES)];
    let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
    key.extend_from_slice(&length.to_be_bytes());
    key.extend_from_slice(bytes);
}

fn take_text<'a>(bytes: &mut &'a [u8]) -> Option<&'a str> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    let (text, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    *bytes = rest;
    std::str::from_utf8(text).ok()
}

macro_rules! text_parts {
    ($($owned:ty = $borrowed:ty),* $(,)?) => {$(
        impl Part for $owned {
            fn take(bytes: &mut &[u8]) -> Option<Self> {
                Self::try_from(take_text(bytes)?).ok()
            }
        }
        impl PartOf<$owned> for &$borrowed {
            fn put(&self, key: &mut Vec<u8>) {
                put_text(self.as_ref(), key);
            }
        }
        impl PartOf<$owned> for &$owned {
            fn put(&self, key: &mut Vec<u8>) {
                put_text(self.as_ref(), key);
            }
        }
    )*};
}

text_parts!(
    OwnedUserId = UserId,
    OwnedRoomId = RoomId,
    OwnedEventId = EventId,
    OwnedRoomAliasId = RoomAliasId,
    OwnedDeviceId = DeviceId,
    OwnedMxcUri = MxcUri,
    String = str,
);

impl Part for StateEventType {
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        Some(take_text(bytes)?.into())
    }
}

impl PartOf<StateEventType> for &StateEventType {
    fn put(&self, key: &mut Vec<u8>) {
        put_text(&self.to_string(), key);
    }
}

impl Part for u64 {
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        let (number, rest) = bytes.split_first_chunk::<8>()?;
        *bytes = rest;
        Some(Self::from_be_bytes(*number))
    }
}

impl PartOf<u64> for u64 {
    fn put(&self, key: &mut Vec<u8>) {
        key.extend_from_slice(&self.to_be_bytes());
    }
}

impl Part for Position {
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        u64::take(bytes).map(Self)
    }
}

impl PartOf<Position> for Position {
    fn put(&self, key: &mut Vec<u8>) {
        key.extend_from_slice(&self.0.to_be_bytes());
    }
}

/// A digest, as tokens are looked up by.
impl Part for [u8; 32] {
    fn take(bytes: &mut &[u8]) -> Option<Self> {
        let (digest, rest) = bytes.split_first_chunk::<32>()?;
        *bytes = rest;
        Some(*digest)
    }
}

impl PartOf<[u8; 32]> for [u8; 32] {
    fn put(&self, key: &mut Vec<u8>) {
        key.extend_from_slice(self);
    }
}

macro_rules! keys {
    ($(($($part:ident $by:ident $at:tt),+)),* $(,)?) => {$(
        impl<$($part: Part),+> Key for ($($part,)+) {
            fn decode(mut bytes: &[u8]) -> Option<Self> {
                let key = ($($part::take(&mut bytes)?,)+);
                bytes.is_empty().then_some(key)
            }
        }
        impl<$($part, $by: PartOf<$part>),+> KeyFor<($($part,)+)> for ($($by,)+) {
            fn encode(&self) -> Vec<u8> {
                let mut key = Vec::with_capacity(96);
                $(self.$at.put(&mut key);)+
                key
            }
        }
    )*};
}

keys!(
    (A X 0),
    (A X 0, B Y 1),
    (A X 0, B Y 1, C Z 2),
    (A X 0, B Y 1, C Z 2, D W 3),
    (A X 0, B Y 1, C Z 2, D W 3, E V 4),
);

macro_rules! prefixes {
    ($(($($rest:ident),*) of ($($part:ident $by:ident $at:tt),*)),* $(,)?) => {$(
        impl<$($part, $by: PartOf<$part>,)* $($rest),*> PrefixOf<($($part,)* $($rest,)*)> for ($($by,)*) {
            fn encode(&self) -> Vec<u8> {
                #[allow(unused_mut, reason = "the empty prefix has nothing to put")]
                let mut key = Vec::with_capacity(64);
                $(self.$at.put(&mut key);)*
                key
            }
        }
    )*};
}

prefixes!(
    (A) of (),
    (A, B) of (),
    (A, B, C) of (),
    (A, B, C, D) of (),
    (A, B, C, D, E) of (),
    (B) of (A X 0),
    (B, C) of (A X 0),
    (B, C, D) of (A X 0),
    (B, C, D, E) of (A X 0),
    (C) of (A X 0, B Y 1),
    (C, D) of (A X 0, B Y 1),
    (C, D, E) of (A X 0, B Y 1),
    (D) of (A X 0, B Y 1, C Z 2),
    (D, E) of (A X 0, B Y 1, C Z 2),
    (E) of (A X 0, B Y 1, C Z 2, D W 3),
);
