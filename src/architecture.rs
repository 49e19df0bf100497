//! The invariants of the workspace, written as absences, checked over the source itself.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Set, a test rewrites generated files instead of comparing them.
const UPDATE: &str = "UPDATE_EXAMPLES";

/// How many lines a file may have. Most have a third of it.
const LINES_MAX: usize = 450;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Compares a generated file with the one in the repository.
pub(crate) fn same_as_on_disk(path: &Path, generated: &str) {
    let path = root().join(path);
    if std::env::var_os(UPDATE).is_some() {
        fs::write(&path, generated).expect("the repository can be written to");
    }
    let on_disk = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        on_disk == generated,
        "{} is not what the code generates; rewrite it with `{UPDATE}=1 cargo test --lib` and look \
         at the difference",
        path.display()
    );
}

/// Compares a generated part of a file in the repository, between comments that name it, with what stands there.
pub(crate) fn same_part_on_disk(path: &Path, name: &str, generated: &str) {
    let text = fs::read_to_string(root().join(path)).unwrap_or_default();
    let (begin, end) = (
        format!("<!-- {name}: generated -->\n"),
        format!("<!-- end of {name} -->"),
    );
    let (before, rest) = text.split_once(&begin).expect("the part begins");
    let (_, after) = rest.split_once(&end).expect("the part ends");
    same_as_on_disk(path, &format!("{before}{begin}{generated}{end}{after}"));
}

/// Every Rust file of the workspace: its path from the root, and its text.
fn files() -> Vec<(String, String)> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() && !path.ends_with("target") {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let mut paths = Vec::new();
    for folder in ["src", "crates", "tests", "benches"] {
        walk(&root().join(folder), &mut paths);
    }
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).expect("the source can be read");
        let name = path
            .strip_prefix(root())
            .expect("inside")
            .display()
            .to_string();
        (name, text)
    };
    paths.into_iter().map(read).collect()
}

