//! The table and the source: every row is enforced, and every constant that limits is a row.

use std::{collections::BTreeSet, fs, path::Path};

use super::super::all;

/// What the name of a constant that limits something has in it.
const WORDS: [&str; 8] = [
    "MAX", "LIMIT", "_PER_", "AT_ONCE", "BURST", "TIMEOUT", "LONGEST", "MOST",
];

/// Constants whose names sound like limits that nobody meets: file, name, why it is no row.
const NO_ROWS: &[(&str, &str, &str)] = &[
    (
        "accounts/attempts.rs",
        "COUNTERS_MAX",
        "memory: the half goes that has the least against it",
    ),
    (
        "accounts/seen.rs",
        "REMEMBERED_MAX",
        "memory: one that is forgotten is written once more",
    ),
    (
        "admin/answer.rs",
        "CONTENT_MAX_BYTES",
        "what ADMIN_ANSWER_MAX_BYTES may grow to in HTML and JSON",
    ),
    (
        "admin/answer.rs",
        "LONGEST_FENCE_SHARE",
        "a line of backticks beyond it is text",
    ),
    ("api.rs", "CORS_MAX_AGE", "a header"),
    (
        "api/server_key.rs",
        "PROBE_BODY_MAX_BYTES",
        "requests without a body",
    ),
    (
        "transactions/transaction.rs",
        "LOOKED_AT_MAX",
        "work between two looks at the time",
    ),
    ("blocking.rs", "POLLS_PER_CORE", "threads"),
    ("blocking.rs", "POLLS_MAX", "threads"),
    ("blocking.rs", "WALKS_PER_CORE", "threads"),
    ("blocking.rs", "STEPS_PER_SLICE", "a walk goes on later"),
    (
        "byte_pool.rs",
        "SLOW_BYTES_PER_SECOND",
        "who gives way at the limits of bodies and answers",
    ),
    (
        "config/sample.rs",
        "LONGEST_VALUE",
        "the width of a document",
    ),
    (
        "config/sections/media.rs",
        "DEFAULT_MAX_PIXELS",
        "a default, in the table of the configuration",
    ),
    (
        "keys/device_lists.rs",
        "ROOMS_TOUCHED_MAX",
        "beyond it everybody is woken",
    ),
    (
        "keys/to_device.rs",
        "TRIMS_PER_REQUEST",
        "later requests trim the rest",
    ),
    (
        "listen/tls.rs",
        "HANDSHAKE_MAX",
        "in the table of connections, as HEADER_TIMEOUT",
    ),
    ("media/thumbnail.rs", "BYTES_PER_PIXEL", "a unit"),
    ("push/compiled.rs", "STEPS_PER_CONDITION", "a unit"),
    (
        "outbound/guarded.rs",
        "WARNED_MAX",
        "memory: one that is forgotten is logged once more",
    ),
    ("push/pattern.rs", "BYTES_PER_STEP", "a unit"),
    ("push/pushers.rs", "WAKES_PER_PUSHER", "wakes that are one"),
    (
        "push/rules.rs",
        "CACHED_MAX_BYTES",
        "memory: what is forgotten is compiled anew",
    ),
    (
        "rooms/unread.rs",
        "READ_KEPT_PER_ROOM",
        "what was read and is kept beside NOTIFICATIONS_PER_ROOM",
    ),
    (
        "push/worker.rs",
        "LOOKED_AT_MAX",
        "work beside GATEWAY_CATCH_UP_MAX",
    ),
    ("rooms/writer.rs", "EVENTS_PER_WRITE", "more are split"),
    ("server.rs", "CLOSE_MAX", "the end of the process"),
    (
        "store/key.rs",
        "PART_MAX_BYTES",
        "the format; every text that gets there has a lower limit",
    ),
    (
        "store/supervise.rs",
        "PROBES_MAX",
        "attempts at a store that cannot be written",
    ),
    (
        "store/supervise.rs",
        "PROBES_WITH_ROOM_MAX",
        "attempts at a store that cannot be written",
    ),
    (
        "sync/pending_sends.rs",
        "ANSWER_MAX_WAIT",
        "an order that is hoped for",
    ),
    (
        "sync/sliding/room_info.rs",
        "ROOMS_KEPT_MAX",
        "memory: what is forgotten is read anew",
    ),
    (
        "sync/sliding/room_info.rs",
        "CHANGES_FOLLOWED_MAX",
        "beyond it all rooms are looked at",
    ),
    (
        "sync/sliding/room/state.rs",
        "EVENTS_SINCE_MAX",
        "beyond it the whole state is compared",
    ),
    (
        "sync/sliding/room/state.rs",
        "MEMBERS_REMEMBERED_MAX",
        "memory: members are sent once more",
    ),
    (
        "sync/sliding/timeline.rs",
        "EVENTS_WALKED_MAX",
        "beyond it the timeline is marked as limited",
    ),
    (
        "sync/v3/changed_rooms.rs",
        "CHANGES_MAX",
        "beyond it the whole state is compared",
    ),
    (
        "operations/accept_invitations.rs",
        "JOINS_AT_ONCE",
        "the others follow",
    ),
    (
        "sync/v3/timeline.rs",
        "LOOKED_AT_MAX",
        "beyond it the timeline is marked as limited",
    ),
];

/// The source without tests and without the table itself: paths from `src`, and texts.
fn sources() -> Vec<(String, String)> {
    fn walk(root: &Path, folder: &Path, files: &mut Vec<(String, String)>) {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            let name = path
                .strip_prefix(root)
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned();
            let of_tests = name.ends_with("tests") || name.ends_with("tests.rs");
            if of_tests || name == "limits" || name == "limits.rs" || name == "testing.rs" {
                continue;
            }
            if path.is_dir() {
                walk(root, &path, files);
            } else {
                let text = fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
                files.push((name, code.to_owned()));
            }
        }
    }
    let mut files = Vec::new();
    for root in ["src", "../homeserver-model/src"] {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(root);
        walk(&root, &root, &mut files);
    }
    files
}

/// The name of the number or time that this line declares as a constant.
fn declared(line: &str) -> Option<&str> {
    let (_, declaration) = line.split_once("const ")?;
    let (name, rest) = declaration.split_once(": ")?;
    let (kind, _) = rest.split_once(" =")?;
    ["usize", "u32", "u64", "Duration"]
        .contains(&kind)
        .then_some(name)
}

#[test]
fn every_limit_is_enforced_somewhere() {
    let sources = sources();
    let mut names = BTreeSet::new();
    for limit in all() {
        assert!(names.insert(limit.name), "{} is there twice", limit.name);
        let used = sources.iter().any(|(_, text)| text.contains(limit.name));
        assert!(used, "nothing enforces {}", limit.name);
    }
}

#[test]
fn every_constant_that_limits_is_a_row() {
    let (mut missing, mut used) = (Vec::new(), BTreeSet::new());
    for (file, text) in sources() {
        for name in text.lines().filter_map(declared) {
            if !WORDS.iter().any(|word| name.contains(word)) {
                continue;
            }
            let exception = NO_ROWS.iter().find(|row| row.0 == file && row.1 == name);
            match exception {
                Some(row) => drop(used.insert(row)),
                None => missing.push(format!("{file}: {name}")),
            }
        }
    }
    assert!(
        missing.is_empty(),
        "move these into `limits/catalogue.rs`, or say here why nobody meets them:\n{}",
        missing.join("\n")
    );
    let stale: Vec<_> = NO_ROWS.iter().filter(|row| !used.contains(row)).collect();
    assert!(stale.is_empty(), "no such constants any more: {stale:?}");
}
