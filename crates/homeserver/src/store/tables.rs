//! Every table of the database: what is found by which key.
//!
//! The room graph is linear, so the state of a room is a temporal index: [`State`] has one row for each change, and the state at
//! any position is one reverse seek. [`CurrentState`], [`Members`] and [`Memberships`] are the same facts as they are now, kept
//! beside it because they are read with every message.

use homeserver_model::Position;
use ruma::{
    OwnedDeviceId, OwnedEventId, OwnedRoomAliasId, OwnedRoomId, OwnedUserId, events::StateEventType,
};
use serde_json::{Value, value::RawValue};

use super::{
    Exists,
    records::{
        accounts::{Account, Device, RefreshToken, RegistrationToken, ShortToken, Token},
        appservices::TransactionProgress,
        keys::{BackupVersion, DehydratedDevice, FallbackKey},
        media::{MediaFile, Thumbnail},
        push::{self, Notification, PusherRecord},
        rooms::{
            Aggregate, AliasRecord, DelayedEvent, Membership, Relation, RoomRecord, SendResult,
            StoredEvent, Thread,
        },
        stream::Change,
        sync::{AccountDatum, Receipt},
    },
    table::catalogue,
};

catalogue! {
    /// Facts about the database itself, by name.
    Meta "meta" Lookup (String) => Value;
    /// What happened, in the order in which it happened: one row for each stream position that is durable.
    Changes "changes" Sequence (Position) => Change;

    /// Accounts, by user id.
    Accounts "accounts" Lookup (OwnedUserId) => Account;
    /// Users whose events only those are shown who could read them before, and up to which position that was.
    ErasedUsers "erased_users" Lookup (OwnedUserId) => Position;
    /// Profile fields, by user and field name.
    Profiles "profiles" Lookup (OwnedUserId, String) => Value;
    /// Devices, by user and device.
    Devices "devices" Lookup (OwnedUserId, OwnedDeviceId) => Device;
    /// Access tokens, by their SHA-256 digest.
    Tokens "tokens" Lookup ([u8; 32]) => Token;
    /// The digests of the access tokens of a device.
    DeviceTokens "device_tokens" Lookup (OwnedUserId, OwnedDeviceId, [u8; 32]) => Exists;
    /// Refresh tokens, by their SHA-256 digest.
    RefreshTokens "refresh_tokens" Lookup ([u8; 32]) => RefreshToken;
    /// `OpenID` and login tokens, which end soon, by their SHA-256 digest.
    ShortTokens "short_tokens" Lookup ([u8; 32]) => ShortToken;
    /// Registration tokens that an admin issued, by the token itself.
    RegistrationTokens "registration_tokens" Lookup (String) => RegistrationToken;
    /// Account data, by user, room (empty: global) and type.
    AccountData "account_data" Lookup (OwnedUserId, String, String) => AccountDatum;
    /// Which account data of a user changed at which position: room (empty: global) and type.
    AccountDataChanges "account_data_changes" Sequence (OwnedUserId, Position) => (String, String);
    /// Sync filters, by user and filter id.
    Filters "filters" Lookup (OwnedUserId, String) => Value;

    /// Rooms.
    Rooms "rooms" Lookup (OwnedRoomId) => RoomRecord;
    /// The events of a room in their order.
    Timeline "timeline" Sequence (OwnedRoomId, Position) => StoredEvent;
    /// Where an event is.
    Events "events" Lookup (OwnedEventId) => (OwnedRoomId, Position);
    /// Every state event that ever was, by type, state key and position.
    State "state" Sequence (OwnedRoomId, StateEventType, String, Position) => OwnedEventId;
    /// The state of a room as it is now.
    CurrentState "current_state" Sequence (OwnedRoomId, StateEventType, String) => (Position, OwnedEventId);
    /// Who is and was in a room, as it is now.
    Members "members" Sequence (OwnedRoomId, OwnedUserId) => Membership;
    /// In which rooms a user is and was, as it is now. Forgotten rooms are not in it.
    Memberships "memberships" Sequence (OwnedUserId, OwnedRoomId) => Membership;
    /// The rooms that a user has left and forgotten: other devices may not have heard yet that the user left.
    ForgottenRooms "forgotten_rooms" Sequence (OwnedUserId, OwnedRoomId) => Membership;
    /// What a client's request with this id made: by user, device, path of the request and transaction id. Ends by itself.
    SendIds "send_ids" Lookup (OwnedUserId, String, String, String) => SendResult;
    /// Events that relate to another one, by room, the other one and their own position.
    Relations "relations" Sequence (OwnedRoomId, OwnedEventId, Position) => Relation;
    /// What is shown with an event because others relate to it: by room and event.
    Aggregates "aggregates" Lookup (OwnedRoomId, OwnedEventId) => Aggregate;
    /// Threads of a room, by their root.
    Threads "threads" Lookup (OwnedRoomId, OwnedEventId) => Thread;
    /// Threads of a room, in the order of their last event.
    ThreadOrder "thread_order" Sequence (OwnedRoomId, Position) => OwnedEventId;
    /// Words in messages, for search: by room, word and position.
    Words "words" Sequence (OwnedRoomId, String, Position) => Exists;
    /// Room aliases.
    Aliases "aliases" Lookup (OwnedRoomAliasId) => AliasRecord;
    /// The aliases of a room.
    RoomAliases "room_aliases" Lookup (OwnedRoomId, OwnedRoomAliasId) => Exists;
    /// Rooms in the public directory, by network (empty: the server's own) and room.
    PublicRooms "public_rooms" Lookup (String, OwnedRoomId) => Exists;
    /// Events that are to be sent later, by their id.
    DelayedEvents "delayed_events" Lookup (String) => DelayedEvent;
    /// Reports of rooms, events and users, in their order.
    Reports "reports" Sequence (Position) => Value;
    /// Which reports are by whom: by user and position.
    ReportsBy "reports_by" Sequence (OwnedUserId, Position) => Exists;

    /// Receipts of a room in the order in which they came; a newer one replaces the older.
    Receipts "receipts" Sequence (OwnedRoomId, Position) => Receipt;
    /// Where the receipt of a user stands: by room, user, receipt type and thread (empty: none).
    ReceiptPlaces "receipt_places" Lookup (OwnedRoomId, OwnedUserId, String, String) => Position;
    /// What a user's presence was last, if it says something that outlives a restart.
    Presence "presence" Lookup (OwnedUserId) => Value;

    /// Messages to devices that were not delivered yet.
    ToDevice "to_device" Sequence (OwnedUserId, OwnedDeviceId, Position) => Box<RawValue>;
    /// Identity keys of devices.
    DeviceKeys "device_keys" Lookup (OwnedUserId, OwnedDeviceId) => Box<RawValue>;
    /// One-time keys: by user, device, algorithm, and the order in which they came.
    OneTimeKeys "one_time_keys" Sequence (OwnedUserId, OwnedDeviceId, String, Position) => (String, Box<RawValue>);
    /// Fallback keys, by user, device and algorithm.
    FallbackKeys "fallback_keys" Lookup (OwnedUserId, OwnedDeviceId, String) => FallbackKey;
    /// Cross-signing keys, by user and use (`master`, `self_signing`, `user_signing`).
    CrossSigningKeys "cross_signing_keys" Lookup (OwnedUserId, String) => Box<RawValue>;
    /// Signatures that others made of a key: by owner, key or device id, signer, and the signer's key id.
    KeySignatures "key_signatures" Lookup (OwnedUserId, String, OwnedUserId, String) => String;
    /// Whose devices or keys changed, in the order in which they did.
    DeviceListChanges "device_list_changes" Sequence (Position) => OwnedUserId;
    /// Key backups, by user and version.
    BackupVersions "backup_versions" Sequence (OwnedUserId, u64) => BackupVersion;
    /// Keys in a backup, by user, version, room and session.
    BackupKeys "backup_keys" Sequence (OwnedUserId, u64, OwnedRoomId, String) => Box<RawValue>;
    /// Dehydrated devices, by user.
    DehydratedDevices "dehydrated_devices" Lookup (OwnedUserId) => DehydratedDevice;

    /// What notified a user and was not read yet: by user, room and position.
    Notifications "notifications" Sequence (OwnedUserId, OwnedRoomId, Position) => Notification;
    /// Pushers, by user, app and key.
    Pushers "pushers" Lookup (OwnedUserId, String, String) => PusherRecord;
    /// How far pushers have come, by user, app and key.
    PusherProgress "pusher_progress" Lookup (OwnedUserId, String, String) => push::PusherProgress;

    /// Uploaded files, by media id.
    Media "media" Lookup (String) => MediaFile;
    /// Places for files that are reserved and not filled, by user and media id.
    PendingMedia "pending_media" Lookup (OwnedUserId, String) => Exists;
    /// Thumbnails that were made, by media id and size.
    Thumbnails "thumbnails" Lookup (String, String) => Thumbnail;

    /// Application services that an admin registered in the admin room, by id: the registration as YAML.
    Appservices "appservices" Lookup (String) => String;
    /// How far an application service has been served, by id.
    AppserviceProgress "appservice_progress" Lookup (String) => TransactionProgress;
}