/// The lines of code that hold `word`, in the files for which `concerns` holds. Comments and this
/// file, which names what must be absent, do not count.
fn found(word: &str, concerns: impl Fn(&str) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for (path, text) in files() {
        if path == "src/architecture.rs" || !concerns(&path) {
            continue;
        }
        for (number, line) in text.lines().enumerate() {
            if line.contains(word) && !line.trim_start().starts_with("//") {
                found.push(format!("{path}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    found
}

fn assert_absent(word: &str, concerns: impl Fn(&str) -> bool) {
    let found = found(word, concerns);
    assert!(
        found.is_empty(),
        "`{word}` does not belong here:\n{}",
        found.join("\n")
    );
}

/// Whether `path` is the module `name` of the bridge or a part of it.
fn is_part(path: &str, name: &str) -> bool {
    let rest = path
        .strip_prefix("src/")
        .and_then(|path| path.strip_prefix(name));
    rest.is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

/// Whether the file is of tests alone.
fn is_test(path: &str) -> bool {
    path.contains("/tests") || path.ends_with("/testing.rs")
}

fn of_bridge(path: &str) -> bool {
    path.starts_with("src/")
}

#[test]
fn nothing_outside_the_journal_names_sled() {
    assert_absent("sled::", |path| {
        !is_part(path, "journal") && !path.starts_with("tests/")
    });
}

#[test]
fn nothing_outside_matrix_and_the_command_line_makes_requests() {
    assert_absent("reqwest", |path| {
        let asks = ["matrix", "cli", "transcription"];
        of_bridge(path) && !asks.iter().any(|part| is_part(path, part))
    });
}

#[test]
fn anyhow_is_used_in_cli_and_app_only() {
    for word in ["anyhow::", "anyhow!"] {
        assert_absent(word, |path| {
            let rim = is_part(path, "cli") || is_part(path, "app") || path == "src/main.rs";
            (of_bridge(path) && !rim) || (path.starts_with("crates/") && path.contains("/src/"))
        });
    }
}

#[test]
fn letta_client_names_no_matrix() {
    for word in ["ruma", "matrix", "Matrix", "homeserver", "Homeserver"] {
        assert_absent(word, |path| path.starts_with("crates/letta-client/src/"));
    }
}

#[test]
fn homeserver_names_no_letta_and_no_bridge() {
    let of_homeserver = |path: &str| {
        path.starts_with("crates/homeserver/src/") || path.starts_with("crates/homeserver-model/")
    };
    // In tests every server needs a name; the crate's own is one like any other.
    let named: Vec<String> = ["letta", "Letta"]
        .iter()
        .flat_map(|name| found(name, |path| of_homeserver(path) && !is_test(path)))
        .filter(|line| !line.contains("letta.test"))
        .collect();
    assert!(named.is_empty(), "{}", named.join("\n"));
}

#[test]
fn only_the_store_of_the_homeserver_names_its_database() {
    for word in ["rocksdb::", "use rocksdb"] {
        assert_absent(word, |path| {
            !path.starts_with("crates/homeserver/src/store")
        });
    }
}

#[test]
fn model_of_the_homeserver_knows_no_store_socket_or_clock() {
    for word in [
        "rocksdb",
        "tokio",
        "async ",
        "std::fs",
        "std::net",
        "Instant::now",
        "SystemTime",
    ] {
        assert_absent(word, |path| path.starts_with("crates/homeserver-model/"));
    }
}

#[test]
fn the_bridge_has_no_privileged_path_to_the_homeserver() {
    for word in [
        "use homeserver",
        " homeserver::",
        "(homeserver::",
        "<homeserver::",
    ] {
        assert_absent(word, |path| {
            of_bridge(path) && !is_part(path, "app") && !is_part(path, "cli")
        });
    }
}

#[test]
fn only_system_accepts_connections() {
    let servers = |path: &str| {
        is_part(path, "app")
            || is_part(path, "appservice")
            || (path.starts_with("crates/homeserver/src/") && !is_test(path))
    };
    for word in ["axum::serve", ".accept().await", "setrlimit", "umask("] {
        assert_absent(word, servers);
    }
    for word in ["ruma", "letta", "homeserver", "sled", "rocksdb"] {
        assert_absent(word, |path| path.starts_with("crates/system/"));
    }
}

#[test]
fn bridge_uses_no_login_and_no_sync() {
    for word in [
        "session::login",
        "client::sync",
        "/login",
        "m.login.password",
    ] {
        assert_absent(word, of_bridge);
    }
}

/// What decides about messages without I/O and without a clock of its own.
const PURE_PARTS: [&str; 7] = [
    "turns/reply",
    "turns/status",
    "turns/approval_message",
    "turns/reaction_command",
    "turns/rights",
    "turns/envelope",
    "journal/record/turn_state",
];

/// Where the words of messages are put together.
const WORDING_PARTS: [&str; 7] = [
    "agents/provision/greeting",
    "commands",
    "outbox",
    "turns/approval_message",
    "turns/inbox",
    "turns/notice_texts",
    "turns/rights",
];

/// Whether `path` is one of these modules or a part of one.
fn is_part_of(path: &str, parts: &[&str]) -> bool {
    parts.iter().any(|part| is_part(path, part))
}

#[test]
fn every_guarded_part_is_there() {
    let files = files();
    for part in PURE_PARTS.iter().chain(&WORDING_PARTS) {
        let mut paths = files.iter().map(|(path, _)| path);
        assert!(
            paths.any(|path| is_part(path, part)),
            "{part} was renamed, and what guarded it guards nothing any more"
        );
    }
}

#[test]
fn reply_uses_no_io_and_no_clock() {
    for word in [
        "tokio::",
        "std::fs",
        "std::net",
        "Instant::now",
        "SystemTime",
        "Timestamp::now",
    ] {
        assert_absent(word, |path| is_part_of(path, &PURE_PARTS));
    }
}

/// What agents, models, Letta and homeservers have worded, as our source calls it.
const FOREIGN: [&str; 16] = [
    "record.name",
    "record.description",
    "record.model",
    "call.tool",
    "call.arguments",
    "info.name()",
    "{failure}",
    "{source}",
    "{error}",
    "{description}",
    "{model}",
    "{tool}",
    "{arguments}",
    "{reason}",
    "{filter}",
    "{query}",
];

/// What makes foreign text text. All of it is `matrix::untrusted_text`.
const AS_TEXT: [&str; 5] = [
    "inline(",
    "inline_start(",
    "block(",
    "code(",
    "arguments::shown(",
];

#[test]
fn foreign_text_enters_our_messages_as_text_only() {
    let messages = |path: &str| is_part_of(path, &WORDING_PARTS) && !is_test(path);
    // Neither for a message nor in Markdown.
    let elsewhere = [
        "to_lowercase()",
        ".chars().count()",
        "clone()",
        "Some(model)",
        "Some(description)",
        "let ",
    ];
    for word in FOREIGN {
        let mut found = found(word, messages);
        found.retain(|line| {
            !AS_TEXT
                .iter()
                .chain(&elsewhere)
                .any(|fine| line.contains(fine))
        });
        assert!(
            found.is_empty(),
            "`{word}` is foreign text; put it into a message with `matrix::untrusted_text`:\n{}",
            found.join("\n")
        );
    }
    // Nobody makes text of it in another way.
    for word in ["&lt;", "escape_unicode", "&amp;"] {
        assert_absent(word, |path| {
            let of_it = path.starts_with("src/matrix/") || path == "src/turns/status_message.rs";
            of_bridge(path) && !of_it && !is_test(path)
        });
    }
}

#[test]
fn identity_uses_no_io() {
    for word in ["tokio", "async ", "std::fs", "reqwest"] {
        assert_absent(word, |path| is_part(path, "identity"));
    }
}

#[test]
fn every_file_says_what_it_is_and_stays_readable() {
    for (path, text) in files() {
        assert!(text.starts_with("//!"), "{path} does not open with `//!`");
        assert!(
            !path.ends_with("/mod.rs"),
            "{path}: modules are `foo.rs` beside `foo/`"
        );
        let lines = text.lines().count();
        assert!(
            lines <= LINES_MAX,
            "{path} has {lines} lines, at most {LINES_MAX} can be read"
        );
    }
}
