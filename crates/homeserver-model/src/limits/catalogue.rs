//! The catalogue: one row for each limit. The text above a row stands in `docs/limits.md`.
//! What bounds answers is in `answers`.

use std::time::Duration;

use super::{
    Amount, Limit,
    LimitEffect::{Otherwise, Refused},
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

        fn rows() -> Vec<Limit> {
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

mod answers;

pub use answers::*;

/// Every limit, in the order of the document.
pub fn all() -> Vec<Limit> {
    let mut all = rows();
    all.extend(answers::all());
    all
}

const INVALID: super::LimitEffect = Refused(400, "M_INVALID_PARAM");
const TOO_LARGE: super::LimitEffect = Refused(413, "M_TOO_LARGE");
const TOO_MANY: super::LimitEffect = Refused(429, "M_LIMIT_EXCEEDED");

limits! {
    "Requests and events" {
        /// Levels of nested JSON in one request.
        JSON_MAX_DEPTH: usize = 100, "levels", Refused(400, "M_BAD_JSON");
        /// The largest event, with its signatures; the specification's number.
        EVENT_MAX_BYTES: usize = 65_536, "bytes", TOO_LARGE;
        /// The longest type and the longest state key of an event; the specification's number.
        EVENT_FIELD_MAX_BYTES: usize = 255, "bytes", TOO_LARGE;
        /// The longest JSON body of a request without an access token. The longest ones are registrations and logins: some hundred bytes.
        JSON_MAX_BYTES_WITHOUT_TOKEN: usize = 64 << 10, "bytes", TOO_LARGE;
        /// The longest JSON body of a request with an access token. An event has 64 KiB at most; account data is the longest.
        JSON_MAX_BYTES: usize = 1 << 20, "bytes", TOO_LARGE;
        /// The longest body with device keys: 1,000 one-time keys, each with its signatures, and a dehydrated device of 1 MB. Clients upload 50 or 100 of 250 bytes.
        DEVICE_KEYS_BODY_MAX_BYTES: usize = 2 << 20, "bytes", TOO_LARGE;
        /// The longest body with keys for the backup: 5,000 keys of 1.5 KB. Clients upload 100 or 200 at a time.
        KEY_BACKUP_BODY_MAX_BYTES: usize = 8 << 20, "bytes", TOO_LARGE;
        /// The longest body with messages to devices: 1,000 encrypted room keys of 4 KB. Clients send to 20 or 250 devices at a time.
        TO_DEVICE_BODY_MAX_BYTES: usize = 4 << 20, "bytes", TOO_LARGE;
        /// The longest body of a registration with the shared secret.
        REGISTER_BODY_MAX_BYTES: usize = 16_384, "bytes", TOO_LARGE;
        /// How many values (objects, lists, texts, numbers, …) the JSON of a request can have, all levels counted. An event of the largest size cannot have half as many, and a key backup of 5,000 keys has 40,000.
        JSON_MAX_VALUES: usize = 65_536, "values", Refused(400, "M_BAD_JSON");
        /// What of each body is read whoever else sends bodies. Nearly all logins and messages are no longer.
        SMALL_BODY_BYTES: usize = 4 << 10, "bytes", Otherwise("what is above takes memory of a pool as it arrives");
        /// What has arrived of all bodies above 64 KiB: eight of the longest that any endpoint takes.
        LONG_BYTES: usize = 64 << 20, "bytes", Otherwise("a body that does not arrive gives way with 429 `M_LIMIT_EXCEEDED`, or others wait for `BODY_PERMIT_WAIT_MAX`");
        /// That of one user.
        LONG_BYTES_PER_USER: usize = 16 << 20, "bytes", Otherwise("a body that does not arrive gives way with 429 `M_LIMIT_EXCEEDED`, or others wait for `BODY_PERMIT_WAIT_MAX`");
        /// That of one application service.
        LONG_BYTES_PER_APPSERVICE: usize = 32 << 20, "bytes", Otherwise("a body that does not arrive gives way with 429 `M_LIMIT_EXCEEDED`, or others wait for `BODY_PERMIT_WAIT_MAX`");
        /// Bodies above 64 KiB that are parsed at a time.
        LONG_BODIES_AT_ONCE: usize = 8, "bodies", Otherwise("others wait");
        /// Those of one user.
        LONG_BODIES_PER_USER: usize = 2, "bodies", Otherwise("others wait");
        /// Those of one application service.
        LONG_BODIES_PER_APPSERVICE: usize = 4, "bodies", Otherwise("others wait");
        /// What has arrived of all bodies with an access token, up to 64 KiB of each.
        AUTHENTICATED_BYTES: usize = 32 << 20, "bytes", Otherwise("a body that does not arrive gives way with 429 `M_LIMIT_EXCEEDED`, or others wait for `BODY_PERMIT_WAIT_MAX`");
        /// That of one user.
        AUTHENTICATED_BYTES_PER_USER: usize = 2 << 20, "bytes", Otherwise("a body that does not arrive gives way with 429 `M_LIMIT_EXCEEDED`, or others wait for `BODY_PERMIT_WAIT_MAX`");
        /// That of one application service.
        AUTHENTICATED_BYTES_PER_APPSERVICE: usize = 16 << 20, "bytes", Otherwise("a body that does not arrive gives way with 429 `M_LIMIT_EXCEEDED`, or others wait for `BODY_PERMIT_WAIT_MAX`");
        /// What has arrived of all bodies without an access token: 16 of the longest.
        ANONYMOUS_BYTES: usize = 1 << 20, "bytes", Otherwise("a body that does not arrive gives way with 429 `M_LIMIT_EXCEEDED`, or others wait for `BODY_PERMIT_WAIT_MAX`");
        /// That from one address: two of the longest.
        ANONYMOUS_BYTES_PER_ADDRESS: usize = 128 << 10, "bytes", Otherwise("a body that does not arrive gives way with 429 `M_LIMIT_EXCEEDED`, or others wait for `BODY_PERMIT_WAIT_MAX`");
        /// Bodies of one user, application service or address that wait for such memory at a time.
        BODIES_WAITING_PER_USER: usize = 64, "bodies", TOO_MANY;
        /// Bodies that wait for it at a time in all.
        BODIES_WAITING_MAX: usize = 1_024, "bodies", TOO_MANY;
        /// How long a body has before it can give way to others.
        BODY_GRACE: Duration = Duration::from_secs(2), "", TOO_MANY;
        /// How long the first 1 KiB of a body may take to come.
        BODY_FIRST_BYTES_TIME: Duration = Duration::from_secs(10), "", Refused(408, "M_UNKNOWN");
        /// The longest that a request waits until its body is read.
        BODY_PERMIT_WAIT_MAX: Duration = Duration::from_secs(10), "", TOO_MANY;
        /// How long every body may take to come.
        BODY_TIME_BASE: Duration = Duration::from_secs(30), "", Refused(408, "M_UNKNOWN");
        /// How fast a body has to come beyond that, a second: slower than a bad mobile network.
        BODY_BYTES_PER_SECOND_MIN: u64 = 8 << 10, "bytes", Refused(408, "M_UNKNOWN");
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
    "Logging in" {
        /// Passwords that are hashed at a time, but no more than half of the processors; one more for who had a device at the address
        /// that they log in from, while others wait. Each takes 19 MiB.
        HASHES_AT_ONCE: usize = 2, "hashes", Otherwise("others wait");
        /// Callers who wait for the hash of a password at a time.
        HASHES_WAITING_MAX: usize = 20, "callers", TOO_MANY;
        /// Those of them at one address.
        HASHES_WAITING_PER_ADDRESS_MAX: usize = HASHES_WAITING_MAX / 2, "callers", TOO_MANY;
        /// Wrong guesses at one account from one address.
        GUESSES_AT_ACCOUNT_PER_ADDRESS: u32 = 10, "guesses", TOO_MANY;
        /// The time after which one of them is forgotten.
        GUESSES_AT_ACCOUNT_PER_ADDRESS_REFILL: Duration = Duration::from_secs(30), "", Otherwise("one more guess");
        /// Wrong guesses from one address, whatever they are at.
        GUESSES_PER_ADDRESS: u32 = 30, "guesses", TOO_MANY;
        /// The time after which one of them is forgotten.
        GUESSES_PER_ADDRESS_REFILL: Duration = Duration::from_secs(10), "", Otherwise("one more guess");
        /// Wrong guesses at one account, from wherever they come. Addresses at which it has a device are exempt.
        GUESSES_AT_ACCOUNT: u32 = 100, "guesses", TOO_MANY;
        /// The time after which one of them is forgotten: faster than one address can guess, so it takes many to keep an account closed.
        GUESSES_AT_ACCOUNT_REFILL: Duration = Duration::from_secs(6), "", Otherwise("one more guess");
        /// Such sessions that are kept.
        UIA_SESSIONS_MAX: usize = 10_000, "sessions", Otherwise("the oldest one of the network that has the most ends");
        /// How long somebody has to prove who they are, from the first answer that asks for it.
        UIA_SESSION_LIFE: Duration = Duration::from_mins(15), "", Otherwise("the client begins anew");
        /// How long one can log in with a login token.
        LOGIN_TOKEN_LIFE: Duration = Duration::from_mins(2), "", Refused(403, "M_FORBIDDEN");
        /// How long one can prove who one is with an `OpenID` token.
        OPENID_TOKEN_LIFE: Duration = Duration::from_hours(1), "", Refused(401, "M_UNAUTHORIZED");
        /// How long the log says nothing more of a wrong password of the same account from the same address, or of a question to an application service that is not answered.
        LOG_REPEAT_INTERVAL: Duration = Duration::from_mins(10), "", Otherwise("the next line says how many were left out");
        /// How many the log says something about in this time, of each kind of line.
        LOG_REPEAT_LINES_MAX: usize = 100, "lines", Otherwise("what is said of others is one line, which says how many were left out");
        /// Nonces for registrations with the shared secret that are good at a time.
        NONCES_MAX: usize = 1_000, "nonces", Otherwise("the oldest one of the network that has the most ends");
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
        /// All account data of one user together that belongs to no room. What makes it smaller is always taken.
        ACCOUNT_DATA_MAX_BYTES: usize = 4 << 20, "bytes", TOO_LARGE;
        /// All account data of one user together that belongs to one room: one piece of the largest size, and others. Tags, read markers and settings of clients take some hundred bytes.
        ROOM_ACCOUNT_DATA_MAX_BYTES: usize = 1_088 << 10, "bytes", TOO_LARGE;
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
        /// How many state events a room can begin with besides those that every room has. More can be sent once it is there.
        INITIAL_STATE_MAX: usize = 200, "events", INVALID;
        /// How large these can be together.
        INITIAL_STATE_MAX_BYTES: usize = 256 << 10, "bytes", INVALID;
        /// How many steps away relations are followed.
        RELATION_DEPTH_MAX: u64 = 3, "steps", Otherwise("farther ones are not shown");
        /// Related events that are collected before no further step is made.
        RELATED_EVENTS_MAX: usize = 10_000, "events", Otherwise("no further step is made");
        /// Events that refer to one and are shown with it.
        REFERENCES_SHOWN_MAX: usize = 200, "events", Otherwise("more are not shown");
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
        TO_DEVICE_WAITING_MAX: usize = 10_000, "messages", Otherwise("the oldest go of the sender who has left the most");
        /// How large these can be together.
        TO_DEVICE_WAITING_MAX_BYTES: usize = 64 << 20, "bytes", Otherwise("the oldest go of the sender who has left the most");
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
        /// All keys of all versions of one user's backups together.
        BACKUPS_MAX_BYTES: u64 = 2 << 30, "bytes", TOO_LARGE;
        /// The longest id of a session in a backup.
        BACKUP_SESSION_ID_MAX_BYTES: usize = 255, "bytes", TOO_LARGE;
        /// Signatures that one user has of one key. Those by keys that the signer does not have any more go.
        SIGNATURES_PER_KEY: usize = 2_000, "signatures", Otherwise("the signatures are not taken");
        /// Signed keys of one request.
        SIGNED_KEYS_PER_REQUEST: usize = 500, "keys", TOO_LARGE;
        /// What one request leaves for all devices together: a message for all devices is kept once for each.
        TO_DEVICE_KEPT_MAX_BYTES: usize = 16 << 20, "bytes", TOO_LARGE;
        /// Users of whom one request takes one-time keys at the same time.
        CLAIMS_AT_ONCE: usize = 16, "users", Otherwise("the others of the request wait");
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
        /// Push rules of one user, the server's included.
        RULES_PER_USER: usize = 2_000, "rules", INVALID;
        /// All push rules of one user together, as JSON.
        RULES_MAX_BYTES: usize = 512 << 10, "bytes", INVALID;
        /// The largest push rule as JSON.
        RULE_MAX_BYTES: usize = 8 << 10, "bytes", INVALID;
        /// Conditions of one push rule. No rule of a known client has more than five.
        CONDITIONS_PER_RULE: usize = 32, "conditions", INVALID;
        /// Actions of one push rule.
        ACTIONS_PER_RULE: usize = 16, "actions", INVALID;
        /// The longest pattern, key and value of a condition, and the longest id of a push rule.
        PATTERN_MAX_BYTES: usize = 512, "bytes", INVALID;
        /// Steps that one user's own push rules take for one event. A step compares a few bytes; a microsecond has hundreds of them.
        STEPS_PER_EVENT: u64 = 1 << 20, "steps", Otherwise("the rules beyond it do not count for this event");
        /// Steps that each of the server's own push rules takes for one user and one event.
        STEPS_PER_DEFAULT_RULE: u64 = 1 << 20, "steps", Otherwise("the rule does not count for this event");
        /// Steps that one event takes for the own push rules of all members, and as many again for the server's rules of all of them. What one member does not need is for those who come after.
        STEPS_OF_ALL_MEMBERS: u64 = 2 << 20, "steps", Otherwise("each member has `STEPS_PER_MEMBER`; the rules beyond it do not count for this event");
        /// Steps that each member has for each of both, however many members there are. Rules that look for a word without wildcards in the longest message take a tenth of it.
        STEPS_PER_MEMBER: u64 = 16 << 10, "steps", Otherwise("the rules beyond it do not count for this event");
        /// Push rules, as JSON, that one event has parsed for all members whose rules are not in memory.
        RULES_PARSED_PER_EVENT_BYTES: u64 = 4 << 20, "bytes", Otherwise("a member whose rules are larger than the member's share, and than `RULES_PARSED_PER_MEMBER_BYTES`, has the server's rules for this event");
        /// What of them is parsed of each member, however many members there are. Rules for a hundred rooms are no longer.
        RULES_PARSED_PER_MEMBER_BYTES: u64 = 32 << 10, "bytes", Otherwise("the member has the server's rules for this event");
        /// Notifications that are kept of one room for one user.
        NOTIFICATIONS_PER_ROOM: usize = 500, "notifications", Otherwise("the oldest go");
        /// The longest answer of a push gateway.
        GATEWAY_ANSWER_MAX_BYTES: u64 = 64 << 10, "bytes", Otherwise("the gateway counts as failed");
        /// How long a push gateway that failed is left alone at most.
        GATEWAY_RETRY_MAX: Duration = Duration::from_mins(10), "", Otherwise("it is tried again");
        /// The oldest notification that a push gateway is told.
        NOTIFICATION_AGE_MAX: Duration = Duration::from_hours(24), "", Otherwise("it is counted, but not told");
        /// Notifications that a push gateway is told that was away.
        GATEWAY_CATCH_UP_MAX: usize = 100, "notifications", Otherwise("older ones are counted, but not told");
        /// How long a connection to a push gateway or a previewed page may take.
        OUTGOING_CONNECT_TIMEOUT: Duration = Duration::from_secs(10), "", Otherwise("the request fails");
        /// How long a whole request to one of them may take.
        OUTGOING_REQUEST_TIMEOUT: Duration = Duration::from_secs(30), "", Otherwise("the request fails");
    }
    "Files" {
        /// Files of one user, however small they are.
        FILES_PER_USER: u64 = 1_000_000, "files", Refused(403, "M_FORBIDDEN");
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
        /// Pictures that are made small at the same time, one of each user. Each can need some hundred megabytes.
        THUMBNAILS_AT_ONCE: usize = 2, "pictures", Otherwise("others wait");
        /// The longest wait for the next piece of an upload.
        UPLOAD_PIECE_WAIT_MAX: Duration = Duration::from_mins(2), "", Otherwise("the upload is given up");
        /// How often a previewed page may send on to another.
        PREVIEW_REDIRECTS_MAX: usize = 5, "redirects", Otherwise("there is no preview");
        /// `meta` tags of a previewed page.
        PREVIEW_TAGS_MAX: usize = 500, "tags", Otherwise("more are not looked at");
        /// The longest value of a property of a previewed page.
        PREVIEW_VALUE_MAX_CHARS: usize = 1_000, "characters", Otherwise("the rest is cut off");
    }
}
