//! Rows about what is answered: pages, syncs, and what application services are told.

use std::time::Duration;

use super::{Amount, INVALID, Limit, Otherwise, TOO_MANY};

/// The rows of this file.
pub(super) fn all() -> Vec<Limit> {
    rows()
}

limits! {
    "Pages and answers" {
        /// Answers up to this size are given whoever else reads slowly.
        SMALL_ANSWER_BYTES: usize = 64 << 10, "bytes", Otherwise("a longer one takes memory of a pool until it is read");
        /// Longer answers that wait for their readers.
        UNREAD_BYTES: usize = 256 << 20, "bytes", Otherwise("an answer that is not read ends with its connection, or others wait for `UNREAD_WAIT_MAX`");
        /// Those of one user. One answer may be longer.
        UNREAD_BYTES_PER_USER: usize = 32 << 20, "bytes", Otherwise("the next long answer waits for `UNREAD_WAIT_MAX`");
        /// Those of one application service.
        UNREAD_BYTES_PER_APPSERVICE: usize = 128 << 20, "bytes", Otherwise("the next long answer waits for `UNREAD_WAIT_MAX`");
        /// The longest that an answer waits for memory.
        UNREAD_WAIT_MAX: Duration = Duration::from_secs(20), "", TOO_MANY;
        /// How long an answer has to be read before it can give way to others.
        UNREAD_GRACE: Duration = Duration::from_secs(10), "", Otherwise("its connection is closed");
        /// Answers of one user that are written and wait for memory.
        WRITTEN_ANSWERS_PER_USER: usize = 2, "answers", TOO_MANY;
        /// Those in all.
        WRITTEN_ANSWERS_MAX: usize = 16, "answers", TOO_MANY;
        /// Long walks of one user that wait for memory before they begin: syncs, searches, lists of members and of state.
        WALKS_WAITING_PER_USER: usize = 32, "requests", TOO_MANY;
        /// Those in all.
        WALKS_WAITING_MAX: usize = 512, "requests", TOO_MANY;
        /// Syncs of one device that wait for something to happen.
        WAITING_SYNCS_PER_DEVICE: usize = 4, "syncs", Otherwise("the oldest is answered with what there is");
        /// Syncs of one user that wait.
        WAITING_SYNCS_PER_USER: usize = 64, "syncs", Otherwise("the oldest is answered with what there is");
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
        /// Different words of one room that begin as a word of a search does.
        SEARCH_WORD_FORMS_MAX: usize = 100, "words", Otherwise("the first in the order of the alphabet count");
        /// People of one search in the user directory.
        USER_SEARCH_RESULTS_MAX: usize = 50, "people", Otherwise("the answer is marked as limited");
        /// Accounts that one search in the user directory looks at.
        USER_SEARCH_LOOKS_MAX: usize = 10_000, "accounts", Otherwise("the answer is marked as limited");
        /// Events of each room in one sync.
        SYNC_TIMELINE_MAX: usize = 100, "events", Otherwise("the timeline is marked as limited");
        /// Messages to a device in one sync.
        SYNC_TO_DEVICE_MAX: usize = 100, "messages", Otherwise("the next sync goes on; rooms do not wait for it");
        /// Messages to a device in one answer together, of every kind of sync; one message is given whatever its size.
        TO_DEVICE_ANSWER_MAX_BYTES: usize = 1 << 20, "bytes", Otherwise("the next answer goes on; rooms do not wait for it");
        /// What one answer tells of the rooms that a user is invited to or knocks at, in all.
        OUTSIDE_STATE_MAX_BYTES: usize = 2 << 20, "bytes", Otherwise("each room has its share, but `OUTSIDE_STATE_LEAST_BYTES` in any case; what says the least is left out");
        /// What it tells of each such room however many there are.
        OUTSIDE_STATE_LEAST_BYTES: usize = 2 << 10, "bytes", Otherwise("what says the least of the room is left out");
        /// The largest event that such a room is told with whole.
        OUTSIDE_EVENT_MAX_BYTES: usize = 4 << 10, "bytes", Otherwise("only the fields that the specification names, and of them none above 1 KiB");
        /// Events with the rarest word of a search that are looked at in one room, newest first.
        SEARCH_ROOM_MAX_LOOKS: usize = 5_000, "events", Otherwise("older ones are not found");
        /// How deep spaces within spaces are followed.
        SPACE_DEPTH_MAX: u64 = 100, "levels", Otherwise("deeper ones are not shown");
        /// Rooms that are looked at for one page of a space, shown or not.
        SPACE_WALK_MAX: usize = 10_000, "rooms", Otherwise("farther ones are not shown");
        /// Messages to a dehydrated device in one answer.
        DEHYDRATED_EVENTS_PER_ANSWER: usize = 100, "messages", Otherwise("the next answer goes on");
        /// The longest message of an answer in the admin room.
        ADMIN_ANSWER_MAX_BYTES: usize = 20_000, "bytes", Otherwise("the next message goes on");
        /// Messages of one answer in the admin room.
        ADMIN_ANSWER_MESSAGES_MAX: usize = 50, "messages", Otherwise("the last one says how much is left out");
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
        /// Events of each room in one answer.
        SLIDING_TIMELINE_MAX: usize = 200, "events", Otherwise("the timeline is marked as limited");
        /// Messages to a device in one answer.
        SLIDING_TO_DEVICE_MAX: usize = 1_000, "messages", Otherwise("the next answer goes on");
        /// Receipts of one room in one answer.
        SLIDING_RECEIPTS_MAX: usize = 500, "receipts", Otherwise("more are not sent");
    }
    "Application services" {
        /// Events of one transaction.
        TRANSACTION_EVENTS_MAX: usize = 100, "events", Otherwise("the next transaction goes on");
        /// Events of one transaction together.
        TRANSACTION_MAX_BYTES: usize = 1 << 20, "bytes", Otherwise("the next transaction goes on");
        /// How long an application service may take to answer.
        APPSERVICE_ANSWER_TIMEOUT: Duration = Duration::from_secs(35), "", Otherwise("the request is sent again");
        /// How long a connection to an application service may take.
        APPSERVICE_CONNECT_TIMEOUT: Duration = Duration::from_secs(10), "", Otherwise("the request is sent again");
        /// The longest answer of an application service.
        APPSERVICE_ANSWER_MAX_BYTES: usize = 1 << 20, "bytes", Otherwise("the request counts as failed");
        /// The longest wait between two attempts at a transaction.
        APPSERVICE_RETRY_MAX: Duration = Duration::from_mins(1), "", Otherwise("the transaction is sent again");
        /// How long a question about a user or an alias may take. Somebody waits for what is made of the answer.
        APPSERVICE_QUESTION_TIMEOUT: Duration = Duration::from_secs(10), "", Otherwise("the user or room counts as missing");
    }
}
