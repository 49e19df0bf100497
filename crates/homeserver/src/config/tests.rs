//! What a configuration reads, refuses and warns of.

mod appservices;
mod layers;
mod paths;
mod refusals;
mod warnings;

use std::path::PathBuf;

use super::{Config, ConfigError, Sources, Warning};

/// A `tuwunel.toml` of somebody who ran Tuwunel for a while.
const TUWUNEL_TOML: &str = r##"
[global]
server_name = "example.org"
database_path = "/var/lib/tuwunel"
address = ["127.0.0.1", "::1"]
port = [6167, 8448]
max_request_size = "50 MiB"
new_user_displayname_suffix = ""
allow_registration = true
registration_token = "o&^uCtes4HPf0Vu"
allow_federation = false
access_token_ttl = 3600
default_room_version = "12"
forbidden_usernames = ["^admin", "b[a4]d"]
auto_join_rooms = ["#lounge:example.org"]
turn_uris = ["turn:turn.example.org?transport=udp"]
turn_secret = "relay"
ip_range_denylist = ["10.0.0.0/8"]
log = "warn,homeserver=debug"
dns_timeout = 5
rocksdb_parallelism_threads = 2

[global.tls]
certs = "/etc/tls.crt"
key = "/etc/tls.key"

[global.well_known]
client = "https://matrix.example.org"
server = "matrix.example.org:443"
support_email = "admin@example.org"

[global.appservice.irc]
url = "http://127.0.0.1:9999"
as_token = "as"
hs_token = "hs"
receive_ephemeral = true

[[global.appservice.irc.users]]
exclusive = true
regex = '@irc_.*:example\.org'
"##;

/// The sources of one file, which lives as long as the folder does.
fn file(text: &str) -> (tempfile::TempDir, Sources) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tuwunel.toml");
    std::fs::write(&path, text).unwrap();
    (
        folder,
        Sources {
            files: vec![path],
            ..Sources::default()
        },
    )
}

fn load_file(text: &str) -> Result<(Config, Vec<Warning>), ConfigError> {
    let (_folder, sources) = file(text);
    Config::load(&sources)
}

/// A server name, and these options.
fn options(overrides: &[&str]) -> Sources {
    let name = "server_name = 'example.org'";
    let overrides = std::iter::once(&name)
        .chain(overrides)
        .map(ToString::to_string)
        .collect();
    Sources {
        overrides,
        ..Sources::default()
    }
}

fn env(variables: &[(&str, &str)]) -> Vec<(String, String)> {
    variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// The error of these sources, with the path of a temporary file cut down to its name.
fn refusal(sources: &Sources) -> String {
    let text = Config::load(sources).unwrap_err().to_string();
    let folder = sources
        .files
        .first()
        .and_then(|path| path.parent().map(PathBuf::from));
    match folder {
        Some(folder) => text.replace(&format!("{}/", folder.display()), ""),
        None => text,
    }
}
