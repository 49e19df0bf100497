//! The sample: the keys that somebody who runs a server for a house wants, each with a line about it.
//!
//! The values are the defaults, so the sample is right as long as it is generated from here. Keys
//! whose default is nothing have an example instead.

use std::fmt::Write;

use super::keys;

/// What the block is called in the configuration around it.
const BLOCK: &str = "homeserver";

/// The one key that must be written.
const REQUIRED: &str = "server_name";

/// The longest value that an error shows as an example, in bytes.
const LONGEST_VALUE: usize = 80;

/// A key of the sample.
struct Entry {
    key: &'static str,
    about: &'static str,
    /// A value in JSON, which YAML and TOML read as well; nothing if the default is to be shown.
    example: Option<&'static str>,
}

const fn entry(key: &'static str, about: &'static str) -> Entry {
    Entry {
        key,
        about,
        example: None,
    }
}

const fn example(key: &'static str, about: &'static str, value: &'static str) -> Entry {
    Entry {
        key,
        about,
        example: Some(value),
    }
}

const ENTRIES: &[Entry] = &[
    example(
        REQUIRED,
        "What stands behind the colon of user ids. It cannot change once somebody has an account.",
        "\"example.org\"",
    ),
    entry(
        "database_path",
        "The folder that holds everything, media included.",
    ),
    entry(
        "address",
        "Where to listen. \"0.0.0.0\" inside a container; otherwise behind a proxy.",
    ),
    entry("port", "The port to listen on."),
    example(
        "unix_socket_path",
        "A socket to listen on, instead.",
        "\"/run/homeserver.sock\"",
    ),
    example(
        "ip_source",
        "The header in which a trusted proxy names the client; \"connect_info\" for none.",
        "\"rightmost_x_forwarded_for\"",
    ),
    entry(
        "trusted_proxies",
        "The proxies whose headers count, exempt from max_connections_per_ip. Name yours if it is not on this machine, and nothing else.",
    ),
    entry(
        "max_request_size",
        "The largest file that somebody can upload.",
    ),
    entry(
        "media_quota_per_user",
        "How much room the files of one user take at most; 0 for no limit.",
    ),
    entry(
        "media_quota_total",
        "How much room the files of all users take together; 0 for no limit.",
    ),
    entry(
        "rate_limits",
        "Whether users who write faster than docs/limits.md says are asked to wait.",
    ),
    entry(
        "max_connections",
        "Connections at the same time. The oldest that wait for a request give way to new ones.",
    ),
    entry(
        "max_connections_per_ip",
        "How many of them come from one address.",
    ),
    entry(
        "max_connections_per_ip_exempt",
        "Other addresses that many users share. Those of trusted_proxies are exempt anyway.",
    ),
    entry(
        "allow_registration",
        "Whether people can make accounts themselves.",
    ),
    example(
        "registration_token",
        "What they have to know for it.",
        "\"a long random text\"",
    ),
    example(
        "registration_token_file",
        "A file with such tokens, separated by white space.",
        "\"/run/secrets/registration_token\"",
    ),
    example(
        "registration_shared_secret",
        "The secret with which scripts make accounts. Guard it like the password of an admin.",
        "\"another long random text\"",
    ),
    entry(
        "new_user_displayname_suffix",
        "What stands behind new display names; \"\" for nothing.",
    ),
    example(
        "auto_join_rooms",
        "Public rooms that new accounts are put into.",
        "[\"#lounge:example.org\"]",
    ),
    example(
        "forbidden_usernames",
        "Patterns of names that nobody can take.",
        "[\"^admin\"]",
    ),
    entry(
        "auto_accept_invites",
        "Whether people are in the rooms to which bridges invite them without answering.",
    ),
    entry(
        "auto_accept_invites_direct_only",
        "Whether only direct chats count for that.",
    ),
    entry(
        "auto_accept_invites_appservices_only",
        "Whether only those of bridges are accepted; not so in Tuwunel.",
    ),
    entry("allow_encryption", "Whether rooms can be encrypted."),
    entry(
        "allow_room_creation",
        "Whether people who are not admins can make rooms.",
    ),
    entry(
        "default_room_version",
        "The version of new rooms: \"10\", \"11\" or \"12\".",
    ),
    entry("allow_local_presence", "Whether people see who is online."),
    example(
        "turn_uris",
        "The relay for calls, such as coturn.",
        "[\"turn:turn.example.org?transport=udp\"]",
    ),
    example(
        "turn_secret",
        "The secret that the relay shares with us.",
        "\"its long random text\"",
    ),
    example(
        "url_preview_domain_explicit_allowlist",
        "Hosts of which links are previewed; [\"*\"] for all.",
        "[\"en.wikipedia.org\"]",
    ),
    entry(
        "create_admin_room",
        "Whether there is a room in which admins command the server.",
    ),
    entry(
        "grant_admin_to_first_user",
        "Whether the first person to register becomes admin.",
    ),
    entry(
        "admin_escape_commands",
        "Whether an admin's \\!admin counts in every room, as in Tuwunel, or only in the admin room.",
    ),
    example(
        "admin_execute",
        "Admin commands to run at the start.",
        "[\"server admin-notice started\"]",
    ),
    example(
        "database_backup_path",
        "Where backups go.",
        "\"/var/backups/homeserver\"",
    ),
    entry("database_backups_to_keep", "How many backups stay."),
    example(
        "appservice_dir",
        "A folder with the registrations of other bridges, as *.yaml.",
        "\"/etc/homeserver/appservices\"",
    ),
    example(
        "well_known",
        "Where clients reach the server, if that is not where its name leads.",
        "{\"client\": \"https://matrix.example.org\"}",
    ),
    example(
        "tls",
        "The certificate, for a server without a proxy before it.",
        "{\"certs\": \"/etc/homeserver/tls.crt\", \"key\": \"/etc/homeserver/tls.key\"}",
    ),
];

/// The `homeserver:` block, with every key but the required one commented out.
pub fn sample() -> String {
    let mut text = format!("{BLOCK}:\n");
    for entry in ENTRIES {
        let comment = if entry.key == REQUIRED { "" } else { "# " };
        let value = value_of(entry.key).unwrap_or_default();
        // Writing into a text does not fail.
        let _ = writeln!(
            text,
            "  # {}\n  {comment}{}: {value}",
            entry.about, entry.key
        );
    }
    text
}

/// A key with a value that would be right; nothing if there is none to show. The key of a section is
/// written without the section, as it is under its header.
pub(super) fn line(key: &str, equals: &str) -> Option<String> {
    let name = key.rsplit('.').next()?;
    let value = value_of(key).or_else(|| in_section(key))?;
    let is_section = value.starts_with('{');
    (!is_section && value.len() <= LONGEST_VALUE).then(|| format!("{name}{equals}{value}"))
}

/// The example of a key, or else its default.
fn value_of(key: &str) -> Option<String> {
    let default = keys::default_of(key).filter(|value| !value.is_null() && !value.is_object());
    let default = default.map(serde_json::Value::to_string);
    example_of(key).map(str::to_owned).or(default)
}

/// The example of `section.key`, out of that of the section.
fn in_section(key: &str) -> Option<String> {
    let (section, name) = key.split_once('.')?;
    let values: serde_json::Value = serde_json::from_str(example_of(section)?).ok()?;
    values.get(name).map(serde_json::Value::to_string)
}

fn example_of(key: &str) -> Option<&'static str> {
    ENTRIES.iter().find(|entry| entry.key == key)?.example
}
