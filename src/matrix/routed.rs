//! The kinds of events that the bridge reacts to. Admission and routing read this one list, so an event that routing would react to
//! is never left out before.

/// A kind of event that means something to the bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RoutedKind {
    /// `m.room.message`.
    Message,
    /// `m.sticker`.
    Sticker,
    /// `m.poll.start`: somebody asks for votes.
    PollStart,
    /// The same under the name of [MSC3381](https://github.com/matrix-org/matrix-spec-proposals/pull/3381), which clients send.
    UnstablePollStart,
    /// `m.beacon_info`: somebody begins or ends to share where they are.
    BeaconInfo,
    /// The same under the name of [MSC3672](https://github.com/matrix-org/matrix-spec-proposals/pull/3672), which clients send.
    UnstableBeaconInfo,
    /// `m.room.encrypted`.
    Encrypted,
    /// `m.room.encryption`: messages are encrypted from now on.
    Encryption,
    /// `m.reaction`.
    Reaction,
    /// `m.room.redaction`.
    Redaction,
    /// `m.room.member`: who is in a room.
    Member,
    /// `m.room.power_levels`: who may speak in a room.
    PowerLevels,
    /// `m.room.tombstone`: a room is replaced by another one.
    Tombstone,
}

impl RoutedKind {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Message,
        Self::Sticker,
        Self::PollStart,
        Self::UnstablePollStart,
        Self::BeaconInfo,
        Self::UnstableBeaconInfo,
        Self::Encrypted,
        Self::Encryption,
        Self::Reaction,
        Self::Redaction,
        Self::Member,
        Self::PowerLevels,
        Self::Tombstone,
    ];

    /// The event type of the kind.
    pub fn event_type(self) -> &'static str {
        match self {
            Self::Message => "m.room.message",
            Self::Sticker => "m.sticker",
            Self::PollStart => "m.poll.start",
            Self::UnstablePollStart => "org.matrix.msc3381.poll.start",
            Self::BeaconInfo => "m.beacon_info",
            Self::UnstableBeaconInfo => "org.matrix.msc3672.beacon_info",
            Self::Encrypted => "m.room.encrypted",
            Self::Encryption => "m.room.encryption",
            Self::Reaction => "m.reaction",
            Self::Redaction => "m.room.redaction",
            Self::Member => "m.room.member",
            Self::PowerLevels => "m.room.power_levels",
            Self::Tombstone => "m.room.tombstone",
        }
    }

    /// Which kind an event of this type and state key is. `None`: it means nothing to the bridge.
    pub fn of(event_type: &str, state_key: Option<&str>) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|kind| kind.event_type() == event_type && kind.has_state_key(state_key))
    }

    /// Whether clients show an event of this kind as a message.
    pub fn is_message(self) -> bool {
        matches!(
            self,
            Self::Message
                | Self::Sticker
                | Self::PollStart
                | Self::UnstablePollStart
                | Self::Encrypted
        )
    }

    /// Whether an event of this kind can have this state key.
    fn has_state_key(self, state_key: Option<&str>) -> bool {
        match self {
            Self::Message
            | Self::Sticker
            | Self::PollStart
            | Self::UnstablePollStart
            | Self::Encrypted
            | Self::Reaction
            | Self::Redaction => state_key.is_none(),
            Self::Member | Self::BeaconInfo | Self::UnstableBeaconInfo => state_key.is_some(),
            Self::Encryption | Self::PowerLevels | Self::Tombstone => state_key == Some(""),
        }
    }
}
