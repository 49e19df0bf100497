//! The catalogue: one row for each limit. The text above a row stands in `docs/limits.md`.

use std::time::Duration;

use super::{
    Amount, Limit,
    Reached::{Otherwise, Refused},
};

/// Makes of each row a constant, and of all of them the table.
macro_rules! limits {
    ($($section:literal {
        $($(#[doc = $doc:literal])+ $name:ident: $type:ty = $value:expr, $unit:literal, $reached:expr;)+
    })+) => {
        $($(
            $(#[doc = $doc])+
            pub const $name: $type = $value;
        )+)+

        /// Every limit, in the order of the document.
        pub fn all() -> Vec<Limit> {
            vec![$($(Limit {
                section: $section,
                name: stringify!($name),
                about: concat!($($doc),+).trim_ascii().trim_end_matches('.'),
                amount: Amount::from($name),
                unit: $unit,
                reached: $reached,
            }),+),+]
        }
    };
}

const INVALID: super::Reached = Refused(400, "M_INVALID_PARAM");
const TOO_LARGE: super::Reached = Refused(413, "M_TOO_LARGE");
const TOO_MANY: super::Reached = Refused(429, "M_LIMIT_EXCEEDED");

limits! {
    "Requests and events" {
        /// Levels of nested JSON in one request.
        JSON_MAX_DEPTH: usize = 100, "levels", Refused(400, "M_BAD_JSON");
        /// The largest event, with its signatures; the specification's number.
        EVENT_MAX_BYTES: usize = 65_536, "bytes", TOO_LARGE;
        /// The longest type and the longest state key of an event; the specification's number.
        EVENT_FIELD_MAX_BYTES: usize = 255, "bytes", TOO_LARGE;
    }
    "Accounts and profiles" {
        /// The longest user id; the specification's number.
        USER_ID_MAX_BYTES: usize = 255, "bytes", Refused(400, "M_INVALID_USERNAME");
        /// The longest display name, so that it fits into member events.
        DISPLAY_NAME_MAX_CHARS: usize = 256, "characters", INVALID;
        /// The longest address of an avatar.
        AVATAR_URL_MAX_BYTES: usize = 1_000, "bytes", INVALID;
        /// The longest name of a field of a profile; the specification's number.
        PROFILE_FIELD_NAME_MAX_BYTES: usize = 255, "bytes", Refused(400, "M_KEY_TOO_LARGE");
        /// The largest profile as JSON; the specification's number.
        PROFILE_MAX_BYTES: usize = 65_536, "bytes", Refused(400, "M_PROFILE_TOO_LARGE");
        /// The longest status message of a presence.
        PRESENCE_MESSAGE_MAX_BYTES: usize = 1_000, "bytes", INVALID;
        /// The longest password.
        PASSWORD_MAX_BYTES: usize = 512, "bytes", INVALID;
        /// The longest registration token; the specification's number.
        REGISTRATION_TOKEN_MAX_BYTES: usize = 64, "bytes", Otherwise("the token is not known");
        /// `OpenID` and login tokens of one user that are good at the same time.
        SHORT_TOKENS_PER_USER: usize = 100, "tokens", TOO_MANY;
        /// The longest that somebody types after one request.
        TYPING_MAX: Duration = Duration::from_mins(2), "", Otherwise("typing ends by itself");
    }
    "Devices" {
        /// The longest id of a device.
        DEVICE_ID_MAX_BYTES: usize = 255, "bytes", INVALID;
        /// The longest name of a device.
        DEVICE_NAME_MAX_BYTES: usize = 256, "bytes", INVALID;
        /// Devices of one user. Whoever has so many has forgotten most of them.
        DEVICES_PER_USER: usize = 1_000, "devices", Refused(403, "M_FORBIDDEN");
        /// Devices that one request deletes.
        DEVICES_DELETED_AT_ONCE: usize = 1_000, "devices", INVALID;
    }
    "Account data, tags, filters" {
        /// The largest piece of account data as JSON. Lists of direct chats and of secrets grow with the years.
        ACCOUNT_DATUM_MAX_BYTES: usize = 1 << 20, "bytes", TOO_LARGE;
        /// The longest type of account data.
        ACCOUNT_DATA_TYPE_MAX_BYTES: usize = 255, "bytes", TOO_LARGE;
        /// Types of account data of one user, globally and for each room.
        ACCOUNT_DATA_TYPES_MAX: usize = 1_000, "types", TOO_LARGE;
        /// All account data of one user together, globally and for each room. What makes it smaller is always taken.
        ACCOUNT_DATA_MAX_BYTES: usize = 4 << 20, "bytes", TOO_LARGE;
        /// The longest name of a tag.
        TAG_NAME_MAX_BYTES: usize = 255, "bytes", TOO_LARGE;
        /// Tags of one room for one user.
        TAGS_PER_ROOM: usize = 100, "tags", TOO_LARGE;
        /// The largest filter as JSON.
        FILTER_MAX_BYTES: usize = 65_536, "bytes", TOO_LARGE;
        /// Filters of one user. The same filter is always the same one, so clients need few.
        FILTERS_PER_USER: usize = 1_000, "filters", TOO_LARGE;
    }
    "Rooms" {
        /// People who are invited while a room is made. More can be once it is there.
        INVITES_PER_NEW_ROOM: usize = 100, "people", INVALID;
        /// The longest alias; the specification's number.
        ALIAS_MAX_BYTES: usize = 255, "bytes", INVALID;
        /// Aliases of one room.
        ALIASES_PER_ROOM: usize = 100, "aliases", TOO_LARGE;
        /// Rooms that one user can be in. A bridge that needs more has users of its own for them.
        ROOMS_PER_USER: usize = 20_000, "rooms", TOO_LARGE;
        /// The longest transaction id; the specification's number.
        TRANSACTION_ID_MAX_BYTES: usize = 255, "bytes", INVALID;
        /// Threads of one room that one user has receipts in, for each type of receipt.
        RECEIPT_THREADS_PER_ROOM: usize = 1_000, "threads", Otherwise("the receipt that is oldest goes");
        /// The longest reason of a report.
        REPORT_REASON_MAX_BYTES: usize = 10_000, "bytes", Otherwise("the beginning is kept");
        /// Reports of one user that are kept.
        REPORTS_PER_USER: usize = 100, "reports", Otherwise("the user's oldest report goes; the log has it still");
        /// The longest that an event waits to be sent later.
        DELAY_MAX: Duration = Duration::from_hours(24), "", Refused(400, "M_UNKNOWN");
        /// Events of one user that wait to be sent later.
        DELAYED_EVENTS_PER_USER: usize = 100, "events", Refused(429, "M_UNKNOWN");
        /// People whom a thread remembers to have taken part.
        THREAD_PARTICIPANTS_MAX: usize = 1_000, "people", Otherwise("more are not remembered");
        /// Different words of one event that are found by a search.
        SEARCH_WORDS_PER_EVENT: usize = 1_000, "words", Otherwise("more are not found");
        /// The longest word that is found whole.
        SEARCH_WORD_MAX_CHARS: usize = 64, "characters", Otherwise("the beginning counts");
    }
    "Encryption" {
        /// The largest description of a device's keys as JSON.
        DEVICE_KEYS_MAX_BYTES: usize = 65_536, "bytes", TOO_LARGE;
        /// One-time keys of one device. Clients keep 50 to 100.
        ONE_TIME_KEYS_PER_DEVICE: usize = 1_000, "keys", TOO_LARGE;
        /// The largest one-time or fallback key as JSON.
        ONE_TIME_KEY_MAX_BYTES: usize = 4_096, "bytes", TOO_LARGE;
        /// The longest id of such a key.
        ONE_TIME_KEY_ID_MAX_BYTES: usize = 255, "bytes", TOO_LARGE;
        /// Algorithms that one device has fallback keys for.
        FALLBACK_ALGORITHMS_PER_DEVICE: usize = 10, "algorithms", TOO_LARGE;
        /// The largest cross-signing key as JSON.
        CROSS_SIGNING_KEY_MAX_BYTES: usize = 65_536, "bytes", TOO_LARGE;
        /// The longest name of a key or device that is signed.
        SIGNED_NAME_MAX_BYTES: usize = 255, "bytes", Otherwise("the signature is not taken");
        /// The largest content of a message to a device.
        TO_DEVICE_CONTENT_MAX_BYTES: usize = 65_536, "bytes", TOO_LARGE;
        /// The longest type and transaction id of a message to a device.
        TO_DEVICE_NAME_MAX_BYTES: usize = 255, "bytes", TOO_LARGE;
        /// Devices that one request sends to.
        TO_DEVICE_RECIPIENTS_MAX: usize = 10_000, "devices", TOO_LARGE;
        /// Messages that wait for one device. One that was away for longer has to be verified and given keys anew anyway.
        TO_DEVICE_WAITING_MAX: usize = 10_000, "messages", Otherwise("the oldest go");
        /// The largest dehydrated device as JSON.
        DEHYDRATED_DEVICE_MAX_BYTES: usize = 1_000_000, "bytes", TOO_LARGE;
        /// The largest description of a version of a key backup as JSON.
        BACKUP_VERSION_MAX_BYTES: usize = 65_536, "bytes", TOO_LARGE;
        /// Versions of a key backup that one user has at the same time.
        BACKUP_VERSIONS_PER_USER: usize = 100, "versions", TOO_LARGE;
        /// Versions of a key backup that one user ever makes.
        BACKUP_VERSIONS_EVER: u64 = 100_000, "versions", TOO_LARGE;
        /// Keys in one version of a backup.
        BACKUP_KEYS_MAX: u64 = 1_000_000, "keys", TOO_LARGE;
        /// The largest key in a backup as JSON.
        BACKUP_KEY_MAX_BYTES: usize = 65_536, "bytes", TOO_LARGE;
        /// All keys of one version of a backup together.
        BACKUP_MAX_BYTES: u64 = 1 << 30, "bytes", TOO_LARGE;
        /// The longest id of a session in a backup.
        BACKUP_SESSION_ID_MAX_BYTES: usize = 255, "bytes", TOO_LARGE;
    }
    "Push" {
        /// Pushers of one user.
        PUSHERS_PER_USER: usize = 100, "pushers", INVALID;
        /// The longest key of a pusher.
        PUSHKEY_MAX_BYTES: usize = 512, "bytes", INVALID;
        /// The longest app id of a pusher.
        APP_ID_MAX_BYTES: usize = 64, "bytes", INVALID;
        /// The largest pusher as JSON.
        PUSHER_MAX_BYTES: usize = 16_384, "bytes", INVALID;
    }
    "Files" {
        /// The longest name of a file.
        FILE_NAME_MAX_BYTES: usize = 1_024, "bytes", INVALID;
        /// The longest content type of a file.
        CONTENT_TYPE_MAX_BYTES: usize = 255, "bytes", INVALID;
        /// The longest address of a page that is previewed.
        PREVIEW_URL_MAX_BYTES: usize = 4_096, "bytes", INVALID;
        /// Previews that are remembered.
        PREVIEWS_REMEMBERED: usize = 500, "previews", Otherwise("one that was not asked for goes");
        /// Pages that are asked for a preview at the same time.
        PREVIEWS_AT_ONCE: usize = 8, "pages", Otherwise("others wait");
        /// The longest that a preview takes to come about.
        PREVIEW_TIMEOUT: Duration = Duration::from_secs(20), "", Refused(502, "M_UNKNOWN");
        /// The largest picture of a page that is kept.
        PREVIEW_PICTURE_MAX_BYTES: usize = 8 << 20, "bytes", Otherwise("the preview has no picture");
        /// The longest that a download waits for a file that is not uploaded yet.
        DOWNLOAD_WAIT_MAX: Duration = Duration::from_mins(1), "", Refused(504, "M_NOT_YET_UPLOADED");
    }
    "Pages and answers" {
        /// Events of one page of a room.
        PAGE_MAX_EVENTS: usize = 1_000, "events", Otherwise("the next page goes on");
        /// Events that are looked at for one page, however few pass the filter.
        PAGE_MAX_LOOKS: usize = 10_000, "events", Otherwise("the next page goes on");
        /// Rooms of one page of the directory.
        DIRECTORY_PAGE_MAX: usize = 500, "rooms", Otherwise("the next page goes on");
        /// Rooms of one page of a space.
        SPACE_PAGE_MAX: usize = 50, "rooms", Otherwise("the next page goes on");
        /// Notifications of one page.
        NOTIFICATIONS_PAGE_MAX: usize = 100, "notifications", Otherwise("the next page goes on");
        /// Results of one page of a search.
        SEARCH_PAGE_MAX: usize = 100, "results", Otherwise("the next page goes on");
        /// Events that are shown before and after a result of a search.
        SEARCH_CONTEXT_MAX: usize = 20, "events", Otherwise("more are not shown");
        /// Words of one search that count.
        SEARCH_TERM_WORDS_MAX: usize = 16, "words", Otherwise("the first count");
        /// People of one search in the user directory.
        USER_SEARCH_RESULTS_MAX: usize = 50, "people", Otherwise("the answer is marked as limited");
        /// Accounts that one search in the user directory looks at.
        USER_SEARCH_LOOKS_MAX: usize = 10_000, "accounts", Otherwise("the answer is marked as limited");
    }
    "Sliding sync" {
        /// The longest name of a connection.
        CONNECTION_NAME_MAX_BYTES: usize = 255, "bytes", INVALID;
        /// Connections of one device.
        CONNECTIONS_PER_DEVICE: usize = 16, "connections", Otherwise("the idlest one begins anew");
        /// Connections of one user.
        CONNECTIONS_PER_USER: usize = 200, "connections", Otherwise("the user's idlest one begins anew");
        /// Connections in all.
        CONNECTIONS_MAX: usize = 5_000, "connections", Otherwise("the idlest one begins anew");
        /// Lists of one request.
        LISTS_MAX: usize = 100, "lists", INVALID;
        /// The longest name of a list.
        LIST_NAME_MAX_BYTES: usize = 255, "bytes", INVALID;
        /// Windows of one list.
        LIST_RANGES_MAX: usize = 100, "windows", INVALID;
        /// Tags, tags to leave out, spaces, and types of rooms in the filters of one list, each.
        LIST_FILTER_ENTRIES_MAX: usize = 100, "entries", INVALID;
        /// The longest text that the names of rooms are searched for.
        ROOM_NAME_LIKE_MAX_BYTES: usize = 255, "bytes", INVALID;
        /// Rooms that one request subscribes to.
        SUBSCRIPTIONS_MAX: usize = 1_000, "rooms", INVALID;
        /// Entries of required state of one list or subscription.
        REQUIRED_STATE_MAX: usize = 1_000, "entries", INVALID;
    }
}
